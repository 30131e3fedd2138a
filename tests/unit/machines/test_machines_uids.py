"""User ids of machines are held among all processes of the host."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from polydev.errors import MachineError
from polydev.machines.sandbox.uids import busy_uids, lease, lease_free

NOBODY_BUSY: frozenset[int] = frozenset()
HOLD = (
    "import sys; from pathlib import Path; from polydev.machines.sandbox.uids import lease; "
    "held = lease(int(sys.argv[2]), busy=frozenset(), leases=Path(sys.argv[1])); "
    "print(held is not None, flush=True); sys.stdin.read()"
)


def test_an_id_that_another_process_has_leased_is_free_again_with_its_end(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path), "7000"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"True\n"
    assert lease(7000, busy=NOBODY_BUSY, leases=tmp_path) is None

    holder.kill()
    holder.communicate()

    mine = lease(7000, busy=NOBODY_BUSY, leases=tmp_path)
    assert mine is not None
    mine.close()


def test_the_lowest_id_is_taken_that_no_folder_no_lease_and_no_process_has(tmp_path: Path) -> None:
    machines = tmp_path / "machines"
    (machines / "one").mkdir(parents=True)
    base = (machines / "one").stat().st_gid
    held = lease(base + 1, busy=NOBODY_BUSY, leases=tmp_path / "leases")
    assert held is not None

    def free() -> int:
        found = lease_free(
            (machines, tmp_path / "none"),
            base,
            4,
            busy=frozenset({base + 2}),
            leases=tmp_path / "leases",
        )
        found.close()
        return found.uid

    assert free() == base + 3
    last = lease(base + 3, busy=NOBODY_BUSY, leases=tmp_path / "leases")
    assert last is not None
    with pytest.raises(MachineError, match="All 4 user ids"):
        free()
    held.close()
    assert free() == base + 1
    last.close()


def test_leases_are_their_owners_alone(tmp_path: Path) -> None:
    held = lease(7000, busy=NOBODY_BUSY, leases=tmp_path / "leases")
    assert held is not None
    held.close()
    assert (tmp_path / "leases").stat().st_mode & 0o777 == 0o700


def test_ids_of_running_processes_are_busy_and_those_of_ended_ones_are_not() -> None:
    assert os.geteuid() in busy_uids()
    if os.geteuid() != 0:
        pytest.skip("only root can become another user to try this")
    user = 200_000_000 + os.getpid()  # nobody else's, also not of a test run beside this one
    process = subprocess.Popen(["/bin/sleep", "600"], user=user, group=user, extra_groups=[])
    assert user in busy_uids()
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert user not in busy_uids(), "a zombie runs nothing"
    process.wait()
