"""Live streams: tickets, and the relays behind the WebSockets."""
