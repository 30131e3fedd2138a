"""The places that settings come from, looked at before they are believed.

pydantic-settings passes over a misspelt variable, a missing file and a folder in a file's place,
and its own words for the rest name neither the variable nor the file. So each place is read here
first, and what is wrong with it is said as a person needs it: where, what, and what to do.
"""

from __future__ import annotations

import difflib
import json
import os
import stat
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, cast, get_origin

from dotenv import dotenv_values
from pydantic import BaseModel

from polydev.errors import SettingsError

PREFIX: Final = "POLYDEV_"
DOTENV: Final = Path(".env")

CLIENT_NAMES: Final = frozenset({"POLYDEV_SERVER", "POLYDEV_API_KEY", "POLYDEV_CONFIG"})
"""Read by `polydev.cli.profile` and by `config_file`, not by `Settings`."""

_OTHERS: Final = ("POLYDEV_SETUP_", "POLYDEV_TEST_")
"""Those of `scripts/setup.sh` and of the tests."""

_EXAMPLES: Final[dict[Any, str]] = {
    tuple: 'a JSON list of text, such as \'["example.com", "*.example.org"]\'',
    BaseModel: "a JSON mapping of the section's settings; one by one they are simpler",
    dict: 'a JSON mapping of text, such as \'{"example.com": "127.0.0.1:443"}\'',
}


def config_file() -> Path:
    """The TOML file; it need not be there unless ``POLYDEV_CONFIG`` names it."""
    named = os.environ.get("POLYDEV_CONFIG")
    if named:
        return Path(named)
    if os.geteuid() == 0:
        return Path("/etc/polydev/polydev.toml")
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "polydev" / "polydev.toml"


def check_sources(model: type[BaseModel]) -> None:
    """Look at the environment, ``.env`` and the TOML file.

    Raises:
        SettingsError: one line for each thing that is wrong; never a value.
    """
    faults = [
        *_variable_faults(model, os.environ, ""),
        *_dotenv_faults(model),
        *_toml_faults(),
    ]
    if faults:
        raise SettingsError("These settings are wrong:\n  " + "\n  ".join(faults))


def _variable_faults(
    model: type[BaseModel], variables: Mapping[str, str | None], where: str
) -> Iterator[str]:
    known = dict(_variables(model, PREFIX))
    for name, value in variables.items():
        upper = name.upper()
        if not upper.startswith(PREFIX) or upper in CLIENT_NAMES or upper.startswith(_OTHERS):
            continue
        if upper not in known:
            yield f"{name}{where}: there is no such setting{_did_you_mean(upper, known)}"
        elif (example := _EXAMPLES.get(known[upper])) and not _is_json(value, known[upper]):
            yield f"{name}{where}: must be {example}"


def _variables(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, Any]]:
    """Every variable that is read, a whole section's too, with its kind."""
    for name, info in model.model_fields.items():
        variable, kind = prefix + name.upper(), info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield variable, BaseModel
            yield from _variables(kind, f"{variable}__")
        else:
            yield variable, get_origin(kind) or kind


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.7)
    return f"; did you mean {close[0]}?" if close else "; docs/settings.md lists all there are"


def _is_json(value: str | None, kind: type) -> bool:
    try:
        data = cast("object", json.loads(value or ""))
    except (ValueError, RecursionError):
        return False
    return isinstance(data, list if kind is tuple else dict)


def _dotenv_faults(model: type[BaseModel]) -> Iterator[str]:
    file = DOTENV.absolute()
    fault = _unusable(file, missing_is_fine=True)
    if fault is not None:
        yield fault
    elif file.exists():
        try:
            variables = dotenv_values(file, encoding="utf-8")
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            yield f"{file}: is not UTF-8 text (line {line}); save it as UTF-8"
        else:
            yield from _variable_faults(model, variables, f" in {file}")


def _toml_faults() -> Iterator[str]:
    file = config_file()
    named = bool(os.environ.get("POLYDEV_CONFIG"))
    fault = _unusable(file, missing_is_fine=not named)
    if fault is not None:
        yield f"POLYDEV_CONFIG: {fault}" if named else fault
        return
    try:
        tomllib.loads(file.read_bytes().decode("utf-8")) if file.exists() else None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        yield f"{file}: is not UTF-8 text (line {line}); save it as UTF-8"
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        yield f"{file}: is not TOML: {error}"


def _unusable(file: Path, *, missing_is_fine: bool) -> str | None:
    """Why this file cannot be read. The null device is a file without settings."""
    try:
        mode = file.stat().st_mode
    except FileNotFoundError:
        return None if missing_is_fine else f"there is no file {file}"
    except OSError as error:
        return f"{file}: cannot be read ({error.strerror})"
    if not stat.S_ISREG(mode) and str(file) != os.devnull:
        kind = "a folder" if stat.S_ISDIR(mode) else "not a file"
        return f"{file}: is {kind}; it must be a text file, or away"
    return None if os.access(file, os.R_OK) else f"{file}: this user may not read it"
