"""A real server, real sandboxes, the real tools, a stand-in for the providers, and a person.

One server and one browser serve all tests that do not harm them.
"""

import asyncio
import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect

from demo.browser import launch
from demo.server import Running, polydev_server
from polydev.providers.catalog import Catalog
from polydev.providers.install import install_tools
from polydev.settings import load_settings
from tests.e2e.world import World
from tests.machines import make_sandbox_driver
from tests.standins.clis import HOST_STATE_DIR
from tests.standins.server import StandIn

STANDINS = Path(__file__).parent.parent / "standins"
E2E = Path(__file__).parent
PATIENCE_MS = 120_000
"""For whatever the dashboard is to show. Playwright's own 5 and 30 s are short for a busy host."""


@contextlib.contextmanager
def fresh_state_dir() -> Iterator[Path]:
    """A state directory with this host's installed tools and the tests' own providers."""
    folder = Path(tempfile.mkdtemp(prefix="polydev-e2e-"))
    folder.chmod(0o711)
    (folder / "providers").mkdir()
    for source in (STANDINS / "acme", E2E / "broken_tools"):
        for file in source.iterdir():
            if file.is_file():
                shutil.copy(file, folder / "providers")
    # The three CLIs are large: hard links to what `polydev providers install` has put there. Its
    # own lock keeps one that runs just now, for another checkout, from changing it under us.
    with (HOST_STATE_DIR / "tools" / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        for name in ("tools", "node"):
            shutil.copytree(
                HOST_STATE_DIR / name,
                folder / name,
                symlinks=True,
                copy_function=_link,
                dirs_exist_ok=True,
            )
    settings = load_settings(state_dir=folder)
    catalog = Catalog.load(settings)
    own = [entry for entry in catalog.entries() if catalog.installed(entry.provider.name) is None]
    install_tools(own, folder, lambda _: None)
    try:
        yield folder
    finally:
        asyncio.run(_destroy_all(folder))
        shutil.rmtree(folder, ignore_errors=True)


async def _destroy_all(state_dir: Path) -> None:
    """A test that failed may have left machines; their state directory is about to go."""
    driver = make_sandbox_driver(state_dir)
    for leftover in await driver.leftovers(frozenset()):
        await driver.remove_leftover(leftover)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


@pytest.fixture(scope="session")
def shared_state_dir() -> Iterator[Path]:
    with fresh_state_dir() as folder:
        yield folder


@pytest.fixture
def own_state_dir() -> Iterator[Path]:
    with fresh_state_dir() as folder:
        yield folder


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stand_in() -> AsyncIterator[StandIn]:
    async with StandIn() as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server(stand_in: StandIn, shared_state_dir: Path) -> AsyncIterator[Running]:
    async with polydev_server(
        stand_in,
        shared_state_dir,
        settings={
            "POLYDEV_TIMEOUTS__LOGIN_URL": "120",
            "POLYDEV_MACHINES__POOL_SIZE": "1",
            "POLYDEV_LOG_LEVEL": "debug",
        },
    ) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    expect.set_options(timeout=PATIENCE_MS)
    async with async_playwright() as playwright, launch(playwright) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def client(server: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with server.client() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> AsyncIterator[Page]:
    context = await browser.new_context(viewport={"width": 1680, "height": 1000})
    context.set_default_timeout(PATIENCE_MS)
    page = await context.new_page()
    yield page
    folder = os.environ.get("POLYDEV_TEST_SCREENSHOTS")
    if folder:  # what the person saw last, for whoever looks into a failure
        await page.screenshot(path=Path(folder) / "last.png")
    await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def world(
    server: Running, stand_in: StandIn, client: httpx.AsyncClient, page: Page
) -> AsyncIterator[World]:
    """Everything at once; what a test leaves live is cancelled."""
    box = World(server, stand_in, client, page)
    yield box
    await box.cancel_all()
