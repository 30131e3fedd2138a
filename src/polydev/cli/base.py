"""What every command shares: the ``--json`` switch, and running something async."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar, cast

import typer
import typer.core
from typer import TyperException

from polydev.cli.failures import Failure, explain, report
from polydev.errors import InvalidInput

if TYPE_CHECKING:
    from polydev.cli.client import Api

T = TypeVar("T")

_JSON_KEY: Final = "polydev.json"


def _remember_json(context: typer.Context, value: bool) -> bool:
    # Shared with the outermost context, which reports errors.
    context.meta[_JSON_KEY] = value
    return value


Json = Annotated[
    bool,
    typer.Option("--json", help="Print JSON instead of text.", callback=_remember_json),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]


class Group(typer.core.TyperGroup):
    """The outermost group: every error of every command ends here."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (TyperException, typer.Exit, SystemExit):
            raise
        except typer.Abort:
            failure = explain(KeyboardInterrupt())
        except BrokenPipeError:
            # The reader of our output has seen enough (`| head`).
            raise typer.Exit(0) from None
        except (Exception, KeyboardInterrupt) as error:
            failure = _innermost(error)
        report(failure, as_json=bool(ctx.meta.get(_JSON_KEY)))
        raise typer.Exit(int(failure.exit)) from None


def _innermost(error: BaseException) -> Failure:
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return explain(error)


def group(help_text: str) -> typer.Typer:
    """A group of commands, such as `polydev sessions`."""
    return typer.Typer(help=help_text, no_args_is_help=True, rich_markup_mode=None)


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def with_api(work: Callable[[Api], Awaitable[T]]) -> T:
    """Run ``work`` with a connection to the person's server."""
    from polydev.cli.client import Api
    from polydev.cli.profile import load_profile

    async def connected() -> T:
        async with Api(load_profile()) as api:
            return await work(api)

    return asyncio.run(connected())


def provider_names(incomplete: str) -> list[str]:
    """For the shell's completion: the providers that this host knows. Never an error, which would
    stand in the middle of what the person types."""
    from polydev.errors import PolydevError
    from polydev.providers.catalog import Catalog
    from polydev.settings import load_settings

    try:
        names = Catalog.load(load_settings()).names()
    except (PolydevError, OSError):
        return []
    return [name for name in names if name.startswith(incomplete)]


def _has_terminal() -> bool:
    return sys.stdin.isatty()


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something that cannot be undone.

    Raises:
        InvalidInput: there is nobody to ask.
    """
    if yes:
        return
    if not _has_terminal():
        raise InvalidInput(
            f"{question} The answer needs a terminal or --yes; nothing was done.", field="yes"
        )
    typer.confirm(question, abort=True, err=True)
