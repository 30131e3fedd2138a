"""JSON forms of the protocol's messages: one strict decoder and one encoder for all dataclasses.

The other end is hostile on both sides (a guest's answer, a request from whoever reached the
socket), so `decode` checks every type, every enum member and the rules in `_RULES`, and raises
`ProtocolError` whose text starts with the path of the field. Fields that are not known are
ignored, so that a server can be newer or older than a machine that it re-adopts.
"""

import base64
import binascii
import json
import math
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from functools import cache
from typing import Any, Final, TypeVar, cast

from polydev.domain.credential import Bundle, CapturedFile
from polydev.guest.homepath import check_home_path
from polydev.guest.protocol import (
    MAX_BUNDLE_BYTES,
    MAX_BUNDLE_FILES,
    MAX_FILE_BYTES,
    AssistStep,
    ExecRequest,
    LoginPlan,
    MachineConfig,
    ManifestEntry,
    PlannedFile,
    Prompt,
    ProtocolError,
    PtyRequest,
    RemoveRequest,
)

T = TypeVar("T")
_MAX_DEPTH: Final = 40


def loads(raw: bytes | str, where: str = "body") -> object:
    """Parse JSON; the text is never part of the error, as it may hold a credential."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise ProtocolError(f"{where}: is not JSON") from None


def dumps(message: object) -> bytes:
    return json.dumps(encode(message), separators=(",", ":")).encode()


def encode(value: object) -> object:
    """The JSON form of a protocol dataclass, enum, byte string, or container of them."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: encode(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, list | tuple):
        return [encode(item) for item in cast("list[object]", value)]
    if isinstance(value, Mapping):
        return {str(k): encode(v) for k, v in cast("Mapping[object, object]", value).items()}
    return value


def decode(kind: type[T], value: object, where: str = "") -> T:
    """Build a `kind` from parsed JSON, or raise `ProtocolError` naming the first bad field."""
    if not isinstance(value, dict):
        raise ProtocolError(f"{where or 'body'}: must be an object")
    given = cast("dict[str, object]", value)
    hints = _hints(kind)
    values: dict[str, object] = {}
    for f in fields(cast("Any", kind)):
        path = f"{where}.{f.name}" if where else f.name
        if f.name in given:
            values[f.name] = _value(hints[f.name], given[f.name], path)
        elif f.default is MISSING and f.default_factory is MISSING:
            raise ProtocolError(f"{path}: is missing")
    made = kind(**values)
    rule = _RULES.get(kind)
    if rule is not None:
        rule(made, f"{where}." if where else "")
    return made


def decode_list(kind: type[T], value: object, where: str) -> tuple[T, ...]:
    """Like `decode`, for a list of objects."""
    if not isinstance(value, list):
        raise ProtocolError(f"{where}: must be a list")
    items = cast("list[object]", value)
    return tuple(decode(kind, item, f"{where}[{i}]") for i, item in enumerate(items))


def decode_member(kind: type[T], value: object, name: str) -> tuple[T, ...]:
    """The list of `kind` under `name` in an object: the form of most bodies."""
    if not isinstance(value, dict):
        raise ProtocolError("body: must be an object")
    return decode_list(kind, cast("dict[str, object]", value).get(name), name)


def decode_bundle(value: object) -> Bundle:
    """A `{"files": [...]}` body as a `Bundle`, held against the bounds of a bundle.

    Used by the agent on what it is to write and by the host on what a guest says it captured.
    """
    files = decode_member(CapturedFile, value, "files")
    if len(files) > MAX_BUNDLE_FILES:
        raise ProtocolError(f"files: more than {MAX_BUNDLE_FILES} files")
    if sum(len(file.content) for file in files) > MAX_BUNDLE_BYTES:
        raise ProtocolError(f"files: more than {MAX_BUNDLE_BYTES} bytes together")
    seen: set[str] = set()
    for i, file in enumerate(files):
        if file.path in seen:
            raise ProtocolError(f"files[{i}].path: named twice")
        seen.add(file.path)
    return Bundle(files)


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _value(hint: Any, value: object, where: str) -> object:  # noqa: PLR0911 (one arm per type)
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _optional(hint, value, where)
    if origin is tuple:
        return _tuple(hint, value, where)
    if origin is dict:
        return _mapping(hint, value, where)
    if is_dataclass(hint):
        return decode(cast("type[object]", hint), value, where)
    if hint is bytes:
        return _bytes(value, where)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return _member(hint, value, where)
    return _scalar(hint, value, where)


def _optional(hint: Any, value: object, where: str) -> object:
    if value is None:
        return None
    inner = [arm for arm in typing.get_args(hint) if arm is not types.NoneType]
    return _value(inner[0], value, where)


def _tuple(hint: Any, value: object, where: str) -> tuple[object, ...]:
    if not isinstance(value, list):
        raise ProtocolError(f"{where}: must be a list")
    arm = typing.get_args(hint)[0]
    items = cast("list[object]", value)
    return tuple(_value(arm, item, f"{where}[{i}]") for i, item in enumerate(items))


