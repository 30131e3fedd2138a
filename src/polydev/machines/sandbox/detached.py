"""Starts a process that outlives this one.

Not by asyncio: the children that it starts are killed when their transport is collected, which at
the end of a loop is a matter of chance.
"""

import asyncio
import os
import subprocess
from collections.abc import Sequence

from polydev.machines.processes import ProcessRef, wait_gone


class Detached:
    """A process in a session of its own. It finds ``given`` as its standard input, whole."""

    def __init__(self, argv: Sequence[str], given: bytes, pass_fds: Sequence[int]) -> None:
        stdin = os.memfd_create("polydev")
        try:
            with os.fdopen(os.dup(stdin), "wb") as file:
                file.write(given)
            os.lseek(stdin, 0, os.SEEK_SET)
            self._process = subprocess.Popen(
                argv,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                pass_fds=pass_fds,
                cwd="/",
                env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
            )
        finally:
            os.close(stdin)
        ref = ProcessRef.of(self._process.pid)
        assert ref is not None, "a child that nobody has waited for"  # noqa: S101 - an invariant
        self.ref = ref

    async def first_line(self) -> bytes:
        """The first line that it says; empty if it ends without one. To be asked once."""
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), self._process.stdout
        )
        try:
            return await reader.readline()
        finally:
            transport.close()

    async def reap(self) -> None:
        """Wait for its end, so that nothing of it stays with us; cancelled, leave it to others."""
        try:
            await wait_gone(self.ref, timeout_s=None)
            self._process.wait()
        finally:
            # Whoever inherits us waits for it then: nothing here has to complain.
            self._process.returncode = self._process.returncode or 0
