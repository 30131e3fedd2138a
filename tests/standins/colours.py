"""The colours by which a robot that sees only pixels tells where it is.

Each stage paints one solid stripe over the whole width of the page's top (``STRIPE_HEIGHT``
pixels), and the buttons that matter have a background that occurs nowhere else. A lossy VNC
encoding may move a channel by a few steps: compare with ``near``.
"""

from enum import Enum
from typing import Final

Rgb = tuple[int, int, int]

STRIPE_HEIGHT: Final = 72


class Stage(Enum):
    """What the page is for; the value is its stripe's colour."""

    LOGIN = (0, 84, 204)
    LOGIN_ERROR = (240, 140, 0)
    LOGIN_ERROR_AGAIN = (240, 60, 140)
    """The second wrong password: tellable from the first, so that nobody types into a page that
    is about to be replaced."""
    CONSENT = (128, 0, 176)
    ERROR = (204, 0, 32)
    SUCCESS = (0, 150, 64)


AUTHORIZE_BUTTON: Final[Rgb] = (0, 176, 200)
DENY_BUTTON: Final[Rgb] = (96, 96, 64)
SUBMIT_BUTTON: Final[Rgb] = (24, 32, 72)


def near(a: Rgb, b: Rgb, tolerance: int = 12) -> bool:
    """True when every channel differs by at most ``tolerance``."""
    return all(abs(x - y) <= tolerance for x, y in zip(a, b, strict=True))


def css(colour: Rgb) -> str:
    return f"rgb({colour[0]}, {colour[1]}, {colour[2]})"
