"""Processes are found by the incarnation that their command line carries."""

import subprocess
import sys

import pytest

from polydev.machines.sandbox.marks import KEEPER_MODULE, carriers, living, name_of

WAIT = "import sys; print(flush=True); sys.stdin.read()"


@pytest.mark.parametrize(
    "words",
    [
        (name_of("inc_of_a_test"), "-c", WAIT),
        (sys.executable, "-c", WAIT, KEEPER_MODULE, "mac_of_a_test", "inc_of_a_test"),
    ],
)
def test_bubblewrap_and_keeper_are_found_while_they_run(words: tuple[str, ...]) -> None:
    process = subprocess.Popen(
        words, executable=sys.executable, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    assert [ref.pid for ref in carriers("inc_of_a_test")] == [process.pid]
    assert "inc_of_a_test" in living()
    process.communicate()
    assert carriers("inc_of_a_test") == []


def test_who_only_speaks_of_an_incarnation_is_not_found() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WAIT, name_of("inc_spoken_of"), KEEPER_MODULE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    assert carriers("inc_spoken_of") == []
    process.communicate()
