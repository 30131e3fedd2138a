"""One server per state directory."""

import os
from pathlib import Path

import pytest

from polydev.errors import SettingsError
from polydev.single import only_server


def test_a_second_server_is_refused_and_told_which_one_is_there(tmp_path: Path) -> None:
    with (
        only_server(tmp_path),
        pytest.raises(SettingsError, match=rf"process {os.getpid()}\b"),
        only_server(tmp_path),
    ):
        pytest.fail("two servers on one state directory")


def test_the_next_server_may_start_once_the_first_has_ended(tmp_path: Path) -> None:
    for _ in range(2):
        with only_server(tmp_path):
            assert (tmp_path / "server.lock").read_text() == f"{os.getpid()}\n"


def test_an_old_lock_file_of_a_dead_server_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "server.lock").write_text("99999999\n")
    with only_server(tmp_path):
        assert (tmp_path / "server.lock").read_text() == f"{os.getpid()}\n"
