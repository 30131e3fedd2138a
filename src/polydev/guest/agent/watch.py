"""Watches the files of a manifest, also those whose directories do not exist yet."""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from polydev.guest.agent.inotify import Inotify
from polydev.guest.homepath import check_home_path

QUIET_S: Final = 0.25
"""Tools write a file in several steps, and several files; look once they pause."""
LONGEST_S: Final = 2.0
"""... but look at last after this long, if they never pause."""
LOOK_EVERY_S: Final = 1.5
"""Where the kernel tells us nothing."""


class PathWatch:
    """Calls ``on_settled`` once after each burst of changes to any of the paths, and once at the
    start. No polling: a directory that is missing is awaited in its parent.

    But where all of the user's inotify instances or watches are taken, it is called now and then
    until one is free again."""

    def __init__(self, root: Path, paths: Iterable[str], on_settled: Callable[[], None]) -> None:
        self._root = root
        self._on_settled = on_settled
        self._names: dict[Path, set[str]] = {}
        for path in paths:
            folder = root
            for part in check_home_path(path, "path"):
                self._names.setdefault(folder, set()).add(part)
                folder = folder / part
        self._timer: asyncio.TimerHandle | None = None
        self._first_change: float | None = None
        self._inotify: Inotify | None = None
        self._looker: asyncio.TimerHandle | None = None
        self._arm()
        self._schedule()

    def close(self) -> None:
        if self._inotify is not None:
            self._inotify.close()
        for timer in (self._timer, self._looker):
            if timer is not None:
                timer.cancel()

    def _arm(self) -> None:
        try:
            if self._inotify is None:
                self._inotify = Inotify(self._changed)
            for folder in self._names:  # parents come before children
                self._inotify.watch(folder)
        except OSError:
            if self._looker is None:
                self._looker = asyncio.get_running_loop().call_later(LOOK_EVERY_S, self._look)

    def _look(self) -> None:
        self._looker = None
        self._arm()
        self._schedule()

    def _changed(self, folder: Path | None, name: str | None) -> None:
        if folder is not None and name is not None and name not in self._names.get(folder, ()):
            return
        # A directory may have come, with files in it already: watch it, then look.
        self._arm()
        self._schedule()

    def _schedule(self) -> None:
        loop = asyncio.get_running_loop()
        if self._first_change is None:
            self._first_change = loop.time()
        if self._timer is not None:
            self._timer.cancel()
        latest = self._first_change + LONGEST_S
        self._timer = loop.call_at(min(loop.time() + QUIET_S, latest), self._settle)

    def _settle(self) -> None:
        self._timer = None
        self._first_change = None
        self._on_settled()
