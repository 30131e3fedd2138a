"""The person's own browser, not the one in the machine: Chromium, driven by Playwright."""

import contextlib
from collections.abc import AsyncIterator

from playwright.async_api import Browser, Playwright

CHROMIUM = "/usr/bin/chromium"
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
]


@contextlib.asynccontextmanager
async def launch(playwright: Playwright) -> AsyncIterator[Browser]:
    """A headless browser, closed at the end. It only ever opens loopback addresses."""
    browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
    try:
        yield browser
    finally:
        await browser.close()
