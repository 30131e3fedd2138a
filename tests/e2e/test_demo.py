"""The demo, in a terminal of its own: however it is ended, nothing of it stays."""

import asyncio
import fcntl
import json
import os
import pty
import signal
import socket
import sys
import termios
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from demo.ending import end_keepers
from demo.server import free_port
from polydev.machines import cgroups
from polydev.machines.processes import ProcessRef, wait_gone

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
SIGNING_IN = "the person signs in through the live view"
HELD = "Ctrl-C ends it all."


@dataclass
class Terminal:
    """A program whose controlling terminal is ours to type into."""

    master: int
    process: asyncio.subprocess.Process
    screen: str = ""

    async def until(self, text: str) -> None:
        async with asyncio.timeout(300):
            while text not in self.screen:
                assert await self._read(), self.screen

    async def rest(self) -> int:
        """Read to the end; returns the exit code."""
        async with asyncio.timeout(300):
            while await self._read():
                pass
            return await self.process.wait()

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    async def _read(self) -> bool:
        try:
            data = await asyncio.to_thread(os.read, self.master, 65536)
        except OSError:  # the other side is closed
            data = b""
        self.screen += data.decode(errors="replace")
        return bool(data)


@asynccontextmanager
async def demo(folder: Path, *arguments: str) -> AsyncIterator[Terminal]:
    master, slave = pty.openpty()

    def own_terminal() -> None:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "demo", "--provider", "codex", *arguments),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=ROOT,
        # Wide enough that no line which is waited for is broken, whatever ours is.
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "50", "TMPDIR": str(folder)},
        preexec_fn=own_terminal,
    )
    os.close(slave)
    try:
        yield Terminal(master, process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(master)


@dataclass
class Machines:
    """Those that ran under one state directory."""

    keepers: list[ProcessRef]
    incarnations: set[str]

    @classmethod
    def of(cls, state_dir: Path) -> "Machines":
        kept = [json.loads(f.read_text()) for f in state_dir.glob("machines/*/keeper.json")]
        return cls(
            [ProcessRef(k["pid"], k["start_ticks"]) for k in kept],
            {k["incarnation"] for k in kept},
        )

    def assert_gone(self) -> None:
        assert self.keepers, "nothing ran, so nothing was shown"
        assert not [keeper for keeper in self.keepers if keeper.alive()]
        assert not self.incarnations & cgroups.incarnations(cgroups.detect())


def own_state(folder: Path) -> Path:
    """The state directory that the demo has made in its temporary folder."""
    (found,) = folder.glob("polydev-demo-*")
    return found


@pytest.fixture
def folder(state_dir: Path) -> Iterator[Path]:
    """Where the demo makes its temporary folders."""
    yield state_dir


async def test_ctrl_c_in_the_middle_of_a_sign_in_leaves_nothing(folder: Path) -> None:
    async with demo(folder) as terminal:
        await terminal.until(SIGNING_IN)
        machines = Machines.of(own_state(folder))
        terminal.type(b"\x03")
        assert await terminal.rest() == 130, terminal.screen
    assert "Traceback" not in terminal.screen
    assert "Error" not in terminal.screen
    machines.assert_gone()
    assert not list(folder.glob("polydev-demo-*"))


async def test_ctrl_c_while_it_holds_leaves_nothing_and_more_of_them_change_nothing(
    folder: Path,
) -> None:
    port = free_port()
    async with demo(folder, "--hold", "--port", str(port)) as terminal:
        await terminal.until(HELD)
        state = own_state(folder)
        machines = Machines.of(state)
        await _the_command_line_works_as_it_says(terminal.screen, state)
        terminal.type(b"\x03")
        await terminal.until("^C")
        terminal.type(b"\x03")
        assert await terminal.rest() == 130, terminal.screen
    assert "Traceback" not in terminal.screen
    machines.assert_gone()
    assert not state.exists()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False)


async def _the_command_line_works_as_it_says(screen: str, state: Path) -> None:
    lines = screen.replace("\r", "").splitlines()
    (export,) = [line.strip() for line in lines if line.startswith("  export ")]
    (command,) = [line.strip() for line in lines if line.endswith(" sessions list")]
    assert "pdk_" not in screen
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", f"{export}; {command} --json"),
        stdout=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "HOME": str(state)},
        cwd="/",
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    assert json.loads(out)["sessions"][0]["state"] == "completed"


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (lambda terminal: terminal.process.terminate(), 128 + signal.SIGTERM),
        # What a closed terminal window, or a connection that broke, looks like.
        (lambda terminal: terminal.process.send_signal(signal.SIGHUP), 128 + signal.SIGHUP),
    ],
    ids=["SIGTERM", "SIGHUP"],
)
async def test_another_end_leaves_nothing_either(
    end: Callable[[Terminal], None], code: int, folder: Path
) -> None:
    async with demo(folder) as terminal:
        await terminal.until(SIGNING_IN)
        machines = Machines.of(own_state(folder))
        end(terminal)
        assert await terminal.rest() == code, terminal.screen
    assert "Traceback" not in terminal.screen
    machines.assert_gone()


async def test_machines_are_ended_even_if_the_server_was_killed(folder: Path) -> None:
    async with demo(folder, "--hold", "--port", str(free_port())) as terminal:
        await terminal.until(HELD)
        state = own_state(folder)
        machines = Machines.of(state)
        os.kill(int((state / "server.lock").read_text()), signal.SIGKILL)
        terminal.type(b"\x03")
        assert await terminal.rest() == 130, terminal.screen
    assert "Traceback" not in terminal.screen
    machines.assert_gone()
    assert not state.exists()


async def test_the_server_does_not_outlive_a_demo_that_was_killed(folder: Path) -> None:
    async with demo(folder, "--hold", "--port", str(free_port())) as terminal:
        await terminal.until(HELD)
        state = own_state(folder)
        server = ProcessRef.of(int((state / "server.lock").read_text()))
        assert server is not None
        terminal.process.kill()
        assert await wait_gone(server, timeout_s=180)
    # The machine stays, as it would after a server that was stopped; now for the tidying up.
    machines = Machines.of(state)
    await end_keepers(state)
    machines.assert_gone()


async def test_a_port_that_is_taken_is_said_and_nobody_else_is_talked_to(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.setblocking(False)
        port = other.getsockname()[1]
        async with demo(folder, "--hold", "--port", str(port)) as terminal:
            assert await terminal.rest() == 1
        assert f"Port {port} is taken by another program" in terminal.screen
        with pytest.raises(BlockingIOError):
            other.accept()
    assert not list(folder.glob("polydev-demo-*"))
