"""Our side of the agent's API.

The machine is hostile: every answer is bounded while it is read, decoded strictly, and what it
says it captured is held against the manifest again. Failures are `polydev.errors` (`AgentError`
and `MachineNotReady` with their kinds), never those of the libraries below.
"""

import asyncio
import base64
import binascii
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeVar, cast

from polydev.domain.credential import Bundle
from polydev.domain.secret import Secret
from polydev.domain.session import Reason
from polydev.domain.text import clean
from polydev.errors import AgentError, CaptureRefused, MachineGone, MachineNotReady
from polydev.guest import protocol
from polydev.guest.acceptance import accept
from polydev.guest.codec import decode, decode_bundle, dumps, loads
from polydev.guest.protocol import (
    AgentEvent,
    ExecRequest,
    Health,
    LoginPlan,
    LoginStatus,
    ManifestEntry,
    ProtocolError,
    PtyRequest,
    RemoveRequest,
    UnitReport,
    UnitState,
)
from polydev.guest.pty import Pty
from polydev.guest.transport import AgentHttp, AgentUnreachable, Burst, Dial, lines, timed

__all__ = ["AgentClient", "AgentUnreachable", "ExecChunk", "Pty", "UnitCrashLoop"]

T = TypeVar("T")

_SMALL: Final = 256 * 1024
_MAX_LINE: Final = 256 * 1024
_MAX_BUNDLE_ANSWER: Final = 2 * protocol.MAX_BUNDLE_BYTES
_HEALTH_WAIT_S: Final = 10.0
_FIRST_RETRY_S: Final = 0.005
_LONGEST_RETRY_S: Final = 0.25
_EXEC_GRACE_S: Final = 30.0
_BURST: Final = 2000
"""Most events within `_BURST_S`: twice what an agent keeps and sends to a new reader."""
_BURST_S: Final = 10.0

_REASONS: Final = {
    "agent": Reason.AGENT_CRASH_LOOP,
    "display": Reason.DISPLAY_CRASH_LOOP,
    "wm": Reason.DISPLAY_CRASH_LOOP,
    "chromium": Reason.BROWSER_CRASH_LOOP,
}


class UnitCrashLoop(MachineNotReady):
    """A unit of the machine keeps dying. ``unit`` names it, ``reason`` is the session's."""

    def __init__(self, report: UnitReport) -> None:
        unit = clean(report.name, max_chars=50)
        tail = clean("\n".join(report.last_lines), max_chars=2000)
        super().__init__(f"The machine's {unit} kept crashing.", detail=f"{unit}: {tail}")
        self.unit = unit
        self.reason = _REASONS.get(unit, Reason.MACHINE_NOT_READY)


@dataclass(frozen=True, slots=True)
class ExecChunk:
    """A piece of a program's output, or (``exit``) its end, with the limit that brought it."""

    stream: Literal["out", "err"] | None
    data: bytes = b""
    exit: int | None = None
    ended: str | None = None


