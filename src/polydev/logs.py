"""Logging: one set-up for our own events and for what libraries say, with secrets masked.

Field names: ``event`` is a dotted name (``session.failed``); ids keep their own names
(``session_id``, ``machine_id``, ``user_id``, ``request_id``). Redaction is a last net, not a
licence: a secret is not passed to a log in the first place.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Collection, Mapping
from typing import IO, Final, Literal, cast

import structlog
from pydantic import SecretBytes, SecretStr
from structlog.typing import EventDict, Processor, WrappedLogger

from polydev.domain.secret import Secret

MASK: Final = "********"

_SECRET_NAME: Final = re.compile(
    r"(token|ticket|cookie|authorization|password|passphrase|secret|credential_bytes)s?$"
    r"|(^|[_.-])(api)?keys?$",
    re.IGNORECASE,
)
_SECRET_TEXT: Final = (
    # Our own keys, links and tickets (`pdk_…`, `pdl_…`, `pdt_…`).
    (re.compile(r"\bpd[a-z]_[A-Za-z0-9_-]{8,}"), MASK),
    (re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\1 {MASK}"),
    # JSON web tokens, which the providers hand out.
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*)?"), MASK),
    # Queries and fragments of URLs: OAuth puts codes, states and even tokens there.
    (re.compile(r"""\b((?:https?|wss?)://[^\s?#"'<>]+)[?#][^\s"'<>]*"""), rf"\1?{MASK}"),
)
_MAX_DEPTH: Final = 6

LogFormat = Literal["auto", "console", "json"]


def redact(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Mask secrets: by type (`Secret`), by a field's name, and by what a text looks like."""
    del logger, method
    return {name: _clean(name, value, 0) for name, value in event.items()}


def redact_text(text: str) -> str:
    """Mask what looks like a secret in free text (a traceback, a library's message)."""
    for pattern, replacement in _SECRET_TEXT:
        text = pattern.sub(replacement, text)
    return text


def _clean(name: object, value: object, depth: int) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    named = isinstance(name, str) and _SECRET_NAME.search(name)
    if named or isinstance(value, Secret | SecretStr | SecretBytes):
        return MASK
    if isinstance(value, bytes | bytearray):
        return f"<{len(value)} bytes>"
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return _clean_items(cast("Collection[object]", value), depth + 1)
    return redact_text(value if isinstance(value, str) else str(value))


def _clean_items(value: Collection[object], depth: int) -> object:
    if depth > _MAX_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return {str(key): _clean(str(key), item, depth) for key, item in items}
    return [_clean(None, item, depth) for item in value]


_SHARED: Final[list[Processor]] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
    # Tracebacks become text here, before `redact`; no renderer may add frames or locals later.
    structlog.processors.format_exc_info,
]


def configure_logging(
    log_format: LogFormat = "auto", level: str = "info", *, stream: IO[str] | None = None
) -> None:
    """Set up logging for the whole process; may be called again (the last call wins).

    Args:
        log_format: ``auto`` is ``console`` when ``stream`` is a terminal, else ``json``.
        level: least level of our own events; libraries are never below ``warning``, except
            uvicorn's start and stop lines.
        stream: where to; standard error by default.
    """
    out = stream or sys.stderr
    console = log_format == "console" or (log_format == "auto" and out.isatty())
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                redact,
                _renderer(console=console, colors=console and out.isatty()),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("polydev").setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error"):
        library = logging.getLogger(name)
        library.handlers[:] = []
        library.propagate = True
        library.setLevel(logging.INFO)
        library.filters[:] = [_not_a_request]
    # Its lines hold query strings; `api.access` writes ours.
    logging.getLogger("uvicorn.access").disabled = True
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _not_a_request(record: logging.LogRecord) -> bool:
    """Keep uvicorn's own life, drop single connections: our access log has those.

    It logs WebSockets' addresses with their queries, and takes a refusal that we answered
    ourselves for an unfinished handshake.
    """
    text = str(record.msg)
    return not ("WebSocket" in text or "handshake" in text or text.startswith("connection "))


def _renderer(*, console: bool, colors: bool) -> Processor:
    if console:
        return structlog.dev.ConsoleRenderer(
            colors=colors, exception_formatter=structlog.dev.plain_traceback
        )
    return structlog.processors.JSONRenderer()
