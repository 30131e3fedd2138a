"""The words for what happens during a sign-in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from polydev.domain.session import SessionState
from polydev.domain.text import clean

_STATES: Final[dict[str, str]] = {
    SessionState.PENDING: "Asked for",
    SessionState.PROVISIONING: "Getting a browser machine",
    SessionState.STARTING_LOGIN: "Starting the tool's login",
    SessionState.AWAITING_USER: "Your turn: sign in in the live view",
    SessionState.CAPTURING: "Taking the credential",
    SessionState.DELIVERING: "Delivering it into your CLI machine",
    SessionState.VERIFYING: "Asking the tool whether it is signed in",
    SessionState.COMPLETED: "Signed in",
    SessionState.FAILED: "Failed",
    SessionState.CANCELLED: "Cancelled",
    SessionState.EXPIRED: "Took too long",
}

Data = Mapping[str, object]

_EVENTS: Final[dict[str, Callable[[Data], str]]] = {
    "login_started": lambda _: "The tool's login runs",
    "prompt_answered": lambda d: f"Answered the tool's question ({d.get('prompt')})",
    "url_opened": lambda d: f"The tool opened {d.get('host')}",
    "page_shown": lambda d: f"{d.get('host')} is shown",
    "assist_clicked": lambda _: "Clicked for you",
    "login_exited": lambda d: f"The tool's login ended (exit code {d.get('exit')})",
    "manifest_satisfied": lambda _: "The credential files are complete",
    "machine_gone": lambda _: "The browser machine is gone",
    "browser_restarted": lambda _: "The browser had to be started again",
}


def describe(kind: str, data: Data) -> str:
    """One line about an event. Kinds that this version does not know keep their name."""
    if kind == "state":
        state = str(data.get("state", ""))
        text = _STATES.get(state, state)
    elif kind in _EVENTS:
        text = _EVENTS[kind](data)
    elif kind == "unit":
        text = f"{data.get('unit')}: {data.get('state')}"
    else:
        text = kind.replace("_", " ")
    return " ".join(clean(text).split())


def style_of(kind: str, data: Data) -> str:
    if kind != "state":
        return "dim"
    state = str(data.get("state", ""))
    return {
        SessionState.AWAITING_USER: "bold cyan",
        SessionState.COMPLETED: "bold green",
        SessionState.FAILED: "bold red",
        SessionState.EXPIRED: "bold red",
        SessionState.CANCELLED: "bold yellow",
    }.get(SessionState(state) if state in _STATES else SessionState.PENDING, "")


class Stopwatch:
    """Seconds since the first event, by the server's clock."""

    def __init__(self) -> None:
        self._first: datetime | None = None

    def at(self, moment: datetime) -> str:
        self._first = self._first or moment
        return f"{(moment - self._first).total_seconds():6.1f}s"
