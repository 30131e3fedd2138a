"""Allow- and deny-lists: ``example.com``, ``*.example.com``, an address, or ``203.0.113.0/24``."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_network

from polydev.egress.addresses import IPAddress, IPNetwork
from polydev.egress.hosts import Host, HostInvalid, parse_host


@dataclass(frozen=True, slots=True)
class Patterns:
    """A parsed list. A name matches itself alone; ``*.name`` matches all below it, not itself."""

    names: frozenset[str]
    suffixes: tuple[str, ...]
    networks: tuple[IPNetwork, ...]

    @classmethod
    def parse(cls, entries: Iterable[str]) -> "Patterns":
        names: set[str] = set()
        suffixes: list[str] = []
        networks: list[IPNetwork] = []
        for entry in entries:
            try:
                networks.append(ip_network(entry.strip("[]")))
                continue
            except ValueError:
                pass  # not an address, so it has to be a name
            try:
                host = parse_host(entry.removeprefix("*."))
            except HostInvalid as error:
                raise ValueError(f"{entry!r} is not a host pattern: {error}") from None
            if entry.startswith("*."):
                suffixes.append("." + host.text)
            else:
                names.add(host.text)
        return cls(frozenset(names), tuple(suffixes), tuple(networks))

    def matches(self, host: Host) -> bool:
        if host.ip is not None:
            return self.covers(host.ip)
        return host.text in self.names or host.text.endswith(self.suffixes)

    def covers(self, ip: IPAddress) -> bool:
        return any(ip in network for network in self.networks)