def _mapping(hint: Any, value: object, where: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ProtocolError(f"{where}: must be an object")
    arm = typing.get_args(hint)[1]
    items = cast("dict[str, object]", value).items()
    if arm is object:
        return {key: _plain(item, f"{where}.{key}") for key, item in items}
    return {key: _value(arm, item, f"{where}.{key}") for key, item in items}


def _plain(value: object, where: str, depth: int = 0) -> object:
    """Free-form event data: any JSON, but not nested so deep that a walker would fall over."""
    if depth > _MAX_DEPTH:
        raise ProtocolError(f"{where}: is nested too deep")
    inner: list[object] = []
    if isinstance(value, list):
        inner = cast("list[object]", value)
    elif isinstance(value, dict):
        inner = list(cast("dict[str, object]", value).values())
    for item in inner:
        _plain(item, where, depth + 1)
    return cast("object", value)


def _bytes(value: object, where: str) -> bytes:
    if not isinstance(value, str):
        raise ProtocolError(f"{where}: must be base 64 text")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ProtocolError(f"{where}: is not base 64") from None


def _member(hint: type[StrEnum], value: object, where: str) -> StrEnum:
    try:
        return hint(cast("str", value))
    except ValueError:
        raise ProtocolError(f"{where}: is not one of {', '.join(hint)}") from None


def _scalar(hint: Any, value: object, where: str) -> object:
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value) if abs(value) < 1e18 else math.inf
        if math.isfinite(number):
            return number
    elif hint is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    elif hint in (str, bool) and isinstance(value, hint):
        return cast("object", value)
    raise ProtocolError(f"{where}: must be of type {getattr(hint, '__name__', hint)}")


def _need(ok: bool, where: str, text: str) -> None:
    if not ok:
        raise ProtocolError(f"{where}: {text}")


def _check_program(argv: tuple[str, ...], env: Mapping[str, str], where: str) -> None:
    _need(bool(argv) and bool(argv[0]), f"{where}argv", "must name a program")
    for word in argv:
        _check_word(word, f"{where}argv")
    for name, text in env.items():
        good = re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) is not None
        _need(good, f"{where}env", "has a bad name")
        _check_word(text, f"{where}env.{name}")


def _check_word(text: str, where: str) -> None:
    """What the kernel takes as a word or a path: JSON may hold more."""
    _need("\0" not in text, where, "holds a NUL")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ProtocolError(f"{where}: holds half a character") from None


def _check_mode(mode: int, where: str) -> None:
    _need(0 <= mode <= 0o777, f"{where}mode", "is not a mode of permission bits")
    _need(mode & 0o022 == 0, f"{where}mode", "lets others write")


def _planned(file: PlannedFile, where: str) -> None:
    check_home_path(file.path, f"{where}path")
    _check_mode(file.mode, where)
    _need(len(file.content) <= MAX_FILE_BYTES, f"{where}content", "is too large")


def _manifest(entry: ManifestEntry, where: str) -> None:
    check_home_path(entry.path, f"{where}path")
    _check_mode(entry.mode, where)
    _need(0 < entry.max_bytes <= MAX_FILE_BYTES, f"{where}max_bytes", "is out of range")


def _captured(file: CapturedFile, where: str) -> None:
    check_home_path(file.path, f"{where}path")
    _check_mode(file.mode, where)
    _need(len(file.content) <= MAX_FILE_BYTES, f"{where}content", "is too large")


def _prompt(prompt: Prompt, where: str) -> None:
    _pattern(prompt.pattern, f"{where}pattern")
    _need(0 < prompt.times <= 100, f"{where}times", "is out of range")


def _pattern(pattern: str, where: str) -> None:
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ProtocolError(f"{where}: is not a regular expression ({error})") from None


def _assist(step: AssistStep, where: str) -> None:
    _need(bool(step.host), f"{where}host", "is empty")
    _need(bool(step.selector), f"{where}selector", "is empty")


def _plan(plan: LoginPlan, where: str) -> None:
    _check_program(plan.argv, plan.env, where)
    if plan.denied_pattern is not None:
        _pattern(plan.denied_pattern, f"{where}denied_pattern")
    _need(bool(plan.manifest), f"{where}manifest", "is empty")


def _exec(request: ExecRequest, where: str) -> None:
    _check_program(request.argv, request.env, where)
    _check_word(request.cwd, f"{where}cwd")
    _need(0 < request.timeout_s <= 86_400, f"{where}timeout_s", "is out of range")
    _need(0 < request.max_output_bytes <= 1 << 30, f"{where}max_output_bytes", "is out of range")


def _pty(request: PtyRequest, where: str) -> None:
    _check_program(request.argv, request.env, where)
    _check_word(request.cwd, f"{where}cwd")
    _need(0 < request.columns <= 2000, f"{where}columns", "is out of range")
    _need(0 < request.rows <= 2000, f"{where}rows", "is out of range")


def _remove(request: RemoveRequest, where: str) -> None:
    for i, path in enumerate(request.paths):
        check_home_path(path, f"{where}paths[{i}]")
    for path in request.keys:
        _need(path in request.paths, f"{where}keys.{path}", "is not one of the paths")


def _config(config: MachineConfig, where: str) -> None:
    _need(config.role in ("browser", "cli"), f"{where}role", "is not browser or cli")
    _need(len(config.token) >= 16, f"{where}token", "is too short")
    _need(100 <= config.width <= 8192, f"{where}width", "is out of range")
    _need(100 <= config.height <= 8192, f"{where}height", "is out of range")


_RULES: Final[dict[type, Callable[[Any, str], None]]] = {
    PlannedFile: _planned,
    ManifestEntry: _manifest,
    CapturedFile: _captured,
    Prompt: _prompt,
    AssistStep: _assist,
    LoginPlan: _plan,
    ExecRequest: _exec,
    PtyRequest: _pty,
    RemoveRequest: _remove,
    MachineConfig: _config,
}
