"""The sign-in session: its states, the allowed transitions and the reasons it can end with.

This is the one table of the lifecycle; the store refuses any change that is not in it.
"""

from enum import StrEnum
from typing import Final


class SessionState(StrEnum):
    PENDING = "pending"
    PROVISIONING = "provisioning"
    STARTING_LOGIN = "starting_login"
    AWAITING_USER = "awaiting_user"
    CAPTURING = "capturing"
    DELIVERING = "delivering"
    VERIFYING = "verifying"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def terminal(self) -> bool:
        return not TRANSITIONS[self]


_S = SessionState
_ENDS: Final = frozenset({_S.FAILED, _S.CANCELLED, _S.EXPIRED})

TRANSITIONS: Final[dict[SessionState, frozenset[SessionState]]] = {
    _S.PENDING: _ENDS | {_S.PROVISIONING},
    _S.PROVISIONING: _ENDS | {_S.STARTING_LOGIN},
    _S.STARTING_LOGIN: _ENDS | {_S.AWAITING_USER},
    # A CLI may find that it needs nobody (a cached consent), so the person's turn can be skipped
    # only by passing through it: every session that is captured was once awaiting its person.
    _S.AWAITING_USER: _ENDS | {_S.CAPTURING},
    _S.CAPTURING: _ENDS | {_S.DELIVERING},
    _S.DELIVERING: _ENDS | {_S.VERIFYING},
    _S.VERIFYING: _ENDS | {_S.COMPLETED},
    _S.COMPLETED: frozenset(),
    _S.FAILED: frozenset(),
    _S.CANCELLED: frozenset(),
    _S.EXPIRED: frozenset(),
}

LIVE_STATES: Final = frozenset(s for s in SessionState if TRANSITIONS[s])
"""States in which a session may own a machine; one live session per person and provider."""


class Reason(StrEnum):
    """Why a session ended otherwise than completed: the stable code in API, logs and metrics.

    The sentence for the person is in ``REASON_TEXT``.
    """

    CANCELLED_BY_USER = "cancelled_by_user"
    NO_ROOM = "no_room"
    MACHINE_NOT_READY = "machine_not_ready"
    MACHINE_DIED = "machine_died"
    AGENT_CRASH_LOOP = "agent_crash_loop"
    DISPLAY_CRASH_LOOP = "display_crash_loop"
    BROWSER_CRASH_LOOP = "browser_crash_loop"
    CLI_MISSING = "cli_missing"
    CLI_EXITED_EARLY = "cli_exited_early"
    NO_LOGIN_URL = "no_login_url"
    PERSON_ABSENT = "person_absent"
    SESSION_TOO_LONG = "session_too_long"
    LOGIN_REFUSED = "login_refused"
    LOGIN_FAILED = "login_failed"
    CREDENTIAL_INVALID = "credential_invalid"
    CAPTURE_REFUSED = "capture_refused"
    CAPTURE_UNANSWERED = "capture_unanswered"
    VAULT_FAILED = "vault_failed"
    CLI_MACHINE_FAILED = "cli_machine_failed"
    DELIVERY_FAILED = "delivery_failed"
    VERIFICATION_FAILED = "verification_failed"
    VERIFICATION_UNANSWERED = "verification_unanswered"
    CREDENTIAL_REVOKED = "credential_revoked"
    SERVER_ERROR = "server_error"


