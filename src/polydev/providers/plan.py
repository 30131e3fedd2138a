"""Turns a provider's definition into what the guest agent understands."""

from typing import Final

from polydev.errors import Conflict
from polydev.guest.protocol import (
    CA_BUNDLE,
    TOOLS_BIN,
    AssistStep,
    ExecRequest,
    LoginPlan,
    ManifestEntry,
    PlannedFile,
    Prompt,
    PtyRequest,
)
from polydev.providers.schema import PROMPT_PLACE, Provider

STATUS_TIMEOUT_S: Final = 60.0
STATUS_MAX_BYTES: Final = 256 * 1024


def login_plan(provider: Provider, *, assist: bool) -> LoginPlan:
    """What the browser machine's agent does; ``assist`` False leaves every click to the person."""
    login = provider.login
    return LoginPlan(
        provider=provider.name,
        argv=_argv(login.command),
        env=_env(provider, login.env),
        files=tuple(
            PlannedFile(file.path, file.content, int(file.mode, 8)) for file in login.files
        ),
        prompts=tuple(Prompt(p.name, p.pattern, p.answer, p.times) for p in login.prompts),
        url_hosts=login.url_hosts,
        manifest=manifest(provider),
        assist=tuple(AssistStep(step.host, step.selector, step.text) for step in provider.assist)
        if assist
        else (),
        denied_pattern=login.denied_pattern,
    )


def manifest(provider: Provider) -> tuple[ManifestEntry, ...]:
    """The files that make up this provider's credential."""
    return tuple(
        ManifestEntry(
            path=entry.path,
            max_bytes=entry.max_bytes,
            required=entry.required,
            required_keys=entry.required_keys,
            only_keys=entry.only_keys,
            mode=int(entry.mode, 8),
        )
        for entry in provider.capture
    )


def status_exec(provider: Provider, *, timeout_s: float = STATUS_TIMEOUT_S) -> ExecRequest:
    """The status command; `polydev.providers.status.judge` reads its answer."""
    return ExecRequest(
        argv=_argv(provider.status.command),
        env=_env(provider, provider.status.env),
        timeout_s=timeout_s,
        max_output_bytes=STATUS_MAX_BYTES,
    )


def run_exec(provider: Provider, prompt: str) -> ExecRequest:
    """One prompt: a single argument or the standard input, never part of a shell's text.

    Raises:
        Conflict: this tool has no way to take a prompt without a terminal.
    """
    run = provider.run
    if run is None:
        raise Conflict(
            f"{provider.title} takes no prompt without a terminal. "
            f"Use `polydev shell {provider.name}`."
        )
    by_argument = PROMPT_PLACE in run.command
    if by_argument and prompt.startswith("-"):
        # An argument that starts with a dash could be taken for an option; a space in front does
        # not change what it says.
        prompt = " " + prompt
    command = tuple(prompt if part == PROMPT_PLACE else part for part in run.command)
    return ExecRequest(
        argv=_argv(command),
        env=_env(provider, run.env),
        stdin=b"" if by_argument else prompt.encode(),
        timeout_s=float(run.timeout),
    )


def shell_pty(provider: Provider, *, columns: int = 80, rows: int = 24) -> PtyRequest:
    """An interactive terminal in which the tool is signed in."""
    return PtyRequest(
        argv=_argv(provider.shell.command),
        env=_env(provider, provider.shell.env),
        columns=columns,
        rows=rows,
    )


def _argv(command: tuple[str, ...]) -> tuple[str, ...]:
    """A bare program name is one of the installed tools, whatever the guest's own PATH says: a
    file of that name in the home must not answer the status question in the tool's place."""
    program, *rest = command
    return (program if "/" in program else f"{TOOLS_BIN}/{program}", *rest)


def _env(provider: Provider, own: dict[str, str]) -> dict[str, str]:
    return {**dict.fromkeys(provider.ca_env, CA_BUNDLE), **own}
