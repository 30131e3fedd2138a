"""Who may sign in, and when: at most one login at a time, and none is lost in silence."""

import asyncio
from collections.abc import Callable
from typing import Final

from polydev.guest.agent.capture import satisfied
from polydev.guest.agent.events import EventLog
from polydev.guest.agent.homefs import Home
from polydev.guest.agent.login import Login
from polydev.guest.agent.web import AgentProblem
from polydev.guest.codec import decode_list, encode
from polydev.guest.protocol import (
    EventKind,
    LoginPlan,
    LoginStatus,
    ManifestEntry,
    ProtocolError,
)

_IDLE: Final = LoginStatus("idle", False, False, None, False, ())
_LOST: Final = "the machine's agent was restarted during the sign-in"


class LoginDesk:
    """``make`` gets a plan and what to call when its login is over; ``remember`` keeps a note for
    the next agent (the manifest while a login runs, else None)."""

    def __init__(
        self,
        make: Callable[[LoginPlan, Callable[[], None]], Login],
        remember: Callable[[object], None],
        *,
        has_browser: bool,
    ) -> None:
        self._make = make
        self._remember = remember
        self._has_browser = has_browser
        self._login: Login | None = None
        self._without = _IDLE
        """The status while there is no login."""
        self._lock = asyncio.Lock()

    def resume(self, note: object, home: Home, events: EventLog) -> None:
        """Tell of a login that ended with the agent before this one (its terminal hung up)."""
        if note is None:
            return
        try:
            manifest = decode_list(ManifestEntry, note, "manifest")
        except ProtocolError:
            return
        complete = satisfied(home, manifest)
        if complete:
            events.emit(EventKind.MANIFEST_SATISFIED)
        self._without = LoginStatus("exited", False, complete, -1, False, (_LOST,))
        self._remember(None)
        events.emit(EventKind.LOGIN_EXITED, exit=-1, tail=[_LOST])

    async def start(self, plan: LoginPlan) -> None:
        if not self._has_browser:
            raise AgentProblem(409, "wrong_role", "this machine has no browser to sign in with")
        async with self._lock:
            if self._login is not None and self._login.running:
                raise AgentProblem(409, "login_running", "a login runs already")
            if self._login is not None:
                await self._login.end()
                self._login = None
            login = self._make(plan, lambda: self._remember(None))
            await login.start()
            self._remember(encode(plan.manifest))
            self._login = login

    def status(self) -> LoginStatus:
        return self._login.status() if self._login is not None else self._without

    async def end(self) -> None:
        async with self._lock:
            login, self._login = self._login, None
            self._without = _IDLE
            if login is not None:
                await login.end()
