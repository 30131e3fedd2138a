"""The parts of the demo that can go wrong without a machine."""

import asyncio
import contextlib
import json
import os
from pathlib import Path

import httpx
import pytest
from rich.console import Console

from demo.ending import end_keepers, leave_nothing, remove_folder
from demo.journey import Demo, DemoFailed, _result_of
from demo.server import Running, ServerFailed, _until_it_answers
from polydev.machines.processes import ProcessRef


def test_the_tools_are_those_of_the_person_s_own_state_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("POLYDEV_STATE_DIR", str(tmp_path / "mine"))
    demo = Demo(Console(), "codex", hold=False, port=None, state_dir=tmp_path / "demo")
    folder = demo._make_state_dir(contextlib.AsyncExitStack())
    assert (folder / "tools").readlink() == tmp_path / "mine" / "tools"
    assert (folder / "node").readlink() == tmp_path / "mine" / "node"


async def test_a_dead_server_does_not_disturb_the_ending(tmp_path: Path):
    async with httpx.AsyncClient(base_url="http://127.0.0.1:1", trust_env=False) as client:
        await leave_nothing(client)
    await end_keepers(tmp_path)


async def test_one_machine_that_cannot_be_destroyed_keeps_no_other():
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(f"{request.method} {request.url.path}")
        if request.method == "DELETE" and request.url.path.endswith("/mac_1"):
            raise httpx.ReadError("gone")
        if request.url.path == "/api/auth/sessions":
            return httpx.Response(500, text="not JSON")
        machines = [{"machineId": "mac_1"}, {"machineId": "mac_2"}]
        return httpx.Response(200, json={"machines": machines})

    transport = httpx.MockTransport(answer)
    async with httpx.AsyncClient(base_url="http://x.test", transport=transport) as client:
        await leave_nothing(client)
    assert asked[-1] == "DELETE /api/machines/mac_2"


def test_a_folder_that_a_machine_lives_in_is_not_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    me = ProcessRef.of(os.getpid())
    assert me is not None
    file = tmp_path / "state" / "machines" / "mac_1" / "keeper.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"pid": me.pid, "start_ticks": me.start_ticks}))
    remove_folder(tmp_path / "state")
    assert file.exists()
    assert f"its state stays in {tmp_path / 'state'}" in capsys.readouterr().out
    file.write_text(json.dumps({"pid": me.pid, "start_ticks": me.start_ticks + 1}))
    remove_folder(tmp_path / "state")
    assert not file.exists()


async def test_a_server_of_somebody_else_is_not_taken_for_ours(tmp_path: Path):
    """It is ready, and does not know our key; ours has ended for want of the port."""
    asked: list[bytes] = []

    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        asked.append(line)
        status = b"200 OK" if b"/readyz" in line else b"401 Unauthorized"
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()
        if b"/api/keys" in line and ours.returncode is None:
            ours.terminate()

    ours = await asyncio.create_subprocess_exec("sleep", "60")
    (tmp_path / "log").write_text("Error: api.port: Port 4000 is taken")
    async with await asyncio.start_server(other, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        running = Running(f"http://127.0.0.1:{port}", "pdk_ours", tmp_path / "log", {})
        with pytest.raises(ServerFailed, match="Port 4000 is taken"):
            await _until_it_answers(running, ours)
    assert any(b"/api/keys" in line for line in asked)


async def test_a_browser_that_does_not_start_is_told_in_a_sentence():
    async def person() -> None:
        raise OSError("the driver has no library")

    task = asyncio.create_task(person())
    await asyncio.wait({task})
    with pytest.raises(DemoFailed, match=r"browser did not work: the driver has no library$"):
        _result_of(task)
