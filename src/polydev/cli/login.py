"""`polydev login`: one sign-in, from the start to the receipt."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import uuid
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from polydev.cli.base import Json, provider_names, with_api
from polydev.cli.exits import Exit
from polydev.cli.output import console, note, print_json_line, say
from polydev.domain.session import SessionState

if TYPE_CHECKING:
    from polydev.api.schemas import SessionView, StartResponse
    from polydev.cli.client import Api


def add_to(app: typer.Typer) -> None:
    app.command()(login)


def login(
    provider: Annotated[
        str,
        typer.Argument(
            help="Which tool (see `polydev providers list`).", autocompletion=provider_names
        ),
    ],
    browser: Annotated[
        bool, typer.Option(help="Open the live view in your browser, if there is one.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Sign a tool in. Opens the live view; you sign in there; the terminal shows what happens.

    Ctrl-C asks whether to cancel. With --json: one JSON object a line, the start, every event,
    and at the end {"session", "credential", "receipt"}.

    Examples:

        polydev login codex

        polydev login claude_code --no-browser
    """
    code = with_api(lambda api: _login(api, provider, browser=browser, as_json=as_json))
    raise typer.Exit(int(code))


async def _login(api: Api, provider: str, *, browser: bool, as_json: bool) -> Exit:
    from polydev.api.schemas import StartResponse
    from polydev.cli.browser import opened_in_browser
    from polydev.cli.client import parse

    answer = await api.post(
        "/api/auth/start",
        {"provider": provider},
        # A connection that breaks may be tried again without a second session.
        headers={"Idempotency-Key": str(uuid.uuid4())},
    )
    started = parse(StartResponse, answer)
    if as_json:
        print_json_line(answer)
    else:
        _introduce(started)
    with contextlib.ExitStack() as opened:
        # Without a person at a terminal nobody is there to look at a browser.
        if browser and not as_json and opened.enter_context(opened_in_browser(started.novnc_url)):
            note("Opened it in your browser.", style="dim")
        async with _ctrl_c() as interrupted:
            left = await _watch(api, started.session_id, interrupted, as_json=as_json)
    if left:
        note(f"The sign-in goes on. Look at it: polydev sessions show {started.session_id}")
        return Exit.INTERRUPTED
    return await _finish(api, started.session_id, as_json=as_json)


def _introduce(started: StartResponse) -> None:
    say(f"Session {started.session_id}. Sign in here (the link works once):")
    say(f"\n  {started.novnc_url}\n", style="bold")


# --- the timeline -------------------------------------------------------------------------------


async def _watch(api: Api, session_id: str, interrupted: asyncio.Event, *, as_json: bool) -> bool:
    """Show the timeline to its end; True if the person left it before."""
    printing = asyncio.create_task(_print_events(api, session_id, as_json=as_json))
    try:
        while not printing.done():
            waiting = asyncio.create_task(interrupted.wait())
            await asyncio.wait({printing, waiting}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if not interrupted.is_set():
                continue
            interrupted.clear()
            decision = await _ask(interrupted)
            if decision is None:
                return True
            if decision and not printing.done():
                await _cancel(api, session_id)
        await printing
        return False
    finally:
        printing.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await printing


async def _print_events(api: Api, session_id: str, *, as_json: bool) -> None:
    from polydev.api.schemas import SessionEvent
    from polydev.cli.client import parse
    from polydev.cli.events import follow
    from polydev.cli.timeline import Stopwatch, describe, style_of

    watch = Stopwatch()
    async for data in follow(api, session_id):
        if as_json:
            print_json_line(data)
            continue
        event = parse(SessionEvent, data)
        line = f"{watch.at(event.at)}  {describe(event.kind, event.data)}"
        console().print(line, style=style_of(event.kind, event.data), soft_wrap=True)


async def _cancel(api: Api, session_id: str) -> None:
    from polydev.errors import PolydevError

    try:
        await api.post(f"/api/auth/session/{quote(session_id, safe='')}/cancel")
    except PolydevError as error:
        note(f"Could not cancel: {error.person}", style="yellow")


# --- Ctrl-C -------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _ctrl_c() -> AsyncGenerator[asyncio.Event]:
    """Set the event at each Ctrl-C instead of ending the process."""
    pressed = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, pressed.set)
    try:
        yield pressed
    finally:
        loop.remove_signal_handler(signal.SIGINT)


async def _ask(interrupted: asyncio.Event) -> bool | None:
    """Whether to cancel the sign-in; None: a second Ctrl-C, leave it alone and go.

    Without a terminal Ctrl-C means to cancel.
    """
    if not sys.stdin.isatty():
        return True
    console(stderr=True).print("\nCancel this sign-in? [y/N, Ctrl-C: leave it running] ", end="")
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[str] = loop.create_future()

    def typed() -> None:
        line = sys.stdin.readline()
        if not answer.done():
            answer.set_result(line)

    loop.add_reader(sys.stdin.fileno(), typed)
    again = asyncio.create_task(interrupted.wait())
    try:
        await asyncio.wait({answer, again}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            return None
        return answer.result().strip().lower() in {"y", "yes"}
    finally:
        loop.remove_reader(sys.stdin.fileno())
        again.cancel()


# --- the end ------------------------------------------------------------------------------------


async def _finish(api: Api, session_id: str, *, as_json: bool) -> Exit:
    from polydev.api.schemas import SessionView
    from polydev.cli.client import parse

    data = await api.get(f"/api/auth/session/{quote(session_id, safe='')}")
    session = parse(SessionView, data)
    credential = await _get(api, "/api/credentials", session.credential_id)
    receipt = await _get(api, "/api/receipts", session.receipt_id)
    completed = session.state is SessionState.COMPLETED
    if as_json:
        print_json_line({"session": data, "credential": credential, "receipt": receipt})
    elif completed:
        _print_success(session, credential, receipt)
    else:
        note(f"\nNot signed in: {session.message or session.state.value}", style="red")
        if session.detail:
            note(session.detail)
        note(f"Its console log: polydev sessions show {session.session_id} --console", style="dim")
    return Exit.OK if completed else Exit.FAILED


async def _get(api: Api, path: str, item: str | None) -> Any:
    return None if item is None else await api.get(f"{path}/{quote(item, safe='')}")


def _print_success(session: SessionView, credential: Any, receipt: Any) -> None:
    from polydev.api.schemas import CredentialView, ReceiptView
    from polydev.cli.client import parse
    from polydev.cli.credentials import print_credential
    from polydev.cli.receipts import print_receipt

    say("")
    if receipt is not None:
        print_receipt(parse(ReceiptView, receipt))
    elif credential is not None:
        print_credential(parse(CredentialView, credential))
    say(f"\nTry it: polydev run {session.provider} -p 'Say hello'")
