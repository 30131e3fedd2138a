"""``python -m tests.standins --port N --dir D``: the stand-in on its own, for the demo."""

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path

from tests.standins.people import Person
from tests.standins.server import StandIn


async def serve(port: int, directory: Path, user: str | None, password: str | None) -> None:
    given = {"user": user, "password": password}
    person = Person(**{name: value for name, value in given.items() if value is not None})
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with StandIn(directory, port=port, people=[person]) as standin:
        # The password is invented for this run and opens nothing but this stand-in.
        ready = {
            "address": standin.address,
            "ca_pem": str(standin.ca_pem),
            "resolve_override": standin.resolve_override(),
            "user": person.user,
            "password": person.password,
        }
        note = directory / "standin.json"
        note.touch(mode=0o600)
        note.write_text(json.dumps(ready, indent=2))
        sys.stdout.write(json.dumps({"ready": str(note)}) + "\n")
        sys.stdout.flush()
        await stop.wait()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.standins",
        description="Play the providers on loopback. Writes DIR/standin.json when it is ready.",
    )
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--dir", type=Path, required=True, help="for the certificates")
    parser.add_argument("--user", help="user name of the invented person")
    parser.add_argument("--password", help="their password; else one is made up")
    options = parser.parse_args()
    asyncio.run(serve(options.port, options.dir, options.user, options.password))


if __name__ == "__main__":
    main()
