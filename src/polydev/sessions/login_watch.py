"""Watching a tool's login through the guest agent, and telling the session's timeline of it."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import cast

from polydev.domain.session import Reason
from polydev.domain.text import clean
from polydev.errors import AgentError, MachineError, SessionFailed
from polydev.guest.client import AgentClient
from polydev.guest.protocol import AgentEvent, EventKind, UnitState
from polydev.machines.manager import MachineManager
from polydev.sessions.watchers import Watchers
from polydev.store.database import Database
from polydev.store.records import MachineRecord
from polydev.store.repositories import sessions

_CLI_EXIT_GRACE_S = 15.0
_MAX_LOST = 30
_MAX_EVENTS = 500
_FIELDS = {"host", "prompt", "exit", "restored"}
_CRASH_LOOPS = {
    "agent": Reason.AGENT_CRASH_LOOP,
    "chromium": Reason.BROWSER_CRASH_LOOP,
    "display": Reason.DISPLAY_CRASH_LOOP,
    "wm": Reason.DISPLAY_CRASH_LOOP,
}
_TOLD = {
    EventKind.LOGIN_STARTED,
    EventKind.PROMPT_ANSWERED,
    EventKind.URL_OPENED,
    EventKind.PAGE_SHOWN,
    EventKind.ASSIST_CLICKED,
    EventKind.LOGIN_EXITED,
    EventKind.MANIFEST_SATISFIED,
    EventKind.BROWSER_RESTARTED,
}
"""What the person sees of the agent's events, in the session's timeline."""


class LoginWatch:
    """Our end of the agent while a login runs."""

    def __init__(
        self,
        db: Database,
        machines: MachineManager,
        watchers: Watchers,
        ready_timeout_s: float,
    ) -> None:
        self._db = db
        self._machines = machines
        self._watchers = watchers
        self._ready_timeout_s = ready_timeout_s

    async def until_signed_in(
        self, session_id: str, machine: MachineRecord, agent: AgentClient
    ) -> None:
        # Its state is asked first: an exit that an earlier process was told is not told again.
        if await self._signed_in(agent):
            return
        async for event in self.told(session_id, machine, agent):
            if event.kind is EventKind.MANIFEST_SATISFIED:
                return
            if event.kind is EventKind.LOGIN_EXITED and await self._signed_in(agent):
                return

    async def _signed_in(self, agent: AgentClient) -> bool:
        """Whether the tool has written its files; a login that is over without them has failed."""
        status = await agent.login_status()
        if not status.manifest_satisfied and status.state == "exited":
            raise SessionFailed(
                Reason.LOGIN_REFUSED if status.denied else Reason.LOGIN_FAILED,
                detail=last_words(status.tail),
            )
        return status.manifest_satisfied

    async def let_cli_finish(
        self, session_id: str, machine: MachineRecord, agent: AgentClient
    ) -> None:
        """Most tools write once more before they end (an API key, a project): let them, briefly.

        A tool that stays is no failure: its files have passed their checks.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLI_EXIT_GRACE_S):
                if (await agent.login_status()).state == "exited":
                    return
                async for event in self.told(session_id, machine, agent):
                    if event.kind is EventKind.LOGIN_EXITED:
                        return

    async def told(
        self, session_id: str, machine: MachineRecord, agent: AgentClient
    ) -> AsyncGenerator[AgentEvent]:
        """The agent's events from where the timeline stands, each also written into it.

        A lost connection is made again while the machine lives.
        """
        for lost in range(_MAX_LOST):
            if lost:
                # Its machine is hostile: an agent that hangs up at once must not keep us busy.
                await asyncio.sleep(min(0.1 * 2**lost, 5.0))
            async with self._db.reading() as tx:
                after = await sessions.last_agent_seq(tx, session_id)
            try:
                async for event in agent.events(after=after):
                    if event.kind in _TOLD:
                        await self._tell(session_id, event)
                    _check_crash_loop(event)
                    yield event
            except (AgentError, MachineError) as error:
                if not await self._machines.running(machine):
                    raise SessionFailed(Reason.MACHINE_DIED, detail=error.detail) from error
                await self._agent_back(agent)
        raise SessionFailed(Reason.AGENT_CRASH_LOOP, detail="its events broke off again and again")

    async def _agent_back(self, agent: AgentClient) -> None:
        """Wait for a restarted agent; a crash loop has a reason of its own."""
        try:
            await agent.wait_ready(self._ready_timeout_s)
        except MachineError as error:
            raise SessionFailed(reason_of(error), detail=error.detail) from error

    async def _tell(self, session_id: str, event: AgentEvent) -> None:
        # Only what the protocol documents, cleaned and short: the rest of it is the guest's wish.
        data = {
            name: value if isinstance(value, bool | int) else clean(str(value), max_chars=300)
            for name, value in event.data.items()
            if name in _FIELDS
        }
        async with self._db.transaction() as tx:
            if await sessions.count_events(tx, session_id) >= _MAX_EVENTS:
                raise SessionFailed(Reason.AGENT_CRASH_LOOP, detail="too many events")
            await sessions.add_event(
                tx, session_id, event.kind.value, {**data, "agentSeq": event.seq}
            )
        self._watchers.notify(session_id)

    @contextlib.asynccontextmanager
    async def agent(self, machine: MachineRecord) -> AsyncGenerator[AgentClient]:
        """Our end of the agent; a machine that died has a reason of its own."""
        try:
            client = self._machines.agent(machine)
        except MachineError as error:
            raise SessionFailed(Reason.MACHINE_DIED, detail=error.detail) from error
        try:
            yield client
        except (AgentError, MachineError) as error:
            if not await self._machines.running(machine):
                raise SessionFailed(Reason.MACHINE_DIED, detail=error.detail) from error
            raise
        finally:
            await client.close()


def _check_crash_loop(event: AgentEvent) -> None:
    if event.kind is EventKind.UNIT and event.data.get("state") == UnitState.CRASH_LOOP.value:
        reason = _CRASH_LOOPS.get(str(event.data.get("unit")))
        if reason is not None:
            raise SessionFailed(reason, detail=str(event.data.get("last_lines", ""))[:2000])


def reason_of(error: MachineError) -> Reason:
    unit = getattr(error, "unit", None)
    return _CRASH_LOOPS.get(str(unit), Reason.MACHINE_NOT_READY)


def last_words(tail: object) -> str:
    """The end of what a tool said, from a guest: any shape, any length."""
    lines = cast("Sequence[object]", tail) if isinstance(tail, list | tuple) else ()
    return clean("\n".join(str(line) for line in lines))[-2000:]
