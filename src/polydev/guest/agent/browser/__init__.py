"""Chromium as the agent drives it: through the debugging pipe, never a port."""
