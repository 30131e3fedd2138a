"""The agent's start: takes its sockets from the supervisor, then serves its API on them."""

import asyncio
import os
import socket
import sys
from typing import cast

import uvicorn

from polydev.guest.agent.app import Agent, make_app
from polydev.guest.agent.browser.pilot import BrowserPilot
from polydev.guest.agent.credentials import Credentials, Note
from polydev.guest.agent.events import EventLog
from polydev.guest.agent.homefs import Home
from polydev.guest.agent.layout import Layout
from polydev.guest.agent.login import Login
from polydev.guest.agent.login_desk import LoginDesk
from polydev.guest.agent.machine import MachineView
from polydev.guest.agent.supervisor.link import AGENT_LINK_FD, AGENT_LISTEN_FD
from polydev.guest.agent.supervisor_link import Hello, SupervisorLink

_WATCH_NOTE = "watch"
_LOGIN_NOTE = "login"


class Server(uvicorn.Server):
    """Tells the supervisor once it accepts."""

    def __init__(self, agent: Agent) -> None:
        config = uvicorn.Config(
            make_app(agent),
            loop="asyncio",
            http="h11",
            ws="websockets-sansio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        super().__init__(config)
        self._link = agent.link

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._link.ready()


def build(layout: Layout, hello: Hello, link: SupervisorLink) -> Agent:
    """Put the agent's parts together; from here on it hears its supervisor."""
    events = EventLog()
    machine = MachineView(hello.config, hello.born, events)
    welcome = (layout.share / "waiting.html").read_text()
    pilot = BrowserPilot(events, link.browser_ready, welcome_html=welcome)

    def remember(note: Note) -> None:
        link.note(_WATCH_NOTE, note)

    credentials = Credentials(layout, events, remember)
    watched = hello.notes.get(_WATCH_NOTE)
    if isinstance(watched, dict):
        credentials.resume(cast("Note", watched))
    logins = LoginDesk(
        lambda plan, on_over: Login(plan, layout, pilot, events, say=_say, on_over=on_over),
        lambda manifest: link.note(_LOGIN_NOTE, manifest),
        has_browser=hello.config.role == "browser",
    )
    logins.resume(hello.notes.get(_LOGIN_NOTE), Home(layout.home), events)
    link.on_units = machine.update
    link.on_browser = pilot.attach
    link.replay()
    return Agent(layout, machine, events, link, logins, credentials, pilot.activity)


async def serve() -> None:
    for fd in (AGENT_LINK_FD, AGENT_LISTEN_FD):
        # They had to be inherited by us. What we start could pose as us with them.
        os.set_inheritable(fd, False)
    link = SupervisorLink.inherited()
    agent = build(Layout(), await link.hello, link)
    await Server(agent).serve(sockets=[socket.socket(fileno=AGENT_LISTEN_FD)])


def _say(line: str) -> None:
    """The login's output goes to the console by way of our own."""
    sys.stdout.write(f"login: {line}\n")
    sys.stdout.flush()


def main() -> None:
    asyncio.run(serve())
