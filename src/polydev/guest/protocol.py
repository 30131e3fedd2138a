"""The agent's API: paths, messages and their JSON forms, shared by both ends.

HTTP/1.1 over the machine's agent channel. Every request carries ``Authorization: Bearer TOKEN``
with the machine's own token (constant-time compared); without it the answer is 401 whatever the
path. Bodies are JSON objects unless said otherwise; errors are problem objects
``{"code", "detail", ...}`` with a 4xx or 5xx status. Streams are newline-delimited JSON.

Only the standard library and `polydev.domain` may be imported: the agent ships with this module.
Each ``from_json`` treats its input as hostile: it checks types, refuses unknown kinds and raises
``ProtocolError`` with the field's path.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

AGENT_SOCKET: Final = "/run/polydev/host/agent.sock"
DISPLAY_SOCKET: Final = "/run/polydev/host/display.sock"
EGRESS_SOCKET: Final = "/run/polydev/egress/proxy.sock"
CONFIG_FILE: Final = "/run/polydev/config/machine.json"
CA_BUNDLE: Final = "/run/polydev/ca/bundle.pem"
"""The system's certificates plus the operator's extra CA; always present."""
EXTRA_CA: Final = "/run/polydev/ca/extra.pem"
"""The extra CA alone; present only when one is set."""
BROWSER_SHIM: Final = "/opt/polydev/agent/bin/open-url"
TOOLS_BIN: Final = "/opt/polydev/tools/bin"
NODE_BIN: Final = "/opt/polydev/node/bin"
HOME: Final = "/home/dev"
PROXY_URL: Final = "http://127.0.0.1:3128"

HEALTH: Final = "/v1/health"
"""GET -> `Health`. With query ``wait`` (seconds, at most 30) the answer comes when the machine is
ready, when a unit is in a crash loop, or when the time is over, whichever is first."""
EVENTS: Final = "/v1/events"
"""GET, query ``after`` (last sequence number seen): an NDJSON stream of `AgentEvent`, endless."""
LOGIN: Final = "/v1/login"
"""POST `LoginPlan` -> 202; GET -> `LoginStatus`; DELETE ends the login."""
CAPTURE: Final = "/v1/capture"
"""POST `{"manifest": [...]}` -> `{"files": [...]}` (base 64 content). 422 `CODE_CAPTURE_REFUSED`
names an offender, 409 `CODE_NOT_COMPLETE` what is still missing."""
DELIVER: Final = "/v1/deliver"
"""POST `{"files": [...]}` -> `{"written": [paths]}`."""
WATCH: Final = "/v1/watch"
"""PUT `{"manifest": [...]}`: emit `credential_changed` when these files change (CLI machines)."""
REMOVE: Final = "/v1/remove"
"""POST `RemoveRequest` -> `{"removed": [paths]}`: takes delivered files out again."""
EXEC: Final = "/v1/exec"
"""POST `ExecRequest` -> NDJSON of `{"out"|"err": base64}`, last `{"exit": code}`, with
``"ended": "timeout"|"output"`` when a limit ended it; closing the connection kills the group."""
PTY: Final = "/v1/pty"
"""WebSocket. First a text message with a `PtyRequest`; then binary both ways; text
`{"resize": [columns, rows]}` from us; the agent ends with text `{"exit": code}`."""
ACTIVITY: Final = "/v1/activity"
"""POST `{}`: the person has just typed or clicked, so automation keeps its hands off."""
LOGS: Final = "/v1/logs"
"""GET, query ``unit``: the unit's last lines as text/plain."""

CODE_CLI_MISSING: Final = "cli_missing"
"""The plan's program is not installed (409 to `LOGIN`, 422 to `EXEC`)."""
CODE_CAPTURE_REFUSED: Final = "capture_refused"
"""422; the problem's ``offender`` is the file's path."""
CODE_NOT_COMPLETE: Final = "not_complete"
"""409 to `CAPTURE`: a required file is missing or does not hold its keys (yet)."""

MAX_FILE_BYTES: Final = 1 << 20
MAX_BUNDLE_BYTES: Final = 4 << 20
MAX_BUNDLE_FILES: Final = 64


class ProtocolError(ValueError):
    """A message that is not of its form; the text starts with the field's path."""


class UnitState(StrEnum):
    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    CRASH_LOOP = "crash_loop"
    STOPPED = "stopped"


