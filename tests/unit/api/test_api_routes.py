"""What the routes answer when all is well."""

from typing import Any

from tests.api_world import ORIGIN, World, cookie_headers


async def test_starting_answers_the_kept_fields(world: World) -> None:
    async with world.client(headers=world.alice.headers) as client:
        answer = await client.post("/api/auth/start", json={"provider": "claude_code"})
    assert answer.status_code == 200
    body = answer.json()
    assert body.keys() == {"success", "sessionId", "provider", "novncURL", "browserIP"}
    assert (body["success"], body["provider"], body["browserIP"]) == (True, "claude_code", None)
    assert world.engine.started == [body["sessionId"]]


async def test_starting_by_cookie_puts_no_token_into_the_address(world: World) -> None:
    headers = await cookie_headers(world, await world.cookie_of(world.alice))
    async with world.client(headers=headers) as client:
        body = (await client.post("/api/auth/start", json={"provider": "claude_code"})).json()
    assert body["novncURL"] == f"{ORIGIN}/view/{body['sessionId']}"


async def test_a_second_start_gives_the_live_session(world: World) -> None:
    async with world.client(headers=world.alice.headers) as client:
        body = (await client.post("/api/auth/start", json={"provider": "codex"})).json()
    assert body["sessionId"] == world.alice.session_id


async def test_the_same_idempotency_key_gives_the_same_session(world: World) -> None:
    headers = {**world.bob.headers, "Idempotency-Key": "retry-1"}
    async with world.client(headers=headers) as client:
        first = (await client.post("/api/auth/start", json={"provider": "claude_code"})).json()
        await world.end_session(first["sessionId"])
        again = (await client.post("/api/auth/start", json={"provider": "claude_code"})).json()
        other = await client.post("/api/auth/start", json={"provider": "gemini_cli"})
    assert again["sessionId"] == first["sessionId"]
    assert "#" not in again["novncURL"], "an ended session needs no link"
    assert other.status_code == 409


async def test_a_session_shows_its_state_and_where_to_look(world: World) -> None:
    alice = world.alice
    async with world.client(headers=alice.headers) as client:
        body = (await client.get(f"/api/auth/session/{alice.session_id}")).json()
        await world.end_session(alice.session_id)
        ended = (await client.get(f"/api/auth/session/{alice.session_id}")).json()
    assert body["state"] == "awaiting_user"
    assert body["novncURL"] == f"{ORIGIN}/view/{alice.session_id}"
    assert ended["state"] == "cancelled"
    assert ended["novncURL"] is None
    assert ended["machineGoneAt"].endswith("Z")


async def test_sessions_are_listed_by_pages(world: World) -> None:
    async with world.client(headers=world.alice.headers) as client:
        await client.post("/api/auth/start", json={"provider": "claude_code"})
        await client.post("/api/auth/start", json={"provider": "gemini_cli"})
        first = (await client.get("/api/auth/sessions", params={"limit": 2})).json()
        rest = (await client.get("/api/auth/sessions", params={"after": first["next"]})).json()
        waiting = (
            await client.get(
                "/api/auth/sessions", params={"state": "awaiting_user", "provider": "codex"}
            )
        ).json()
    names = [session["provider"] for session in first["sessions"] + rest["sessions"]]
    assert names == ["gemini_cli", "claude_code", "codex"]
    assert rest["next"] is None
    assert [session["provider"] for session in waiting["sessions"]] == ["codex"]


async def test_events_are_listed_after_a_number(world: World) -> None:
    path = f"/api/auth/session/{world.alice.session_id}/events"
    async with world.client(headers=world.alice.headers) as client:
        events = (await client.get(path)).json()["events"]
        later = (await client.get(path, params={"after": events[0]["seq"]})).json()["events"]
    assert [event["data"]["state"] for event in events][-1] == "awaiting_user"
    assert later == events[1:]


async def test_a_ticket_is_for_a_live_session_only(world: World) -> None:
    path = f"/api/auth/session/{world.alice.session_id}/ticket"
    async with world.client(headers=world.alice.headers) as client:
        ticket = (await client.post(path)).json()
        await world.end_session(world.alice.session_id)
        ended = await client.post(path)
    assert ticket["websocketPath"] == f"/api/stream/{world.alice.session_id}/vnc"
    assert ticket["ticket"] not in ticket["websocketPath"]
    assert ended.status_code == 409


async def test_an_admin_reads_anybodys_console_but_not_their_session(world: World) -> None:
    path = f"/api/auth/session/{world.alice.session_id}"
    async with world.client(headers=world.admin.headers) as client:
        console = await client.get(f"{path}/console")
        session = await client.get(path)
    assert console.json()["machineId"] == world.alice.machine_id
    assert "\x1b" not in console.json()["text"]
    assert session.status_code == 404