class AgentClient:
    """One machine's agent. ``dial`` opens a fresh connection to it."""

    def __init__(self, dial: Dial, token: Secret) -> None:
        self._dial = dial
        self._token = token
        self._http = AgentHttp(dial, token)

    async def close(self) -> None:
        await self._http.close()

    # The machine

    async def health(self, *, wait_s: float = 0, grace_s: float = 10) -> Health:
        """Its health, held back until it is ready or hopeless for at most ``wait_s``.

        Raises `AgentUnreachable` when nothing came for ``grace_s`` beyond that.
        """
        target = f"{protocol.HEALTH}?wait={wait_s:.3f}" if wait_s else protocol.HEALTH
        raw = await self._http.fetch("GET", target, max_bytes=_SMALL, timeout_s=wait_s + grace_s)
        return _decoded(Health, raw)

    async def wait_ready(self, timeout_s: float) -> Health:
        """Return once all units are ready.

        Raises:
            UnitCrashLoop: a unit will not come up.
            MachineNotReady: the time is over, or the agent answers nonsense.
        """
        deadline = time.monotonic() + timeout_s
        delay = _FIRST_RETRY_S
        last = "the agent has not answered yet"
        while (left := deadline - time.monotonic()) > 0:
            try:
                async with asyncio.timeout(left):
                    health = await self.health(wait_s=min(left, _HEALTH_WAIT_S))
            except (AgentUnreachable, MachineGone, TimeoutError) as error:
                last = getattr(error, "detail", last)
                await asyncio.sleep(min(delay, max(left, 0)))
                delay = min(delay * 1.5, _LONGEST_RETRY_S)
                continue
            except AgentError as error:
                raise MachineNotReady(
                    "The machine's agent is not well.", detail=error.detail
                ) from error
            _raise_crash_loop(health)
            if health.ready:
                return health
            # It answered at once although it was asked to wait: do not let it keep us busy.
            await asyncio.sleep(min(delay, max(deadline - time.monotonic(), 0)))
            delay = min(delay * 1.5, _LONGEST_RETRY_S)
            waiting = [u.name for u in health.units if u.state is not UnitState.READY]
            last = clean(f"not ready yet: {', '.join(waiting)}", max_chars=300)
        raise MachineNotReady("The machine did not become ready in time.", detail=last)

    async def events(self, after: int = 0) -> AsyncIterator[AgentEvent]:
        """Events with a greater number than ``after``, without end.

        Raises `AgentUnreachable` when the connection ends; call again with the last number seen.
        Raises `AgentError` for an agent that sends more than one with work to do would.
        """
        burst = Burst(_BURST, _BURST_S)
        async with self._http.open("GET", f"{protocol.EVENTS}?after={after}", None, None) as parts:
            async for line in lines(parts, _MAX_LINE):
                if burst.exceeded():
                    raise AgentError("The machine's agent sent more events than it may.")
                yield _decoded(AgentEvent, line)
        raise AgentUnreachable("The machine's agent ended the stream of its events.")

    async def logs(self, unit: str) -> str:
        """The last lines of a unit, cleaned. ``unit`` is one of `Health.units`."""
        if not unit.isidentifier():
            raise ValueError("a unit's name is one word")
        target = f"{protocol.LOGS}?unit={unit}"
        raw = await self._http.fetch("GET", target, max_bytes=_SMALL)
        return clean(raw.decode("utf-8", "replace"), max_chars=_SMALL)

    async def activity(self) -> None:
        """Tell it that the person has just typed or clicked."""
        await self._http.fetch("POST", protocol.ACTIVITY, b"{}", max_bytes=_SMALL, timeout_s=5)

    # The login

    async def start_login(self, plan: LoginPlan) -> LoginStatus:
        """Start a provider's login. Raises `SessionFailed` (cli_missing) or `AgentError`."""
        raw = await self._http.fetch("POST", protocol.LOGIN, dumps(plan), max_bytes=_SMALL)
        return _decoded(LoginStatus, raw)

    async def login_status(self) -> LoginStatus:
        raw = await self._http.fetch("GET", protocol.LOGIN, max_bytes=_SMALL)
        return _decoded(LoginStatus, raw)

    async def end_login(self) -> None:
        await self._http.fetch("DELETE", protocol.LOGIN, max_bytes=_SMALL)

    # Credential files

    async def capture(self, manifest: Sequence[ManifestEntry]) -> Bundle:
        """The manifest's files.

        Raises:
            CaptureRefused: a file is not one that we accept; ``offender`` is its path.
            AgentError: a required file is missing or does not hold what it must.
        """
        body = dumps({"manifest": tuple(manifest)})
        raw = await self._http.fetch("POST", protocol.CAPTURE, body, max_bytes=_MAX_BUNDLE_ANSWER)
        try:
            bundle = decode_bundle(loads(raw))
        except ProtocolError as error:
            raise CaptureRefused(
                "The machine's agent sent files that are not as agreed.",
                offender=str(error).partition(":")[0],
                detail=str(error),
            ) from error
        return accept(bundle, manifest)

    async def deliver(self, bundle: Bundle) -> list[str]:
        """Write a bundle into the home and return the paths. Raises `CaptureRefused`."""
        body = dumps({"files": bundle.files})
        return await self._paths("POST", protocol.DELIVER, body, "written")

    async def watch(self, manifest: Sequence[ManifestEntry]) -> None:
        body = dumps({"manifest": tuple(manifest)})
        await self._http.fetch("PUT", protocol.WATCH, body, max_bytes=_SMALL)

    async def remove(self, manifest: Sequence[ManifestEntry]) -> list[str]:
        """Take the manifest's files out again; of a merged file only its keys."""
        keys = {entry.path: entry.only_keys for entry in manifest if entry.only_keys}
        request = RemoveRequest(tuple(entry.path for entry in manifest), keys)
        return await self._paths("POST", protocol.REMOVE, dumps(request), "removed")

    # Programs

    async def exec(self, request: ExecRequest) -> AsyncIterator[ExecChunk]:
        """Run a program; closing the iterator early ends it. The last chunk has ``exit``.

        Raises `AgentUnreachable` when the agent has not ended it some time after its own.
        """
        left = request.max_output_bytes
        wait_s = request.timeout_s + _EXEC_GRACE_S
        async with self._http.open("POST", protocol.EXEC, dumps(request), wait_s) as parts:
            async for line in timed(lines(parts, _MAX_LINE), wait_s):
                chunk = _chunk(line)
                # An empty piece counts as well: there could be any number of them.
                left -= max(len(chunk.data), 1) if chunk.stream is not None else 0
                if left < 0:
                    raise AgentError("The machine's agent sent more output than asked for.")
                yield chunk
                if chunk.exit is not None:
                    return
        raise AgentUnreachable("The program's output ended before the program did.")

    async def pty(self, request: PtyRequest) -> Pty:
        """Open a terminal. It has a connection of its own and outlives this client's `close`."""
        return await Pty.open(self._dial, self._token, request)

    async def _paths(self, method: str, target: str, body: bytes, name: str) -> list[str]:
        answer = loads_answer(await self._http.fetch(method, target, body, max_bytes=_SMALL))
        paths = cast("dict[str, object]", answer).get(name) if isinstance(answer, dict) else None
        if not isinstance(paths, list):
            raise AgentError("The machine's agent gave an answer that is not as agreed.")
        return [clean(str(path), max_chars=600) for path in cast("list[object]", paths)]


def loads_answer(raw: bytes) -> object:
    try:
        return loads(raw)
    except ProtocolError as error:
        raise AgentError(
            "The machine's agent gave an answer that is not as agreed.", detail=str(error)
        ) from error


def _decoded(kind: type[T], raw: bytes) -> T:
    try:
        return decode(kind, loads(raw))
    except ProtocolError as error:
        raise AgentError(
            "The machine's agent gave an answer that is not as agreed.", detail=str(error)
        ) from error


def _raise_crash_loop(health: Health) -> None:
    for unit in health.units:
        if unit.state is UnitState.CRASH_LOOP:
            raise UnitCrashLoop(unit)


def _chunk(line: bytes) -> ExecChunk:
    match loads_answer(line):
        case {"out": str(text)}:
            return ExecChunk("out", _base64(text))
        case {"err": str(text)}:
            return ExecChunk("err", _base64(text))
        case {"exit": int(code), "ended": str(ended)}:
            return ExecChunk(None, exit=code, ended=ended)
        case {"exit": int(code)}:
            return ExecChunk(None, exit=code)
        case _:
            raise AgentError("The machine's agent gave an answer that is not as agreed.")


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise AgentError("The machine's agent sent output that is not base 64.") from error
