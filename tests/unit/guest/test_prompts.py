"""Finding a tool's prompts in what its terminal shows."""

import pytest

from polydev.guest.agent.prompts import PromptMatcher
from polydev.guest.agent.redact import ControlStripper
from polydev.guest.protocol import Prompt

CONTINUE = Prompt("continue", r"continue\? \[Y/n\]:", "Y\r")
NAME = Prompt("name", r"Your name:\s*$", "ada\r", times=2)


def test_a_prompt_is_found_across_chunks_and_answered_once() -> None:
    matcher = PromptMatcher([CONTINUE])

    assert matcher.feed("Do you want to cont") == []
    assert matcher.feed("inue? [Y/n]: ") == [CONTINUE]
    assert matcher.feed("\nDo you want to continue? [Y/n]: ") == []


def test_a_prompt_is_answered_as_often_as_it_says() -> None:
    matcher = PromptMatcher([NAME])

    found = [matcher.feed("Your name: ") for _ in range(4)]

    assert found == [[NAME], [NAME], [], []]


def test_prompts_are_answered_in_the_order_in_which_they_show() -> None:
    matcher = PromptMatcher([CONTINUE, NAME])

    assert matcher.feed("Your name: continue? [Y/n]:\nYour name:") == [CONTINUE, NAME]


def test_old_text_is_forgotten() -> None:
    matcher = PromptMatcher([Prompt("far", "start.*end", "x")])

    assert matcher.feed("start") == []
    assert matcher.feed("." * 20_000) == []
    assert matcher.feed("end") == []


@pytest.mark.parametrize("cut", range(1, 60))
def test_control_sequences_do_not_hide_a_prompt_wherever_the_stream_is_cut(cut: int) -> None:
    link = "\x1b]8;;https://x.example/?a=b\x07"
    raw = f"\x1b[2K\x1b[1G{link}Dö \x1b[1mcontinue?\x1b[0m\x1b[1C[Y/n]:".encode()
    stripper = ControlStripper()
    matcher = PromptMatcher([Prompt("c", r"Dö continue\? \[Y/n\]:", "Y\r")])

    answers = matcher.feed(stripper.feed(raw[:cut])) + matcher.feed(stripper.feed(raw[cut:]))

    assert len(answers) == 1
