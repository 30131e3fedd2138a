"""The journey of a sign-in as named steps: the one place that knows their order.

Each step is idempotent: after a crash the engine runs the interrupted one again, and it finds what
its first attempt left (a machine's row, a running login, a stored version) instead of making a
second. A step returns nothing or raises `SessionFailed`; what it acquires is undone by `release`,
which runs once the session has ended, however it ended.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from polydev.domain.session import Reason, SessionState
from polydev.sessions.journey import Journey


@dataclass(frozen=True, slots=True)
class Step:
    """One named part of the journey."""

    name: str
    state: SessionState
    """Entered before the step runs; written, audited and pushed."""
    run: Callable[[Journey, str], Awaitable[None]]
    timeout: Callable[[Journey], float | None]
    """Seconds; None for a step that measures its own time (the person's)."""
    timeout_reason: Reason


STEPS: Final[tuple[Step, ...]] = (
    Step(
        "provision",
        SessionState.PROVISIONING,
        Journey.provision,
        lambda j: j.timeouts.machine_ready,
        Reason.MACHINE_NOT_READY,
    ),
    Step(
        "start_login",
        SessionState.STARTING_LOGIN,
        Journey.start_login,
        lambda j: j.timeouts.login_url,
        Reason.NO_LOGIN_URL,
    ),
    Step(
        "await_person",
        SessionState.AWAITING_USER,
        Journey.await_person,
        lambda _: None,
        Reason.PERSON_ABSENT,
    ),
    Step(
        "capture",
        SessionState.CAPTURING,
        Journey.capture,
        lambda j: j.timeouts.capture,
        Reason.CAPTURE_UNANSWERED,
    ),
    Step(
        "deliver",
        SessionState.DELIVERING,
        Journey.deliver,
        lambda j: j.timeouts.machine_ready + j.timeouts.delivery,
        Reason.DELIVERY_FAILED,
    ),
    Step(
        "verify",
        SessionState.VERIFYING,
        Journey.verify,
        lambda j: j.timeouts.verify,
        Reason.VERIFICATION_UNANSWERED,
    ),
)

RELEASE: Final = "release"
"""Name of the last step: the browser machine is destroyed and its end recorded."""
