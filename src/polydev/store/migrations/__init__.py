"""Alembic's scripts; run by `polydev.store.migrate`."""
