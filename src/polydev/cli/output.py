"""Printing: JSON, tables and lists of fields. All text is cleaned on its way out."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING

from polydev.domain.text import clean

if TYPE_CHECKING:
    from rich.console import Console

_FOLDED = 8
Cell = str | int | bool | datetime | Enum | None


@cache
def console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def print_json(data: object) -> None:
    """Escaped to ASCII, so that no control character of a guest reaches the terminal."""
    sys.stdout.write(json.dumps(data, indent=2, default=str) + "\n")


def print_json_line(data: object) -> None:
    sys.stdout.write(json.dumps(data, default=str) + "\n")
    sys.stdout.flush()


def say(text: str, *, style: str = "") -> None:
    """One or more lines for the person."""
    console().print(clean(text), style=style, soft_wrap=True)


def note(text: str, *, style: str = "") -> None:
    """A remark that is not the answer: to standard error."""
    console(stderr=True).print(clean(text), style=style, soft_wrap=True)


def show(value: Cell) -> str:
    """A value as people read it."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    if isinstance(value, Enum):
        value = str(value.value)
    return " ".join(clean(str(value)).split()) if isinstance(value, str) else str(value)


def table(columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, empty: str) -> None:
    """A plain table; ``empty`` is said when there is nothing in it. Where the terminal is too
    narrow for it, each row is printed field by field."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    shown = [[show(cell) for cell in row] for row in rows]
    if not shown:
        say(empty)
        return
    if not console().is_terminal:
        # For another program: nothing is cut off or wrapped.
        for row in [[column.lower() for column in columns], *shown]:
            sys.stdout.write("\t".join(row) + "\n")
        return
    if _narrowest(columns, shown) > console().width:
        for number, row in enumerate(shown):
            if number:
                console().print()
            fields(zip(columns, row, strict=True))
        return
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        drawn.add_column(column, no_wrap=index == 0, overflow="fold")
    for row in shown:
        drawn.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    console().print(drawn)


def _narrowest(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """Characters that the table needs so that every column can be read; a long word is folded."""
    from rich.cells import cell_len

    total = 0
    for index, column in enumerate(columns):
        cells = [column, *(row[index] for row in rows)]
        # The first column, the name of the row, is never wrapped.
        parts = cells if index == 0 else [word for cell in cells for word in cell.split()]
        widest = max(cell_len(part) for part in parts)
        total += widest if index == 0 else min(widest, _FOLDED)
    return total + 2 * (len(columns) - 1)


def fields(pairs: Iterable[tuple[str, Cell]]) -> None:
    """Names and values, one a line; a value of several lines is indented."""
    from rich.text import Text

    pairs = list(pairs)
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        if isinstance(value, str) and "\n" in value:
            text = clean(value).strip("\n").replace("\n", "\n" + " " * (width + 2))
        else:
            text = show(value)
        line = Text(f"{name:<{width}}  ", style="dim")
        line.append(text, style=_STYLES.get(text, "not dim"))
        console().print(line, soft_wrap=True)


_STYLES = {
    "completed": "green",
    "ready": "green",
    "yes": "green",
    "failed": "red",
    "expired": "red",
    "cancelled": "yellow",
    "awaiting_user": "cyan",
}
