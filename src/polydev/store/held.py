"""What a database holds already, asked before anything is made or migrated. Synchronous."""

from dataclasses import dataclass

from sqlalchemy import NullPool, create_engine, func, inspect, select
from sqlalchemy.exc import DBAPIError

from polydev.store.database import unreachable
from polydev.store.models import CredentialRow, CredentialVersionRow
from polydev.store.urls import DatabaseUrl


@dataclass(frozen=True, slots=True)
class Held:
    """What the vault left in a database."""

    key_ids: frozenset[str] = frozenset()
    """Of the keys that stored versions are encrypted with."""
    credentials: int = 0
    """How many there are or were: revoked ones count."""


def held(database_url: str) -> Held:
    """Look without changing anything: a SQLite file that is not there is not made, and a schema
    that is not there or old is left so.

    Raises:
        SettingsError: the database does not answer.
    """
    url = DatabaseUrl.parse(database_url)
    if url.file is not None and not url.file.exists():
        return Held()
    engine = create_engine(url.for_sync(), poolclass=NullPool, hide_parameters=True)
    try:
        with engine.connect() as connection:
            tables = inspect(connection)
            if not tables.has_table(CredentialVersionRow.__tablename__):
                return Held()
            key_ids = connection.scalars(select(CredentialVersionRow.key_id).distinct())
            count = connection.scalar(select(func.count()).select_from(CredentialRow))
            return Held(frozenset(key_ids), count or 0)
    except DBAPIError as error:
        raise unreachable(url, error) from None
    finally:
        engine.dispose()
