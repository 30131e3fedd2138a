"""Takes a picture of every page of the built dashboard, in both schemes and two widths.

    python web/dev/screenshots.py OUT_DIR [NAME ...]

Starts `mock.py` and, where TigerVNC is installed, a display with a browser for the live view.
Fails when a page logs an error: a refused style or script, a crash.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from fixtures import RECEIPT, SESSIONS
from playwright.async_api import Page, async_playwright

HERE = Path(__file__).parent
WIDE, PHONE = (1280, 800), (390, 844)
LIVE = f"/view/{SESSIONS['live']}"
# name: path, situation, widths
PAGES: dict[str, tuple[str, str, tuple[tuple[int, int], ...]]] = {
    "tools": ("/", "", (WIDE, PHONE)),
    "tools-empty": ("/", "empty", (WIDE,)),
    "tools-down": ("/", "down", (WIDE,)),
    "tools-loading": ("/", "slow", (WIDE,)),
    "signed-out": ("/", "signedout", (WIDE, PHONE)),
    "spent-link": ("/login#token=invented-invented-invented", "signedout", (WIDE,)),
    "view-live": (LIVE, "", (WIDE, PHONE)),
    "view-single": (LIVE, "single", (WIDE,)),
    "view-pending": (f"/view/{SESSIONS['pending']}", "", (WIDE,)),
    "view-completed": (f"/view/{SESSIONS['completed']}", "", (WIDE, PHONE)),
    "view-failed": (f"/view/{SESSIONS['failed']}", "", (WIDE,)),
    "view-expired": (f"/view/{SESSIONS['expired']}", "", (WIDE,)),
    "sessions": ("/sessions", "", (WIDE, PHONE)),
    "sessions-empty": ("/sessions", "empty", (WIDE,)),
    "session": (f"/sessions/{SESSIONS['failed']}", "", (WIDE, PHONE)),
    "session-unknown": ("/sessions/ses_nothing", "", (WIDE,)),
    "receipts": ("/receipts", "", (WIDE, PHONE)),
    "receipts-empty": ("/receipts", "empty", (WIDE,)),
    "receipt": (f"/receipts/{RECEIPT}", "", (WIDE, PHONE)),
    "machines": ("/machines", "", (WIDE, PHONE)),
    "machines-empty": ("/machines", "empty", (WIDE,)),
    "keys": ("/keys", "", (WIDE, PHONE)),
    "key-new": ("/keys", "", (WIDE,)),
    "key-made": ("/keys", "", (WIDE,)),
    "menu": ("/", "", (PHONE,)),
    "revoke": ("/", "", (WIDE,)),
    "clipboard": (LIVE, "", (WIDE,)),
    "console": ("/admin/machines", "", (WIDE,)),
    "admin-machines": ("/admin/machines", "", (WIDE, PHONE)),
    "admin-gone": ("/admin/machines", "", (WIDE,)),
    "other-person": ("/login#token=invented-invented-invented", "otherperson", (WIDE, PHONE)),
    "admin-users": ("/admin/users", "", (WIDE, PHONE)),
}
EXPECTED_NOISE = ("Failed to load resource",)  # what a 4xx that a page handles leaves in the log


async def act(name: str, page: Page) -> None:
    """Brings a page into the state that its picture is about."""
    if name in ("key-new", "key-made"):
        await page.get_by_role("button", name="New key").click()
        await page.get_by_role("textbox", name="Label").fill("new laptop")
    if name == "key-made":
        await page.get_by_role("button", name="Make the key").click()
        await page.get_by_test_id("secret-once").wait_for()
    if name == "admin-gone":
        await page.get_by_text("Gone", exact=True).click()
    if name == "menu":
        await page.get_by_role("button", name="Navigation").click()
    if name == "revoke":
        await page.get_by_test_id("more-codex").click()
        await page.get_by_role("menuitem", name="Sign out").click()
    if name == "clipboard":
        await page.get_by_test_id("clipboard-text").fill("482 193")
        await page.get_by_test_id("clipboard-send").click()
    if name == "console":
        await page.get_by_role("button", name="More").first.click()
        await page.get_by_role("menuitem", name="Console log").click()
    if name in ("view-live", "view-single", "clipboard"):
        live = page.get_by_test_id("live-view")
        await live.wait_for()
        with contextlib.suppress(Exception):
            await page.locator('[data-status="connected"]').wait_for(timeout=8000)
            await live.locator("canvas").wait_for(timeout=2000)


async def shoot(base: str, out: Path, only: list[str]) -> int:
    faults = 0
    async with async_playwright() as play:
        browser = await play.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
        )
        for scheme in ("light", "dark"):
            for name, (path, mock, widths) in PAGES.items():
                if only and name not in only:
                    continue
                for width, height in widths:
                    context = await browser.new_context(
                        viewport={"width": width, "height": height},
                        color_scheme=scheme,
                        has_touch=width == PHONE[0],
                        is_mobile=width == PHONE[0],
                    )
                    await context.add_cookies([{"name": "mock", "value": mock, "url": base}])
                    page = await context.new_page()
                    said: list[str] = []
                    page.on(
                        "console",
                        lambda m, said=said: said.append(m.text) if m.type == "error" else None,
                    )
                    page.on("pageerror", lambda e, said=said: said.append(str(e)))
                    await page.goto(base + path)
                    await act(name, page)
                    await page.wait_for_timeout(900)  # transitions and fonts, for the picture only
                    wide = await page.evaluate("document.documentElement.scrollWidth")
                    if wide > width:
                        said.append(f"the page is {wide} wide and scrolls sideways")
                    kind = "phone" if width == PHONE[0] else "wide"
                    await page.screenshot(
                        path=out / f"{name}-{kind}-{scheme}.png", full_page=kind == "phone"
                    )
                    for text in said:
                        if not text.startswith(EXPECTED_NOISE):
                            faults += 1
                            sys.stderr.write(f"{name} {kind} {scheme}: {text}\n")
                    await context.close()
        await browser.close()
    return faults


@contextlib.asynccontextmanager
async def program(*argv: str) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        *argv, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def until(path_or_port: Path | int) -> None:
    """Waits until something listens there."""
    while True:
        with contextlib.suppress(OSError):
            if isinstance(path_or_port, Path):
                _, writer = await asyncio.open_unix_connection(path_or_port)
            else:
                _, writer = await asyncio.open_connection("127.0.0.1", path_or_port)
            writer.close()
            return
        await asyncio.sleep(0.05)


async def main() -> int:
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    async with contextlib.AsyncExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        rfb = work / "rfb.sock"
        if shutil.which("Xtigervnc"):
            display = ":83"
            await stack.enter_async_context(
                program(
                    "Xtigervnc",
                    display,
                    "-rfbunixpath",
                    str(rfb),
                    "-rfbport",
                    "-1",
                    "-SecurityTypes",
                    "None",
                    "-geometry",
                    "1280x800",
                    "-nolisten",
                    "tcp",
                )
            )
            await until(rfb)
            await stack.enter_async_context(
                program(
                    "chromium",
                    f"--user-data-dir={work}/profile",
                    "--no-sandbox",
                    "--disable-gpu",
                    "--no-first-run",
                    "--disable-background-networking",
                    "--window-position=0,0",
                    "--disable-component-update",
                    "--disable-sync",
                    "--kiosk",
                    f"--display={display}",
                    f"file://{HERE / 'login.html'}",
                )
            )
        await stack.enter_async_context(
            program(sys.executable, str(HERE / "mock.py"), str(port), str(rfb))
        )
        await until(port)
        return await shoot(f"http://localhost:{port}", out, sys.argv[2:])


if __name__ == "__main__":
    sys.exit(1 if asyncio.run(main()) else 0)
