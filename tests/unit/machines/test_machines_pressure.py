"""What the keeper says on the console about the host's memory and disk."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from polydev.machines.sandbox.console import ConsoleLog, read_end
from polydev.machines.sandbox.pressure import LOW_DISK, Pressure


@pytest.fixture
def console(tmp_path: Path) -> ConsoleLog:
    return ConsoleLog(tmp_path / "console.log")


@pytest.mark.parametrize("text", ["oom_kill {}\n", "low 0\noom 3\noom_kill {}\noom_group_kill 0\n"])
def test_each_death_for_want_of_memory_is_said_once(
    tmp_path: Path, console: ConsoleLog, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    # The disk that this test runs on may really be nearly full.
    monkeypatch.setattr(os, "fstatvfs", lambda _: SimpleNamespace(f_bavail=LOW_DISK, f_frsize=1))
    kills = tmp_path / "memory.events"
    kills.write_text(text.format(0))
    pressure = Pressure(console, kills, tmp_path)
    for count in (0, 1, 1, 3):
        kills.write_text(text.format(count))
        pressure.look()
    said = read_end(tmp_path / "console.log", 1000).decode().splitlines()
    assert said == [
        "[keeper] out of memory: the kernel ended 1 of its processes",
        "[keeper] out of memory: the kernel ended 2 of its processes",
    ]


def test_a_disk_that_fills_up_is_said_once_and_again_after_it_had_room(
    tmp_path: Path, console: ConsoleLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = [0]
    monkeypatch.setattr(os, "fstatvfs", lambda _: SimpleNamespace(f_bavail=free[0], f_frsize=1))
    pressure = Pressure(console, None, tmp_path)
    for bytes_left in (LOW_DISK, LOW_DISK - 1, 0, LOW_DISK, 5 << 20):
        free[0] = bytes_left
        pressure.look()
    said = read_end(tmp_path / "console.log", 1000).decode().splitlines()
    assert len(said) == 2
    assert said[1] == "[keeper] the host's disk is nearly full: 5 MiB are left for all homes"