class EventKind(StrEnum):
    UNIT = "unit"
    """A unit changed: data ``unit``, ``state``, ``restarts``, ``exit`` (code or null),
    ``last_lines`` (crash loop only)."""
    LOGIN_STARTED = "login_started"
    PROMPT_ANSWERED = "prompt_answered"
    """data ``prompt``: the definition's name of it."""
    URL_OPENED = "url_opened"
    """data ``host``: only the host; the URL holds state and codes."""
    PAGE_SHOWN = "page_shown"
    """data ``host``: the page has painted."""
    ASSIST_CLICKED = "assist_clicked"
    LOGIN_EXITED = "login_exited"
    """data ``exit`` (code), ``tail`` (last lines, control characters and URLs removed)."""
    MANIFEST_SATISFIED = "manifest_satisfied"
    """All required files of the plan are there, whole, and pass their checks."""
    CREDENTIAL_CHANGED = "credential_changed"
    """data ``paths``: watched files changed and are whole again."""
    BROWSER_RESTARTED = "browser_restarted"
    """data ``restored`` (bool): Chromium died and came back, on the same page if true."""


@dataclass(frozen=True, slots=True)
class UnitReport:
    name: str
    state: UnitState
    restarts: int
    last_lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Health:
    ready: bool
    """All units of the role are ready; a browser machine's Chromium shows its first page."""
    role: str
    units: tuple[UnitReport, ...]
    uptime_s: float


@dataclass(frozen=True, slots=True)
class AgentEvent:
    seq: int
    at: float
    """Seconds since the epoch, the guest's clock."""
    kind: EventKind
    data: dict[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file to write before the login starts (settings that the tool wants to find)."""

    path: str
    content: str
    mode: int = 0o600


@dataclass(frozen=True, slots=True)
class Prompt:
    name: str
    pattern: str
    """A Python regular expression searched in the output with control sequences removed."""
    answer: str
    """Sent as it is; ``\\r`` is Enter."""
    times: int = 1


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """One file of a capture manifest."""

    path: str
    max_bytes: int = MAX_FILE_BYTES
    required: bool = True
    required_keys: tuple[str, ...] = ()
    """Dotted keys that must be present and not empty; the file must then be a JSON object."""
    only_keys: tuple[str, ...] = ()
    """Capture only these top-level keys of a JSON object; merged, not replaced, on delivery."""
    mode: int = 0o600


@dataclass(frozen=True, slots=True)
class AssistStep:
    """A click that carries no secret, done for the person unless they are at work themselves."""

    host: str
    """Exact host of the page."""
    selector: str
    """CSS selector of one visible, enabled element."""
    text: str | None = None
    """If given, the element's trimmed text must equal it."""


@dataclass(frozen=True, slots=True)
class LoginPlan:
    """Everything the agent needs of a provider's definition to run its login."""

    provider: str
    argv: tuple[str, ...]
    env: dict[str, str]
    files: tuple[PlannedFile, ...]
    prompts: tuple[Prompt, ...]
    url_hosts: tuple[str, ...]
    """Hosts whose URLs the shim may open as the login page; empty means any https host."""
    manifest: tuple[ManifestEntry, ...]
    assist: tuple[AssistStep, ...] = ()
    denied_pattern: str | None = None
    """Output that means that the provider turned the sign-in down."""


@dataclass(frozen=True, slots=True)
class LoginStatus:
    state: str
    """``idle``, ``running``, ``exited``"""
    url_opened: bool
    manifest_satisfied: bool
    exit: int | None
    denied: bool
    tail: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExecRequest:
    argv: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict[str, str])
    cwd: str = HOME
    stdin: bytes = b""
    timeout_s: float = 60.0
    max_output_bytes: int = 4 << 20


@dataclass(frozen=True, slots=True)
class PtyRequest:
    argv: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict[str, str])
    cwd: str = HOME
    columns: int = 80
    rows: int = 24


@dataclass(frozen=True, slots=True)
class RemoveRequest:
    paths: tuple[str, ...]
    keys: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """For a path of a merged file: take out only these top-level keys and leave the rest."""


@dataclass(frozen=True, slots=True)
class MachineConfig:
    """The content of `CONFIG_FILE`, written by the driver, read once by the agent's supervisor."""

    machine_id: str
    incarnation: str
    role: str
    token: str
    hostname: str
    width: int
    height: int
    extra_ca: bool
    processes: int = 0
    """Most processes and threads in the machine; 0 leaves that to the host."""
    process_memory_mib: int = 0
    """Most memory of each process in MiB; 0 where the host limits the whole machine's."""
    browser_sandbox: bool = True
    """Whether Chromium's own sandbox can be on in this machine (the driver probes it)."""

    def __repr__(self) -> str:
        return f"MachineConfig(machine_id={self.machine_id!r}, role={self.role!r})"
