"""Text of programs made fit for a log: no control sequences, no URL queries, no tokens."""

import codecs
import re
from typing import Final

from polydev.domain.text import mask_secrets

MAX_LINE: Final = 2000

_FORWARD: Final = re.compile(r"\x1b\[(\d{0,3})C")
_CONTROL: Final = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # OSC: titles, hyperlinks
    r"|\x1b[PX^_][^\x1b]*\x1b\\"  # DCS, SOS, PM, APC
    r"|\x1b\[[0-?]*[ -/]*[@-~]"  # CSI
    r"|\x1b[ -/]*[0-Z\\^-~]"  # two-character escapes
    r"|\x1b[^\n]?"
    r"|[\x00-\x09\x0b-\x1a\x1c-\x1f\x7f-\x9f]"
)
_UNFINISHED: Final = re.compile(
    r"(?:\x1b(?:\][^\x07\x1b]*\x1b?|\[[0-?]*[ -/]*|[PX^_][^\x1b]*\x1b?|[ -/]*)|\r)\Z"
)
_MAX_SEQUENCE: Final = 4096
_URL: Final = re.compile(
    r"\b([a-z][a-z0-9+.\-]{1,20}://)(?:[^\s/@?#]*@)?([^\s?#\"'<>]*)([?#]\S*)?", re.I
)
_NAMED: Final = re.compile(
    r"\b((?:[a-z]+[_\-])*(?:token|secret|password|passwd|state|challenge|verifier|nonce|api[_\-]?key)"
    r"[\"']?\s*[=:]\s*[\"']?|code=)[^\s\"'&,]{6,}",
    re.I,
)


def strip_controls(text: str) -> str:
    """Remove terminal control sequences; a carriage return becomes a line end.

    "Cursor forward" becomes spaces: some tools move instead of printing them.
    """
    text = _FORWARD.sub(lambda m: " " * int(m[1] or 1), text)
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " "))


def redact(line: str) -> str:
    """One line without anything that could be a credential: rather too little is left of it."""
    line = _URL.sub(lambda m: m[1] + m[2] + ("?***" if m[3] else ""), line[:MAX_LINE])
    return mask_secrets(_NAMED.sub(lambda m: f"{m[1]}***", line))


def clean(line: str) -> str:
    return redact(strip_controls(line).replace("\n", " ")).rstrip()


class LineSplitter:
    """Cuts a byte stream into lines, bounding what it holds when no line end comes."""

    def __init__(self, max_held: int = 16_384) -> None:
        self._held = b""
        self._max_held = max_held

    def feed(self, data: bytes) -> list[str]:
        *lines, self._held = (self._held + data).replace(b"\r\n", b"\n").split(b"\n")
        if len(self._held) > self._max_held:
            lines.append(self._held)
            self._held = b""
        return [line.decode("utf-8", "replace") for line in lines]

    def rest(self) -> list[str]:
        held, self._held = self._held, b""
        return [held.decode("utf-8", "replace")] if held else []


class ControlStripper:
    """`strip_controls` for a stream: a sequence or character cut in two is put together again."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def feed(self, data: bytes) -> str:
        text = self._held + self._decoder.decode(data)
        self._held = ""
        cut = _UNFINISHED.search(text)
        if cut is not None and len(text) - cut.start() < _MAX_SEQUENCE:
            text, self._held = text[: cut.start()], text[cut.start() :]
        return strip_controls(text)
