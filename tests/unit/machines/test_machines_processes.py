import asyncio
import os

from polydev.machines.processes import ProcessRef, end_process, kill_all, wait_gone


async def spawn(*argv: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)


async def test_a_process_ends_on_sigterm() -> None:
    process = await spawn("sleep", "600")
    ref = ProcessRef.of(process.pid)
    assert ref is not None
    assert ref.alive()
    await end_process(ref, grace_s=60)
    assert not ref.alive()
    assert await process.wait() == -15


async def test_a_process_that_ignores_sigterm_is_killed() -> None:
    process = await spawn("sh", "-c", "trap '' TERM; echo up; while :; do sleep 9 >/dev/null; done")
    assert process.stdout is not None
    await process.stdout.readline()
    ref = ProcessRef.of(process.pid)
    assert ref is not None
    await end_process(ref, grace_s=0.1)
    assert await process.wait() == -9


async def test_a_successor_with_the_same_number_is_left_alone() -> None:
    process = await spawn("sleep", "600")
    ref = ProcessRef.of(process.pid)
    assert ref is not None
    earlier = ProcessRef(ref.pid, ref.start_ticks - 1)
    assert not earlier.alive()
    await end_process(earlier, grace_s=0.1)
    assert ref.alive()
    await end_process(ref, grace_s=60)
    await process.wait()


async def test_ending_what_is_gone_is_nothing() -> None:
    process = await spawn("true")
    pid = process.pid
    await process.wait()
    await end_process(ProcessRef(pid, 1), grace_s=0.1)
    assert await wait_gone(ProcessRef(pid, 1), timeout_s=1)


async def test_waiting_for_a_process_that_stays_gives_up() -> None:
    me = ProcessRef.of(os.getpid())
    assert me is not None
    assert not await wait_gone(me, timeout_s=0.05)


def test_no_process_has_no_name() -> None:
    assert ProcessRef.of(2**22 + 1) is None


async def test_all_that_is_found_is_killed_until_nothing_is() -> None:
    made: list[asyncio.subprocess.Process] = [await spawn("sleep", "600") for _ in range(2)]
    rounds = 0

    def find() -> list[ProcessRef]:
        nonlocal rounds
        rounds += 1
        refs = [ProcessRef.of(process.pid) for process in made]
        return [ref for ref in refs if ref is not None and ref.alive()]

    assert await kill_all(find, timeout_s=60)
    assert rounds == 2
    assert [await process.wait() for process in made] == [-9, -9]


async def test_what_cannot_be_killed_is_said() -> None:
    init = ProcessRef.of(1)
    assert init is not None
    ours = [ProcessRef(init.pid, init.start_ticks - 1)]  # nobody's, so nobody dies of it
    assert not await kill_all(lambda: ours, timeout_s=0.05)
