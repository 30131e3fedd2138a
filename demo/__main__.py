"""``scripts/demo``: signs one tool in, unattended, and shows each part of it.

A stand-in plays the provider (nothing leaves this machine); the tool, its browser, the sandboxes,
the vault and the server are the real ones. A scripted person opens the live view in a second real
browser and types there what a person would type.
"""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from demo.journey import Demo

PROVIDERS = ("codex", "claude_code", "gemini_cli")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def parser() -> argparse.ArgumentParser:
    """`scripts/demo` answers ``--help`` and a wrong option by itself, before the set-up."""
    options = argparse.ArgumentParser(prog="scripts/demo", description=__doc__, allow_abbrev=False)
    options.add_argument("--provider", choices=PROVIDERS, default="codex")
    options.add_argument(
        "--hold",
        action="store_true",
        help="leave everything running and print the dashboard's address and a sign-in link",
    )
    options.add_argument(
        "--port", type=_port, default=None, help="where the server listens (with --hold: 4000)"
    )
    options.add_argument(
        "--state-dir", type=Path, default=None, help="where the demo keeps its state"
    )
    return options


def _port(text: str) -> int:
    number = int(text)
    if not 0 < number < 65536:
        raise ValueError(text)
    return number


def main() -> None:
    options = parser().parse_args()
    ending = _Ending()
    try:
        # A while to import: a Ctrl-C may come in the middle of it.
        from rich.console import Console
        from rich.text import Text

        from demo.journey import Demo, DemoFailed

        console = Console()
        demo = Demo(
            console,
            options.provider,
            hold=options.hold,
            port=options.port,
            state_dir=options.state_dir,
        )
    except KeyboardInterrupt:
        sys.exit(130)
    try:
        asyncio.run(_run(demo, ending))
    except DemoFailed as error:
        console.print(Text.assemble("\n", ("The demo failed: ", "bold red"), str(error)))
        sys.exit(1)
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(128 + (ending.by or signal.SIGINT))


class _Ending:
    """Which signal ends the demo. The first one does; while its server is being stopped and its
    machines destroyed, more of them change nothing."""

    def __init__(self) -> None:
        self.by: signal.Signals | None = None

    def handle(self, number: signal.Signals, task: "asyncio.Task[None]") -> None:
        if number is signal.SIGHUP:
            # The terminal is gone; a word to it would be an error.
            nowhere = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(nowhere, descriptor)
        if self.by is None:
            self.by = number
            task.cancel()
        elif number is not signal.SIGHUP:
            print("\nEnding: its machines are being destroyed, which takes some seconds.")


async def _run(demo: "Demo", ending: _Ending) -> None:
    task = asyncio.current_task()
    assert task is not None, "a coroutine that runs has a task"
    for number in _SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, ending.handle, number, task)
    await demo.run()


if __name__ == "__main__":
    main()
