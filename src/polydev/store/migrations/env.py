"""Alembic's entry. `polydev.store.migrate` hands the connection over; there is no other way in."""

from typing import Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext

from polydev.store.models import Base, UtcDateTime


def _render(kind: str, item: object, autogen_context: AutogenContext) -> str | Literal[False]:
    """A revision stands alone: it names plain types, not ours, which may change later."""
    del autogen_context
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # SQLite can change a schema inside a transaction too, once the driver leaves BEGIN to us.
    transactional_ddl=True,
    render_as_batch=True,
    render_item=_render,
)
with context.begin_transaction():
    context.run_migrations()
