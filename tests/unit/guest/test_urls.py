"""Which URLs the login's browser opens."""

import pytest

from polydev.guest.agent.urls import UrlRefused, check_login_url

HOSTS = ("signin.example",)


@pytest.mark.parametrize(
    "url",
    [
        "https://signin.example/a?b=c",
        "https://SignIn.example:443/",
        "http://127.0.0.1:1455/x",
        "http://localhost:80/",
        "http://[::1]:8080/",
    ],
)
def test_the_tools_hosts_and_loopback_are_opened(url: str) -> None:
    check_login_url(url, HOSTS)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "signin.example",
        "http://signin.example/",
        "https://signin.example.evil.example/",
        "https://evil.example/signin.example",
        "https://signin.example@evil.example/",
        "https://ada:x@signin.example/",
        "https://signin.example\\@evil.example/",
        "https://signin.example /",
        "https://signin.example/\n",
        "https://sıgnin.example/",
        "https:///path",
        "https://[::1",
        "https://signin.example:99999/",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "chrome://settings",
        "data:text/html,x",
        "http://127.0.0.1.evil.example/",
        "https://signin.example/" + "a" * 8192,
    ],
)
def test_everything_else_is_refused_without_repeating_the_url(url: str) -> None:
    with pytest.raises(UrlRefused) as refusal:
        check_login_url(url, HOSTS)

    assert not url or url not in str(refusal.value)


def test_without_hosts_any_https_host_is_opened() -> None:
    assert check_login_url("https://anything.example/", ()) == "anything.example"
    with pytest.raises(UrlRefused):
        check_login_url("http://anything.example/", ())
