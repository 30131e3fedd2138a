"""The command line against a real server: a person signs in, asks, and works in a terminal."""

import asyncio
import json
import os
import pty
import re

import pytest

from demo.server import polydev
from tests.e2e.world import World

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]


async def command(world: World, *arguments: str, stdin: str | None = None) -> tuple[int, str, str]:
    """Run to the end; the profile is the one that `polydev init` stored."""
    process = await asyncio.create_subprocess_exec(
        polydev(),
        *arguments,
        stdin=asyncio.subprocess.PIPE if stdin is not None else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=world.server.env,
    )
    async with asyncio.timeout(300):
        out, err = await process.communicate(stdin.encode() if stdin is not None else None)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def sign_in(world: World, provider: str) -> tuple[int, str]:
    """`polydev login`, with the person at the link that it prints."""
    process = await asyncio.create_subprocess_exec(
        polydev(),
        "login",
        provider,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        env=world.server.env,
    )
    assert process.stdout is not None
    shown = ""
    while (link := re.search(r"^  (http\S+)$", shown, re.MULTILINE)) is None:
        line = await process.stdout.readline()
        assert line, shown
        shown += line.decode()
    await world.page.goto(link[1])
    await world.viewer.sign_in(world.stand_in.person)
    await world.viewer.authorize()
    async with asyncio.timeout(300):
        shown += (await process.stdout.read()).decode()
        return await process.wait(), shown


async def test_login_run_and_shell_from_a_terminal(world: World) -> None:
    code, shown = await sign_in(world, "acme")
    assert code == 0, shown
    for text in ("Your turn: sign in in the live view", "Signed in", world.stand_in.person.user):
        assert text in shown
    assert "Ciphertext SHA-256" in shown

    code, out, err = await command(world, "credentials", "verify", "acme")
    assert code == 0, err
    assert world.stand_in.person.user in out

    code, out, err = await command(world, "run", "acme", stdin="--Hello; exit 9")
    assert code == 0, err
    assert out.strip() == world.stand_in.world.answer

    code, screen = await terminal(world, "acme", "acme-login status; exit 5\r")
    assert code == 5, screen
    assert '"loggedIn": true' in screen

    code, out, _ = await command(world, "credentials", "revoke", "acme", "--yes", "--json")
    assert code == 0
    assert json.loads(out) == {"revoked": "acme"}
    code, _, err = await command(world, "run", "acme", "-p", "Hello")
    assert code == 65
    assert "polydev login acme" in err


async def terminal(world: World, provider: str, keys: str) -> tuple[int, str]:
    """`polydev shell` in a pseudo-terminal: type when the prompt is there, read to the end."""
    master, slave = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        polydev(),
        "shell",
        provider,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**world.server.env, "TERM": "xterm"},
        start_new_session=True,
    )
    os.close(slave)
    screen = b""

    def read() -> bytes:
        try:
            return os.read(master, 65536)
        except OSError:  # the other side is closed
            return b""

    typed = False
    try:
        async with asyncio.timeout(300):
            while data := await asyncio.to_thread(read):
                screen += data
                if not typed and b"$ " in screen:
                    os.write(master, keys.encode())
                    typed = True
            code = await process.wait()
    finally:
        if process.returncode is None:  # or the thread that reads would never end
            process.kill()
            await process.wait()
        os.close(master)
    return code, screen.decode(errors="replace")
