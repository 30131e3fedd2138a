"""``scripts/demo``: signs one tool in, unattended, and shows each part of it.

A stand-in plays the provider (nothing leaves this machine); the tool, its browser, the sandboxes,
the vault and the server are the real ones. A scripted person opens the live view in a second real
browser and types there what a person would type.
"""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from rich.console import Console

from demo.journey import Demo, DemoFailed


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument(
        "--provider", choices=("codex", "claude_code", "gemini_cli"), default="codex"
    )
    parser.add_argument(
        "--hold",
        action="store_true",
        help="leave everything running and print the dashboard's address and a sign-in link",
    )
    parser.add_argument(
        "--state-dir", type=Path, default=None, help="where the demo keeps its state"
    )
    options = parser.parse_args()
    console = Console()
    try:
        asyncio.run(_run(Demo(console, options.provider, options.hold, options.state_dir)))
    except DemoFailed as error:
        console.print(f"\n[bold red]The demo failed:[/] {error}")
        sys.exit(1)
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(130)


async def _run(demo: Demo) -> None:
    """SIGTERM ends it as Ctrl-C does: with its server stopped and its machines destroyed."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await demo.run()


if __name__ == "__main__":
    main()
