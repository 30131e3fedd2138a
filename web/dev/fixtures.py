"""Invented data for the dashboard's screenshots: one of everything, in the API's own types."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from polydev.api import schemas
from polydev.domain.machine import MachineKind, MachineState
from polydev.domain.session import REASON_TEXT, Reason, SessionState

NOW = datetime.now(UTC)

USER = "usr_7m3k9q0c5x2r8v1n4b6t0w3z"
CLI_MACHINE = "mac_c4v8n1k6q0z3x7m2r5t9b1w0"
BROWSER_MACHINE = "mac_b9t2w5z8c1v4n7k0q3x6m9r2"
SESSIONS = {
    "live": "ses_0live4k7m2r5t9b1w0c4v8n1",
    "pending": "ses_0pend4k7m2r5t9b1w0c4v8n1",
    "completed": "ses_0done4k7m2r5t9b1w0c4v8n1",
    "failed": "ses_0fail4k7m2r5t9b1w0c4v8n1",
    "expired": "ses_0exp24k7m2r5t9b1w0c4v8n1",
    "cancelled": "ses_0canc4k7m2r5t9b1w0c4v8n1",
}
RECEIPT = "rcpt_3x7m2r5t9b1w0c4v8n1k6q0z"
CREDENTIAL = "cred_5t9b1w0c4v8n1k6q0z3x7m2r"
CONSOLE = """\
[agent] 12:04:31.120 starting display (Xvnc 1280x800)
[agent] 12:04:31.402 display ready after 0.3 s
[openbox] 12:04:31.455 ready
[chromium] 12:04:32.377 ready after 0.9 s
[agent] 12:04:41.019 login started: gemini
[login] Opening authentication page in your browser. Do you want to continue? [Y/n]:
[agent] 12:04:41.655 answered prompt "open the page"
[agent] 12:04:42.207 url opened: accounts.example.test
[login] Failed to sign in: access_denied
[agent] 12:05:20.811 login exited with code 1
"""
CAPTURED = [
    {"path": ".codex/auth.json", "size": 4312, "mode": "0600"},
    {"path": ".codex/config.toml", "size": 218, "mode": "0600"},
    {"path": ".codex/a_long_name_of_a_file/oauth_creds.json", "size": 672, "mode": "0600"},
]
STATUS = "Logged in using ChatGPT\nAccount: mira@example.test\nPlan: Pro"


def ago(**parts: float) -> datetime:
    return NOW - timedelta(**parts)


def tools() -> schemas.ToolList:
    def tool(name: str, title: str, vendor: str, version: str | None, **more: Any) -> Any:
        return schemas.ToolView(
            provider=name,
            title=title,
            vendor=vendor,
            terms_url="https://provider.example.test/terms",
            installed=version is not None,
            version=version,
            live_session_id=more.get("live"),
            credential=more.get("credential"),
        )

    return schemas.ToolList(
        tools=[
            tool("codex", "Codex", "OpenAI", "0.169.0", credential=credential("codex", ok=True)),
            tool(
                "claude_code",
                "Claude Code",
                "Anthropic",
                "2.1.212 (Claude Code)",
                live=SESSIONS["live"],
            ),
            tool("gemini_cli", "Gemini CLI", "Google", "0.61.2"),
            tool("acme", "Acme Shell", "Acme", "1.4.0", credential=credential("acme", ok=False)),
            tool("zeta_cli", "Zeta", "Zeta Labs", None),
        ]
    )


def credential(provider: str, *, ok: bool) -> schemas.CredentialView:
    return schemas.CredentialView(
        credential_id=CREDENTIAL,
        provider=provider,
        account="mira@example.test",
        plan="Pro" if ok else None,
        expires_at=None,
        version=2,
        machine_id=CLI_MACHINE,
        created_at=ago(days=3),
        verified_at=ago(minutes=4) if ok else ago(hours=2),
        verified_ok=ok,
        status_output=STATUS,
    )


def session(kind: str) -> schemas.SessionView:
    facts: dict[str, tuple[str, SessionState, Reason | None, str | None, datetime]] = {
        "live": ("claude_code", SessionState.AWAITING_USER, None, None, ago(seconds=37)),
        "pending": ("gemini_cli", SessionState.PROVISIONING, None, None, ago(seconds=2)),
        "completed": ("codex", SessionState.COMPLETED, None, None, ago(minutes=6)),
        "failed": (
            "gemini_cli",
            SessionState.FAILED,
            Reason.LOGIN_REFUSED,
            "Failed to sign in: access_denied\n<b>not markup</b>",
            ago(hours=3),
        ),
        "expired": ("claude_code", SessionState.EXPIRED, Reason.PERSON_ABSENT, None, ago(days=1)),
        "cancelled": (
            "acme",
            SessionState.CANCELLED,
            Reason.CANCELLED_BY_USER,
            None,
            ago(days=2),
        ),
    }
    provider, state, reason, detail, created = facts[kind]
    over = state.terminal
    done = kind == "completed"
    return schemas.SessionView(
        session_id=SESSIONS[kind],
        provider=provider,
        state=state,
        reason=reason,
        message=REASON_TEXT[reason] if reason else None,
        detail=detail,
        novnc_url=None if over else f"/view/{SESSIONS[kind]}",
        browser_ip=None,
        machine_id=BROWSER_MACHINE,
        cli_machine_id=CLI_MACHINE if done else None,
        credential_id=CREDENTIAL if done else None,
        account="mira@example.test" if done else None,
        plan="Pro" if done else None,
        receipt_id=RECEIPT if done else None,
        created_at=created,
        ended_at=created + timedelta(seconds=41) if over else None,
        machine_gone_at=created + timedelta(seconds=42) if over else None,
    )


def events(kind: str) -> list[schemas.SessionEvent]:
    began = session(kind).created_at
    host = {"host": "auth.example.test"}
    road: list[tuple[float, str, dict[str, object]]] = [
        (0.0, "state", {"state": "pending"}),
        (0.1, "state", {"state": "provisioning"}),
        (0.4, "state", {"state": "starting_login"}),
        (0.9, "login_started", {}),
        (1.6, "url_opened", host),
        (1.7, "state", {"state": "awaiting_user"}),
        (2.4, "page_shown", host),
    ]
    ends: dict[str, list[tuple[float, str, dict[str, object]]]] = {
        "completed": [
            (31.0, "manifest_satisfied", {}),
            (31.1, "state", {"state": "capturing"}),
            (31.4, "captured", {"files": CAPTURED, "version": 2}),
            (31.4, "state", {"state": "delivering"}),
            (35.9, "delivered", {}),
            (36.0, "state", {"state": "verifying"}),
            (40.9, "state", {"state": "completed"}),
            (42.0, "machine_gone", {}),
        ],
        "failed": [
            (39.0, "login_exited", {"exit": 1}),
            (41.0, "state", {"state": "failed", "reason": "login_refused"}),
            (42.0, "machine_gone", {}),
        ],
        "expired": [(41.0, "state", {"state": "expired"}), (42.0, "machine_gone", {})],
        "cancelled": [(41.0, "state", {"state": "cancelled"}), (42.0, "machine_gone", {})],
    }
    told = road[:2] if kind == "pending" else [*road, *ends.get(kind, [])]
    return [
        schemas.SessionEvent(seq=n, at=began + timedelta(seconds=s), kind=name, data=data)
        for n, (s, name, data) in enumerate(told, 1)
    ]


def receipt() -> schemas.ReceiptView:
    return schemas.ReceiptView(
        receipt_id=RECEIPT,
        session_id=SESSIONS["completed"],
        credential_id=CREDENTIAL,
        provider="codex",
        account="mira@example.test",
        plan="Pro",
        version=2,
        files=[schemas.ReceiptFile.model_validate(file) for file in CAPTURED],
        ciphertext_sha256="9f2c41d07be83a5566e1c0d94b7a28f3" * 2,
        key_id="kek-2026-11",
        browser_machine_id=BROWSER_MACHINE,
        cli_machine_id=CLI_MACHINE,
        created_at=ago(minutes=5, seconds=19),
        delivered_at=ago(minutes=5, seconds=24),
        verified_at=ago(minutes=5, seconds=20),
        status_command="codex login status",
        status_output=STATUS,
        machine_gone_at=ago(minutes=5, seconds=18),
    )


def machines(scope: str) -> schemas.MachineList:
    other = "usr_2k9q0c5x2r8v1n4b6t0w3z7m"

    def machine(
        number: str, kind: MachineKind, state: MachineState, user: str | None, detail: str | None
    ) -> schemas.MachineView:
        return schemas.MachineView(
            machine_id=number,
            kind=kind,
            state=state,
            driver="sandbox",
            user_id=user,
            executor_id="host-1",
            created_at=ago(days=3) if kind is MachineKind.CLI else ago(minutes=7),
            ready_at=ago(minutes=6),
            destroyed_at=ago(minutes=2) if state is MachineState.DESTROYED else None,
            detail=detail,
            user_name={USER: "mira", other: "jonas"}.get(user or ""),
            session_id=SESSIONS["live"] if user and kind is MachineKind.BROWSER else None,
        )

    cli, browser = MachineKind.CLI, MachineKind.BROWSER
    mine = [machine(CLI_MACHINE, cli, MachineState.READY, USER, None)]
    if scope == "mine":
        return schemas.MachineList(machines=mine)
    if scope == "gone":
        gone = machine(
            BROWSER_MACHINE, browser, MachineState.DESTROYED, other, "its session has ended"
        )
        return schemas.MachineList(machines=[gone])
    return schemas.MachineList(
        machines=[
            machine(BROWSER_MACHINE, browser, MachineState.READY, USER, None),
            machine("mac_1q0z3x7m2r5t9b1w0c4v8n1k", browser, MachineState.READY, None, None),
            machine("mac_6m9r2b9t2w5z8c1v4n7k0q3x", browser, MachineState.STARTING, None, None),
            machine(
                "mac_4n7k0q3x6m9r2b9t2w5z8c1v",
                browser,
                MachineState.FAILED,
                None,
                "The display kept crashing (5 times in 30 s).",
            ),
            *mine,
            machine("mac_8c1v4n7k0q3x6m9r2b9t2w5z", cli, MachineState.STOPPED, other, None),
        ]
    )


def people() -> schemas.UserList:
    def user(user_id: str, name: str, role: Any, off: datetime | None = None) -> schemas.UserView:
        return schemas.UserView(
            user_id=user_id, name=name, role=role, created_at=ago(days=12), disabled_at=off
        )

    return schemas.UserList(
        users=[
            user(USER, "mira", "admin"),
            user("usr_2k9q0c5x2r8v1n4b6t0w3z7m", "jonas", "member"),
            user("usr_8v1n4b6t0w3z7m3k9q0c5x2r", "ada.old", "member", ago(days=1)),
            user("usr_9c5x2r8v1n4b6t0w3z7m3k9q", "maximiliane.schmidt-oberg", "admin"),
        ]
    )


def keys() -> schemas.ApiKeyList:
    def key(tail: str, label: str, **times: datetime | None) -> schemas.ApiKeyView:
        return schemas.ApiKeyView(
            key_id=f"key_{tail}k9q0c5x2r8v1n4b6t0w3z",
            label=label,
            created_at=ago(days=12),
            last_used_at=times.get("used"),
            expires_at=times.get("until"),
            revoked_at=times.get("revoked"),
        )

    return schemas.ApiKeyList(
        keys=[
            key("1", "first key", used=ago(minutes=1)),
            key("2", "build server", used=ago(hours=5), until=NOW + timedelta(days=60)),
            key("3", "old laptop", used=ago(days=9), revoked=ago(days=8)),
        ]
    )
