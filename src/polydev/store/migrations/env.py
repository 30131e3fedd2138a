"""Alembic's entry. `polydev.store.migrate` hands the connection over; there is no other way in."""

from alembic import context

from polydev.store.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # SQLite can change a schema inside a transaction too, once the driver leaves BEGIN to us.
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
