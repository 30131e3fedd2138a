"""Polydev signs command-line AI tools in on machines that have no browser."""

__version__ = "0.1.0"
