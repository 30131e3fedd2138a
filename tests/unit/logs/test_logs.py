"""No secret comes through the log, whoever logs it."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from pydantic import SecretStr

from polydev.domain.secret import Secret
from polydev.logs import MASK, configure_logging, redact_text

KEY = "pdk_" + "s3kr3t" * 7


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    root, before = logging.getLogger(), list(logging.getLogger().handlers)
    stream = io.StringIO()
    configure_logging("json", "debug", stream=stream)
    yield stream
    root.handlers[:] = before
    structlog.reset_defaults()


def lines(out: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_fields_named_like_secrets_are_masked(out: io.StringIO) -> None:
    names = (
        "token",
        "access_token",
        "ticket",
        "X-CSRF-Token",
        "cookie",
        "Authorization",
        "password",
        "api_key",
        "apikey",
        "key",
        "client_secret",
        "passphrases",
    )
    structlog.get_logger("polydev.t").info("x", **dict.fromkeys(names, "s3kr3t"))
    line = lines(out)[0]
    assert {line[name] for name in names} == {MASK}


def test_ids_and_ordinary_fields_stay(out: io.StringIO) -> None:
    structlog.get_logger("polydev.t").info(
        "x", key_id="kek_1", session_id="ses_1", keyboard="us", ok=True, n=3, none=None
    )
    line = lines(out)[0]
    assert (line["key_id"], line["session_id"], line["keyboard"]) == ("kek_1", "ses_1", "us")
    assert (line["ok"], line["n"], line["none"]) == (True, 3, None)


def test_secrets_are_masked_by_type_at_any_depth(out: io.StringIO) -> None:
    structlog.get_logger("polydev.t").info(
        "x",
        a=Secret("s3kr3t"),
        b=[{"c": SecretStr("s3kr3t"), "deep": ({"password": "s3kr3t"},)}],
        raw=b"s3kr3t",
    )
    assert "s3kr3t" not in out.getvalue()
    assert lines(out)[0]["raw"] == "<6 bytes>"


def test_our_keys_are_masked_in_any_text_and_in_tracebacks(out: io.StringIO) -> None:
    log = structlog.get_logger("polydev.t")
    log.info(f"said {KEY}", why=f"({KEY})")
    try:
        int(KEY)
    except ValueError:
        log.exception("fault")
    assert "s3kr3t" not in out.getvalue()
    assert "ValueError" in out.getvalue()


def test_what_libraries_log_is_redacted_too(out: io.StringIO) -> None:
    logging.getLogger("somelib").warning("sent %s to %s", KEY, "https://a.test/cb?code=s3kr3t")
    assert "s3kr3t" not in out.getvalue()
    assert "https://a.test/cb" in out.getvalue()


def test_the_servers_library_cannot_log_queries(out: io.StringIO) -> None:
    logging.getLogger("uvicorn.access").info("GET /?token=s3kr3t")
    logging.getLogger("uvicorn.error").info('%s - "WebSocket %s" [accepted]', "a", "/x?t=s3kr3t")
    logging.getLogger("uvicorn.error").info("Started server process")
    assert "s3kr3t" not in out.getvalue()
    assert "Started" in out.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abcdefghijklmnop",
        "pdl_abcdefghijkl pdc_abcdefghijkl pdt_abcdefghijkl",
        "http://127.0.0.1:1455/success?id_token=abcdefghijkl",
        "https://x.test/login#token=abcdefghijkl",
        "eyJabcdefghijkl.eyJabcdefghijkl.abcdefghijkl",
    ],
)
def test_free_text_is_redacted(text: str) -> None:
    assert "abcdefghijkl" not in redact_text(text)


def test_a_console_log_never_shows_frames_locals(out: io.StringIO) -> None:
    configure_logging("console", "info", stream=out)
    password = "s3kr3t"  # noqa: F841 - a local that a rich traceback would print
    try:
        int("boom")
    except ValueError:
        structlog.get_logger("polydev.t").exception("fault")
    assert "boom" in out.getvalue()
    assert "= 's3kr3t'" not in out.getvalue()
