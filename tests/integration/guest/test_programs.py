"""Running programs in a machine: exec and terminals."""

import asyncio

import pytest

from polydev.domain.session import Reason
from polydev.errors import AgentError, SessionFailed
from polydev.guest.protocol import ExecRequest, PtyRequest
from tests.integration.guest.machine import Machine, run

pytestmark = pytest.mark.slow


async def test_output_errors_input_and_exit_code_pass(cli: Machine) -> None:
    request = ExecRequest(("sh", "-c", "cat; echo oops >&2; exit 7"), stdin=b"hello")

    chunks = [chunk async for chunk in cli.client.exec(request)]

    assert b"".join(c.data for c in chunks if c.stream == "out") == b"hello"
    assert b"".join(c.data for c in chunks if c.stream == "err") == b"oops\n"
    assert (chunks[-1].exit, chunks[-1].ended) == (7, None)


async def test_output_comes_while_the_program_runs(cli: Machine) -> None:
    request = ExecRequest(("sh", "-c", "echo first; sleep 600"))
    stream = cli.client.exec(request)

    async with asyncio.timeout(60):
        first = await anext(stream)

    assert first.data == b"first\n"
    await stream.aclose()


async def test_a_client_that_goes_away_ends_the_whole_process_group(cli: Machine) -> None:
    request = ExecRequest(("sh", "-c", "sleep 601 & echo up; sleep 602"))
    stream = cli.client.exec(request)
    await anext(stream)

    await stream.aclose()

    await cli.until_gone("sleep")


async def test_time_and_output_are_limited(cli: Machine) -> None:
    slow = [c async for c in cli.client.exec(ExecRequest(("sleep", "600"), timeout_s=0.3))]
    assert (slow[-1].exit, slow[-1].ended) == (-9, "timeout")

    loud = [c async for c in cli.client.exec(ExecRequest(("yes",), max_output_bytes=100_000))]
    assert sum(len(c.data) for c in loud) == 100_000
    assert loud[-1].ended == "output"


async def test_a_program_that_leaves_children_behind_ends_its_stream(cli: Machine) -> None:
    async with asyncio.timeout(60):
        code, out = await run(cli.client, "sh", "-c", "sleep 603 & echo done")

    assert (code, out) == (0, "done\n")


async def test_a_daemon_that_goes_on_talking_does_not_hold_the_stream(cli: Machine) -> None:
    talks = "setsid sh -c 'while :; do echo again; sleep 0.5; done' & echo done"

    async with asyncio.timeout(60):
        # Time enough for the shell to end by itself on a busy host.
        request = ExecRequest(("sh", "-c", talks), timeout_s=6)
        chunks = [chunk async for chunk in cli.client.exec(request)]

    assert b"done\n" in b"".join(chunk.data for chunk in chunks)
    assert chunks[-1].exit == 0


async def test_what_cannot_be_started_leaves_no_descriptor_behind(cli: Machine) -> None:
    async def open_descriptors() -> int:
        return int((await cli.sh("ls /proc/$(pgrep -o -f bin/agent)/fd | wc -l"))[1])

    before = await open_descriptors()

    for _ in range(5):
        with pytest.raises(AgentError, match="cannot be started"):
            await run(cli.client, "true", cwd="/nonexistent")
        for argv, cwd, env in (
            (("true",), "/tmp/\0", {}),
            (("true", "\ud800"), "/", {}),
            (("true",), "/\ud800", {}),
            (("true",), "/", {"A": "\ud800"}),
        ):
            with pytest.raises(AgentError) as refused:
                await run(cli.client, *argv, cwd=cwd, env=env)
            assert "400" in refused.value.detail

    # A connection of the call before may still be closing at either count; 25 refusals that
    # each left one would show far above that.
    assert await open_descriptors() < before + 5


async def test_a_slow_reader_misses_nothing_of_a_program_that_has_ended(cli: Machine) -> None:
    size = 0
    async for chunk in cli.client.exec(ExecRequest(("head", "-c", "2000000", "/dev/zero"))):
        size += len(chunk.data)
        if size < 200_000:
            await asyncio.sleep(0.2)

    assert size == 2_000_000


async def test_a_program_that_is_not_there_is_said(cli: Machine) -> None:
    with pytest.raises(SessionFailed) as failed:
        await run(cli.client, "no-such-tool")
    assert failed.value.reason is Reason.CLI_MISSING

    with pytest.raises(AgentError, match="cannot be started"):
        await run(cli.client, "true", cwd="/nonexistent")


async def test_a_terminal_passes_bytes_sizes_and_the_exit_code(cli: Machine) -> None:
    request = PtyRequest(
        ("sh", "-c", "stty size; read line; stty size; exit 3"), columns=90, rows=20
    )

    async with await cli.client.pty(request) as pty, asyncio.timeout(60):
        output = aiter(pty)
        said = b""
        while b"20 90" not in said:
            said += await anext(output)
        await pty.resize(100, 30)
        await pty.send(b"go\r")
        async for data in output:
            said += data

    assert b"30 100" in said
    assert pty.exit == 3


async def test_closing_a_terminal_ends_what_runs_in_it(cli: Machine) -> None:
    pty = await cli.client.pty(PtyRequest(("sh", "-c", "echo up; sleep 604")))
    await anext(aiter(pty))

    await pty.close()

    await cli.until_gone("sleep")


@pytest.mark.parametrize("line", ["sleep 605", "sleep 605 &", "sleep 605 & disown"])
async def test_closing_a_terminal_hangs_up_a_shells_jobs(cli: Machine, line: str) -> None:
    pty = await cli.client.pty(PtyRequest(("/bin/bash", "--norc", "-i")))
    await pty.send(f"{line}\r".encode())
    await cli.until_there("sleep")

    await pty.close()

    await cli.until_gone("sleep")


async def test_what_asked_to_outlive_its_terminal_does(cli: Machine) -> None:
    pty = await cli.client.pty(PtyRequest(("/bin/bash", "--norc", "-i")))
    await pty.send(b"nohup sleep 606 &\r")
    await cli.until_there("sleep")

    await pty.close()

    await cli.until_gone("bash")
    assert (await cli.sh("pgrep -x sleep"))[0] == 0


async def test_programs_ignore_and_block_no_signal_and_inherit_no_descriptor(
    cli: Machine,
) -> None:
    _, signals = await cli.sh("grep -E 'Sig(Ign|Blk)' /proc/self/status")
    # 32 and 33 are the C library's own, which nobody can set.
    masks = [int(line.split()[1], 16) & ~(0b11 << 31) for line in signals.splitlines()]
    assert masks == [0, 0]

    # The fourth is the folder that is being listed.
    code, descriptors = await run(cli.client, "ls", "/proc/self/fd")
    assert (code, descriptors.split()) == (0, ["0", "1", "2", "3"])


async def test_a_shell_has_job_control_and_no_proxy_bypass(cli: Machine) -> None:
    async with await cli.client.pty(PtyRequest(("/bin/bash", "-i"))) as pty, asyncio.timeout(60):
        await pty.send(b"set -o | grep monitor; echo $HTTPS_PROXY; exit\r")
        said = b"".join([data async for data in pty])

    assert b"on" in said.partition(b"monitor")[2]
    assert b"http://127.0.0.1:3128" in said
    assert b"no job control" not in said


async def test_a_terminal_for_a_missing_program_is_refused(cli: Machine) -> None:
    pty = await cli.client.pty(PtyRequest(("no-such-tool",)))

    with pytest.raises(SessionFailed):
        await anext(aiter(pty))
    await pty.close()
