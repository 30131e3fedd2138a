"""Which of a login's prompts is on the screen, and what to type."""

import re
from collections.abc import Iterable
from typing import Final

from polydev.guest.protocol import Prompt

_SCREEN: Final = 8192


class PromptMatcher:
    """Fed with a tool's output (controls removed), it returns the prompts to answer now.

    Text that has matched is used up, so that a prompt is answered once for each time it is shown,
    and at most ``times`` times: a terminal program draws the same question again and again.
    """

    def __init__(self, prompts: Iterable[Prompt]) -> None:
        self._left = {prompt: prompt.times for prompt in prompts}
        self._patterns = {prompt: re.compile(prompt.pattern) for prompt in self._left}
        self._text = ""

    def feed(self, text: str) -> list[Prompt]:
        self._text = (self._text + text)[-_SCREEN:]
        answers: list[Prompt] = []
        while True:
            found = [
                (match, prompt)
                for prompt, left in self._left.items()
                if left > 0 and (match := self._patterns[prompt].search(self._text))
            ]
            if not found:
                return answers
            match, prompt = min(found, key=lambda pair: pair[0].start())
            self._text = self._text[max(match.end(), 1) :]
            self._left[prompt] -= 1
            answers.append(prompt)
