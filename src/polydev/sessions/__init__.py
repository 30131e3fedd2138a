"""Sign-in sessions: use cases, the durable workflow, and what can be done with a credential."""
