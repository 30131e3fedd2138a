"""Watching paths that may not exist yet."""

import asyncio
import ctypes
import errno
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from polydev.guest.agent import inotify
from polydev.guest.agent import watch as watch_module
from polydev.guest.agent.watch import PathWatch

Settled = asyncio.Queue[None]


@pytest.fixture
async def watch(tmp_path: Path) -> AsyncIterator[Callable[..., Settled]]:
    made: list[PathWatch] = []

    def begin(*paths: str) -> Settled:
        settled: Settled = asyncio.Queue()
        made.append(PathWatch(tmp_path, paths, lambda: settled.put_nowait(None)))
        return settled

    yield begin
    for one in made:
        one.close()


async def _next(settled: Settled) -> None:
    async with asyncio.timeout(30):
        await settled.get()


async def test_it_looks_once_at_the_start(watch: Callable[..., Settled]) -> None:
    await _next(watch("a/b/c.json"))


async def test_a_file_in_directories_that_come_later_is_seen(
    watch: Callable[..., Settled], tmp_path: Path
) -> None:
    settled = watch("a/b/c.json")
    await _next(settled)

    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c.json").write_text("{}")
    await _next(settled)

    (tmp_path / "a" / "b" / "c.json").write_text('{"more": 1}')
    await _next(settled)


async def test_a_directory_that_is_replaced_is_watched_again(
    watch: Callable[..., Settled], tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    settled = watch("a/c.json")
    await _next(settled)

    (tmp_path / "a").rename(tmp_path / "old")
    (tmp_path / "a").mkdir()
    await _next(settled)
    (tmp_path / "a" / "c.json").write_text("{}")

    await _next(settled)


async def test_a_burst_of_changes_is_looked_at_once(
    watch: Callable[..., Settled], tmp_path: Path
) -> None:
    settled = watch("c.json")
    await _next(settled)

    for i in range(100):
        (tmp_path / "c.json").write_text(str(i))
    await _next(settled)

    assert settled.empty()


async def test_other_files_do_not_matter(watch: Callable[..., Settled], tmp_path: Path) -> None:
    settled = watch("c.json")
    await _next(settled)

    (tmp_path / "noise").write_text("x")

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.6):
            await settled.get()


@pytest.mark.parametrize("call", ["inotify_init1", "inotify_add_watch"])
async def test_where_inotify_is_used_up_it_looks_now_and_then_until_it_is_not(
    watch: Callable[..., Settled], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def used_up(*_: object) -> int:
        ctypes.set_errno(errno.EMFILE if call == "inotify_init1" else errno.ENOSPC)
        return -1

    monkeypatch.setattr(watch_module, "LOOK_EVERY_S", 0.05)
    with monkeypatch.context() as patched:
        patched.setattr(inotify._libc, call, used_up)
        settled = watch("a/c.json")
        for _ in range(3):
            await _next(settled)
    # From now on the kernel tells: after one more look it is quiet.
    while True:
        try:
            async with asyncio.timeout(0.6):
                await settled.get()
        except TimeoutError:
            break

    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "c.json").write_text("{}")

    await _next(settled)
