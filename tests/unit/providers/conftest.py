"""A provider file that is fine, and small changes to it."""

from collections.abc import Callable

import pytest

from polydev.providers.check import parse_provider
from polydev.providers.schema import Provider

GOOD = """\
format = 1
name = "made_up"
title = "Made Up"
vendor = "Nobody"
terms_url = "https://vendor.example.test/terms"

[install]
kind = "script"
file = "made-up"
command = "made-up"

[login]
command = ["made-up", "login"]

[[login.prompts]]
name = "go_on"
pattern = 'Go on\\?'
answer = "y\\r"

[[capture]]
path = ".made-up/token.json"
required_keys = ["token"]

[[capture]]
path = ".made-up/account.json"
required = false

[identity]
account = [{ file = ".made-up/account.json", pointer = "/email" }]
plan = [{ file = ".made-up/token.json", pointer = "/id", claim = "/https:~1~1x.test~1auth/plan" }]
expires_at = [{ file = ".made-up/token.json", pointer = "/ends" }]

[status]
command = ["made-up", "status"]
true_pointer = "/ok"
account_pointer = "/who"

[run]
command = ["made-up", "ask", "{prompt}"]
"""


@pytest.fixture
def good() -> str:
    return GOOD


@pytest.fixture
def provider() -> Provider:
    return parse_provider(GOOD, "made-up.toml")


@pytest.fixture
def changed() -> Callable[[str, str], Provider]:
    """The good file with one text replaced."""

    def change(old: str, new: str) -> Provider:
        assert old in GOOD
        return parse_provider(GOOD.replace(old, new), "made-up.toml")

    return change
