"""Headers, the dashboard's files, and the OpenAPI page."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from polydev.api.app import bare_app
from polydev.api.dashboard import PAGES, add_dashboard
from polydev.api.openapi import page_text
from polydev.api.security import SecurityHeaders, Sites
from polydev.settings import load_settings
from tests.api_world import World

CSP = "content-security-policy"


async def test_every_answer_carries_the_security_headers(world: World) -> None:
    async with world.client(headers=world.alice.headers) as client:
        for path in ("/api/me", "/api/nothing", "/health", "/", "/nothing"):
            headers = (await client.get(path)).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "no-referrer"
            assert headers["cross-origin-opener-policy"] == "same-origin"
            assert headers["cross-origin-resource-policy"] == "same-origin"
            assert "clipboard-read=(self)" in headers["permissions-policy"]
            assert "frame-ancestors 'none'" in headers[CSP]
            assert headers["cache-control"] == "no-store"
            assert "server" not in headers
            assert "strict-transport-security" not in headers, "this site has no TLS"


async def test_what_a_layer_refuses_carries_them_too(world: World) -> None:
    async with world.client() as client:
        unauthenticated = await client.get("/api/me")
        misdirected = await client.get("/api/me", headers={"Host": "evil.test"})
    for answer in (unauthenticated, misdirected):
        assert "frame-ancestors 'none'" in answer.headers[CSP]
        assert answer.headers["cache-control"] == "no-store"


def dashboard(static: Path) -> httpx.AsyncClient:
    app = FastAPI()
    add_dashboard(app, static)
    app.add_middleware(SecurityHeaders, https=False)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1")


@pytest.fixture
def static(tmp_path: Path) -> Path:
    folder = tmp_path / "static"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text(
        '<meta property="csp-nonce" nonce="__CSP_NONCE__"><script src="/assets/a-1.js"></script>'
    )
    (folder / "assets" / "a-1.js").write_text("1")
    (folder / "favicon.svg").write_text("<svg/>")
    (folder / "secret.py").write_text("x")
    (folder / "link.svg").symlink_to("/etc/passwd")
    return folder


@pytest.mark.parametrize("path", PAGES)
async def test_the_dashboards_addresses_answer_its_page(static: Path, path: str) -> None:
    async with dashboard(static) as client:
        answer = await client.get(re.sub(r"\{\w+\}", "ses_0", path))
    assert answer.status_code == 200
    assert "/assets/a-1.js" in answer.text
    assert answer.headers["cache-control"] == "no-store"


async def test_the_page_gets_a_fresh_nonce_that_its_policy_names(static: Path) -> None:
    async with dashboard(static) as client:
        one, two = await client.get("/"), await client.get("/")
    nonces: list[str] = []
    for answer in (one, two):
        found = re.search(r'nonce="([^"]+)"', answer.text)
        assert found is not None
        assert f"style-src 'self' 'nonce-{found[1]}'" in answer.headers[CSP]
        nonces.append(found[1])
    assert nonces[0] != nonces[1]
    assert "unsafe" not in one.headers[CSP]


async def test_hashed_files_are_cached_for_good_and_others_are_not(static: Path) -> None:
    async with dashboard(static) as client:
        asset = await client.get("/assets/a-1.js")
        icon = await client.get("/favicon.svg")
        missing = await client.get("/assets/b.js")
    assert "immutable" in asset.headers["cache-control"]
    assert "immutable" not in icon.headers["cache-control"]
    assert missing.status_code == 404
    assert "immutable" not in missing.headers.get("cache-control", "")


@pytest.mark.parametrize(
    "path",
    [
        "/secret.py",
        "/link.svg",
        "/nothing.svg",
        "/unknown/page",
        "/assets/../secret.py",
        "/assets/..%2fsecret.py",
        "/..%2f..%2fetc%2fpasswd",
        "/%2e%2e%2fsecret.svg",
        "/a%00.svg",
    ],
)
async def test_nothing_else_is_served(static: Path, path: str) -> None:
    async with dashboard(static) as client:
        answer = await client.get(path)
    assert answer.status_code == 404


async def test_an_address_typed_into_a_browser_that_is_not_there_gets_the_page_that_says_so(
    static: Path,
) -> None:
    async with dashboard(static) as client:
        html = {"Accept": "text/html,*/*;q=0.8"}
        typed = await client.get("/nowhere/at/all", headers=html)
        api = await client.get("/api/nothing", headers=html)
    assert (typed.status_code, api.status_code) == (404, 404)
    assert "/assets/a-1.js" in typed.text
    assert "/assets/a-1.js" not in api.text


@pytest.mark.parametrize("wanted", ["bytes=99999999-", "bytes=a-b", "bytes=0-0"])
@pytest.mark.parametrize("path", ["/assets/a-1.js", "/favicon.svg"])
async def test_a_part_of_a_file_is_answered_with_all_of_it(
    static: Path, path: str, wanted: str
) -> None:
    async with dashboard(static) as client:
        answer = await client.get(path, headers={"Range": wanted})
    assert answer.status_code == 200
    assert answer.text in ("1", "<svg/>")


async def test_a_dashboard_that_is_not_built_says_so(tmp_path: Path) -> None:
    async with dashboard(tmp_path / "nothing") as client:
        answer = await client.get("/machines")
        asset = await client.get("/assets/a.js")
    assert answer.status_code == 404
    assert answer.json()["code"] == "dashboard_not_built"
    assert "npm run build" in answer.json()["detail"]
    assert asset.status_code == 404


def test_a_public_address_decides_which_names_and_origins_are_ours() -> None:
    sites = Sites(load_settings(api={"public_url": "https://polydev.example.test:8443"}))
    host = "polydev.example.test:8443"
    assert sites.host_allowed(host)
    assert sites.origin_allowed(f"https://{host}", host)
    assert sites.origin_allowed("http://localhost:4000", "localhost:4000")
    assert not sites.origin_allowed(f"http://{host}", host)
    assert not sites.origin_allowed("https://polydev.example.test", host)
    assert not sites.origin_allowed("null", host)
    assert not sites.origin_allowed(f"https://{host}", "evil.test")
    assert not sites.origin_allowed(f"https://{host}", None)


# OpenAPI


def test_the_page_is_the_same_at_every_run() -> None:
    assert page_text() == page_text()


def test_the_checked_in_page_is_this_one() -> None:
    file = Path(__file__).parents[3] / "web" / "openapi.json"
    assert file.read_text() == page_text(), (
        "run: python -m polydev.api.openapi > web/openapi.json, and npm run gen in web/"
    )


def test_every_operation_says_its_errors_and_who_may_call_it() -> None:
    paths: dict[str, dict[str, Any]] = bare_app().openapi()["paths"]
    names: list[str] = []
    for path, item in paths.items():
        for operation in item.values():
            names.append(operation["operationId"])
            errors = {status for status in operation["responses"] if status >= "400"}
            assert {"421", "500"} <= errors
            if path.startswith("/api/"):
                assert "401" in errors
            for status in errors - {"503"}:
                content = operation["responses"][status]["content"]
                assert list(content) == ["application/problem+json"]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", name) for name in names)


async def test_the_page_itself_needs_a_sign_in(world: World) -> None:
    async with world.client() as client:
        assert (await client.get("/api/openapi.json")).status_code == 401
        answer = await client.get("/api/openapi.json", headers=world.alice.headers)
    assert answer.json()["info"]["title"] == "Polydev"
