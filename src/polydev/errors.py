"""One tree of errors.

    PolydevError
    +- UserError            the person can mend it (4xx)
    |  +- InvalidInput      400/422  a field is wrong; names it
    |  +- NotSignedIn       401      no key, cookie or ticket that is valid
    |  +- Forbidden         403      signed in, but not allowed (role, Origin, CSRF)
    |  +- NotFound          404      no such thing, or another user's
    |  +- Conflict          409      not in this state
    |  |  +- OtherPerson             this browser is somebody else's
    |  +- TooMany           429/503  a limit; says when to try again
    +- SettingsError        a setting is wrong; names it; ends the start
    +- InstallFailed        a tool could not be installed on this host
    +- MachineError         a machine did not do what its contract says
    |  +- MachineNotReady
    |  +- MachineGone
    +- AgentError           the guest agent answered with an error
    |  +- CaptureRefused    a file is not one we accept; names the offender
    +- VaultError           a row or key is not what it must be
    |  +- CredentialTampered     a stored row was edited, moved or mixed with another
    |  +- CredentialRolledBack   a stored row is older than one that was seen before
    |  +- VaultKeyMissing        the key that it was encrypted with is not at hand
    +- SessionFailed        ends a session with a `Reason`

An error carries three texts apart: ``person`` (what happened, to what, what to do; shown),
``detail`` (for the log; may name internals, never a secret) and ``code`` (stable, for metrics and
the API's problem documents, RFC 9457).
"""

from typing import ClassVar

from polydev.domain.session import REASON_TEXT, Reason


class PolydevError(Exception):
    """Base of all errors that Polydev raises on purpose."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500

    def __init__(self, person: str, *, detail: str | None = None) -> None:
        super().__init__(person)
        self.person = person
        self.detail = detail or person


class UserError(PolydevError):
    code = "bad_request"
    status = 400


class InvalidInput(UserError):
    code = "invalid_input"
    status = 422

    def __init__(self, person: str, *, field: str, detail: str | None = None) -> None:
        super().__init__(person, detail=detail)
        self.field = field


class NotSignedIn(UserError):
    code = "not_signed_in"
    status = 401


class Forbidden(UserError):
    code = "forbidden"
    status = 403


class NotFound(UserError):
    code = "not_found"
    status = 404


class Conflict(UserError):
    code = "conflict"
    status = 409


class OtherPerson(Conflict):
    code = "other_person"


class TooMany(UserError):
    code = "too_many"
    status = 503

    def __init__(self, person: str, *, retry_after_s: int, detail: str | None = None) -> None:
        super().__init__(person, detail=detail)
        self.retry_after_s = retry_after_s


class SettingsError(PolydevError):
    code = "settings"


class InstallFailed(PolydevError):
    code = "install_failed"


class MachineError(PolydevError):
    code = "machine"
    status = 502


class MachineNotReady(MachineError):
    code = "machine_not_ready"


class MachineGone(MachineError):
    code = "machine_gone"


class AgentError(PolydevError):
    code = "agent"
    status = 502


class CaptureRefused(AgentError):
    code = "capture_refused"

    def __init__(self, person: str, *, offender: str, detail: str | None = None) -> None:
        super().__init__(person, detail=detail)
        self.offender = offender


class VaultError(PolydevError):
    code = "vault"


class CredentialTampered(VaultError):
    code = "credential_tampered"


class CredentialRolledBack(VaultError):
    code = "credential_rolled_back"


class VaultKeyMissing(VaultError):
    code = "vault_key_missing"


class SessionFailed(PolydevError):
    """Ends a session: raised anywhere below the workflow, turned into its last state there."""

    code = "session_failed"

    def __init__(self, reason: Reason, *, detail: str | None = None) -> None:
        super().__init__(REASON_TEXT[reason], detail=detail or reason.value)
        self.reason = reason
