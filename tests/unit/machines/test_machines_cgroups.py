"""Control groups: made, joined, killed and removed, on whichever version this host has."""

import asyncio
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from polydev.domain.machine import Limits
from polydev.machines import cgroups
from polydev.machines.cgroups import CgroupSupport

LIMITS = Limits(memory_mib=64, cpus=1, processes=50, scratch_mib=16)
PLACES: list[tuple[Literal["v1", "v2"], str]] = [("v1", "pids"), ("v2", "unified"), ("v2", "")]
JOINS = (
    "import os, sys; from polydev.machines.cgroups import Folder, join; "
    "join([Folder(sys.argv[1], [])]); os.fork(); print(flush=True); os.fork(); sys.stdin.read()"
)


@pytest.fixture(params=PLACES, ids="-".join)
def support(request: pytest.FixtureRequest) -> Iterator[CgroupSupport]:
    version, controller = request.param
    base = cgroups.ROOT / controller / f"polydev-test-{secrets.token_hex(8)}"
    wanted = "cgroup.controllers" if version == "v2" else "tasks"
    if os.geteuid() != 0 or not (base.parent / wanted).exists():
        pytest.skip("not this host's version, or not ours to use")
    try:
        base.mkdir()
    except OSError:
        pytest.skip("this host's control groups are read-only")
    yield CgroupSupport(version, (base,), "")
    base.rmdir()


async def test_all_that_joined_is_killed_and_the_folder_goes(support: CgroupSupport) -> None:
    groups = cgroups.plan(support, "inc_one", LIMITS)
    cgroups.make(groups)
    process = subprocess.Popen(
        [sys.executable, "-c", JOINS, groups[0].path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"\n"

    assert await cgroups.end(support, "inc_one", timeout_s=60)

    assert process.wait() == -9
    assert not Path(groups[0].path).exists()
    assert await cgroups.end(support, "inc_one", timeout_s=60)


async def test_nobody_joins_what_has_been_ended(support: CgroupSupport) -> None:
    groups = cgroups.plan(support, "inc_one", LIMITS)
    cgroups.make(groups)
    assert await cgroups.end(support, "inc_one", timeout_s=60)
    with pytest.raises(FileNotFoundError):
        cgroups.join(groups)


async def test_only_empty_folders_of_the_dead_are_swept(support: CgroupSupport) -> None:
    for incarnation in ("inc_used", "inc_dead", "inc_young"):
        cgroups.make(cgroups.plan(support, incarnation, LIMITS))
    process = await asyncio.create_subprocess_exec("sleep", "600")
    (support.bases[0] / "inc_used" / "cgroup.procs").write_text(str(process.pid))

    cgroups.sweep(support, lambda: {"inc_young"})

    assert cgroups.incarnations(support) == {"inc_used", "inc_young"}
    for incarnation in ("inc_used", "inc_young"):
        assert await cgroups.end(support, incarnation, timeout_s=60)
    await process.wait()
