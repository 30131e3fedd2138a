"""What may reach the person's terminal.

All that comes from a guest is hostile: escape sequences can retitle the window, write the
clipboard, define keys or make the terminal type an answer. Text (`run`, consoles, status) loses
all of them; a shell keeps what screens are made of and loses the rest.
"""

import re
from typing import Final

from polydev.domain.text import clean

_ESC: Final = 0x1B
_CANCEL: Final = (0x18, 0x1A)
"""CAN and SUB end any sequence."""


class TextFilter:
    """`clean` for a stream: a sequence that is cut between two pieces is still seen whole."""

    _OPEN: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b]{0,4096}\x1b?|[ -/]*)?\Z")

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        text = self._held + text
        unfinished = self._OPEN.search(text) or re.search(r"\r\Z", text)
        cut = unfinished.start() if unfinished else len(text)
        self._held = text[cut:]
        return clean(text[:cut], max_chars=max(1, len(text)))

    def rest(self) -> str:
        held, self._held = self._held, ""
        return clean(held)


# OSC numbers that a screen needs: titles, colours and their queries, links, prompt marks. Not
# among them: 52 (clipboard), 1337 and 50 (files, fonts), 9, 99 and 777 (notifications).
_KEPT_OSC: Final = frozenset(
    {"0", "1", "2", "4", "8", "10", "11", "12", "104", "110", "111", "112", "133"}
)
_MAX_STRING: Final = 4096


class ShellFilter:
    """Passes a terminal's bytes on, without the string sequences that reach beyond the screen.

    DCS, APC, PM and SOS go (key definitions, graphics, device answers), and of OSC all but a few
    harmless ones. C1 controls spelled in UTF-8 go too: nothing sends them in good faith.
    """

    def __init__(self) -> None:
        self._state = "text"
        self._string = bytearray()
        self._introducer = 0
        self._lead = False

    def feed(self, data: bytes) -> bytes:
        out = bytearray()
        for byte in data:
            self._step(byte, out)
        return bytes(out)

    def _step(self, byte: int, out: bytearray) -> None:
        if self._state == "text":
            self._text(byte, out)
        elif self._state == "escape":
            self._escape(byte, out)
        else:
            self._in_string(byte, out)

    def _text(self, byte: int, out: bytearray) -> None:
        if self._lead:
            self._lead = False
            if 0x80 <= byte <= 0x9F:
                return  # U+0080 to U+009F
            # Alone it is no UTF-8, and after something dropped it could meet a second half.
            if 0xA0 <= byte <= 0xBF:
                out += bytes((0xC2, byte))
                return
        if byte == _ESC:
            self._state = "escape"
        elif byte == 0xC2:
            self._lead = True
        else:
            out.append(byte)

    def _escape(self, byte: int, out: bytearray) -> None:
        if byte in b"]PX^_":
            self._state = "string"
            self._introducer = byte
            self._string.clear()
            return
        if byte == _ESC:
            return
        if byte < 0x20 or byte == 0x7F:
            # A terminal obeys a control inside a sequence and then goes on with the sequence, so
            # "ESC BEL ]" still begins an OSC. CAN and SUB alone end it.
            if byte in _CANCEL:
                self._state = "text"
            else:
                out.append(byte)
            return
        self._state = "text"
        if byte >= 0x80:
            self._text(byte, out)
        else:
            out += bytes((_ESC, byte))

    def _in_string(self, byte: int, out: bytearray) -> None:
        ended_by_st = self._state == "string_escape" and byte == ord("\\")
        if byte == 0x07 or ended_by_st:
            self._state = "text"
            self._finish(out)
        elif byte in _CANCEL:
            self._state = "text"
        elif self._state == "string_escape":
            self._state = "escape"
            self._escape(byte, out)
        elif byte == _ESC:
            self._state = "string_escape"
        elif len(self._string) <= _MAX_STRING:
            self._string.append(byte)

    def _finish(self, out: bytearray) -> None:
        number, _, rest = bytes(self._string).partition(b";")
        kept = self._introducer == ord("]") and number.decode("latin-1") in _KEPT_OSC
        if kept and len(self._string) <= _MAX_STRING and not _has_control(rest):
            out += b"\x1b]" + self._string + b"\x1b\\"


def _has_control(data: bytes) -> bool:
    return any(byte < 0x20 or byte == 0x7F for byte in data) or b"\xc2\x9c" in data


RESTORE: Final = (
    b"\x1b[?1049l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l"
    b"\x1b[?1004l\x1b[?1l\x1b>\x1b[<u\x1b[?25h\x1b[0m"
)
"""Undoes what a full-screen program may have left: other screen, mouse and paste reports, keypad
and keyboard modes, hidden cursor, colours."""
