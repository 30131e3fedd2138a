"""The one way to the database: an engine, and transactions that do not surprise.

SQLite: WAL, foreign keys on, deleted content overwritten, and every writer says so at once (BEGIN
IMMEDIATE). A deferred transaction that reads and then writes fails with "database is locked" as
soon as a second one does the same; one that starts as a writer waits its turn. Writers of this
process queue on a fair lock (SQLite's own busy handler is not fair: under load somebody starves);
the busy timeout is for other processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, cast

from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from polydev.errors import SettingsError
from polydev.store.urls import DatabaseUrl

_BUSY_TIMEOUT_MS = 30_000
_READ_ONLY = "polydev_read_only"
_HOOKS = "polydev_after_commit"
_AUDIT_WATCH = "polydev_audit_watch"

AfterCommit = Callable[[], Awaitable[None]]
AuditWatch = Callable[[int, str], Awaitable[None]]
"""Told the number and the hash of each line of the audit log, once it has been committed."""


class Database:
    """A pool of connections to one database.

    Used from one event loop. The schema is `polydev.store.migrate`'s business.
    """

    def __init__(self, url: str) -> None:
        self._url = DatabaseUrl.parse(url)
        self._engine = _make_engine(self._url)
        self._reader = self._engine.execution_options(
            **{_READ_ONLY: True, "postgresql_readonly": True}
        )
        self._writer_lock = asyncio.Lock() if self._url.sqlite else None
        self._writer: asyncio.Task[Any] | None = None
        self._audit_watch: AuditWatch | None = None

    def __repr__(self) -> str:
        return f"Database({self._url.shown!r})"

    @property
    def sqlite(self) -> bool:
        return self._url.sqlite

    def sync_url(self) -> str:
        """This database for a synchronous driver. It may hold a password: do not log it."""
        return self._url.for_sync().render_as_string(hide_password=False)

    def engine_url(self) -> str:
        """For DBOS: the same database on PostgreSQL, a file beside it on SQLite, which is made
        here: DBOS would make it for all to read. May hold a password: do not log it."""
        url = self._url.for_engine().render_as_string(hide_password=False)
        private_file(DatabaseUrl.parse(url))
        return url

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncGenerator[AsyncSession, None]:
        """Read and write; commits when the block ends, rolls back when it raises.

        Hooks given to `after_commit` run then, outside the transaction. Keep it short: on SQLite
        there is one writer at a time, so no machine, network or person is waited for in here.
        """
        task = asyncio.current_task()
        if task is not None and self._writer is task:
            # It would wait for itself for ever.
            raise RuntimeError("a transaction inside a transaction: pass the outer one on")
        info = {_AUDIT_WATCH: self._audit_watch}
        async with AsyncSession(self._engine, expire_on_commit=False, info=info) as tx:
            async with self._writer_turn(task), tx.begin():
                yield tx
            await _run_hooks(tx)

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncGenerator[AsyncSession, None]:
        """Read only: never waits for a writer, and a write in here is an error."""
        async with AsyncSession(self._reader, expire_on_commit=False) as tx:
            yield tx

    def watch_audit(self, watch: AuditWatch) -> None:
        """From the next transaction on, tell of each line of the audit log."""
        self._audit_watch = watch

    async def check(self) -> None:
        """Ask the database for an answer.

        Raises:
            SettingsError: it gives none; the text says which database and why.
        """
        try:
            async with self.reading() as tx:
                await tx.execute(text("SELECT 1"))
        except (DBAPIError, OSError) as error:
            raise unreachable(self._url, error) from None

    async def close(self) -> None:
        await self._engine.dispose()

    @contextlib.asynccontextmanager
    async def _writer_turn(self, task: asyncio.Task[Any] | None) -> AsyncGenerator[None, None]:
        if self._writer_lock is None:
            yield
            return
        async with self._writer_lock:
            self._writer = task
            try:
                yield
            finally:
                self._writer = None


def after_commit(tx: AsyncSession, hook: AfterCommit) -> None:
    """Run ``hook`` once ``tx`` has been committed, and not at all if it is rolled back.

    For what must not happen before the rows are there (a mark, a notice to watchers). A process
    may die between the commit and the hook, so a hook is never the only place of anything.
    """
    hooks = cast("list[AfterCommit]", tx.info.setdefault(_HOOKS, []))
    hooks.append(hook)


def audit_line_written(tx: AsyncSession, seq: int, line_hash: str) -> None:
    """Tell the watch of the audit log, after the commit."""
    watch = cast("AuditWatch | None", tx.info.get(_AUDIT_WATCH))
    if watch is not None:

        async def tell() -> None:
            await watch(seq, line_hash)

        after_commit(tx, tell)


async def _run_hooks(tx: AsyncSession) -> None:
    for hook in cast("list[AfterCommit]", tx.info.pop(_HOOKS, [])):
        await hook()


def unreachable(url: DatabaseUrl, error: Exception) -> SettingsError:
    """What to tell a person whose database does not answer."""
    cause = getattr(error, "orig", None) or error
    why = str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
    return SettingsError(
        f"database_url: {url.shown} does not answer: {why}", detail=type(error).__name__
    )


def private_file(url: DatabaseUrl) -> None:
    """Make the SQLite file 0600 before SQLite makes it with the umask's mode.

    Its journal files take the mode of the database file.
    """
    if url.file is None:
        return
    try:
        url.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(url.file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise unreachable(url, error) from None


def prepare_sqlite(dbapi_connection: Any, record: object) -> None:
    """Settings of every SQLite connection, async or not."""
    del record
    # We say BEGIN ourselves: the driver's own implicit one is deferred, and commits before DDL.
    dbapi_connection.isolation_level = None
    cursor = dbapi_connection.cursor()
    for pragma in (
        f"busy_timeout={_BUSY_TIMEOUT_MS}",
        "synchronous=FULL",  # the vault's marks rely on a commit that outlives a power cut
        "foreign_keys=ON",
        "secure_delete=ON",  # an erased ciphertext is overwritten, not only unlinked
    ):
        cursor.execute(f"PRAGMA {pragma}")
    _use_wal(cursor)
    cursor.close()


def _use_wal(cursor: Any) -> None:
    """The one pragma that does not wait by itself: two who open a new file at once both hold it
    when they want it for themselves, and SQLite then tells one of them that it is locked."""
    deadline = time.monotonic() + _BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                raise
            time.sleep(0.01)
        else:
            return


def begin_sqlite(connection: Connection) -> None:
    """Start a transaction as what it is; pooled connections serve readers and writers in turn."""
    read_only = bool(connection.get_execution_options().get(_READ_ONLY, False))
    connection.exec_driver_sql(f"PRAGMA query_only={'ON' if read_only else 'OFF'}")
    connection.exec_driver_sql("BEGIN DEFERRED" if read_only else "BEGIN IMMEDIATE")


def _make_engine(url: DatabaseUrl) -> AsyncEngine:
    if not url.sqlite:
        return create_async_engine(
            url.for_async(), pool_size=5, max_overflow=15, pool_pre_ping=True, hide_parameters=True
        )
    private_file(url)
    engine = create_async_engine(
        url.for_async(), pool_size=5, max_overflow=15, hide_parameters=True
    )
    event.listen(engine.sync_engine, "connect", prepare_sqlite)
    event.listen(engine.sync_engine, "begin", begin_sqlite)
    return engine
