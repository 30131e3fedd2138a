"""Watching paths that may not exist yet."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

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
    async with asyncio.timeout(5):
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
