"""A scripted person: follows the sign-in pages over HTTP instead of through a browser."""

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

import httpx

Decision = Literal["authorize", "deny"]
PATIENCE_S = 120.0
"""How long a person waits for one page; a tool that is called back asks its provider first."""


@dataclass(frozen=True)
class Robot:
    """Signs in with ``client``, which reaches the provider and must not follow redirects."""

    client: httpx.AsyncClient
    user: str
    password: str

    async def sign_in(self, url: str, decision: Decision = "authorize") -> str:
        """Goes from the authorization URL to the redirect back to the tool, which it returns."""
        page = await self.open(url)
        while stage_of(page) != "consent":
            page = await self.submit_login(page)
            if page.is_redirect:  # refused: too many wrong passwords
                return page.headers["location"]
        answer = await self.decide(page, decision)
        return answer.headers["location"]

    async def return_to_tool(self, url: str) -> httpx.Response:
        """Calls the tool back, and follows it as long as it stays on loopback.

        codex ends only when its own success page has been fetched.
        """
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S) as direct:
            while True:
                answer = await direct.get(url)
                target = answer.headers.get("location", "")
                if urlsplit(target).hostname not in {"127.0.0.1", "localhost"}:
                    return answer
                url = target

    async def open(self, url: str) -> httpx.Response:
        return await self.client.get(url)

    async def submit_login(
        self, page: httpx.Response, *, password: str | None = None
    ) -> httpx.Response:
        return await self.client.post(
            page.url.join("/standin/login"),
            data={
                "flow": flow_of(page),
                "user": self.user,
                "password": self.password if password is None else password,
            },
        )

    async def decide(self, page: httpx.Response, decision: Decision) -> httpx.Response:
        return await self.client.post(
            page.url.join("/standin/consent"),
            data={"flow": flow_of(page), "decision": decision},
        )


def stage_of(page: httpx.Response) -> str:
    """The page's stage, as its colour would show it."""
    found = re.search(r'data-stage="(\w+)"', page.text)
    assert found, f"not a page of the stand-in (HTTP {page.status_code})"
    return found[1]


def flow_of(page: httpx.Response) -> str:
    found = re.search(r'name="flow" value="([^"]+)"', page.text)
    assert found, f"no sign-in form on this page (HTTP {page.status_code})"
    return found[1]
