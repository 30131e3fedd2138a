"""The tabs of one Chromium, as its debugging pipe tells of them."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Final, cast
from urllib.parse import urlsplit

from polydev.guest.agent.browser.cdp import CdpError, CdpPipe, Params

_SHOWN: Final = ("firstPaint", "firstContentfulPaint", "load")
"""Each means that the person sees the page; a page that draws nothing has only the last."""


@dataclass(slots=True, eq=False)
class Page:
    target: str
    session: str
    frame: str = ""
    loader: str = ""
    url: str = field(default="", repr=False)
    shown: str = ""
    """The loader (one per document) that has painted."""
    world: tuple[str, int] = ("", 0)
    """Loader and execution context of our isolated world."""

    @property
    def host(self) -> str:
        parts = urlsplit(self.url)
        return parts.netloc.rpartition("@")[2] if parts.scheme in ("http", "https") else ""


class Pages:
    """Follows all tabs. ``on_shown`` is called when a document of a tab has first painted."""

    def __init__(self, on_shown: Callable[[Page], None]) -> None:
        self._on_shown = on_shown
        self._cdp: CdpPipe | None = None
        self._by_session: dict[str, Page] = {}
        self._known: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def all(self) -> list[Page]:
        """The tabs, oldest first; the first one is where the login page opens."""
        return list(self._by_session.values())

    async def begin(self, cdp: CdpPipe) -> None:
        self._cdp = cdp
        await cdp.call("Target.setDiscoverTargets", {"discover": True})
        # Chromium tells of the present tabs only once per pipe, and an agent before this one may
        # have been told.
        found = await cdp.call("Target.getTargets")
        for info in cast("list[Params]", found.get("targetInfos", [])):
            self.handle("", "Target.targetCreated", {"targetInfo": info})

    def handle(self, session: str, method: str, params: Params) -> None:
        page = self._by_session.get(session)
        match method, params:
            case "Target.targetCreated", {"targetInfo": {"type": "page", "targetId": str(target)}}:
                self._spawn(self._attach(target))
            case "Target.targetDestroyed", {"targetId": str(target)}:
                for gone in [p for p in self._by_session.values() if p.target == target]:
                    del self._by_session[gone.session]
            case "Page.frameNavigated", {"frame": frame} if page is not None:
                self._navigated(page, cast("Params", frame))
            case "Page.lifecycleEvent", {"name": str(name), "loaderId": str(loader)}:
                if page is not None and name in _SHOWN and params.get("frameId") == page.frame:
                    self._painted(page, loader)
            case _:
                pass

    def _navigated(self, page: Page, frame: Params) -> None:
        if "parentId" in frame:
            return
        page.frame = str(frame.get("id", ""))
        page.loader = str(frame.get("loaderId", ""))
        page.url = str(frame.get("url", ""))

    def _painted(self, page: Page, loader: str) -> None:
        if loader == page.loader and page.shown != loader:
            page.shown = loader
            self._on_shown(page)

    async def _attach(self, target: str) -> None:
        if self._cdp is None or target in self._known:
            return
        self._known.add(target)
        try:
            attached = await self._cdp.call(
                "Target.attachToTarget", {"targetId": target, "flatten": True}
            )
            session = str(attached.get("sessionId", ""))
            page = Page(target, session)
            self._by_session[session] = page
            await self._cdp.call("Page.enable", session=session)
            tree = await self._cdp.call("Page.getFrameTree", session=session)
            if not page.loader:
                self._navigated(page, cast("dict[str, Params]", tree["frameTree"])["frame"])
            # This also tells what the present document has been through before we came.
            await self._cdp.call(
                "Page.setLifecycleEventsEnabled", {"enabled": True}, session=session
            )
        except CdpError:
            return  # closed meanwhile

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
