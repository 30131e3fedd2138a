"""`polydev run` and `polydev shell`."""

import asyncio
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from starlette.websockets import WebSocket

from tests.unit.cli.conftest import Polydev
from tests.unit.cli.fake_api import KEY, TIME, FakeApi


def out(text: str) -> dict[str, Any]:
    return {"stream": "out", "text": text, "exit": None}


def err(text: str) -> dict[str, Any]:
    return {"stream": "err", "text": text, "exit": None}


def end(code: int) -> dict[str, Any]:
    return {"stream": None, "text": None, "exit": code}


def test_a_run_streams_both_outputs_and_passes_the_exit_code_on(polydev: Polydev, api: FakeApi):
    api.chunks = [out("Hel"), err("working\n"), out("lo\n"), end(3)]
    result = polydev("run", "codex", "-p", "Say hello; rm -rf /")
    assert result.exit_code == 3
    assert result.stdout == "Hello\n"
    assert result.stderr == "working\n"
    assert api.bodies == [{"provider": "codex", "prompt": "Say hello; rm -rf /"}]


@pytest.mark.parametrize("arguments", [("-p", "-"), ()])
def test_a_prompt_may_come_from_the_input(
    arguments: tuple[str, ...], polydev: Polydev, api: FakeApi
):
    api.chunks = [end(0)]
    assert polydev("run", "codex", *arguments, input="line 1\nline 2\n").exit_code == 0
    assert api.bodies[0]["prompt"] == "line 1\nline 2\n"


def test_with_json_the_chunks_are_passed_on(polydev: Polydev, api: FakeApi):
    api.chunks = [out("a\x1b[31mb"), end(0)]
    result = polydev("run", "codex", "-p", "x", "--json")
    assert [json.loads(line) for line in result.stdout.splitlines()] == api.chunks
    assert "\x1b" not in result.stdout


def test_a_sequence_cut_in_two_is_still_removed(polydev: Polydev, api: FakeApi):
    api.chunks = [
        out("a\x1b]52;c;ZX"),
        out("ZpbA==\x07b\x1b"),
        out("[3"),
        out("1mc\r"),
        out("\nd"),
        end(0),
    ]
    assert polydev("run", "codex", "-p", "x").stdout == "abc\nd"


def test_a_stream_without_an_end_is_a_broken_connection(polydev: Polydev, api: FakeApi):
    api.chunks = [out("half")]
    result = polydev("run", "codex", "-p", "x")
    assert result.exit_code == 69
    assert "before the tool had ended" in result.stderr


def test_a_tool_that_was_killed_is_a_failure(polydev: Polydev, api: FakeApi):
    api.chunks = [end(-9)]
    assert polydev("run", "codex", "-p", "x").exit_code == 1


def test_a_refused_run_is_explained(polydev: Polydev, api: FakeApi):
    body = {"title": "T", "status": 409, "detail": "You are not signed in.", "code": "conflict"}
    api.answers["POST /api/prompts"] = (409, body)
    result = polydev("run", "codex", "-p", "x")
    assert result.exit_code == 65
    assert "You are not signed in." in result.stderr


# --- shell ---------------------------------------------------------------------------------------

TICKET = {"ticket": "tck_secret", "websocketPath": "/api/stream/mac_2/pty", "expiresAt": TIME}


def test_a_shell_without_a_terminal_says_what_to_use(polydev: Polydev, api: FakeApi):
    result = polydev("shell", "codex")
    assert result.exit_code == 65
    assert "polydev run" in result.stderr


class Terminal:
    """`polydev shell` in a pseudo-terminal, played by the test."""

    def __init__(self, api: FakeApi) -> None:
        api.answers["POST /api/shell/ticket"] = (200, TICKET)
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "polydev.cli.main", "shell", "codex"],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env={
                **os.environ,
                "POLYDEV_SERVER": api.url,
                "POLYDEV_API_KEY": KEY,
                "COLUMNS": "91",
                "LINES": "17",
            },
        )
        os.close(slave)
        self.screen = b""

    def type(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def read_until(self, wanted: bytes) -> None:
        while wanted not in self.screen:
            self.screen += os.read(self._master, 4096)

    def finish(self) -> int:
        try:
            while data := os.read(self._master, 4096):
                self.screen += data
        except OSError:
            pass  # the other side is closed
        os.close(self._master)
        return self.process.wait(60)


def played(api: FakeApi, play: Callable[[WebSocket], Any]) -> Terminal:
    api.shell = play
    return Terminal(api)


def test_a_shell_passes_keys_and_screen_and_its_exit_code(api: FakeApi):
    async def play(socket: WebSocket) -> None:
        assert json.loads(await socket.receive_text()) == {"columns": 91, "rows": 17}
        await socket.send_bytes(b"ready\r\n\x1b]52;c;ZXZpbA==\x07\x1b[31m$ ")
        typed = b""
        while b"\x03" not in typed:
            typed += await socket.receive_bytes()
        await socket.send_bytes(b"got " + typed.hex().encode())
        await socket.send_text(json.dumps({"exit": 42}))
        await socket.close()

    terminal = played(api, play)
    terminal.read_until(b"$ ")
    terminal.type(b"\xc3\xa9\r\x03")
    assert terminal.finish() == 42
    assert b"got c3a90d03" in terminal.screen
    assert b"\x1b[31m$ " in terminal.screen
    assert b"ZXZpbA" not in terminal.screen
    assert b"\x1b[?1049l" in terminal.screen
    (headers,) = [h for h in api.headers if "sec-websocket-protocol" in h]
    assert headers["sec-websocket-protocol"] == "polydev.pty.v1, ticket.tck_secret"
    assert "tck_secret" not in " ".join(api.asked)


def test_enter_tilde_dot_leaves_a_shell_that_does_not_answer(api: FakeApi):
    async def play(socket: WebSocket) -> None:
        await socket.receive_text()
        await socket.send_bytes(b"stuck")
        while (await socket.receive())["type"] != "websocket.disconnect":
            pass

    terminal = played(api, play)
    terminal.read_until(b"stuck")
    terminal.type(b"\r~.")
    assert terminal.finish() == 130


def test_a_connection_that_breaks_ends_the_shell_with_the_terminal_restored(api: FakeApi):
    async def play(socket: WebSocket) -> None:
        await socket.receive_text()
        await socket.send_bytes(b"here")
        await asyncio.sleep(0)
        await socket.close(1011)

    terminal = played(api, play)
    assert terminal.finish() != 0
    assert b"\x1b[?25h" in terminal.screen
    assert b"Traceback" not in terminal.screen
