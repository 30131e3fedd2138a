"""Reads a provider's file and explains what is wrong with it, with line and field."""

import difflib
import json
import os
import stat
import tomllib
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Final, Union, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from polydev.providers.locate import holds, lookup, position, syntax_error_position
from polydev.providers.schema import FILE_MODE, NO_NUL, PRIVATE_MODE, Provider

MAX_FILE_BYTES: Final = 256 * 1024

Loc = tuple[str | int, ...]

PLAIN_WORDS: Final = {
    "bool_type": "must be true or false, without quotes",
    "dict_type": "must be a table",
    "greater_than_equal": "must be at least {ge}",
    "int_type": "must be a whole number, without quotes",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "model_attributes_type": "must be a table",
    "model_type": "must be a table",
    "string_pattern_mismatch": "must match {pattern}",
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must not be empty",
    "string_type": "must be text, in quotes",
    "too_long": "must have at most {max_length} items",
    "too_short": "must have at least one item",
    "tuple_type": "must be a list, in square brackets",
}
"""Pydantic's kinds of error, for somebody who writes TOML. Never the value."""

_OF_PATTERNS: Final = {
    NO_NUL: "must not hold the character NUL",
    FILE_MODE: "must be a mode in octal, such as '0644'",
    PRIVATE_MODE: "must be a mode in octal that leaves others nothing, such as '0600'",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, at a place."""

    file: str
    line: int
    column: int
    field: str
    message: str

    def __str__(self) -> str:
        field = f"{self.field}: " if self.field else ""
        return f"{self.file}:{self.line}:{self.column}: {field}{self.message}"


class ProviderFaults(Exception):
    """A provider's file is wrong; ``faults`` holds all that is wrong with it, in file order."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


def read_provider(path: Path) -> Provider:
    """Read and check one file.

    Raises:
        ProviderFaults: with every fault found.
    """
    return parse_provider(read_text(path), str(path))


def read_text(path: Path) -> str:
    """The text of a provider's file. Raises as `read_provider`."""
    name = str(path)
    try:
        # Not blocking: a pipe put here must not hold up the start.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise _one(name, "is not a regular file")
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise _one(name, f"cannot be read: {error.strerror}") from None
    if len(raw) > MAX_FILE_BYTES:
        raise _one(name, f"is larger than {MAX_FILE_BYTES} bytes")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise _one(name, "is not UTF-8 text", line=line) from None


def parse_provider(text: str, name: str) -> Provider:
    """Check the text of one file; ``name`` stands before each fault. Raises as `read_provider`."""
    try:
        return _parse(text, name)
    except RecursionError:
        raise _one(name, "is nested too deeply") from None
    except ValueError:  # Python takes no number of thousands of digits
        raise _one(name, "holds a number that is too large") from None


def _parse(text: str, name: str) -> Provider:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line, column, message = syntax_error_position(error, text)
        raise ProviderFaults([Fault(name, line, column, "", message)]) from None
    try:
        # Through JSON, because strict validation of JSON takes arrays for tuples and nothing else
        # for anything else. What JSON cannot say (a TOML date) becomes an object and is refused.
        return Provider.model_validate_json(json.dumps(data, default=lambda _: {}))
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        faults = [
            _fault(detail, data, text, name) for detail in details if not _echoes(detail, data)
        ]
    raise ProviderFaults(sorted(faults, key=lambda fault: (fault.line, fault.column)))


def _one(name: str, message: str, *, line: int = 1) -> ProviderFaults:
    return ProviderFaults([Fault(name, line, 1, "", message)])


def _echoes(detail: ErrorDetails, data: dict[str, Any]) -> bool:
    """Of a list with a wrong item Pydantic says, too, that it is too short: it counts the good."""
    if detail["type"] != "too_short":
        return False
    items = lookup(data, _in_file(detail["loc"], data))
    least = int(detail.get("ctx", {}).get("min_length", 0))
    return isinstance(items, list) and len(cast("list[object]", items)) >= least


def _fault(detail: ErrorDetails, data: dict[str, Any], text: str, name: str) -> Fault:
    loc = _in_file(detail["loc"], data)
    message = detail["msg"].removeprefix("Value error, ")
    kind = detail["type"]
    where = loc
    if kind == "missing":
        message = "is missing"
    elif kind == "extra_forbidden":
        message = "is not a known field" + _did_you_mean(loc)
    elif kind == "value_error" and (named := _leading_field(message, loc, data)):
        where, message = named
        loc = where
    elif kind in {"union_tag_invalid", "union_tag_not_found"}:
        loc = (*loc, "kind")
        message = "is missing; " if kind == "union_tag_not_found" else ""
        message += "must be 'npm' or 'script'"
        where = loc
    elif kind in PLAIN_WORDS:
        context = detail.get("ctx", {})
        message = _OF_PATTERNS.get(context.get("pattern", ""), PLAIN_WORDS[kind]).format(**context)
    line, column = position(text, where)
    return Fault(name, line, column, _dotted(loc), message)


def _in_file(loc: Loc, data: dict[str, Any]) -> Loc:
    """Drop the parts that Pydantic adds for a union's variant and for a mapping's key."""
    kept: Loc = ()
    for index, part in enumerate(loc):
        if part == "[key]":
            continue
        last = index == len(loc) - 1
        if last or holds(data, (*kept, part)) or part not in {"npm", "script"}:
            kept = (*kept, part)
    return kept


def _leading_field(message: str, loc: Loc, data: dict[str, Any]) -> tuple[Loc, str] | None:
    """A check of a whole table starts its text with the field that it is about."""
    head, colon, rest = message.partition(": ")
    where = (*loc, *head.split("."))
    if colon and holds(data, where):
        return where, rest
    return None


def _dotted(loc: Loc) -> str:
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _did_you_mean(loc: Loc) -> str:
    known = sorted(_fields_at(loc[:-1]))
    close = difflib.get_close_matches(str(loc[-1]), known, n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known here: {', '.join(known)}" if known else ""


def _fields_at(loc: Loc) -> set[str]:
    """Names of the fields that may stand in the table at ``loc``."""
    models: list[type[BaseModel]] = [Provider]
    for part in loc:
        if isinstance(part, str):
            kinds = [m.model_fields[part].annotation for m in models if part in m.model_fields]
            models = [model for kind in kinds for model in _models_in(kind)]
    return {name for model in models for name in model.model_fields}


def _models_in(kind: Any) -> list[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [kind]
    if get_origin(kind) in {tuple, Union, UnionType}:
        return [model for arg in get_args(kind) for model in _models_in(arg)]
    return []
