"""Clicks done for the person: those that a provider's definition names and that carry no secret.

A click happens only on the step's exact host, on one visible and enabled element, once per login,
and never while the person is at work in the page.
"""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Final, cast

from polydev.guest.agent.browser.cdp import CdpError, CdpPipe, Params
from polydev.guest.agent.browser.pages import Page
from polydev.guest.protocol import AssistStep

IDLE_S: Final = 2.0
_LOOK_EVERY_S: Final = 0.5

_FIND: Final = """((host, selector, text) => {
  if (location.host !== host && location.hostname !== host) return null;
  const fits = (e) => {
    const box = e.getBoundingClientRect(), style = getComputedStyle(e);
    return box.width > 0 && box.height > 0 && style.visibility === 'visible'
      && style.opacity !== '0' && !e.matches(':disabled')
      && e.getAttribute('aria-disabled') !== 'true'
      && (text === null || e.textContent.trim() === text);
  };
  const found = [...document.querySelectorAll(selector)].filter(fits);
  if (found.length !== 1) return null;
  found[0].scrollIntoView({block: 'center', inline: 'center'});
  const box = found[0].getBoundingClientRect();
  const x = box.left + box.width / 2, y = box.top + box.height / 2;
  const hit = document.elementFromPoint(x, y);
  return hit !== null && found[0].contains(hit) ? {x, y} : null;
})"""


class Activity:
    """When the person last typed or clicked, as the host's relay reports it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = float("-inf")

    def touch(self) -> None:
        self._last = self._clock()

    @property
    def idle(self) -> bool:
        return self._clock() - self._last >= IDLE_S


class Assistant:
    """Tries the steps of one login until each is done or the login is over."""

    def __init__(
        self,
        steps: tuple[AssistStep, ...],
        activity: Activity,
        browser: Callable[[], tuple[CdpPipe | None, list[Page]]],
        on_click: Callable[[AssistStep], None],
    ) -> None:
        self._todo = list(steps)
        self._activity = activity
        self._browser = browser
        self._on_click = on_click

    async def run(self) -> None:
        while self._todo:
            await asyncio.sleep(_LOOK_EVERY_S)
            cdp, pages = self._browser()
            if cdp is None or not self._activity.idle:
                continue
            for page in pages:
                if page.shown == page.loader and await self._help_on(cdp, page):
                    break

    async def _help_on(self, cdp: CdpPipe, page: Page) -> bool:
        for step in self._todo:
            if step.host not in (page.host, page.host.rpartition(":")[0] or page.host):
                continue
            try:
                if await self._click(cdp, page, step):
                    self._todo.remove(step)
                    self._on_click(step)
                    return True
            except CdpError:
                continue  # the page went away while we looked
        return False

    async def _click(self, cdp: CdpPipe, page: Page, step: AssistStep) -> bool:
        where = await self._find(cdp, page, step)
        if where is None or not self._activity.idle:
            return False
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            press: Params = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
            await cdp.call(
                "Input.dispatchMouseEvent", {"type": kind, **where, **press}, session=page.session
            )
        return True

    async def _find(self, cdp: CdpPipe, page: Page, step: AssistStep) -> Params | None:
        """The element's middle, found from a world that the page's own scripts cannot reach."""
        if page.world[0] != page.loader:
            world = await cdp.call(
                "Page.createIsolatedWorld",
                {"frameId": page.frame, "worldName": "polydev"},
                session=page.session,
            )
            page.world = (page.loader, cast("int", world["executionContextId"]))
        words = ", ".join(json.dumps(word) for word in (step.host, step.selector, step.text))
        answer = await cdp.call(
            "Runtime.evaluate",
            {
                "expression": f"{_FIND}({words})",
                "contextId": page.world[1],
                "returnByValue": True,
            },
            session=page.session,
        )
        match answer:
            case {"result": {"value": {"x": int() | float() as x, "y": int() | float() as y}}}:
                return {"x": x, "y": y}
            case _:
                return None
