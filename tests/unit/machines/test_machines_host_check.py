"""What is asked of the host's programs."""

import pytest

from polydev.machines.sandbox import host_check


async def test_a_program_that_never_answers_is_ended_and_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(host_check, "_ANSWERS_IN_S", 0.05)
    code, said = await host_check.run("sleep", "600")
    assert (code, said) == (1, "sleep did not end within 0.05 s")


async def test_a_program_that_is_missing_is_said() -> None:
    code, said = await host_check.run("no-such-program")
    assert code == 1
    assert "no-such-program" in said
