"""What the end-to-end tests do over and over, in the words of a person who uses Polydev."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import httpx
from httpx_sse import aconnect_sse
from playwright.async_api import Page

from demo.server import Running
from tests.standins.server import StandIn
from tests.standins.viewer import Viewer

Json = dict[str, Any]


@dataclass
class World:
    """A server, a stand-in, an API client with the admin's key, and a person's browser page."""

    server: Running
    stand_in: StandIn
    client: httpx.AsyncClient
    page: Page

    def __post_init__(self) -> None:
        # A tool that is asked something may be silent for long on a busy host.
        self.client.timeout = httpx.Timeout(180)

    @property
    def viewer(self) -> Viewer:
        return Viewer(self.page)

    async def start(self, provider: str, **headers: str) -> Json:
        answer = await self.client.post(
            "/api/auth/start", json={"provider": provider}, headers=headers
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def session(self, session_id: str) -> Json:
        return (await self.client.get(f"/api/auth/session/{session_id}")).json()

    async def until(self, session_id: str, *states: str, timeout_s: float = 300) -> str:
        """Wait, by the session's own event stream, until it is in one of these states."""
        async with asyncio.timeout(timeout_s):
            async for event in self.events(session_id):
                if event["kind"] == "state" and event["data"]["state"] in states:
                    return event["data"]["state"]
        raise AssertionError(f"the timeline ended without {states}")

    async def until_gone(self, session_id: str, *, timeout_s: float = 300) -> Json:
        """Wait until the session has ended and its machine is gone; returns the session."""
        async with asyncio.timeout(timeout_s):
            async for _ in self.events(session_id):
                continue
        return await self.session(session_id)

    async def events(self, session_id: str):
        url = f"/api/auth/session/{session_id}/events"
        async with aconnect_sse(self.client, "GET", url, timeout=None) as source:
            async for event in source.aiter_sse():
                if event.event == "end":
                    return
                if event.data:
                    yield json.loads(event.data)

    async def timeline(self, session_id: str) -> list[str]:
        answer = await self.client.get(f"/api/auth/session/{session_id}/events")
        return [
            event["data"]["state"] if event["kind"] == "state" else event["kind"]
            for event in answer.json()["events"]
        ]

    async def open_dashboard(self, path: str = "/") -> None:
        """Sign in by a one-time link and go to a page."""
        link = (await self.client.post("/api/login/link")).json()["url"]
        await self.page.goto(link)
        await self.page.wait_for_url("**/")
        if path != "/":
            await self.page.goto(self.server.url + path)

    async def console_is_kept(self, session_id: str) -> str:
        answer = await self.client.get(f"/api/auth/session/{session_id}/console")
        assert answer.status_code == 200
        return answer.json()["text"]

    async def machine(self, machine_id: str) -> Json:
        return (await self.client.get(f"/api/machines/{machine_id}")).json()

    async def cancel_all(self) -> None:
        sessions = (await self.client.get("/api/auth/sessions")).json()["sessions"]
        for session in sessions:
            if session["endedAt"] is None:
                await self.client.post(f"/api/auth/session/{session['sessionId']}/cancel")
                await self.until_gone(session["sessionId"])
