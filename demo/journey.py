"""The demo's own journey: start, sign in as a person would, watch, show the outcome."""

import asyncio
import contextlib
import json
import shlex
import tempfile
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import httpx
from httpx_sse import aconnect_sse
from playwright.async_api import TimeoutError as PlaywrightTimeout
from playwright.async_api import async_playwright
from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from demo.browser import launch
from demo.ending import end_keepers, leave_nothing, remove_folder
from demo.server import Running, ServerFailed, polydev, polydev_server
from polydev.errors import SettingsError
from polydev.settings import load_settings
from tests.standins.people import Person
from tests.standins.server import StandIn
from tests.standins.viewer import Viewer

HOLD_PORT = 4000
_STATES = {
    "pending": "accepted",
    "provisioning": "taking a throw-away browser machine",
    "starting_login": "starting the tool's own login",
    "awaiting_user": "the person signs in through the live view",
    "capturing": "capturing and encrypting the files",
    "delivering": "delivering into the CLI machine",
    "verifying": "asking the tool itself",
    "completed": "signed in",
    "machine_gone": "the browser machine is destroyed",
}


class DemoFailed(Exception):
    """What to tell the person who ran the demo."""


@dataclass
class Timeline:
    """What has happened, and when."""

    rows: list[tuple[float, str, str]] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    ended: bool = False

    def add(self, name: str, at: float) -> None:
        self.rows.append((at, name, _STATES.get(name, name)))

    def table(self) -> Table:
        table = Table(box=None, pad_edge=False)
        table.add_column("at", justify="right", style="cyan")
        table.add_column("took", justify="right")
        table.add_column("step")
        now = time.time()
        first = self.rows[0][0] if self.rows else now
        for index, (at, _, text) in enumerate(self.rows):
            last = index + 1 == len(self.rows)
            until = now if last else self.rows[index + 1][0]
            took = "" if last and self.ended else f"{until - at:6.2f} s"
            mark = Text("✓ ", "green") if not last or self.ended else Text("• ", "yellow")
            table.add_row(f"{at - first:6.2f} s", took, mark + Text(text))
        return table


