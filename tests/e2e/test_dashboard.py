"""The dashboard in a real Chromium, where no machine is needed."""

import httpx
import pytest
from playwright.async_api import expect

from tests.e2e.world import World

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]


async def link_of_another(world: World, name: str) -> str:
    """A new person's one-time link, made with that person's own key."""
    made = await world.client.post("/api/users", json={"name": name, "role": "member"})
    headers = {"Authorization": f"Bearer {made.json()['key']}"}
    async with httpx.AsyncClient(base_url=world.server.url, headers=headers) as client:
        return (await client.post("/api/login/link")).json()["url"]


async def test_a_link_of_another_person_asks_before_it_replaces_who_is_signed_in(
    world: World,
) -> None:
    link = await link_of_another(world, "eve")
    await world.open_dashboard()
    menu = world.page.get_by_role("banner")

    await world.page.goto(link)
    await world.page.get_by_role("button", name="Stay signed in").click()
    await expect(menu).to_contain_text("admin")

    # The link is still good; opened again, and meant this time, it is hers.
    await world.page.goto("about:blank")
    await world.page.goto(link)
    await world.page.get_by_test_id("replace-person").click()
    await expect(menu).to_contain_text("eve")
    await expect(menu).not_to_contain_text("admin")


async def test_an_address_that_is_not_there_says_so_in_the_dashboards_own_words(
    world: World,
) -> None:
    await world.open_dashboard()
    answer = await world.page.goto(f"{world.server.url}/nowhere/at/all")
    assert answer is not None
    assert answer.status == 404
    await expect(world.page.get_by_role("main")).to_contain_text("nothing", ignore_case=True)


async def test_an_administrator_finds_the_console_log_of_a_machine_that_is_gone(
    world: World,
) -> None:
    started = await world.start("quits")
    session = await world.until_gone(started["sessionId"])
    await world.open_dashboard("/admin/machines")
    await world.page.get_by_text("Gone", exact=True).click()
    machine = str(session["machineId"])
    # As `shortId` writes it: fewer letters might be found in another machine's row too.
    short = f"{machine[:9]}…{machine[-4:]}"
    await world.page.get_by_role("button", name=f"More about {short}", exact=True).click()
    await world.page.get_by_role("menuitem", name="Console log").click()
    await expect(world.page.get_by_role("dialog")).to_contain_text("login:")
