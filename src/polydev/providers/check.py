"""Reads a provider's file and explains what is wrong with it, with line and field."""

import difflib
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from polydev.providers.locate import holds, position, syntax_error_position
from polydev.providers.schema import Provider

MAX_FILE_BYTES: Final = 256 * 1024

Loc = tuple[str | int, ...]


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
    name = str(path)
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
        if len(raw) > MAX_FILE_BYTES:
            raise _one(name, f"is larger than {MAX_FILE_BYTES} bytes")
        text = raw.decode("utf-8")
    except OSError as error:
        raise _one(name, f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise _one(name, "is not UTF-8 text", line=line) from None
    return parse_provider(text, name)


def parse_provider(text: str, name: str) -> Provider:
    """Check the text of one file; ``name`` stands before each fault."""
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
        faults = [_fault(detail, data, text, name) for detail in details]
    raise ProviderFaults(sorted(faults, key=lambda fault: (fault.line, fault.column)))


def _one(name: str, message: str, *, line: int = 1) -> ProviderFaults:
    return ProviderFaults([Fault(name, line, 1, "", message)])


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
    elif kind == "string_pattern_mismatch":
        message = f"must match {detail.get('ctx', {}).get('pattern', 'its pattern')}"
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
