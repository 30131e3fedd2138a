"""Runs an unmodified command-line tool in a pseudo-terminal, with its own home and one way out."""

import asyncio
import contextlib
import fcntl
import os
import pty
import struct
import termios
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_SHIM = '#!/bin/sh\nprintf "%s\\n" "$1" >"$STANDIN_BROWSER_PIPE"\n'


@dataclass(frozen=True)
class Ran:
    """How a tool ended, with all that it wrote to its terminal."""

    exit_code: int
    output: str = field(repr=False)
    errors: str = field(default="", repr=False)


@dataclass
class Tool:
    """A home folder and an environment in which tools are run.

    ``environment`` is complete: nothing of the test's own environment is inherited.
    """

    home: Path
    environment: dict[str, str]
    prompts: Mapping[str, str] = field(default_factory=dict)
    """Text that may appear on the terminal -> what to type then."""

    def __post_init__(self) -> None:
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        work = self.home.parent / f"{self.home.name}-shim"
        work.mkdir(exist_ok=True)
        self._pipe = work / "urls"
        if not self._pipe.exists():
            os.mkfifo(self._pipe, 0o600)
        # Gemini CLI runs xdg-open, which prefers an installed browser over $BROWSER: be both.
        for name in ("browser", "xdg-open"):
            shim = work / name
            shim.write_text(_SHIM)
            shim.chmod(0o755)
        path = self.environment.get("PATH", "/usr/bin:/bin")
        self.environment = {
            "HOME": str(self.home),
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
            "BROWSER": str(work / "browser"),
            "STANDIN_BROWSER_PIPE": str(self._pipe),
            **self.environment,
            "PATH": f"{work}:{path}",
        }

    async def run(
        self,
        argv: Sequence[str],
        browse: Callable[[str], Awaitable[None]] | None = None,
        *,
        timeout: float = 240,
    ) -> Ran:
        """Runs to the end. Every URL the tool opens is handed to ``browse``."""
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 200, 0, 0))
        pipe = os.open(self._pipe, os.O_RDWR | os.O_NONBLOCK)
        loop = asyncio.get_running_loop()
        screen = _Screen(master, dict(self.prompts))
        browsing: list[asyncio.Task[None]] = []

        def opened() -> None:
            for url in os.read(pipe, 65536).decode().split():
                if browse is not None:
                    browsing.append(asyncio.ensure_future(browse(url)))

        loop.add_reader(master, screen.read)
        loop.add_reader(pipe, opened)
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=slave,
                stdout=slave,
                stderr=slave,
                cwd=self.home,
                env=self.environment,
                start_new_session=True,
            )
            try:
                async with asyncio.timeout(timeout):
                    code = await process.wait()
            except TimeoutError:
                process.kill()
                code = await process.wait()
                raise TimeoutError(f"still running; its screen:\n{screen.text}") from None
            screen.read()
            await asyncio.gather(*browsing)
            return Ran(code, screen.text)
        finally:
            loop.remove_reader(master)
            loop.remove_reader(pipe)
            for descriptor in (master, slave, pipe):
                os.close(descriptor)

    async def ask(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        timeout: float = 240,
    ) -> Ran:
        """Runs without a terminal and with no input, as a program would. Output is stdout."""
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self.home,
            env={**self.environment, **(environment or {})},
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(timeout):
                out, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode is not None
        return Ran(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))


class _Screen:
    """What the tool has written, and the answers typed into it."""

    def __init__(self, master: int, prompts: dict[str, str]) -> None:
        os.set_blocking(master, False)
        self._master = master
        self._prompts = prompts
        self.text = ""

    def read(self) -> None:
        with contextlib.suppress(OSError):
            while data := os.read(self._master, 65536):
                self.text += data.decode(errors="replace")
        for prompt in [known for known in self._prompts if known in self.text]:
            os.write(self._master, self._prompts.pop(prompt).encode())
