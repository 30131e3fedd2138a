import json

import pytest

from polydev.egress.hosts import parse_authority
from polydev.egress.policy import EgressPolicy
from polydev.egress.reasons import Reason


def refusal(policy: EgressPolicy, authority: str) -> Reason | None:
    return policy.refusal(parse_authority(authority, default_port=443))


def test_without_lists_every_public_looking_host_may_be_tried() -> None:
    assert refusal(EgressPolicy(), "example.com") is None
    assert refusal(EgressPolicy(), "example.com:80") is None
    assert refusal(EgressPolicy(), "9.9.9.9") is None


@pytest.mark.parametrize("port", [1, 22, 25, 53, 442, 444, 3128, 4000, 8080, 8443, 65535])
def test_only_the_ports_of_the_policy_are_open(port: int) -> None:
    assert refusal(EgressPolicy(), f"example.com:{port}") is Reason.PORT_REFUSED
    assert refusal(EgressPolicy(ports=(port,)), f"example.com:{port}") is None


@pytest.mark.parametrize(
    "name",
    [
        *("localhost", "LOCALHOST.", "intranet", "a.localhost", "printer.local", "x.home.arpa"),
        *("metadata.google.internal", "a.lan", "a.corp", "a.test", "a.invalid", "x.onion"),
    ],
)
def test_names_of_inner_networks_are_not_even_resolved(name: str) -> None:
    assert refusal(EgressPolicy(), name) is Reason.HOST_NOT_PUBLIC


def test_an_allow_list_closes_everything_else() -> None:
    policy = EgressPolicy(allow=("example.com", "*.example.org", "9.9.9.0/24"))
    assert refusal(policy, "EXAMPLE.com.") is None
    assert refusal(policy, "a.b.example.org") is None
    assert refusal(policy, "9.9.9.9") is None
    for other in ("a.example.com", "example.org", "notexample.com", "xexample.org", "8.8.8.8"):
        assert refusal(policy, other) is Reason.HOST_NOT_ALLOWED


def test_the_deny_list_is_stronger_and_its_networks_hold_for_resolved_addresses() -> None:
    policy = EgressPolicy(allow=("*.example.com",), deny=("bad.example.com", "9.9.9.0/24"))
    assert refusal(policy, "bad.example.com") is Reason.HOST_DENIED
    assert refusal(policy, "good.example.com") is None
    assert refusal(policy, "9.9.9.9") is Reason.HOST_DENIED
    ip = parse_authority("9.9.9.9:443", default_port=None).host.ip
    assert ip is not None
    assert policy.address_refusal(ip) == "denied"


def test_an_override_holds_for_exactly_one_host() -> None:
    policy = EgressPolicy(resolve_override={"Auth.Example.com": "127.0.0.1:8443"})
    target = parse_authority("auth.example.com.:443", default_port=None)
    assert policy.override(target.host) is not None
    assert policy.override(parse_authority("x.auth.example.com:1", default_port=1).host) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"allow": ("https://example.com",)},
        {"allow": ("exa mple.com",)},
        {"allow": ("*",)},
        {"deny": ("127.1",)},
        {"deny": ("9.9.9.9/24",)},
        {"ports": ()},
        {"ports": (0,)},
        {"ports": (70000,)},
        {"max_connections": 0},
        {"max_bytes_total": -1},
        {"idle_timeout_s": 0},
        {"resolve_override": {"example.com": "127.0.0.1"}},
        {"resolve_override": {"example.com": "localhost:80"}},
        {"resolve_override": {"127.1": "127.0.0.1:80"}},
    ],
)
def test_a_policy_with_a_mistake_cannot_be_made(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        EgressPolicy(**wrong)  # type: ignore[arg-type]


def test_a_policy_survives_json() -> None:
    policy = EgressPolicy(
        allow=("*.example.com",),
        deny=("bad.example.com",),
        ports=(443,),
        resolve_override={"a.example.com": "[::1]:8443"},
        max_connections=7,
        idle_timeout_s=1.5,
    )
    again = EgressPolicy.from_dict(json.loads(json.dumps(policy.to_dict())))
    assert again == policy
    assert EgressPolicy.from_dict({}) == EgressPolicy()


def test_an_unknown_setting_is_named() -> None:
    with pytest.raises(ValueError, match="max_conections"):
        EgressPolicy.from_dict({"max_conections": 3})
