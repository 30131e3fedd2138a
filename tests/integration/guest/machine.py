"""Real machines for the agent's tests: the shipped tree in a small bubblewrap command of our own,
so that these tests need no driver."""

import asyncio
import codecs
import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from polydev.domain.secret import Secret
from polydev.errors import MachineGone
from polydev.guest.client import AgentClient, AgentUnreachable
from polydev.guest.protocol import AgentEvent, EventKind, ExecRequest, MachineConfig

TOKEN = "token-of-a-test-machine"  # gitleaks:allow (opens nothing)

POLICIES = {"URLBlocklist": ["file://*"]}
"""Those of the real driver that could get in the agent's way."""

READY_S = 120.0
"""For whatever is waited for: far more than it takes, also on a busy host."""

Boot = Callable[..., Awaitable["Machine"]]


class Console:
    """What a machine has printed so far.

    A line takes its own way (agent, supervisor, here), so it may come after the event that the
    agent sent later: `until` waits for it.
    """

    def __init__(self, source: asyncio.StreamReader) -> None:
        self.text = ""
        self._source = source
        self._more = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    async def until(self, text: str, *, within_s: float = READY_S) -> str:
        """All of it, once a whole line of it holds ``text``."""
        try:
            async with asyncio.timeout(within_s), self._more:
                await self._more.wait_for(lambda: text in self.text.rpartition("\n")[0])
        except TimeoutError:
            raise AssertionError(f"the console never said {text!r}:\n{self.text}") from None
        return self.text

    async def whole(self) -> str:
        """All of it, once the machine has ended."""
        await self._reader
        return self.text

    async def _read(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while data := await self._source.read(65_536):
            async with self._more:
                self.text += decoder.decode(data)
                self._more.notify_all()


@dataclass
class Machine:
    """One running machine, its client, and what its console says."""

    folder: Path
    process: asyncio.subprocess.Process
    client: AgentClient
    console: "Console"
    started: float
    seen: list[AgentEvent] = field(default_factory=list)
    after: int = 0

    async def event(
        self, kind: EventKind, *, within_s: float = READY_S, **data: object
    ) -> AgentEvent:
        """The next event of this kind and data, waited for."""
        async with asyncio.timeout(within_s):
            async for event in self.client.events(self.after):
                self.after = event.seq
                self.seen.append(event)
                if event.kind is kind and data.items() <= event.data.items():
                    return event
        raise AssertionError("the stream ended")

    async def sh(self, text: str) -> tuple[int, str]:
        """Run a line of shell in the machine."""
        return await run(self.client, "/bin/sh", "-c", text)

    async def pid_of(self, program: str) -> int:
        """The unit's own process: the one that the supervisor started."""
        code, out = await self.sh(f"pgrep -o -f '^{program}'")
        assert code == 0, f"no process {program}"
        return int(out)

    async def until_there(self, program: str) -> None:
        """Wait until a process of this name runs: it may still be starting."""
        await self._until_pgrep_says(0, program)

    async def until_gone(self, program: str) -> None:
        """Wait until no process of this name is left: what was killed takes its time to end."""
        await self._until_pgrep_says(1, program)

    async def _until_pgrep_says(self, code: int, program: str) -> None:
        async with asyncio.timeout(READY_S):
            while (await self.sh(f"pgrep -x {program}"))[0] != code:
                await asyncio.sleep(0.02)

    async def kill(self, program: str) -> None:
        pid = await self.pid_of(program)
        # When it is the agent, nobody is left to answer.
        with contextlib.suppress(AgentUnreachable):
            await self.sh(f"kill -KILL {pid}")


async def run(client: AgentClient, *argv: str, **options: object) -> tuple[int, str]:
    out = b""
    code = -1
    async for chunk in client.exec(ExecRequest(argv, **options)):  # type: ignore[arg-type]
        out += chunk.data
        code = chunk.exit if chunk.exit is not None else code
    return code, out.decode()


@asynccontextmanager
async def machine(
    tree: Path,
    role: str,
    *,
    replace: dict[str, str] | None = None,
    tools: dict[str, str] | None = None,
    extra_ca: str | None = None,
    lifeline: socket.socket | None = None,
    home_bytes: int = 256 << 20,
) -> AsyncIterator[Machine]:
    """``replace`` puts scripts over programs of the system, ``tools`` are installed as tools;
    ``lifeline`` is the machine's standard input, as the host's keeper gives it."""
    # Short, because a socket's path may have only 108 characters.
    folder = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
    try:
        argv = _command(folder, tree, role, replace or {}, tools or {}, extra_ca, home_bytes)
        started = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL if lifeline is None else lifeline.fileno(),
        )
        assert process.stdout is not None
        console = Console(process.stdout)
        client = AgentClient(lambda: dial(folder / "host" / "agent.sock"), Secret(TOKEN))
        try:
            yield Machine(folder, process, client, console, started)
        finally:
            await client.close()
            if process.returncode is None:
                process.kill()
            await process.wait()
            await console.whole()
    finally:
        shutil.rmtree(folder)


