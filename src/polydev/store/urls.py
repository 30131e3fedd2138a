"""Database URLs: the forms that people write, and the forms that the drivers want."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from polydev.errors import SettingsError

_FORMS = "sqlite:///FILE or postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
_SQLITE = frozenset({"sqlite", "sqlite+aiosqlite", "sqlite+pysqlite"})
_POSTGRESQL = frozenset(
    {"postgresql", "postgres", "postgresql+psycopg", "postgresql+psycopg_async"}
)


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """One checked URL. Its ``repr`` shows no password."""

    _url: URL = field(repr=False)
    file: Path | None
    """The SQLite file; None on PostgreSQL."""

    @classmethod
    def parse(cls, text: str) -> DatabaseUrl:
        """Read a URL as a person writes it.

        Raises:
            SettingsError: names the setting and the accepted forms, never the value.
        """
        try:
            url = make_url(text)
        except (ArgumentError, ValueError):
            raise SettingsError(f"database_url: not a database URL; use {_FORMS}") from None
        if url.drivername in _SQLITE:
            if url.host or url.query:
                raise SettingsError(
                    "database_url: a SQLite URL has three slashes before a relative path, four "
                    "before an absolute one, and no query (sqlite:////var/lib/polydev/polydev.db)"
                )
            if not url.database or url.database == ":memory:":
                raise SettingsError("database_url: SQLite needs a file (sqlite:///FILE)")
            file = Path(url.database).absolute()
            return cls(url.set(drivername="sqlite", database=str(file)), file)
        if url.drivername in _POSTGRESQL:
            if not url.database:
                raise SettingsError(f"database_url: names no database; use {_FORMS}")
            return cls(url.set(drivername="postgresql"), None)
        raise SettingsError(
            f"database_url: {url.drivername!r} is not a database that Polydev knows; use {_FORMS}"
        )

    @property
    def sqlite(self) -> bool:
        return self.file is not None

    @property
    def shown(self) -> str:
        """For logs and people: the password is masked."""
        return self._url.render_as_string(hide_password=True)

    def for_async(self) -> URL:
        return self._url.set(
            drivername="sqlite+aiosqlite" if self.sqlite else "postgresql+psycopg_async"
        )

    def for_sync(self) -> URL:
        return self._url.set(drivername="sqlite" if self.sqlite else "postgresql+psycopg")

    def for_engine(self) -> URL:
        """Where DBOS keeps its tables: its own schema on PostgreSQL, a file beside it on SQLite
        (two libraries that write to one SQLite file would wait for each other)."""
        if self.file is None:
            return self.for_sync()
        beside = self.file.with_name(f"{self.file.stem}.engine{self.file.suffix or '.db'}")
        return self._url.set(database=str(beside))
