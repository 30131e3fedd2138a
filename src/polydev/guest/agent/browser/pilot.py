"""Drives Chromium for a login: opens the page, says when it shows, brings it back after a crash."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from urllib.parse import urlsplit

from polydev.guest.agent.browser.assist import Activity, Assistant
from polydev.guest.agent.browser.cdp import CdpError, CdpPipe
from polydev.guest.agent.browser.pages import Page, Pages
from polydev.guest.agent.events import EventLog
from polydev.guest.agent.supervisor_link import BrowserPipe
from polydev.guest.agent.urls import is_loopback
from polydev.guest.protocol import AssistStep, EventKind


class BrowserPilot:
    """One for the life of the agent; each Chromium is given to it by `attach`.

    It holds the login's URL and the last page's in memory only: they carry state and codes.
    """

    def __init__(
        self, events: EventLog, on_ready: Callable[[int], None], *, welcome_html: str = ""
    ) -> None:
        self._welcome_html = welcome_html
        self.activity = Activity()
        self.display: str | None = None
        self._events = events
        self._on_ready = on_ready
        self._cdp: CdpPipe | None = None
        self._pages = Pages(self._shown)
        self._generation = 0
        self._ready = asyncio.Event()
        self._wanted: str | None = None
        self._last: str | None = None
        self._announce = False
        self._assist: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def attach(self, pipe: BrowserPipe) -> None:
        """Take over a Chromium that has just been started, or that an earlier agent left."""
        if self._cdp is not None:
            self._cdp.close()
        again = self._generation != 0
        self._generation = pipe.generation
        self.display = pipe.display
        self._ready = asyncio.Event()
        self._pages = pages = Pages(self._shown)
        self._cdp = CdpPipe(pipe.write_fd, pipe.read_fd, pages.handle)
        self._spawn(self._begin(self._cdp, pages, again=again))

    async def open(self, url: str) -> str | None:
        """Show ``url`` in the first tab as the login page, as soon as there is a browser.

        Returns Chromium's name for why it could not be loaded, or None. Raises `CdpError`,
        `TimeoutError`.
        """
        self._wanted = url
        self._last = None
        self._announce = True
        async with asyncio.timeout(20):
            await self._ready.wait()
        return await self._go(url)

    def begin_login(self, steps: tuple[AssistStep, ...]) -> None:
        self.end_login()
        if steps:
            assistant = Assistant(
                steps, self.activity, lambda: (self._cdp, self._pages.all), self._clicked
            )
            self._assist = asyncio.create_task(assistant.run())

    def end_login(self) -> None:
        self._wanted = self._last = None
        self._announce = False
        if self._assist is not None:
            self._assist.cancel()
            self._assist = None

    async def _begin(self, cdp: CdpPipe, pages: Pages, *, again: bool) -> None:
        try:
            await pages.begin(cdp)
            if not again:
                return
            await self._ready.wait()
            url = self._last or self._wanted
            if url is not None:
                await self._go(url)
            self._events.emit(EventKind.BROWSER_RESTARTED, restored=url is not None)
        except CdpError:
            return  # it died again: the next one is on its way

    async def _go(self, url: str) -> str | None:
        pages = self._pages.all
        if self._cdp is None:
            raise CdpError("there is no browser")
        if not pages:
            await self._cdp.call("Target.createTarget", {"url": url})
            return None
        answer = await self._cdp.call("Page.navigate", {"url": url}, session=pages[0].session)
        error = answer.get("errorText")
        return error if isinstance(error, str) and error else None

    async def _welcome(self, page: Page) -> None:
        """Say in the empty first page what this browser is waiting for."""
        if self._cdp is not None:
            with contextlib.suppress(CdpError):
                await self._cdp.call(
                    "Page.setDocumentContent",
                    {"frameId": page.frame, "html": self._welcome_html},
                    session=page.session,
                )

    def _shown(self, page: Page) -> None:
        if not self._ready.is_set():
            self._ready.set()
            self._on_ready(self._generation)
            if page.url.startswith("data:") and self._wanted is None:
                self._spawn(self._welcome(page))
        if not page.host or page is not self._pages.all[0]:
            return
        if self._wanted is not None and not is_loopback(urlsplit(page.url).hostname or ""):
            # A callback on loopback is not kept: to open it again would send its code twice.
            self._last = page.url
        if self._announce:
            self._announce = False
            self._events.emit(EventKind.PAGE_SHOWN, host=page.host)

    def _clicked(self, step: AssistStep) -> None:
        self._events.emit(EventKind.ASSIST_CLICKED, host=step.host)

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
