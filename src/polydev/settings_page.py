"""`docs/settings.md`, written from the settings themselves: ``python -m polydev.settings``."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr

from polydev.settings import Settings

_WORDS: Final[dict[Any, str]] = {
    str: "text",
    SecretStr: "secret text",
    tuple: "list of text",
    dict: "mapping",
}


def _type_name(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(kind))
    if get_origin(kind) in {Union, UnionType}:  # with None; an empty default says that
        (kind,) = (part for part in get_args(kind) if part is not NoneType)
    plain = get_origin(kind) or kind
    return _WORDS.get(plain) or str(plain.__name__)


def describe() -> list[tuple[str, str, str, str]]:
    """Every setting as (environment variable, type, default, description), for the docs."""
    rows: list[tuple[str, str, str, str]] = []

    def walk(model: type[BaseModel], given: BaseModel | None, prefix: str) -> None:
        for name, info in model.model_fields.items():
            kind: Any = info.annotation
            # A section's default may differ from those of its class.
            default: Any = getattr(given, name) if given is not None else info.default
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                walk(kind, default, f"{prefix}{name.upper()}__")
                continue
            empty = info.default_factory is not None or default is None or default == ()
            text = str(default).lower() if isinstance(default, bool) else str(default)
            shown = "" if empty else text
            rows.append((prefix + name.upper(), _type_name(kind), shown, info.description or ""))

    walk(Settings, None, "POLYDEV_")
    return rows


def settings_page() -> str:
    """`docs/settings.md`."""
    lines = [
        "# Settings",
        "",
        "Written by `python -m polydev.settings > docs/settings.md`; do not edit.",
        "",
        "Sources, the first that names a value wins: the environment, a `.env` file in the "
        "working directory, a TOML file (`POLYDEV_CONFIG`, which must then be there, else "
        "`/etc/polydev/polydev.toml` as root and `~/.config/polydev/polydev.toml` otherwise), the "
        "default. In the TOML file the names are small and nested: `POLYDEV_MACHINES__POOL_SIZE` "
        "is `pool_size` in the table `[machines]`. Lists and mappings are JSON in the "
        'environment, for example `POLYDEV_EGRESS__DENY=\'["*.example.com", '
        '"203.0.113.0/24"]\'`. A wrong value, a misspelt name (`POLYDEV_…`) and a file that '
        "cannot be read end the start with what and where it is; nothing has been touched then.",
        "",
        "The command line is a client and has two settings of its own, `POLYDEV_SERVER` and "
        "`POLYDEV_API_KEY`; `polydev init` stores both (see [cli.md](cli.md)).",
        "",
        "| Variable | Type | Default | Meaning |",
        "|---|---|---|---|",
    ]
    for name, kind, default, description in describe():
        cells = (f"`{name}`", kind, f"`{default}`" if default else "", description)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"
