"""Every address of an answer is checked, and only a checked one is connected to."""

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from threading import Thread

import pytest

from polydev.egress import resolver
from polydev.egress.addresses import IPAddress
from polydev.egress.hosts import parse_authority, parse_host
from polydev.egress.policy import EgressPolicy
from polydev.egress.reasons import Refused
from polydev.egress.resolver import DirectDialer, is_own

PUBLIC = "1.2.3.4"


class Answers:
    """A look-up that gives another answer each time, as a rebinding name server does."""

    def __init__(self, *answers: Sequence[str] | Exception) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, name: str) -> Sequence[str]:
        self.asked.append(name)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Record where connections go; each of them fails."""
    seen: list[tuple[str, int]] = []

    async def refuse(ip: IPAddress, port: int) -> socket.socket:
        seen.append((str(ip), port))
        raise ConnectionRefusedError

    monkeypatch.setattr(resolver, "_open", refuse)
    return seen


async def code_of(dialer: DirectDialer, authority: str = "example.com:443") -> str:
    with pytest.raises(Refused) as caught:
        await dialer.dial(parse_authority(authority, default_port=None))
    return caught.value.code


async def test_a_rebinding_name_is_asked_once_and_the_checked_address_is_used(
    dialled: list[tuple[str, int]],
) -> None:
    answers = Answers([PUBLIC], ["127.0.0.1"])
    assert await code_of(DirectDialer(EgressPolicy(), lookup=answers)) == "connect_failed"
    assert answers.asked == ["example.com"]
    assert dialled == [(PUBLIC, 443)]


async def test_the_second_answer_of_a_rebinding_name_is_checked_too(
    dialled: list[tuple[str, int]],
) -> None:
    dialer = DirectDialer(EgressPolicy(), lookup=Answers([PUBLIC], ["127.0.0.1"]))
    assert await code_of(dialer) == "connect_failed"
    assert await code_of(dialer) == "address_loopback"
    assert dialled == [(PUBLIC, 443)]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (["127.0.0.1"], "address_loopback"),
        ([PUBLIC, "10.0.0.1"], "address_private"),
        (["10.0.0.1", PUBLIC], "address_private"),
        ([PUBLIC, "2606:4700::1", "fe80::1%eth0"], "address_zone"),
        (["169.254.169.254"], "address_metadata"),
        (["::ffff:1.2.3.4"], "address_ipv4_mapped"),
        (["64:ff9b::102:304"], "address_nat64"),
        ([], "dns_failed"),
        (["garbage"], "dns_failed"),
    ],
)
async def test_one_forbidden_address_refuses_the_whole_answer(
    answer: list[str], code: str, dialled: list[tuple[str, int]]
) -> None:
    assert await code_of(DirectDialer(EgressPolicy(), lookup=Answers(answer))) == code
    assert dialled == []


async def test_an_address_made_by_dns64_is_passed_over_beside_a_real_one() -> None:
    dialer = DirectDialer(EgressPolicy(), lookup=Answers(["64:ff9b::102:304", PUBLIC]))
    assert await dialer.resolve(parse_host("example.com")) == [ip_address(PUBLIC)]


@pytest.mark.parametrize("authority", ["127.0.0.1:443", "[::1]:80", "[::ffff:9.9.9.9]:443"])
async def test_an_address_is_checked_without_asking_any_resolver(
    authority: str, dialled: list[tuple[str, int]]
) -> None:
    answers = Answers()
    code = await code_of(DirectDialer(EgressPolicy(), lookup=answers), authority)
    assert code.startswith("address_")
    assert answers.asked == dialled == []


async def test_a_denied_network_holds_for_what_a_name_resolves_to() -> None:
    policy = EgressPolicy(deny=("1.2.3.0/24",))
    assert await code_of(DirectDialer(policy, lookup=Answers([PUBLIC]))) == "address_denied"


async def test_a_public_address_of_the_host_itself_is_refused(
    monkeypatch: pytest.MonkeyPatch, dialled: list[tuple[str, int]]
) -> None:
    monkeypatch.setattr(resolver, "is_own", lambda ip: str(ip) == PUBLIC)  # type: ignore[arg-type]
    assert await code_of(DirectDialer(EgressPolicy(), lookup=Answers([PUBLIC]))) == "address_own"
    assert dialled == []


def test_the_kernel_tells_which_addresses_are_the_hosts_own() -> None:
    assert is_own(IPv4Address("127.0.0.1"))
    assert not is_own(IPv4Address("198.51.100.7"))
    assert not is_own(IPv6Address("2001:db8::7"))


async def test_a_resolver_that_fails_or_hangs_is_a_refusal() -> None:
    failing = DirectDialer(EgressPolicy(), lookup=Answers(socket.gaierror(-2, "unknown")))
    assert await code_of(failing) == "dns_failed"

    async def never(name: str) -> Sequence[str]:
        await asyncio.Event().wait()
        return [name]

    hanging = DirectDialer(EgressPolicy(connect_timeout_s=0.02), lookup=never)
    assert await code_of(hanging) == "dns_timeout"


async def test_attempts_alternate_between_families_and_are_bounded(
    dialled: list[tuple[str, int]],
) -> None:
    four = [f"1.2.3.{n}" for n in range(1, 8)]
    six = ["2606:4700::1", "2606:4700::2"]
    await code_of(DirectDialer(EgressPolicy(), lookup=Answers([*four, *six, *four])))
    expected = ["2606:4700::1", "1.2.3.1", "2606:4700::2", "1.2.3.2", "1.2.3.3", "1.2.3.4"]
    assert [ip for ip, _ in dialled] == expected


async def test_a_silent_address_does_not_hold_up_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left, right = socket.socketpair()
    cancelled = asyncio.Event()

    async def open_one(ip: IPAddress, port: int) -> socket.socket:
        if ip.version == 4:
            left.setblocking(False)
            return left
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    monkeypatch.setattr(resolver, "_open", open_one)
    monkeypatch.setattr(resolver, "_STAGGER_S", 0.01)
    sock, ip = await resolver._first_connected(
        [ip_address("2606:4700::1"), ip_address(PUBLIC)], 443
    )
    with sock, right:
        assert str(ip) == PUBLIC
        assert cancelled.is_set()


async def test_a_host_that_never_accepts_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(ip: IPAddress, port: int) -> socket.socket:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(resolver, "_open", never)
    policy = EgressPolicy(connect_timeout_s=0.02)
    assert await code_of(DirectDialer(policy, lookup=Answers([PUBLIC]))) == "connect_timeout"


async def test_the_systems_resolver_is_asked_for_absolute_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def getaddrinfo(name: str, port: object, **_: object) -> list[tuple[object, ...]]:
        asked.append(name)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    dialer = DirectDialer(EgressPolicy())
    assert await code_of(dialer) == "address_loopback"
    assert asked == ["example.com."]


async def test_a_host_without_room_for_a_thread_refuses_and_recovers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start = Thread.start

    def fail(thread: Thread) -> None:
        raise RuntimeError("can't start new thread")

    def answer(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    dialer = DirectDialer(EgressPolicy(connect_timeout_s=60))
    monkeypatch.setattr(Thread, "start", fail)
    for _ in range(3 * resolver._DNS_THREADS):
        assert await code_of(dialer) == "dns_failed"

    monkeypatch.setattr(Thread, "start", start)

    assert await code_of(dialer) == "address_loopback"
