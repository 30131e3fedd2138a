"""Takes the pictures of the documents: ``.venv/bin/python -m demo.pictures``.

From a real server, with a real tool at a real login page (the stand-in's), so that they show what
there is. Run it again when the dashboard has changed.
"""

import asyncio
import contextlib
import tempfile
from pathlib import Path

from playwright.async_api import Page, async_playwright

from demo.browser import launch
from demo.ending import end_keepers, leave_nothing, remove_folder
from demo.server import polydev_server
from polydev.settings import load_settings
from tests.standins.colours import Stage
from tests.standins.server import StandIn
from tests.standins.viewer import Viewer

FOLDER = Path(__file__).parents[1] / "docs" / "images"
MOST_BYTES = 300_000


async def take() -> None:
    async with contextlib.AsyncExitStack() as undo:
        state_dir = Path(tempfile.mkdtemp(prefix="polydev-"))
        undo.callback(remove_folder, state_dir)
        undo.push_async_callback(end_keepers, state_dir)
        state_dir.chmod(0o711)  # as root, the machines' users pass through it
        for name in ("tools", "node"):
            (state_dir / name).symlink_to(load_settings().state_dir / name)
        stand_in = await undo.enter_async_context(StandIn())
        server = await undo.enter_async_context(polydev_server(stand_in, state_dir))
        client = await undo.enter_async_context(server.client())
        undo.push_async_callback(leave_nothing, client)
        playwright = await undo.enter_async_context(async_playwright())
        browser = await undo.enter_async_context(launch(playwright))
        page = await browser.new_page(viewport={"width": 1440, "height": 900})
        viewer = Viewer(page)

        await page.goto((await client.post("/api/login/link")).json()["url"])
        await page.wait_for_url("**/")
        for provider in ("claude_code", "codex"):
            # The second one's live view is the picture; both make a dashboard worth looking at.
            await page.goto(f"{server.url}/")
            await page.get_by_test_id(f"sign-in-{provider}").click()
            await page.wait_for_url("**/view/*")
            await viewer.wait_for(Stage.LOGIN)
            if provider == "codex":
                await picture(page, "live-view.png")
            await viewer.sign_in(stand_in.person)
            await viewer.authorize()
            await page.get_by_test_id("result").get_by_text(stand_in.person.user).first.wait_for()
        await page.goto(f"{server.url}/")
        await page.get_by_text(stand_in.person.user).nth(1).wait_for()
        await picture(page, "dashboard.png")


async def picture(page: Page, name: str) -> None:
    # Away from what would show a hint, on this page and in the machine's.
    await page.mouse.move(560, 800)
    await page.wait_for_timeout(1000)
    await page.screenshot(path=FOLDER / name, animations="disabled")
    size = (FOLDER / name).stat().st_size
    print(f"{name}: {size} bytes")
    if size > MOST_BYTES:
        raise SystemExit(f"{name} is larger than {MOST_BYTES} bytes")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    asyncio.run(take())
