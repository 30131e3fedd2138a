"""`polydev run`: one prompt, put to a signed-in tool in your CLI machine."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from polydev.cli.base import Json, provider_names, with_api
from polydev.cli.exits import Exit
from polydev.errors import InvalidInput

if TYPE_CHECKING:
    from polydev.cli.client import Api


def add_to(app: typer.Typer) -> None:
    app.command()(run)


def run(
    provider: Annotated[str, typer.Argument(help="Which tool.", autocompletion=provider_names)],
    prompt: Annotated[
        str | None,
        typer.Option("--prompt", "-p", help="What to ask; '-' or none: standard input."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Put a prompt to the tool and print its answer as it comes.

    The exit code is the tool's own. Ctrl-C ends the tool as well. With --json: one JSON object a
    line, as the server sends them. Escape sequences are removed.

    Examples:

        polydev run codex -p "Explain this error: ..."

        git diff | polydev run claude_code
    """
    text = _prompt(prompt)
    code = with_api(lambda api: _run(api, provider, text, as_json=as_json))
    raise typer.Exit(code)


def _prompt(given: str | None) -> str:
    if given is not None and given != "-":
        return given
    if given is None and sys.stdin.isatty():
        raise InvalidInput(
            'There is no prompt. Give one with -p "TEXT", or pipe it in.', field="prompt"
        )
    return sys.stdin.read()


async def _run(api: Api, provider: str, prompt: str, *, as_json: bool) -> int:
    from polydev.api.schemas import RunChunk
    from polydev.cli.client import json_lines, parse
    from polydev.cli.failures import Unreachable
    from polydev.cli.output import print_json_line
    from polydev.cli.terminal import TextFilter

    streams = {"out": (sys.stdout, TextFilter()), "err": (sys.stderr, TextFilter())}
    code: int | None = None
    async with api.stream(
        "POST",
        "/api/prompts",
        body={"provider": provider, "prompt": prompt},
        accept="application/x-ndjson",
    ) as response:
        async for data in json_lines(response):
            chunk = parse(RunChunk, data)
            code = chunk.exit if chunk.exit is not None else code
            if as_json:
                print_json_line(data)
            elif chunk.stream is not None and chunk.text is not None:
                out, text = streams[chunk.stream]
                out.write(text.feed(chunk.text))
                out.flush()
    if not as_json:
        for out, text in streams.values():
            out.write(text.rest())
            out.flush()
    if code is None:
        raise Unreachable("The connection broke before the tool had ended.")
    # A tool that was killed has no exit code of its own (the agent says so with a negative one).
    return code if 0 <= code <= 255 else int(Exit.FAILED)
