"""The schema: what the migrations make is what the models say, on both databases."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from polydev.errors import SettingsError
from polydev.store import migrate
from polydev.store.database import prepare_sqlite
from polydev.store.urls import DatabaseUrl


def test_migrated_schema_is_exactly_what_the_models_say(empty_url: str) -> None:
    migrate.upgrade(empty_url)
    assert migrate.drift(empty_url) == []


def test_drift_is_seen_when_there_is_some(empty_url: str) -> None:
    migrate.upgrade(empty_url)
    run(empty_url, "DROP INDEX uq_auth_sessions_one_live")
    assert any("uq_auth_sessions_one_live" in line for line in migrate.drift(empty_url))


def test_migrating_twice_changes_nothing(empty_url: str) -> None:
    migrate.upgrade(empty_url)
    migrate.upgrade(empty_url)
    migrate.check(empty_url)


def test_two_processes_may_migrate_at_once(empty_url: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(migrate.upgrade, empty_url) for _ in range(4)]:
            done.result()
    migrate.check(empty_url)


def test_a_new_sqlite_file_that_another_process_is_writing_to_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "new.db"
    with (
        closing(sqlite3.connect(file, isolation_level=None)) as other,
        closing(sqlite3.connect(file, check_same_thread=False)) as ours,
        ThreadPoolExecutor(1) as thread,
    ):
        other.execute("BEGIN IMMEDIATE")
        waiting = thread.submit(prepare_sqlite, ours, None)
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.3)
        other.execute("COMMIT")
        waiting.result(timeout=60)
        assert ours.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_an_empty_database_is_refused_with_the_command_that_mends_it(empty_url: str) -> None:
    with pytest.raises(SettingsError, match="polydev up"):
        migrate.check(empty_url)


def test_a_database_of_a_newer_polydev_is_left_alone(empty_url: str) -> None:
    migrate.upgrade(empty_url)
    run(empty_url, "UPDATE alembic_version SET version_num = '9999'")
    for refused in (migrate.upgrade, migrate.check):
        with pytest.raises(SettingsError, match="newer Polydev"):
            refused(empty_url)


def run(url: str, statement: str) -> None:
    engine = create_engine(DatabaseUrl.parse(url).for_sync())
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()
