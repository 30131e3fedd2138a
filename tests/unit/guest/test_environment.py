"""The environment that programs in a machine get."""

from pathlib import Path

import pytest

from polydev.guest.agent.environment import base_environment, program_environment
from polydev.guest.agent.layout import Layout


def test_nothing_is_inherited_and_no_sign_of_a_server_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("CI", "SSH_CONNECTION", "DEBIAN_FRONTEND", "AWS_SECRET", "POLYDEV_KEY"):
        monkeypatch.setenv(name, "1")

    env = program_environment(Layout(), {}, terminal=True, display=":1", url_socket="/x")

    assert not env.keys() & {"CI", "SSH_CONNECTION", "DEBIAN_FRONTEND", "AWS_SECRET", "POLYDEV_KEY"}
    assert (env["DISPLAY"], env["HOME"], env["LANG"]) == (":1", "/home/dev", "C.UTF-8")
    assert env["BROWSER"] == "/opt/polydev/agent/bin/open-url"


def test_the_way_out_is_the_proxy_in_every_spelling() -> None:
    env = base_environment(Layout())

    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        assert env[name] == "http://127.0.0.1:3128"
    assert env["NO_PROXY"] == env["no_proxy"] == "127.0.0.1,localhost,::1"


def test_node_is_told_of_an_extra_ca_only_when_there_is_one(tmp_path: Path) -> None:
    layout = Layout(extra_ca=tmp_path / "extra.pem")
    assert "NODE_EXTRA_CA_CERTS" not in base_environment(layout)

    layout.extra_ca.write_text("x")
    assert base_environment(layout)["NODE_EXTRA_CA_CERTS"] == str(layout.extra_ca)


def test_a_definition_adds_and_wins() -> None:
    env = program_environment(Layout(), {"TERM": "vt100", "ACME": "1"})

    assert (env["TERM"], env["ACME"]) == ("vt100", "1")
    assert "BROWSER" not in env
    assert "DISPLAY" not in env
