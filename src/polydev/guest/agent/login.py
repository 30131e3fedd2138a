"""Runs a provider's own login in a pseudo-terminal and tells what becomes of it."""

import asyncio
import re
from collections import deque
from collections.abc import Callable
from typing import Final

from polydev.domain.credential import CapturedFile
from polydev.guest.agent.browser.cdp import CdpError
from polydev.guest.agent.browser.pilot import BrowserPilot
from polydev.guest.agent.capture import satisfied
from polydev.guest.agent.deliver import deliver
from polydev.guest.agent.environment import program_environment
from polydev.guest.agent.events import EventLog
from polydev.guest.agent.homefs import Home
from polydev.guest.agent.intake import UrlIntake
from polydev.guest.agent.layout import Layout
from polydev.guest.agent.process import describe_exit, find_program
from polydev.guest.agent.prompts import PromptMatcher
from polydev.guest.agent.redact import ControlStripper, LineSplitter, redact
from polydev.guest.agent.terminal import Terminal
from polydev.guest.agent.urls import UrlRefused, check_login_url
from polydev.guest.agent.watch import PathWatch
from polydev.guest.agent.web import AgentProblem
from polydev.guest.protocol import (
    CODE_CLI_MISSING,
    EventKind,
    LoginPlan,
    LoginStatus,
    Prompt,
)

_COLUMNS: Final = 400
"""Wide, so that no tool breaks a URL in two, which the log could then not recognise."""
_ROWS: Final = 50
_TAIL: Final = 40
_SCREEN: Final = 8192
_BEFORE_ENTER_S: Final = 0.1
"""Some tools take text and Enter that arrive together for a paste, and wait on."""


class Login:
    """One run of one plan. Made by `Login.start`, over with `end`."""

    def __init__(
        self,
        plan: LoginPlan,
        layout: Layout,
        pilot: BrowserPilot,
        events: EventLog,
        *,
        say: Callable[[str], None],
        on_over: Callable[[], None],
    ) -> None:
        self._plan = plan
        self._layout = layout
        self._pilot = pilot
        self._events = events
        self._say = say
        self._on_over = on_over
        self._home = Home(layout.home)
        self._intake = UrlIntake(self._open_url)
        self._tail: deque[str] = deque(maxlen=_TAIL)
        self._denied = re.compile(plan.denied_pattern) if plan.denied_pattern else None
        self._screen = ""
        self._prompts = PromptMatcher(plan.prompts)
        self._terminal: Terminal | None = None
        self._watch: PathWatch | None = None
        self._reader: asyncio.Task[None] | None = None
        self._typing: set[asyncio.Task[None]] = set()
        self._url_opened = self._satisfied = self._was_denied = False
        self._exit: int | None = None

    async def start(self) -> None:
        """Write the plan's files and start its program.

        Raises `AgentProblem` when the program is not installed, `FileRefused` for a file.
        """
        plan = self._plan
        await self._intake.start()
        env = program_environment(
            self._layout,
            plan.env,
            terminal=True,
            display=self._pilot.display,
            url_socket=self._intake.path,
        )
        program = find_program(plan.argv[0], env)
        if program is None:
            self._intake.close()
            raise AgentProblem(
                409, CODE_CLI_MISSING, f"{plan.argv[0]} is not installed in this machine"
            )
        home = str(self._layout.home)
        try:
            files = [CapturedFile(f.path, f.mode, f.content.encode()) for f in plan.files]
            deliver(self._home, files)
            self._pilot.begin_login(plan.assist)
            paths = [entry.path for entry in plan.manifest]
            self._watch = PathWatch(self._layout.home, paths, self._check_manifest)
            argv = (program, *plan.argv[1:])
            self._terminal = Terminal(argv, env, cwd=home, columns=_COLUMNS, rows=_ROWS)
        except BaseException:
            await self.end()
            raise
        self._events.emit(EventKind.LOGIN_STARTED)
        self._reader = asyncio.create_task(self._read(self._terminal))

    def status(self) -> LoginStatus:
        return LoginStatus(
            "running" if self._exit is None else "exited",
            self._url_opened,
            self._satisfied,
            self._exit,
            self._was_denied,
            tuple(self._tail),
        )

    @property
    def running(self) -> bool:
        return self._exit is None

    async def end(self) -> None:
        """End the program and all that belongs to the login. Idempotent."""
        if self._terminal is not None:
            self._exit = await self._terminal.close()
        for task in (*self._typing, *([self._reader] if self._reader else [])):
            task.cancel()
        if self._watch is not None:
            self._watch.close()
        self._on_over()
        self._intake.close()
        self._pilot.end_login()

    async def _read(self, terminal: Terminal) -> None:
        stripper, lines = ControlStripper(), LineSplitter()
        while data := await terminal.read():
            text = stripper.feed(data)
            for line in lines.feed(text.encode()):
                self._log(line)
            self._look(text)
        for line in lines.rest():
            self._log(line)
        code = await terminal.child.exited
        self._check_manifest()
        self._exit = code
        self._on_over()
        self._say(f"ended with {describe_exit(code)}")
        self._events.emit(EventKind.LOGIN_EXITED, exit=code, tail=list(self._tail))

    def _look(self, text: str) -> None:
        if self._denied is not None:
            self._screen = (self._screen + text)[-_SCREEN:]
            self._was_denied = self._was_denied or bool(self._denied.search(self._screen))
        for prompt in self._prompts.feed(text):
            task = asyncio.create_task(self._answer(prompt))
            self._typing.add(task)
            task.add_done_callback(self._typing.discard)

    async def _answer(self, prompt: Prompt) -> None:
        words, enter, rest = prompt.answer.partition("\r")
        assert self._terminal is not None  # noqa: S101
        if words:
            self._terminal.write(words.encode())
            await asyncio.sleep(_BEFORE_ENTER_S)
        if enter:
            self._terminal.write((enter + rest).encode())
        self._events.emit(EventKind.PROMPT_ANSWERED, prompt=prompt.name)

    def _log(self, line: str) -> None:
        line = redact(line).strip()
        if line:
            self._tail.append(line)
            self._say(line)

    def _check_manifest(self) -> None:
        if not self._satisfied and satisfied(self._home, self._plan.manifest):
            self._satisfied = True
            self._events.emit(EventKind.MANIFEST_SATISFIED)

    async def _open_url(self, url: str) -> None:
        try:
            host = check_login_url(url, self._plan.url_hosts)
        except UrlRefused as refusal:
            self._say(f"a URL was not opened: {refusal}")
            raise
        try:
            error = await self._pilot.open(url)
        except (CdpError, TimeoutError):
            self._say("the browser did not take the URL")
            raise UrlRefused("the browser did not take the URL") from None
        if error is not None:
            self._say(f"the page of {host} does not load: {error}")
        self._url_opened = True
        self._events.emit(EventKind.URL_OPENED, host=host)
