"""Pure data and rules: no I/O, no third-party imports (the guest agent ships this package)."""
