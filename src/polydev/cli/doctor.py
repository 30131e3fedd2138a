"""`polydev doctor`: what this machine has and lacks, and how to mend it."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from polydev.cli.base import Json
from polydev.cli.exits import Exit
from polydev.cli.output import console, print_json, say

if TYPE_CHECKING:
    from polydev.machines.driver import Finding


def add_to(app: typer.Typer) -> None:
    app.command()(doctor)


def doctor(as_json: Json = False) -> None:
    """Check everything that a server on this machine needs, and say how to mend what is missing.

    Changes nothing. Exit code 1 if something that is required is missing.

    Example: polydev doctor
    """
    from polydev.cli.checks import examine

    findings = asyncio.run(examine())
    failed = [f for f in findings if not f.ok and f.required]
    if as_json:
        print_json({"ok": not failed, "findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            _print(finding)
        say("")
        if failed:
            say(f"{len(failed)} of {len(findings)} checks need mending.", style="bold red")
        else:
            say("All that is required is there.", style="bold green")
    if failed:
        raise typer.Exit(int(Exit.FAILED))


def _print(finding: Finding) -> None:
    from rich.text import Text

    from polydev.cli.output import show

    mark, style = ("ok  ", "green") if finding.ok else ("FAIL", "red")
    if not finding.ok and not finding.required:
        mark, style = "note", "yellow"
    line = Text(f"{mark}  ", style=style)
    line.append(f"{finding.check:<18} ", style="default")
    line.append(show(finding.detail), style="default")
    console().print(line, soft_wrap=True)
    if not finding.ok and finding.fix:
        console().print(Text(f"      -> {show(finding.fix)}", style="default"), soft_wrap=True)
