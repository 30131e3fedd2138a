"""The machine contract: what a driver does, and nothing about how.

A driver makes, finds again, stops and destroys machines. Everything above it (pool, workflow,
dashboard) talks to a machine through `dial` alone: HTTP to its guest agent, RFB to its display.
One contract test file (`tests/contract/`) runs against every driver.

A driver keeps no state of its own beyond the small opaque `DriverState` that it returns; the
caller stores it, and a new process hands it back to re-adopt a running machine.
"""

import socket
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from polydev.domain.machine import Channel, MachineSpec

DriverState = dict[str, str | int]
"""Opaque to all but the driver that made it; JSON; holds no secret."""


@dataclass(frozen=True, slots=True)
class Running:
    """The machine's process exists (it may still be booting: ask its agent)."""


@dataclass(frozen=True, slots=True)
class Exited:
    """The machine is not running: never started, stopped, or died."""

    detail: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `polydev doctor`."""

    check: str
    ok: bool
    detail: str
    fix: str = ""
    required: bool = True


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something of this driver's that belongs to none of the machines that were named."""

    kind: str
    name: str


class Driver(ABC):
    """Makes machines of one kind of isolation."""

    name: ClassVar[str]

    @abstractmethod
    async def start(self, spec: MachineSpec) -> DriverState:
        """Boot one incarnation of a machine.

        May be called when no incarnation of ``spec.machine_id`` runs. A CLI machine's home is
        made at its first start and found again at later ones; a browser machine starts empty.
        Returns when the machine's process exists; afterwards `poll` answers `Running` or
        `Exited`, and nothing is left if it raises.

        Raises:
            MachineError: the host could not make it; the text says what to mend.
        """

    @abstractmethod
    async def poll(self, state: DriverState) -> Running | Exited:
        """Say whether this incarnation runs. Never raises for a machine that is gone."""

    @abstractmethod
    async def dial(self, state: DriverState, channel: Channel) -> socket.socket:
        """Open a connected, non-blocking stream socket into the machine; the caller closes it.

        The other end is hostile. Raises `MachineGone` where nothing listens (yet).
        """

    @abstractmethod
    async def stop(self, state: DriverState) -> None:
        """End this incarnation and free what it held, keeping a CLI machine's home and the
        console log. Idempotent; never touches a later incarnation of the same machine."""

    @abstractmethod
    async def destroy(self, machine_id: str, state: DriverState | None) -> None:
        """`stop`, then remove all that the machine ever had on this host but its console log.

        Idempotent. Afterwards no process, mount, directory, socket or cgroup of it is left.
        """

    @abstractmethod
    async def console(self, machine_id: str, *, max_bytes: int = 65536) -> bytes:
        """The end of the machine's console log; kept after `destroy` until `forget_console`."""

    @abstractmethod
    async def forget_console(self, machine_id: str) -> None:
        """Remove the kept console log."""

    @abstractmethod
    async def leftovers(self, keep: frozenset[str]) -> list[Leftover]:
        """All that this driver made on this host for machines whose ids are not in ``keep``.

        That no row is known says little: it may be in another database, or in a newer one than
        the backup that this server was started with. So nothing is removed by being listed."""

    @abstractmethod
    async def remove_leftover(self, leftover: Leftover) -> Path | None:
        """End what runs of it and free what it held. A leftover that has a persistent home (a CLI
        machine's) is kept aside with its home, where no machine uses it, and the answer says
        where: a person's files are deleted by `destroy` alone. Anything else is removed (None).

        Raises:
            MachineError, OSError: it could not be moved or removed; it is where it was."""

    @abstractmethod
    async def check_host(self) -> list[Finding]:
        """What this host has and lacks for this driver; used by `doctor` and at start."""
