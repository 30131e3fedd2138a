"""The demo: the whole journey on this machine, against a stand-in for the provider."""
