"""`polydev up`, which kills itself (SIGKILL) before and after the effect of each of a sign-in's
steps: at each point once, over all starts. What has been done is in the file it is given."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from polydev.sessions import workflow
from polydev.sessions.ending import Ending
from polydev.sessions.steps import RELEASE, STEPS
from polydev.store.repositories import machines

NAMES = (*(step.name for step in STEPS), "end", RELEASE, "mark_ready")
"""The steps, and the moment between a machine's boot and its row's saying so."""
POINTS = [f"{when} {name}" for name in NAMES for when in ("before", "after")]


def killing(done: Path, name: str, body: Callable[..., Awaitable[Any]]) -> Any:
    def at(when: str) -> None:
        point = f"{when} {name}"
        if point not in done.read_text().splitlines():
            with done.open("a") as file:
                file.write(f"{point}\n")
            os.kill(os.getpid(), signal.SIGKILL)

    async def run(*args: Any) -> Any:
        at("before")
        result = await body(*args)
        at("after")
        return result

    return run


def main() -> None:
    from polydev.server import serve
    from polydev.settings import load_settings

    done = Path(sys.argv[1])
    done.touch()
    workflow.STEPS = tuple(replace(step, run=killing(done, step.name, step.run)) for step in STEPS)
    machines.mark_ready = killing(done, "mark_ready", machines.mark_ready)
    Ending.end = killing(done, "end", Ending.end)
    Ending.release = killing(done, RELEASE, Ending.release)
    asyncio.run(serve(load_settings()))


if __name__ == "__main__":
    main()