def _command(
    folder: Path,
    tree: Path,
    role: str,
    replace: dict[str, str],
    tools: dict[str, str],
    extra_ca: str | None,
    home_bytes: int,
) -> list[str]:
    for name in ("host", "config", "egress", "tools/bin", "replace", "ca", "policies/managed"):
        (folder / name).mkdir(parents=True)
    config = MachineConfig(
        "mac_test", "inc_test", role, TOKEN, "polydev", 1280, 800, extra_ca is not None
    )
    (folder / "config" / "machine.json").write_text(json.dumps(asdict(config)))
    (folder / "policies" / "managed" / "test.json").write_text(json.dumps(POLICIES))
    (folder / "ca" / "bundle.pem").write_text(extra_ca or "")
    if extra_ca is not None:
        (folder / "ca" / "extra.pem").write_text(extra_ca)
    for name, text in tools.items():
        _script(folder / "tools" / "bin" / name, text)
    argv = ["bwrap", "--unshare-all", "--uid", "1000", "--gid", "1000", "--die-with-parent"]
    argv += ["--new-session", "--clearenv", "--hostname", "polydev", "--cap-drop", "ALL"]
    argv += ["--ro-bind", "/usr", "/usr", "--proc", "/proc", "--dev", "/dev"]
    for name in ("bin", "lib", "lib64", "sbin"):
        if Path("/", name).is_symlink():
            argv += ["--symlink", f"usr/{name}", f"/{name}"]
    argv += ["--tmpfs", "/etc"]
    for name in ("fonts", "alternatives", "ld.so.cache", "X11", "ssl"):
        argv += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    argv += ["--ro-bind", str(folder / "policies"), "/etc/chromium/policies"]
    argv += ["--perms", "1777", "--tmpfs", "/tmp"]
    argv += ["--perms", "0700", "--size", str(home_bytes), "--tmpfs", "/home/dev"]
    argv += ["--bind", str(folder / "host"), "/run/polydev/host"]
    for name in ("config", "egress", "ca"):
        argv += ["--ro-bind", str(folder / name), f"/run/polydev/{name}"]
    argv += ["--ro-bind", str(tree), "/opt/polydev/agent"]
    argv += ["--ro-bind", str(folder / "tools"), "/opt/polydev/tools"]
    for i, (place, text) in enumerate(replace.items()):
        _script(folder / "replace" / str(i), text)
        argv += ["--ro-bind", str(folder / "replace" / str(i)), place]
    return [*argv, "/opt/polydev/agent/bin/supervisor"]


def _script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


async def dial(path: Path) -> socket.socket:
    end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    end.setblocking(False)
    folder = os.open(path.parent, os.O_PATH)
    try:
        await asyncio.get_running_loop().sock_connect(end, f"/proc/self/fd/{folder}/{path.name}")
    except OSError as error:
        end.close()
        raise MachineGone("nothing listens") from error
    finally:
        os.close(folder)
    return end
