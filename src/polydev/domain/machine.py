"""What a machine is, whichever driver makes it."""

from dataclasses import dataclass, field
from enum import StrEnum

from polydev.domain.secret import Secret


class MachineKind(StrEnum):
    BROWSER = "browser"
    """Ephemeral: display, window manager, Chromium and one login. Nothing of it survives."""
    CLI = "cli"
    """Persistent: a person's home with the signed-in tools. Stops and starts."""


class MachineState(StrEnum):
    STARTING = "starting"
    READY = "ready"
    STOPPED = "stopped"
    FAILED = "failed"
    DESTROYED = "destroyed"


class Channel(StrEnum):
    """The byte streams that a host may open into a machine."""

    AGENT = "agent"
    """HTTP/1.1 to the guest agent."""
    DISPLAY = "display"
    """RFB (RFC 6143) to the machine's display."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one machine may use. A driver applies what its host allows and `doctor` says which."""

    memory_mib: int
    cpus: float
    processes: int
    scratch_mib: int
    """Size of each private in-memory file system (home and /tmp of a browser machine)."""


@dataclass(frozen=True, slots=True)
class DisplaySize:
    width: int = 1280
    height: int = 800


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """All that a driver needs to make one machine. Contains no person and no credential."""

    machine_id: str
    incarnation: str
    """Fresh at every boot of the machine; what removal is pinned to."""
    kind: MachineKind
    agent_token: Secret
    limits: Limits
    hostname: str = "polydev"
    """The same in both machines of a person: some CLIs derive a key from it."""
    display: DisplaySize = field(default_factory=DisplaySize)
