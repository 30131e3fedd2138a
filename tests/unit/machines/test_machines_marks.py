"""Processes are found by the incarnation that their command line carries."""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from polydev.domain.ids import new_id
from polydev.machines.processes import ProcessRef, wait_gone
from polydev.machines.sandbox.marks import KEEPER_MODULE, carriers, dying, living, name_of

# All processes of the host are looked at, and a test run beside this one starts the same.
INCARNATION = new_id("inc")
WAIT = "import sys; print(flush=True); sys.stdin.read()"


@pytest.mark.parametrize(
    "words",
    [
        (name_of(INCARNATION), "-c", WAIT),
        (sys.executable, "-c", WAIT, KEEPER_MODULE, "mac_of_a_test", INCARNATION),
    ],
)
def test_bubblewrap_and_keeper_are_found_while_they_run(words: tuple[str, ...]) -> None:
    process = subprocess.Popen(
        words, executable=sys.executable, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    assert [ref.pid for ref in carriers(INCARNATION)] == [process.pid]
    assert INCARNATION in living()
    process.communicate()
    assert carriers(INCARNATION) == []


def test_who_only_speaks_of_an_incarnation_is_not_found() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WAIT, name_of(INCARNATION), KEEPER_MODULE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    assert carriers(INCARNATION) == []
    process.communicate()


async def test_an_init_that_waits_for_its_children_to_end_has_no_mark_but_is_found() -> None:
    child = "import os, sys; os.fork() or sys.stdin.read(); print(flush=True); sys.stdin.read()"
    unshare = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--")
    process = subprocess.Popen(
        [*unshare, sys.executable, "-c", child, KEEPER_MODULE, "mac_of_a_test", INCARNATION],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    try:
        init = children(process.pid)[0]
        (of_init,) = children(init)
        # A dead child is not gone while whoever traces it has not looked: its init waits for that.
        seize(of_init)
        ref = ProcessRef.of(init)
        assert ref is not None
        os.kill(init, signal.SIGKILL)
        async with asyncio.timeout(30):
            while ref not in dying(os.geteuid()):
                await asyncio.sleep(0.01)
        assert Path(f"/proc/{init}/cmdline").read_bytes() == b""
        assert ref not in carriers(INCARNATION)
        os.waitpid(of_init, 0)
        assert await wait_gone(ref, timeout_s=30)
    finally:
        process.kill()
        process.communicate()
    assert ref not in dying(os.geteuid())


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def seize(pid: int) -> None:
    """ptrace(2), PTRACE_SEIZE: its death is told to us first."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(0x4206, pid, None, None) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")
