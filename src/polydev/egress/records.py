"""What is kept of a connection: who talked to whom and how much, never what was asked."""

import json
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    ALLOWED = "allowed"
    REFUSED = "refused"
    """The policy or a limit said no, or the request was not acceptable."""
    FAILED = "failed"
    """Allowed, but the network did not deliver."""


@dataclass(frozen=True, slots=True)
class ConnectionRecord:
    """One line of a machine's egress log. Has no field for a path, a query or a header."""

    time: datetime
    """When it was accepted, UTC."""
    kind: str
    """``connect``, ``http``, or empty when no request could be read."""
    host: str | None
    """Normalised, so safe to print; None when what the guest wrote was not acceptable."""
    port: int | None
    address: str | None
    """The address that was connected to, or that was the ground for refusing."""
    verdict: Verdict
    reason: str
    bytes_up: int
    bytes_down: int
    duration_s: float

    def to_dict(self) -> dict[str, Any]:
        return {
            "time": self.time.isoformat(timespec="milliseconds"),
            "kind": self.kind,
            "host": self.host,
            "port": self.port,
            "address": self.address,
            "verdict": self.verdict.value,
            "reason": self.reason,
            "bytes_up": self.bytes_up,
            "bytes_down": self.bytes_down,
            "duration_s": round(self.duration_s, 3),
        }


@dataclass(slots=True)
class Counters:
    """Totals of one proxy since its start."""

    connections: int = 0
    active: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    refusals: Counter[str] = field(default_factory=Counter[str])
    """By reason code; refused and failed alike. The set of codes is small and fixed."""

    @property
    def bytes_total(self) -> int:
        return self.bytes_up + self.bytes_down

    def to_dict(self) -> dict[str, Any]:
        return {
            "connections": self.connections,
            "active": self.active,
            "bytes_up": self.bytes_up,
            "bytes_down": self.bytes_down,
            "refusals": dict(self.refusals),
        }


def log_to(logger: logging.Logger) -> Callable[[ConnectionRecord], None]:
    """Make an ``on_connection_end`` that writes one JSON line per connection."""

    def log(record: ConnectionRecord) -> None:
        logger.info("egress %s", json.dumps(record.to_dict(), separators=(",", ":")))

    return log
