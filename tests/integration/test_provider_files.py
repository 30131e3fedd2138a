"""The built-in provider files against the real tools: what the files say is what the tools do.

Signs in by the file alone (command, files, prompts), captures by its manifest, puts the capture
into a second home and asks there by its status command, as the CLI machine does.
"""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from polydev.domain.credential import Bundle
from polydev.guest.agent.capture import capture
from polydev.guest.agent.homefs import Home
from polydev.guest.protocol import ExecRequest
from polydev.providers.catalog import BUILT_IN
from polydev.providers.check import read_provider
from polydev.providers.identity import identity_of
from polydev.providers.plan import login_plan, manifest, run_exec, status_exec
from polydev.providers.schema import Provider
from polydev.providers.status import StatusVerdict, judge
from tests.standins import StandIn
from tests.standins.clis import CLAUDE, CODEX, GEMINI, Cli, Desk, callback_port, tools_directory
from tests.standins.proxy import ConnectProxy
from tests.standins.tool import Ran

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (tools_directory() / "bin" / "codex").exists(),
        reason=f"no tools in {tools_directory()}: run `polydev providers install`",
    ),
]


@pytest.fixture(params=[CODEX, CLAUDE, GEMINI], ids=lambda cli: cli.provider)
def cli(request: pytest.FixtureRequest) -> Cli:
    return request.param


@pytest.fixture
def provider(cli: Cli) -> Provider:
    return read_provider(BUILT_IN / f"{cli.provider}.toml")


@pytest.fixture
async def homes(cli: Cli, provider: Provider, tmp_path: Path) -> AsyncIterator[tuple[Desk, Desk]]:
    """Where the tool signs in, and where its credential is delivered: of one person."""
    bare = Cli(cli.provider, (), (), (), cli.credential)
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(callback_port(cli))
        standin = await stack.enter_async_context(StandIn())
        proxy = await stack.enter_async_context(ConnectProxy(standin.resolve_override()))
        desks = [Desk.make(bare, standin, proxy, tmp_path / name) for name in ("one", "two")]
        plan = login_plan(provider, assist=True)
        for file in plan.files:
            target = desks[0].tool.home / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(file.content)
        # The harness looks for plain text; the files' patterns are tried on real output elsewhere.
        desks[0].tool.prompts = cli.prompts
        yield desks[0], desks[1]


async def ask(desk: Desk, request: ExecRequest) -> Ran:
    # The harness closes the input, so a prompt that goes there is given as an argument instead.
    argv = [Path(request.argv[0]).name, *request.argv[1:]]
    if request.stdin:
        argv = [*(a for a in argv if a != "-"), request.stdin.decode()]
    return await desk.tool.ask(argv, environment=request.env)


def verdict(provider: Provider, ran: Ran) -> StatusVerdict:
    return judge(provider, ran.exit_code, ran.output.encode(), ran.errors.encode())


async def test_what_the_file_captures_is_a_working_sign_in_elsewhere(
    homes: tuple[Desk, Desk], provider: Provider
):
    here, there = homes
    person = here.standin.person
    argv = login_plan(provider, assist=True).argv
    ran = await here.tool.run([Path(argv[0]).name, *argv[1:]], here.person())
    assert ran.exit_code == 0, ran.output

    files = capture(Home(here.tool.home), manifest(provider))
    assert {file.path for file in files} == {entry.path for entry in provider.capture}
    identity = identity_of(provider, Bundle(files))
    assert identity.account == person.user
    assert identity.expires_at is not None

    before = verdict(provider, await ask(there, status_exec(provider)))
    assert not before.ok
    for file in files:
        target = there.tool.home / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.content)
    after = verdict(provider, await ask(there, status_exec(provider)))
    assert after.ok, after.text
    assert after.account in {None, person.user}
    answer = await ask(there, run_exec(provider, "Say hello"))
    assert answer.output.strip() == here.standin.world.answer


async def test_output_after_a_denied_consent_matches_the_denied_pattern(
    homes: tuple[Desk, Desk], provider: Provider
):
    import re

    here, _ = homes
    plan = login_plan(provider, assist=False)
    ran = await here.tool.run([Path(plan.argv[0]).name, *plan.argv[1:]], here.person("deny"))
    assert ran.exit_code != 0
    assert plan.denied_pattern is not None
    assert re.search(plan.denied_pattern, ran.output), ran.output