class Demo:
    def __init__(
        self,
        console: Console,
        provider: str,
        *,
        hold: bool,
        port: int | None,
        state_dir: Path | None,
    ) -> None:
        self._console = console
        self._provider = provider
        self._hold = hold
        self._port = HOLD_PORT if port is None and hold else port
        self._state_dir = state_dir
        self._timeline = Timeline()

    async def run(self) -> None:
        async with contextlib.AsyncExitStack() as undo:
            state_dir = self._make_state_dir(undo)
            stand_in = await undo.enter_async_context(StandIn())
            self._console.print(
                "[dim]A stand-in plays the provider; nothing leaves this machine.[/]"
            )
            try:
                server = await undo.enter_async_context(
                    polydev_server(stand_in, state_dir, port=self._port)
                )
            except ServerFailed as error:
                raise DemoFailed(str(error)) from error
            client = await undo.enter_async_context(server.client())
            self._console.print(f"Polydev is up at {server.url}; signing in [b]{self._provider}[/]")
            undo.push_async_callback(leave_nothing, client)
            session = await self._sign_in(client, stand_in.person)
            await self._show(client, session)
            if self._hold:
                await self._stay(client, server, stand_in)

    def _make_state_dir(self, undo: contextlib.AsyncExitStack) -> Path:
        """The installed tools are shared between runs; everything else is made anew."""
        try:
            tools = load_settings().state_dir
        except SettingsError as error:
            raise DemoFailed(error.person) from error
        if self._state_dir is not None:
            self._state_dir.mkdir(parents=True, exist_ok=True)
            folder = self._state_dir.resolve()
        else:
            folder = Path(tempfile.mkdtemp(prefix="polydev-demo-"))
            undo.callback(remove_folder, folder)
        undo.push_async_callback(end_keepers, folder)
        folder.chmod(0o711)
        for name in ("tools", "node"):
            link = folder / name
            if not link.exists():
                link.symlink_to(tools / name)
        return folder

    async def _sign_in(self, client: httpx.AsyncClient, person: Person) -> dict[str, object]:
        answer = await client.post("/api/auth/start", json={"provider": self._provider})
        if answer.status_code != 200:
            raise DemoFailed(answer.json().get("detail", answer.text))
        started = answer.json()
        session_id = str(started["sessionId"])
        with Live(self._timeline.table(), console=self._console, refresh_per_second=8) as live:
            watching = asyncio.create_task(self._watch(client, session_id, live))
            person_task = asyncio.create_task(self._be_the_person(str(started["novncURL"]), person))
            try:
                done, _ = await asyncio.wait(
                    {watching, person_task}, return_when=asyncio.FIRST_COMPLETED
                )
                if person_task in done:
                    _result_of(person_task)
                await watching
            finally:
                for task in (watching, person_task):
                    task.cancel()
                await asyncio.gather(watching, person_task, return_exceptions=True)
                self._timeline.ended = True
                live.update(self._timeline.table())
        self._console.print()
        session = (await client.get(f"/api/auth/session/{session_id}")).json()
        if session["state"] != "completed":
            raise DemoFailed(f"{session['message']} ({session['reason']}: {session['detail']})")
        return session

    async def _watch(self, client: httpx.AsyncClient, session_id: str, live: Live) -> None:
        url = f"/api/auth/session/{session_id}/events"
        ticker = asyncio.create_task(self._tick(live))
        try:
            async with aconnect_sse(client, "GET", url, timeout=None) as source:
                async for event in source.aiter_sse():
                    if event.event == "end":
                        return
                    if not event.data:
                        continue  # a keep-alive
                    data = json.loads(event.data)
                    name = data["data"].get("state") if data["kind"] == "state" else data["kind"]
                    if name in _STATES:
                        self._timeline.add(name, datetime.fromisoformat(data["at"]).timestamp())
        finally:
            ticker.cancel()

    async def _tick(self, live: Live) -> None:
        while True:
            live.update(self._timeline.table())
            await asyncio.sleep(0.12)

    async def _be_the_person(self, view_url: str, person: Person) -> None:
        async with async_playwright() as playwright, launch(playwright) as browser:
            page = await browser.new_page(viewport={"width": 1680, "height": 1000})
            await page.goto(view_url)
            viewer = Viewer(page)
            await viewer.sign_in(person)
            await viewer.authorize()

    async def _show(self, client: httpx.AsyncClient, session: dict[str, object]) -> None:
        receipt = (await client.get(f"/api/receipts/{session['receiptId']}")).json()
        table = Table(box=None, show_header=False)
        table.add_column(style="dim")
        table.add_column(overflow="fold")
        plan = f" ({receipt['plan']})" if receipt["plan"] else ""
        table.add_row("account", f"{receipt['account']}{plan}")
        for file in receipt["files"]:
            table.add_row("captured", f"~/{file['path']}  {file['size']} bytes, {file['mode']}")
        table.add_row("ciphertext", f"sha256 {receipt['ciphertextSha256']}")
        table.add_row("encrypted by", f"AES-256-GCM, key {receipt['keyId']}")
        table.add_row("delivered into", f"{receipt['cliMachineId']} at {receipt['deliveredAt']}")
        table.add_row(
            "browser machine", f"{receipt['browserMachineId']} gone at {receipt['machineGoneAt']}"
        )
        self._console.print(Panel(table, title="Receipt", expand=False))
        self._console.print(
            Panel(
                Text(str(receipt["statusOutput"])),
                title=f"`{receipt['statusCommand']}` in the CLI machine",
                expand=False,
            )
        )

    async def _stay(self, client: httpx.AsyncClient, server: Running, stand_in: StandIn) -> None:
        link = (await client.post("/api/login/link")).json()["url"]
        person = stand_in.person
        self._console.print(f"\n[b]Still running.[/] Dashboard: {server.url}")
        # Never wrapped or cut: it is to be clicked or copied whole.
        self._console.print(f"One-time sign-in link:\n{link}", soft_wrap=True, highlight=False)
        self._console.print(
            f"The stand-in knows one person: {person.user}, password {person.password}\n"
            "The command line in another terminal, as the demo's admin:"
        )
        self._console.print(
            f"  export XDG_CONFIG_HOME={shlex.quote(str(server.config_home))}\n"
            f"  {polydev()} sessions list",
            soft_wrap=True,
            highlight=False,
        )
        self._console.print("Ctrl-C ends it all.")
        await asyncio.Event().wait()


def _result_of(person: "asyncio.Task[None]") -> None:
    try:
        person.result()
    except PlaywrightTimeout as error:
        raise DemoFailed("the scripted person did not find their way in the live view") from error
    except Exception as error:
        raise DemoFailed(f"the scripted person's browser did not work: {error}") from error
