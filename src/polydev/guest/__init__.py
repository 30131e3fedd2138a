"""What runs in a machine (`agent`), what is said to it (`protocol`), and our end (`client`)."""