REASON_TEXT: Final[dict[Reason, str]] = {
    Reason.CANCELLED_BY_USER: "You cancelled this sign-in. Start again whenever you like.",
    Reason.NO_ROOM: "No machine was free. Try again in a minute, or ask the operator for room.",
    Reason.MACHINE_NOT_READY: (
        "The browser machine did not become ready in time. Start again; if it happens twice, "
        "show the operator this session's console log."
    ),
    Reason.MACHINE_DIED: (
        "The browser machine stopped while you were signing in. Nothing was captured; start again."
    ),
    Reason.AGENT_CRASH_LOOP: (
        "The helper in the browser machine kept crashing. The console log shows its last lines; "
        "show it to the operator."
    ),
    Reason.DISPLAY_CRASH_LOOP: (
        "The display in the browser machine kept crashing. The console log shows its last lines; "
        "show it to the operator."
    ),
    Reason.BROWSER_CRASH_LOOP: (
        "The browser kept crashing. The console log shows its last lines; show it to the operator."
    ),
    Reason.CLI_MISSING: (
        "The tool is not installed on this host. The operator can run "
        "`polydev providers install` and you can start again."
    ),
    Reason.CLI_EXITED_EARLY: (
        "The tool's login ended before it asked for a browser. Its last lines are in the console "
        "log; they usually say why."
    ),
    Reason.NO_LOGIN_URL: (
        "The tool's login did not open a sign-in page in time. Start again; if it happens twice, "
        "look at the console log."
    ),
    Reason.PERSON_ABSENT: (
        "Nobody finished the sign-in in time. Start again and keep the live view open."
    ),
    Reason.SESSION_TOO_LONG: "The whole sign-in took too long and was ended. Start again.",
    Reason.LOGIN_REFUSED: (
        "The provider turned the sign-in down: access was denied, or the password was wrong too "
        "often. Start again and sign in with the right account."
    ),
    Reason.LOGIN_FAILED: (
        "The tool's login ended without being signed in. Its last lines are in the console log."
    ),
    Reason.CREDENTIAL_INVALID: (
        "The tool wrote a credential that is not complete. Start again; if it happens twice, the "
        "tool may have changed its files: tell the operator."
    ),
    Reason.CAPTURE_REFUSED: (
        "A file that the tool wrote was not one we accept (its name is in the details). Nothing "
        "was stored."
    ),
    Reason.CAPTURE_UNANSWERED: (
        "The tool's files could not be read from the browser machine in time. Start again; if it "
        "happens twice, show the operator this session's console log."
    ),
    Reason.VAULT_FAILED: (
        "The vault could not store the credential, or not open what it had stored. Nothing is "
        "kept in clear; tell the operator, then start again."
    ),
    Reason.CLI_MACHINE_FAILED: (
        "Your CLI machine did not start. The credential is safe in the vault: try "
        "`polydev credentials deliver`."
    ),
    Reason.DELIVERY_FAILED: (
        "The credential could not be written into your CLI machine. It is safe in the vault: try "
        "`polydev credentials deliver`."
    ),
    Reason.VERIFICATION_FAILED: (
        "The tool in your CLI machine does not accept the credential. Its answer is in the "
        "details; sign in again."
    ),
    Reason.VERIFICATION_UNANSWERED: (
        "The tool in your CLI machine did not say in time whether it is signed in. The credential "
        "is safe in the vault: try `polydev credentials verify`."
    ),
    Reason.CREDENTIAL_REVOKED: (
        "The credential was revoked before it could be used. Start again if you want to sign in."
    ),
    Reason.SERVER_ERROR: (
        "Polydev had a fault of its own. Nothing of yours was exposed; tell the operator the "
        "session's id, then start again."
    ),
}

STORED_TEXT: Final = (
    "The credential is stored: `polydev credentials deliver {provider}` puts it into your CLI "
    "machine, `polydev credentials revoke {provider}` erases it."
)
"""Added to the details, once the session has stored a credential, of every end but completion and
a vault that cannot open it."""


class TransitionRefused(ValueError):
    """A change of state that the table does not allow."""

    def __init__(self, old: SessionState, new: SessionState) -> None:
        super().__init__(f"a session cannot go from {old.value} to {new.value}")
        self.old = old
        self.new = new


def check_transition(old: SessionState, new: SessionState) -> None:
    """Raise ``TransitionRefused`` unless the table allows ``old -> new``."""
    if new not in TRANSITIONS[old]:
        raise TransitionRefused(old, new)
