"""What goes over the wire: the OpenAPI page is made of these.

The sign-in endpoints keep the field names of the system's first version (camelCase); so does
everything added since. Times are RFC 3339 in UTC. Errors are `Problem` (RFC 9457).
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from polydev.domain.machine import MachineKind, MachineState
from polydev.domain.session import Reason, SessionState

ProviderName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9._-]{0,62}$")]
Label = Annotated[
    str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")
]


class Wire(BaseModel):
    """Base: camelCase outside, snake_case inside, nothing unknown accepted."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", from_attributes=True
    )


class FieldProblem(Wire):
    field: str
    message: str


class Problem(Wire):
    """RFC 9457. ``code`` is stable; ``detail`` is for the person."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    errors: list[FieldProblem] | None = None


# --- sign-in -----------------------------------------------------------------------------------


class StartRequest(Wire):
    provider: ProviderName


class StartResponse(Wire):
    success: Literal[True] = True
    session_id: str
    provider: str
    novnc_url: str = Field(
        alias="novncURL",
        description="Page of the live view. For a caller with an API key it carries a one-time, "
        "single-session ticket in the fragment, which browsers do not send to servers.",
    )
    browser_ip: str | None = Field(
        alias="browserIP", description="Address of the browser machine, where it has one."
    )


class SessionView(Wire):
    session_id: str
    provider: str
    state: SessionState
    reason: Reason | None
    message: str | None = Field(description="What happened and what to do, for the person.")
    detail: str | None
    novnc_url: str | None = Field(alias="novncURL", description="Null once the session has ended.")
    browser_ip: str | None = Field(alias="browserIP")
    machine_id: str | None
    cli_machine_id: str | None
    credential_id: str | None
    account: str | None = Field(description="Who signed in, as the captured files say.")
    plan: str | None
    receipt_id: str | None
    created_at: datetime
    ended_at: datetime | None
    machine_gone_at: datetime | None


class SessionList(Wire):
    sessions: list[SessionView]
    next: str | None = Field(description="Pass as `after` for the next page.")


class SessionEvent(Wire):
    """One entry of the timeline; also the data of each server-sent event."""

    seq: int
    at: datetime
    kind: str = Field(description="`state`, or what the guest agent told (`url_opened`, …).")
    data: dict[str, object]


class SessionEvents(Wire):
    events: list[SessionEvent]


class StreamTicket(Wire):
    """Short-lived, for one session and one connection; goes into the WebSocket subprotocol."""

    ticket: str
    websocket_path: str
    expires_at: datetime


class TextBody(Wire):
    text: str


# --- tools, credentials, receipts --------------------------------------------------------------


class ToolView(Wire):
    """A provider as one person sees it."""

    provider: str
    title: str
    vendor: str
    terms_url: str
    installed: bool
    version: str | None
    live_session_id: str | None
    credential: "CredentialView | None"


class ToolList(Wire):
    tools: list[ToolView]


class CredentialView(Wire):
    credential_id: str
    provider: str
    account: str | None
    plan: str | None
    expires_at: datetime | None
    version: int
    machine_id: str | None
    created_at: datetime
    verified_at: datetime | None
    verified_ok: bool | None
    status_output: str | None


class CredentialList(Wire):
    credentials: list[CredentialView]


class ReceiptFile(Wire):
    path: str
    size: int
    mode: str


class ReceiptView(Wire):
    """What was captured, where it went, when the machine was gone. Never content."""

    receipt_id: str
    session_id: str
    credential_id: str
    provider: str
    account: str | None
    plan: str | None
    version: int
    files: list[ReceiptFile]
    ciphertext_sha256: str
    key_id: str
    browser_machine_id: str
    cli_machine_id: str
    created_at: datetime
    delivered_at: datetime
    verified_at: datetime
    status_command: str
    status_output: str
    machine_gone_at: datetime | None


class ReceiptList(Wire):
    receipts: list[ReceiptView]


class VerifyResult(Wire):
    ok: bool
    status_output: str
    verified_at: datetime


# --- machines ----------------------------------------------------------------------------------


class MachineView(Wire):
    machine_id: str
    kind: MachineKind
    state: MachineState
    driver: str
    user_id: str | None
    executor_id: str
    created_at: datetime
    ready_at: datetime | None
    destroyed_at: datetime | None
    detail: str | None
    user_name: str | None = Field(description="In an administrator's lists: whose it is.")
    session_id: str | None = Field(
        description="In an administrator's lists: the sign-in that it was the browser machine of."
    )


class MachineList(Wire):
    machines: list[MachineView]


class ConsoleLog(Wire):
    machine_id: str
    text: str = Field(description="Control characters are replaced.")


# --- prompts -----------------------------------------------------------------------------------


class RunRequest(Wire):
    provider: ProviderName
    prompt: Annotated[str, StringConstraints(min_length=1, max_length=100_000)]


class ShellRequest(Wire):
    provider: ProviderName


class RunChunk(Wire):
    """One line of the NDJSON answer of a run. The last one has ``exit``."""

    stream: Literal["out", "err"] | None = None
    text: str | None = None
    exit: int | None = None


# --- people and keys ---------------------------------------------------------------------------


class UserView(Wire):
    user_id: str
    name: str
    role: Literal["admin", "member"]
    created_at: datetime
    disabled_at: datetime | None


class UserList(Wire):
    users: list[UserView]


class CreateUser(Wire):
    name: Name
    role: Literal["admin", "member"] = "member"


class ApiKeyView(Wire):
    key_id: str
    label: str
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None


class ApiKeyList(Wire):
    keys: list[ApiKeyView]


class CreateApiKey(Wire):
    label: Label = "key"
    expires_in_days: Annotated[int, Field(ge=1, le=3650, strict=True)] | None = None


class CreatedApiKey(ApiKeyView):
    key: str = Field(description="Shown this once; only its hash is stored.")


class CreatedUser(UserView):
    key: str = Field(description="The person's first API key; shown this once.")


class LoginLink(Wire):
    url: str = Field(description="One-time; the secret is in the fragment.")
    expires_at: datetime


class RedeemLink(Wire):
    token: Annotated[str, StringConstraints(min_length=20, max_length=200)]
    replace: bool = Field(
        default=False,
        description="Also where somebody else is signed in, who is then signed out. Otherwise that "
        "is refused (409, `other_person`) and the link stays good.",
    )


class Me(Wire):
    user: UserView
    csrf_token: str | None = Field(
        description="For a cookie sign-in: send it as X-CSRF-Token with every change."
    )
    only_session_id: str | None = Field(
        description="Set when this sign-in may look at one session only."
    )


class Health(Wire):
    status: Literal["healthy", "degraded"]
    uptime: float = Field(description="Seconds since the start.")


class ServerInfo(Wire):
    version: str
    driver: str
    pool_warm: int
    pool_size: int
