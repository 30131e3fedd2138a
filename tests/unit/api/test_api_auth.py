"""Keys, cookies, CSRF, Origin and Host."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from polydev.store.models import ApiKeyRow, WebLoginRow
from polydev.store.repositories import keys, users, web_logins
from tests.api_world import ORIGIN, World, cookie_headers


async def test_a_valid_key_shows_who_one_is(world: World) -> None:
    async with world.client(headers=world.alice.headers) as client:
        me = (await client.get("/api/me")).json()
    assert me["user"]["name"] == "alice"
    assert me["csrfToken"] is None
    assert me["onlySessionId"] is None


@pytest.mark.parametrize(
    "value",
    ["", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "Bearer pdk_short", "pdk_x", "Bearer é"],
)
async def test_a_malformed_authorization_is_401(world: World, value: str) -> None:
    async with world.client() as client:
        answer = await client.get("/api/me", headers={"Authorization": value.encode()})
    assert answer.status_code == 401
    assert answer.json()["code"] == "not_signed_in"


async def test_an_expired_key_is_401(world: World) -> None:
    async with world.db.transaction() as tx:
        _, secret = await keys.create(
            tx, world.alice.user_id, "old", expires_at=datetime.now(UTC) - timedelta(seconds=1)
        )
    async with world.client(headers={"Authorization": f"Bearer {secret.reveal()}"}) as client:
        assert (await client.get("/api/me")).status_code == 401


async def test_a_revoked_key_is_401(world: World) -> None:
    alice = world.alice
    async with world.client(headers=alice.headers) as client:
        assert (await client.delete(f"/api/keys/{alice.key_id}")).status_code == 204
        assert (await client.get("/api/me")).status_code == 401


async def test_a_disabled_person_is_out_at_once_by_key_and_by_cookie(world: World) -> None:
    alice = world.alice
    cookie = await world.cookie_of(alice)
    async with world.client(headers=world.admin.headers) as client:
        assert (await client.delete(f"/api/users/{alice.user_id}")).status_code == 204
    async with world.client() as client:
        by_key = await client.get("/api/me", headers=alice.headers)
        by_cookie = await client.get("/api/me", headers={"Cookie": f"polydev_session={cookie}"})
    assert (by_key.status_code, by_cookie.status_code) == (401, 401)


async def test_the_last_administrator_cannot_be_disabled(world: World) -> None:
    async with world.client(headers=world.admin.headers) as client:
        answer = await client.delete(f"/api/users/{world.admin.user_id}")
    assert answer.status_code == 409


async def test_an_expired_cookie_is_401(world: World) -> None:
    cookie = await world.cookie_of(world.alice)
    async with world.db.transaction() as tx:
        await tx.execute(
            update(WebLoginRow).values(expires_at=datetime.now(UTC) - timedelta(seconds=1))
        )
    async with world.client(headers={"Cookie": f"polydev_session={cookie}"}) as client:
        assert (await client.get("/api/me")).status_code == 401


async def test_a_link_is_not_a_cookie(world: World) -> None:
    link = await world.link_of(world.alice)
    async with world.client(headers={"Cookie": f"polydev_session={link}"}) as client:
        assert (await client.get("/api/me")).status_code == 401


async def test_a_bad_key_is_not_saved_by_a_good_cookie(world: World) -> None:
    cookie = await world.cookie_of(world.alice)
    headers = {"Cookie": f"polydev_session={cookie}", "Authorization": "Bearer pdk_" + "A" * 43}
    async with world.client(headers=headers) as client:
        assert (await client.get("/api/me")).status_code == 401


async def test_a_keys_last_use_is_remembered(world: World) -> None:
    async with world.client(headers=world.alice.headers) as client:
        listed = (await client.get("/api/keys")).json()["keys"]
    assert listed[0]["lastUsedAt"] is not None
    assert world.alice.key not in str(listed)


async def test_only_a_keys_hash_is_in_the_database(world: World) -> None:
    async with world.db.reading() as tx:
        row = await tx.get(ApiKeyRow, world.alice.key_id)
    assert row is not None
    assert world.alice.key not in str(vars(row))


# Changes by cookie


async def test_a_change_by_cookie_needs_the_csrf_token_and_our_origin(world: World) -> None:
    headers = await cookie_headers(world, await world.cookie_of(world.alice))
    async with world.client(headers=headers) as client:
        assert (await client.post("/api/keys", json={})).status_code == 201


@pytest.mark.parametrize("origin", [None, "null", "", "https://evil.test", "http://127.0.0.1:4001"])
async def test_a_foreign_origin_cannot_change_anything(world: World, origin: str | None) -> None:
    headers = await cookie_headers(world, await world.cookie_of(world.alice))
    del headers["Origin"]
    if origin is not None:
        headers["Origin"] = origin
    async with world.client(headers=headers) as client:
        answer = await client.post("/api/keys", json={})
    assert answer.status_code == 403


@pytest.mark.parametrize("token", [None, "", "0" * 64, "é"])
async def test_a_wrong_csrf_token_cannot_change_anything(world: World, token: str | None) -> None:
    headers = await cookie_headers(world, await world.cookie_of(world.alice))
    del headers["X-CSRF-Token"]
    given = {} if token is None else {"X-CSRF-Token": token.encode()}
    async with world.client(headers=headers) as client:
        answer = await client.delete(f"/api/keys/{world.alice.key_id}", headers=given)
    assert answer.status_code == 403


async def test_one_cookies_csrf_token_does_not_serve_another(world: World) -> None:
    alices = await cookie_headers(world, await world.cookie_of(world.alice))
    bobs = await cookie_headers(world, await world.cookie_of(world.bob))
    async with world.client(headers={**bobs, "X-CSRF-Token": alices["X-CSRF-Token"]}) as client:
        assert (await client.post("/api/keys", json={})).status_code == 403


async def test_a_key_needs_neither_origin_nor_csrf_token(world: World) -> None:
    async with world.client(headers=world.alice.headers) as client:
        assert (await client.post("/api/keys", json={"label": "ci"})).status_code == 201


# Host


@pytest.mark.parametrize("host", ["evil.test", "127.0.0.1.evil.test", "localhost.", "", "[::2]"])
async def test_another_hosts_name_is_refused(world: World, host: str) -> None:
    async with world.client(headers=world.alice.headers) as client:
        answer = await client.get("/api/me", headers={"Host": host})
    assert answer.status_code == 421
    assert answer.json()["code"] == "wrong_host"


@pytest.mark.parametrize("host", ["localhost:4000", "LOCALHOST", "127.0.0.1:1", "[::1]:4000"])
async def test_loopback_names_are_ours(world: World, host: str) -> None:
    async with world.client(headers=world.alice.headers) as client:
        assert (await client.get("/api/me", headers={"Host": host})).status_code == 200


async def test_probes_answer_under_any_name_and_without_a_key(world: World) -> None:
    async with world.client(headers={"Host": "10.0.0.7:4000"}) as client:
        health = await client.get("/health")
        assert health.json().keys() == {"status", "uptime"}
        assert health.json()["status"] == "healthy"
        assert (await client.get("/livez")).status_code == 204
        assert (await client.get("/readyz")).status_code == 204


async def test_metrics_need_an_administrator(world: World) -> None:
    async with world.client() as client:
        assert (await client.get("/metrics")).status_code == 401
        assert (await client.get("/metrics", headers=world.alice.headers)).status_code == 403
        shown = await client.get("/metrics", headers=world.admin.headers)
    assert shown.status_code == 200
    assert 'polydev_http_requests_total{method="GET",route="/metrics",status="401"}' not in (
        shown.text
    ), "no route was reached"
    assert 'polydev_http_requests_total{method="GET",route="/metrics",status="403"}' in shown.text
    assert 'polydev_sessions{reason="",state="awaiting_user"} 2.0' in shown.text


# One-time links


async def test_a_link_signs_a_browser_in_once(world: World) -> None:
    async with world.client() as client:
        made = await client.post("/api/login/link", headers=world.alice.headers)
        url = made.json()["url"]
        assert url.startswith(f"{ORIGIN}/login#token=")
        token = url.partition("#token=")[2]
        first = await client.post(
            "/api/login/redeem", json={"token": token}, headers={"Origin": ORIGIN}
        )
        client.cookies.clear()
        again = await client.post(
            "/api/login/redeem", json={"token": token}, headers={"Origin": ORIGIN}
        )
    assert first.status_code == 200
    cookie = first.headers["set-cookie"]
    for part in ("polydev_session=", "HttpOnly", "SameSite=strict", "Path=/"):
        assert part in cookie
    assert "Secure" not in cookie
    assert first.json()["user"]["name"] == "alice"
    assert len(first.json()["csrfToken"]) == 64
    assert again.status_code == 401
    assert token not in again.text


@pytest.mark.parametrize("origin", [None, "null", "https://evil.test"])
async def test_a_link_is_not_used_up_from_a_foreign_page(world: World, origin: str | None) -> None:
    token = await world.link_of(world.alice)
    headers = {} if origin is None else {"Origin": origin}
    async with world.client() as client:
        refused = await client.post("/api/login/redeem", json={"token": token}, headers=headers)
        assert refused.status_code == 403
        taken = await client.post(
            "/api/login/redeem", json={"token": token}, headers={"Origin": ORIGIN}
        )
        assert taken.status_code == 200


async def test_an_expired_link_and_a_disabled_persons_link_are_refused(world: World) -> None:
    expired, disabled = await world.link_of(world.alice), await world.link_of(world.bob)
    async with world.db.transaction() as tx:
        past = datetime.now(UTC) - timedelta(seconds=1)
        await tx.execute(
            update(WebLoginRow)
            .where(WebLoginRow.user_id == world.alice.user_id)
            .values(expires_at=past)
        )
        await users.disable(tx, world.bob.user_id)
    async with world.client(headers={"Origin": ORIGIN}) as client:
        for token in (expired, disabled):
            answer = await client.post("/api/login/redeem", json={"token": token})
            assert answer.status_code == 401


async def test_a_cookie_cannot_make_a_link(world: World) -> None:
    headers = await cookie_headers(world, await world.cookie_of(world.alice))
    async with world.client(headers=headers) as client:
        assert (await client.post("/api/login/link")).status_code == 403


async def test_logging_out_ends_the_cookie_for_good(world: World) -> None:
    headers = await cookie_headers(world, await world.cookie_of(world.alice))
    async with world.client(headers=headers) as client:
        out = await client.post("/api/logout")
        assert out.status_code == 204
        assert 'polydev_session=""' in out.headers["set-cookie"]
        assert (await client.get("/api/me")).status_code == 401


async def test_a_starts_link_opens_that_session_only(world: World) -> None:
    async with world.client(headers=world.alice.headers) as client:
        started = (await client.post("/api/auth/start", json={"provider": "claude_code"})).json()
    page, _, token = started["novncURL"].partition("#token=")
    assert page == f"{ORIGIN}/view/{started['sessionId']}"
    async with world.client(headers={"Origin": ORIGIN}) as client:
        me = (await client.post("/api/login/redeem", json={"token": token})).json()
        assert me["onlySessionId"] == started["sessionId"]
        csrf = {"X-CSRF-Token": me["csrfToken"]}
        session = f"/api/auth/session/{started['sessionId']}"
        assert (await client.get(session)).status_code == 200
        assert (await client.get(f"{session}/events")).status_code == 200
        assert (await client.post(f"{session}/ticket", headers=csrf)).status_code == 200
        assert (await client.post(f"{session}/heartbeat", headers=csrf)).status_code == 204
        assert (await client.post(f"{session}/cancel", headers=csrf)).status_code == 200
        assert (await client.get("/api/tools")).status_code == 403
        alices_other = f"/api/auth/session/{world.alice.session_id}"
        assert (await client.get(alices_other)).status_code == 404


async def test_a_narrow_link_does_not_narrow_a_wide_sign_in(world: World) -> None:
    cookie = await world.cookie_of(world.alice)
    token = await world.link_of(world.alice, session_id=world.alice.session_id)
    headers = {"Cookie": f"polydev_session={cookie}", "Origin": ORIGIN}
    async with world.client(headers=headers) as client:
        answer = await client.post("/api/login/redeem", json={"token": token})
    assert answer.json()["onlySessionId"] is None
    assert "set-cookie" not in answer.headers
    async with world.db.transaction() as tx:
        assert await web_logins.redeem_link(tx, token) is None, "it is used up all the same"


async def test_an_https_site_has_secure_cookies_and_refuses_its_http_twin(tmp_path_factory) -> None:
    from tests.api_world import peopled_world

    folder = tmp_path_factory.mktemp("https")
    site = "https://polydev.example.test"
    async with peopled_world(folder, api={"public_url": site}) as world:
        token = await world.link_of(world.alice)
        async with world.client(base_url=site) as client:
            twin = await client.post(
                "/api/login/redeem",
                json={"token": token},
                headers={"Origin": site.replace("https", "http")},
            )
            assert twin.status_code == 403
            answer = await client.post(
                "/api/login/redeem", json={"token": token}, headers={"Origin": site}
            )
    assert "Secure" in answer.headers["set-cookie"]
    assert "max-age" in answer.headers["strict-transport-security"]


async def redeem(world: World, link: str, cookie: str | None, **body: bool):
    headers = {"Origin": ORIGIN}
    if cookie is not None:
        headers["Cookie"] = f"polydev_session={cookie}"
    async with world.client(headers=headers) as client:
        return await client.post("/api/login/redeem", json={"token": link, **body})


async def test_a_link_does_not_silently_replace_another_persons_sign_in(world: World) -> None:
    cookie = await world.cookie_of(world.alice)
    link = await world.link_of(world.bob)
    refused = await redeem(world, link, cookie)
    assert (refused.status_code, refused.json()["code"]) == (409, "other_person")
    assert "alice" in refused.json()["detail"]
    assert "bob" in refused.json()["detail"]
    assert "set-cookie" not in refused.headers
    # It is not used up; and whoever means it is signed in, and the other one out.
    meant = await redeem(world, link, cookie, replace=True)
    assert meant.status_code == 200
    assert meant.json()["user"]["name"] == "bob"
    async with world.client(headers={"Cookie": f"polydev_session={cookie}"}) as client:
        assert (await client.get("/api/me")).status_code == 401


async def test_a_new_link_of_the_same_person_ends_the_sign_in_that_it_replaces(
    world: World,
) -> None:
    cookie = await world.cookie_of(world.alice)
    answer = await redeem(world, await world.link_of(world.alice), cookie)
    assert answer.status_code == 200
    async with world.client(headers={"Cookie": f"polydev_session={cookie}"}) as client:
        assert (await client.get("/api/me")).status_code == 401
