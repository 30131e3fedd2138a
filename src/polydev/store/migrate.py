"""Brings a database's schema to what this version of Polydev needs.

Synchronous: from async code call it by ``asyncio.to_thread``. A new revision, after a change to
`models`: ``python -m polydev.store.migrate "what changes"``, then read what it wrote.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, NullPool, create_engine, event, text
from sqlalchemy.exc import DBAPIError

from polydev.errors import SettingsError
from polydev.store.database import begin_sqlite, prepare_sqlite, private_file, unreachable
from polydev.store.models import Base
from polydev.store.urls import DatabaseUrl

_SCRIPTS = Path(__file__).with_name("migrations")
_LOCK = 0x706F6C79646576  # "polydev"


def upgrade(database_url: str) -> None:
    """Make or migrate the schema, in one transaction. Does nothing where it is up to date.

    Two processes may call it at once: one waits for the other.

    Raises:
        SettingsError: the database does not answer, or a newer Polydev has migrated it.
    """
    with _transaction(database_url) as connection:
        _refuse_newer(connection)
        command.upgrade(_config(connection), "head")


def check(database_url: str) -> None:
    """Raise `SettingsError` unless the schema is exactly what this version needs."""
    with _transaction(database_url) as connection:
        _refuse_newer(connection)
        current, head = _current(connection), _scripts().get_current_head()
    if current != head:
        raise SettingsError(
            f"database_url: the schema is at revision {current or 'none'}, this Polydev needs "
            f"{head}; `polydev up` migrates it"
        )


def drift(database_url: str) -> list[str]:
    """Differences between the migrated schema and the models; a test holds this empty."""
    with _transaction(database_url) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return [str(item) for item in compare_metadata(context, Base.metadata)]


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config(None))


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.attributes["connection"] = connection
    return config


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _refuse_newer(connection: Connection) -> None:
    current = _current(connection)
    known = {script.revision for script in _scripts().walk_revisions()}
    if current is not None and current not in known:
        raise SettingsError(
            f"database_url: a newer Polydev has migrated this database (revision {current}); "
            "run that version, or restore a backup made before it"
        )


@contextlib.contextmanager
def _transaction(database_url: str) -> Generator[Connection, Any, None]:
    url = DatabaseUrl.parse(database_url)
    private_file(url)
    engine = create_engine(url.for_sync(), poolclass=NullPool, hide_parameters=True)
    if url.sqlite:
        event.listen(engine, "connect", prepare_sqlite)
        event.listen(engine, "begin", begin_sqlite)
    try:
        with engine.begin() as connection:
            if not url.sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            yield connection
    except DBAPIError as error:
        if error.connection_invalidated or not error.statement:
            raise unreachable(url, error) from None
        raise
    finally:
        engine.dispose()


def _new_revision(message: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/schema.db"
        upgrade(url)
        with _transaction(url) as connection:
            command.revision(_config(connection), message, autogenerate=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit('usage: python -m polydev.store.migrate "what changes"')
    _new_revision(sys.argv[1])