async def test_tools_show_the_credential_and_the_live_session(world: World) -> None:
    async with world.client(headers=world.alice.headers) as client:
        tools = (await client.get("/api/tools")).json()["tools"]
    by_name: dict[str, Any] = {tool["provider"]: tool for tool in tools}
    assert by_name.keys() >= {"codex", "claude_code", "gemini_cli"}
    assert by_name["codex"]["liveSessionId"] == world.alice.session_id
    assert by_name["codex"]["credential"]["account"] == "alice@example.test"
    assert by_name["codex"]["installed"] is False
    assert by_name["claude_code"]["credential"] is None
    assert by_name["claude_code"]["termsUrl"].startswith("https://")


async def test_credentials_and_receipts_are_shown_without_content(world: World) -> None:
    alice = world.alice
    async with world.client(headers=alice.headers) as client:
        listed = (await client.get("/api/credentials")).json()["credentials"]
        one = (await client.get(f"/api/credentials/{alice.credential_id}")).json()
        receipts = (await client.get("/api/receipts")).json()["receipts"]
        receipt = (await client.get(f"/api/receipts/{alice.receipt_id}")).json()
    assert listed == [one]
    assert one["machineId"] == alice.cli_machine_id
    assert receipts == [receipt]
    assert receipt["files"] == [{"path": ".codex/auth.json", "size": 2, "mode": "0600"}]
    assert receipt["browserMachineId"] == alice.machine_id


async def test_an_admin_sees_whose_machines_they_are_and_those_that_are_gone(world: World) -> None:
    alice = world.alice
    async with world.client(headers=world.admin.headers) as client:
        for machine in (await client.get("/api/machines?scope=all")).json()["machines"]:
            if machine["machineId"] == alice.machine_id:
                assert machine["userName"] == "alice"
                assert machine["sessionId"] == alice.session_id
        assert (await client.get("/api/machines?scope=gone")).json()["machines"] == []
        await client.delete(f"/api/machines/{alice.cli_machine_id}")
        gone = (await client.get("/api/machines?scope=gone")).json()["machines"]
        console = await client.get(f"/api/machines/{alice.cli_machine_id}/console")
        refused = await client.get("/api/machines?scope=gone", headers=alice.headers)
    assert [(m["machineId"], m["userName"]) for m in gone] == [(alice.cli_machine_id, "alice")]
    assert "hello" in console.json()["text"]
    assert refused.status_code == 403


async def test_machines_are_a_persons_own_unless_an_admin_asks_for_all(world: World) -> None:
    async with world.client() as client:
        own = await client.get("/api/machines", headers=world.alice.headers)
        refused = await client.get("/api/machines?scope=all", headers=world.alice.headers)
        everything = await client.get("/api/machines?scope=all", headers=world.admin.headers)
    assert {machine["machineId"] for machine in own.json()["machines"]} == {
        world.alice.machine_id,
        world.alice.cli_machine_id,
    }
    assert refused.status_code == 403
    assert len(everything.json()["machines"]) == 4


async def test_a_cli_machine_hibernates_and_a_used_browser_machine_is_kept(world: World) -> None:
    alice = world.alice
    async with world.client(headers=alice.headers) as client:
        stopped = await client.post(f"/api/machines/{alice.cli_machine_id}/hibernate")
        used = await client.delete(f"/api/machines/{alice.machine_id}")
        wrong = await client.post(f"/api/machines/{alice.machine_id}/hibernate")
        gone = await client.delete(f"/api/machines/{alice.cli_machine_id}")
        # It would have to boot, and this host makes no machines.
        again = await client.post(f"/api/machines/{alice.cli_machine_id}/resume")
    assert stopped.json()["state"] == "stopped"
    assert (used.status_code, wrong.status_code, gone.status_code) == (409, 409, 204)
    assert again.status_code == 409


async def test_a_new_person_gets_a_key_that_works(world: World) -> None:
    async with world.client() as client:
        made = await client.post("/api/users", json={"name": "carol"}, headers=world.admin.headers)
        key = made.json()["key"]
        me = await client.get("/api/me", headers={"Authorization": f"Bearer {key}"})
        twice = await client.post("/api/users", json={"name": "carol"}, headers=world.admin.headers)
        refused = await client.get("/api/users", headers=world.alice.headers)
        people = await client.get("/api/users", headers=world.admin.headers)
    assert made.status_code == 201
    assert me.json()["user"]["name"] == "carol"
    assert (twice.status_code, refused.status_code) == (409, 403)
    assert [user["name"] for user in people.json()["users"]] == ["alice", "bob", "root", "carol"]


async def test_a_new_key_can_expire(world: World) -> None:
    async with world.client(headers=world.alice.headers) as client:
        made = await client.post("/api/keys", json={"label": "ci", "expiresInDays": 30})
        listed = (await client.get("/api/keys")).json()["keys"]
    assert made.status_code == 201
    assert made.json()["key"].startswith("pdk_")
    assert listed[-1]["expiresAt"] == made.json()["expiresAt"]
    assert "key" not in listed[-1]


async def test_info_names_version_driver_and_pool(world: World) -> None:
    async with world.client(headers=world.alice.headers) as client:
        info = (await client.get("/api/info")).json()
    assert info["driver"] == "sandbox"
    assert (info["poolWarm"], info["poolSize"]) == (0, 1)
