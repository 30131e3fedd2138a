"""What one machine may reach, and how much of it: the keeper's configuration of the proxy."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from ipaddress import ip_address
from typing import Any, Final, cast

from polydev.egress.addresses import IPAddress, forbidden_reason
from polydev.egress.hosts import Host, HostInvalid, Target, parse_authority, parse_host
from polydev.egress.patterns import Patterns
from polydev.egress.reasons import Reason

__all__ = ["EgressPolicy", "HostInvalid", "forbidden_reason", "parse_authority", "parse_host"]

# Names that mean something only inside a network (RFC 6761, RFC 6762, RFC 8375 and the private
# use TLD). They are refused unasked, so that a guest cannot probe the host's own DNS with them.
_INSIDE: Final = (
    *(".localhost", ".local", ".internal", ".home.arpa", ".localdomain", ".lan", ".intranet"),
    *(".corp", ".home", ".invalid", ".test", ".onion"),
)

_POSITIVE: Final = (
    *("max_connections", "max_bytes_per_connection", "max_bytes_total", "max_header_bytes"),
    *("header_timeout_s", "connect_timeout_s", "idle_timeout_s"),
)


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """Sizes in bytes (both directions together), times in seconds."""

    allow: tuple[str, ...] = ()
    """Host patterns; empty means every public host. See `patterns`."""
    deny: tuple[str, ...] = ()
    """Host patterns, stronger than ``allow``; networks here also apply to resolved addresses."""
    ports: tuple[int, ...] = (443, 80)
    resolve_override: Mapping[str, str] = field(default_factory=dict[str, str])
    """For tests and the demo only: host -> ``ip:port``. Such a host, in exactly this spelling, is
    not resolved, its address is not checked, and its port is replaced. Lists and ports still
    apply to what the guest asked for."""
    max_connections: int = 256
    max_bytes_per_connection: int = 4 * 1024**3
    max_bytes_total: int = 64 * 1024**3
    max_header_bytes: int = 32 * 1024
    header_timeout_s: float = 15.0
    connect_timeout_s: float = 15.0
    """For resolving, and again for connecting."""
    idle_timeout_s: float = 600.0
    """No byte in either direction for so long ends a connection."""

    _allow: Patterns = field(init=False, repr=False, compare=False)
    _deny: Patterns = field(init=False, repr=False, compare=False)
    _override: dict[str, tuple[IPAddress, int]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be greater than 0")
        if not self.ports or not all(0 < port < 65536 for port in self.ports):
            raise ValueError("ports must name at least one number from 1 to 65535, and only such")
        object.__setattr__(self, "_allow", Patterns.parse(self.allow))
        object.__setattr__(self, "_deny", Patterns.parse(self.deny))
        parsed = {
            parse_host(host).text: _address(value) for host, value in self.resolve_override.items()
        }
        object.__setattr__(self, "_override", parsed)

    def override(self, host: Host) -> tuple[IPAddress, int] | None:
        return self._override.get(host.text)

    def refusal(self, target: Target) -> Reason | None:
        """Say why ``target`` may not even be resolved, or None."""
        host = target.host
        if target.port not in self.ports:
            return Reason.PORT_REFUSED
        if self._deny.matches(host):
            return Reason.HOST_DENIED
        if self.allow and not self._allow.matches(host):
            return Reason.HOST_NOT_ALLOWED
        if host.ip is None and self.override(host) is None and _is_inside(host.text):
            return Reason.HOST_NOT_PUBLIC
        return None

    def address_refusal(self, ip: IPAddress) -> str | None:
        """Say which class of address makes ``ip`` forbidden, or None."""
        return forbidden_reason(ip) or ("denied" if self._deny.covers(ip) else None)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` takes them back."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self) if f.init}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "EgressPolicy":
        known = {f.name for f in fields(cls) if f.init}
        if unknown := sorted(set(data) - known):
            raise ValueError(f"unknown egress settings: {', '.join(unknown)}")
        values: dict[str, Any] = dict(data)
        for name in ("allow", "deny", "ports"):
            if name in values:
                values[name] = tuple(values[name])
        return cls(**values)


def _is_inside(name: str) -> bool:
    return "." not in name or name.endswith(_INSIDE)


def _address(text: str) -> tuple[IPAddress, int]:
    target = parse_authority(text, default_port=None)
    if target.host.ip is None:
        raise ValueError("an override leads to an address and a port")
    return ip_address(target.host.text), target.port


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return list(cast(tuple[object, ...], value))
    return dict(cast(Mapping[str, object], value)) if isinstance(value, Mapping) else value
