"""From a host to an open connection, with every address checked before it is used.

A name is resolved once; the addresses that were checked are the ones connected to, as literals.
So there is no second look-up whose answer could differ (DNS rebinding).
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import chain, zip_longest
from threading import Thread
from typing import Final, Protocol

from polydev.egress.addresses import IPAddress
from polydev.egress.hosts import Host, Target
from polydev.egress.policy import EgressPolicy
from polydev.egress.reasons import Reason, Refused

Lookup = Callable[[str], Awaitable[Sequence[str]]]
"""Takes a name, answers addresses as text. Raises OSError when there are none."""

# RFC 8305 asks for 250 ms between attempts; we keep its order (IPv6 first, then alternating).
_STAGGER_S: Final = 0.25
_MAX_ATTEMPTS: Final = 6
_DNS_THREADS: Final = 8
# A DNS64 resolver adds these to the real addresses of a dual-stack host: passed over, not fatal.
_PASSED_OVER: Final = frozenset({"nat64"})


@dataclass(frozen=True, slots=True)
class Connected:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    address: str


class Dialer(Protocol):
    """Opens the way to a target that the policy allows. The seam for an upstream proxy."""

    async def dial(self, target: Target) -> Connected:
        """Raise `Refused` when there is no permitted, working way."""
        ...


class SystemLookup:
    """The host's resolver, on a few daemon threads of its own.

    A hostile guest can ask for names whose servers never answer, and getaddrinfo cannot be
    cancelled. So it gets neither the loop's default threads, which the keeper needs for other
    work, nor an executor, whose threads Python would wait for when the keeper exits.
    """

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(_DNS_THREADS)

    async def __call__(self, name: str) -> Sequence[str]:
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[str]] = loop.create_future()

        def deliver(found: list[str] | OSError) -> None:
            self._free.release()
            if answer.done():
                return  # nobody waits any more
            if isinstance(found, OSError):
                answer.set_exception(found)
            else:
                answer.set_result(found)

        def ask() -> None:
            found = _getaddrinfo(name)
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(deliver, found)

        try:
            Thread(target=ask, name="egress-dns", daemon=True).start()
        except RuntimeError:
            # The host has no room for a thread just now; the next name may have more luck.
            self._free.release()
            raise OSError("no thread for the look-up") from None
        return await answer


def _getaddrinfo(name: str) -> list[str] | OSError:
    try:
        # The dot makes the name absolute: the host's search domains are not the guest's.
        found = socket.getaddrinfo(name + ".", None, type=socket.SOCK_STREAM)
    except OSError as error:
        return error
    except UnicodeError:
        return OSError("not a name")
    return [str(entry[4][0]) for entry in found]


class DirectDialer:
    """Resolves, checks and connects without any intermediary."""

    def __init__(
        self,
        policy: EgressPolicy,
        *,
        lookup: Lookup | None = None,
        read_buffer: int = 256 * 1024,
    ) -> None:
        self._policy = policy
        self._lookup = lookup or SystemLookup()
        self._read_buffer = read_buffer

    async def dial(self, target: Target) -> Connected:
        if (override := self._policy.override(target.host)) is not None:
            return await self._connect([override[0]], override[1])
        return await self._connect(await self.resolve(target.host), target.port)

    async def resolve(self, host: Host) -> list[IPAddress]:
        """Return the permitted addresses of ``host``. One forbidden address refuses them all.

        A name that mixes public and inner addresses is an attack or a mistake; picking the
        public ones would let it become a working one with the next answer's order.
        """
        candidates = [host.ip] if host.ip is not None else await self._ask(host.text)
        allowed: list[IPAddress] = []
        passed_over: Refused | None = None
        for ip in candidates:
            kind = self._policy.address_refusal(ip) or ("own" if is_own(ip) else None)
            if kind is None:
                allowed.append(ip)
                continue
            refusal = Refused(Reason.ADDRESS, kind=kind, address=str(ip))
            if kind not in _PASSED_OVER:
                raise refusal
            passed_over = refusal
        if not allowed:
            raise passed_over or Refused(Reason.DNS_FAILED)
        return _interleaved(allowed)[:_MAX_ATTEMPTS]

    async def _ask(self, name: str) -> list[IPAddress]:
        try:
            async with asyncio.timeout(self._policy.connect_timeout_s):
                answer = await self._lookup(name)
        except TimeoutError:
            raise Refused(Reason.DNS_TIMEOUT) from None
        except OSError:
            raise Refused(Reason.DNS_FAILED) from None
        try:
            return [ip_address(text) for text in dict.fromkeys(answer)]
        except ValueError:
            raise Refused(Reason.DNS_FAILED) from None

    async def _connect(self, addresses: Sequence[IPAddress], port: int) -> Connected:
        try:
            async with asyncio.timeout(self._policy.connect_timeout_s):
                sock, ip = await _first_connected(addresses, port)
        except TimeoutError:
            raise Refused(Reason.CONNECT_TIMEOUT, address=str(addresses[0])) from None
        except OSError:
            raise Refused(Reason.CONNECT_FAILED, address=str(addresses[0])) from None
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader, writer = await asyncio.open_connection(sock=sock, limit=self._read_buffer)
        return Connected(reader, writer, str(ip))


def is_own(ip: IPAddress) -> bool:
    """Tell whether ``ip`` is one of this host's own addresses, public ones included.

    A connection to it would reach the host's services. Connecting a datagram socket sends
    nothing; it only asks the kernel for a route, and to an own address the source is that address.
    """
    try:
        with socket.socket(_family(ip), socket.SOCK_DGRAM) as probe:
            probe.connect((str(ip), 9))
            return ip_address(str(probe.getsockname()[0]).partition("%")[0]) == ip
    except OSError:
        return False  # no route at all, so no way to reach a service there either


async def _first_connected(
    addresses: Sequence[IPAddress], port: int
) -> tuple[socket.socket, IPAddress]:
    """Start an attempt at each address, a little apart; the first to succeed wins."""
    attempts: dict[asyncio.Task[socket.socket], IPAddress] = {}
    winner: asyncio.Task[socket.socket] | None = None
    failure: BaseException = OSError("no address")
    waiting = list(addresses)
    try:
        while winner is None and (waiting or any(not task.done() for task in attempts)):
            if waiting:
                ip = waiting.pop(0)
                attempts[asyncio.create_task(_open(ip, port))] = ip
            running = [task for task in attempts if not task.done()]
            done, _ = await asyncio.wait(
                running,
                timeout=_STAGGER_S if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                if (error := task.exception()) is not None:
                    failure = error
                elif winner is None:
                    winner = task
    finally:
        await _discard([task for task in attempts if task is not winner])
    if winner is None:
        raise failure
    return winner.result(), attempts[winner]


async def _open(ip: IPAddress, port: int) -> socket.socket:
    sock = socket.socket(_family(ip), socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (str(ip), port))
    except BaseException:
        sock.close()
        raise
    return sock


async def _discard(tasks: Sequence[asyncio.Task[socket.socket]]) -> None:
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, socket.socket):
            result.close()


def _family(ip: IPAddress) -> socket.AddressFamily:
    return socket.AF_INET if isinstance(ip, IPv4Address) else socket.AF_INET6


def _interleaved(addresses: Sequence[IPAddress]) -> list[IPAddress]:
    six = [ip for ip in addresses if isinstance(ip, IPv6Address)]
    four = [ip for ip in addresses if isinstance(ip, IPv4Address)]
    return [ip for ip in chain.from_iterable(zip_longest(six, four)) if ip is not None]
