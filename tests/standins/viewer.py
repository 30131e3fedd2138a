"""A person at the live view: sees only pixels of the noVNC canvas, types and clicks there.

Used by the browser test and the demo. It knows what a person knows: their user name, their
password, and that the page they are on has a stripe of a certain colour (`colours.Stage`).
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Page
from playwright.async_api import TimeoutError as PlaywrightTimeout

from tests.standins.colours import AUTHORIZE_BUTTON, DENY_BUTTON, Rgb, Stage
from tests.standins.people import Person

# Finds the middle of the patch of a colour, in CSS pixels of the page; null if there is none, or if
# it has not stood still for a moment: a viewer that has just connected resizes the display, and a
# person would not click on what still moves. Every 4th pixel is enough for a stripe or a button.
_FIND = """
([colour, minPixels]) => {
  const canvas = document.querySelector('[data-testid="live-view"] canvas');
  if (!canvas || !canvas.width) return null;
  const { width, height } = canvas;
  const data = canvas.getContext('2d').getImageData(0, 0, width, height).data;
  let n = 0, left = width, right = 0, top = height, bottom = 0;
  for (let y = 0; y < height; y += 4) for (let x = 0; x < width; x += 4) {
    const i = 4 * (y * width + x);
    if (Math.abs(data[i] - colour[0]) < 13 && Math.abs(data[i + 1] - colour[1]) < 13
        && Math.abs(data[i + 2] - colour[2]) < 13) {
      n++;
      left = Math.min(left, x); right = Math.max(right, x);
      top = Math.min(top, y); bottom = Math.max(bottom, y);
    }
  }
  const box = canvas.getBoundingClientRect();
  const place = n * 16 < minPixels ? null
    : [box.left + (left + right) / 2 * box.width / width,
       box.top + (top + bottom) / 2 * box.height / height];
  const now = JSON.stringify([colour, place, width, height]);
  if (window.polydevSeen?.what !== now) window.polydevSeen = { what: now, since: Date.now() };
  return place !== null && Date.now() - window.polydevSeen.since >= 300 ? place : null;
}
"""
_STRIPE_PIXELS = 20_000
_BUTTON_PIXELS = 800


@dataclass(frozen=True)
class Viewer:
    """Looks at, types into and clicks in the live view of ``page``."""

    page: Page
    timeout_s: float = 120.0

    async def wait_for(self, stage: Stage) -> tuple[float, float]:
        """Wait until the page of this stage is on the canvas; returns where its stripe is."""
        return await self._find(stage.value, _STRIPE_PIXELS)

    async def sign_in(
        self, person: Person, *, password: str | None = None, stage: Stage = Stage.LOGIN
    ) -> None:
        """Type user name and password into the login form and send it."""
        await self.wait_for(stage)
        # The page's first field has the focus by itself. A click before typing would make it less
        # sure: on a busy host the browser in the machine handles it after the first keys.
        await self.page.get_by_test_id("live-view").locator("canvas").focus()
        await self.page.keyboard.type(person.user, delay=8)
        await self.page.keyboard.press("Tab")
        await self.page.keyboard.type(password or person.password, delay=8)
        await self.page.keyboard.press("Enter")

    async def authorize(self) -> None:
        await self.wait_for(Stage.CONSENT)
        await self._click(*await self._find(AUTHORIZE_BUTTON, _BUTTON_PIXELS))

    async def deny(self) -> None:
        await self.wait_for(Stage.CONSENT)
        await self._click(*await self._find(DENY_BUTTON, _BUTTON_PIXELS))

    async def _find(self, colour: Rgb, min_pixels: int) -> tuple[float, float]:
        try:
            handle = await self.page.wait_for_function(
                _FIND, arg=[list(colour), min_pixels], polling=100, timeout=self.timeout_s * 1000
            )
        except PlaywrightTimeout:
            folder = os.environ.get("POLYDEV_TEST_SCREENSHOTS")
            if folder:  # what the person saw, for whoever looks into the failure
                await self.page.screenshot(path=Path(folder) / "not-found.png")
            raise
        x, y = json.loads(json.dumps(await handle.json_value()))
        return float(x), float(y)

    async def _click(self, x: float, y: float) -> None:
        await self.page.mouse.move(x, y)
        await self.page.mouse.down()
        await self.page.mouse.up()
