"""The embedded driver: each machine is a bubblewrap sandbox on this host's own system."""
