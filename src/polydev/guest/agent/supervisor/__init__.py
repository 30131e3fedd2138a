"""The first program of a machine: starts the units of its role, and restarts what dies."""
