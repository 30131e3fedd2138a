"""The one place where an error becomes a sentence and an exit code. Nobody sees a traceback."""

import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import typer

from polydev.cli.exits import Exit
from polydev.domain.text import clean, mask_secrets
from polydev.errors import (
    Conflict,
    Forbidden,
    NotFound,
    NotSignedIn,
    PolydevError,
    SettingsError,
    TooMany,
    UserError,
    VaultError,
)


class Unreachable(PolydevError):
    """The server gave no answer."""

    code = "unreachable"


class ServerProblem(PolydevError):
    """The server answered with a problem document (RFC 9457)."""

    code = "server_problem"

    def __init__(self, status: int, code: str, person: str, fields: tuple[str, ...] = ()) -> None:
        super().__init__(person)
        self.http_status = status
        self.problem_code = code
        self.fields = fields


class Failed(PolydevError):
    """The command ran and the answer is no."""

    code = "failed"


@contextmanager
def naming(kind: str, given: str) -> Generator[None]:
    """Around a call that has nothing but an id to it: one that is no id at all names nothing, and
    the server's words for that are about its shape."""
    try:
        yield
    except ServerProblem as problem:
        if problem.http_status != 422:
            raise
        raise NotFound(
            f"There is no {kind} {given[:64]!r}. `polydev {kind}s list` shows those there are."
        ) from None


@dataclass(frozen=True, slots=True)
class Failure:
    """What to tell, and how to exit."""

    exit: Exit
    code: str
    text: str


def explain(error: BaseException) -> Failure:
    """Turn any error into what the person is told."""
    if isinstance(error, KeyboardInterrupt):
        return Failure(Exit.INTERRUPTED, "interrupted", "Interrupted.")
    if isinstance(error, ServerProblem):
        return Failure(_exit_of_status(error.http_status), error.problem_code, _problem_text(error))
    if isinstance(error, PolydevError):
        return Failure(_exit_of(error), error.code, error.person)
    if isinstance(error, OSError):
        name = f" ({error.filename})" if isinstance(error.filename, str) else ""
        return Failure(Exit.FAULT, "system", f"The system refused: {error.strerror}{name}.")
    return Failure(
        Exit.FAULT,
        "internal",
        f"Polydev's command line had a fault of its own ({type(error).__name__}: {error}). "
        "Please report it with the command that you ran.",
    )


def report(failure: Failure, *, as_json: bool) -> None:
    """Print it to standard error."""
    text = mask_secrets(clean(failure.text))
    if as_json:
        document = {"code": failure.code, "detail": text, "exit": int(failure.exit)}
        sys.stderr.write(json.dumps(document) + "\n")
    else:
        label = typer.style("Error:", fg="red") if sys.stderr.isatty() else "Error:"
        sys.stderr.write(f"{label} {text}\n")


def _exit_of(error: PolydevError) -> Exit:
    table: tuple[tuple[type[PolydevError] | tuple[type[PolydevError], ...], Exit], ...] = (
        (Failed, Exit.FAILED),
        (Unreachable, Exit.UNREACHABLE),
        # The vault itself speaks here only when a server does not start for its key file's sake.
        ((SettingsError, VaultError), Exit.SETTINGS),
        ((NotSignedIn, Forbidden), Exit.NOT_ALLOWED),
        (NotFound, Exit.NOT_FOUND),
        (TooMany, Exit.TRY_LATER),
        ((Conflict, UserError), Exit.BAD_INPUT),
    )
    return next((code for kind, code in table if isinstance(error, kind)), Exit.FAULT)


def _exit_of_status(status: int) -> Exit:
    if status in {401, 403}:
        return Exit.NOT_ALLOWED
    if status == 404:
        return Exit.NOT_FOUND
    if status in {429, 503}:
        return Exit.TRY_LATER
    return Exit.BAD_INPUT if 400 <= status < 500 else Exit.FAULT


def _problem_text(error: ServerProblem) -> str:
    text = error.person
    if error.http_status == 401:
        text += (
            "\nThe API key is wrong, revoked or expired. Set POLYDEV_API_KEY, or as an admin run "
            "`polydev init --new-key` on the server's machine."
        )
    if error.http_status >= 500 and error.http_status != 503:
        text += "\nThe server's log says more."
    # The API may name a field twice, or say in the field what it says in the sentence.
    fields = [f for f in dict.fromkeys(error.fields) if f.partition(": ")[2] not in text]
    return "\n  ".join((text, *fields))
