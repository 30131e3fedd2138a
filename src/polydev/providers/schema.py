"""The format of a provider's TOML file. `docs/writing-a-provider.md` explains it to people.

The JSON schema in `docs/provider.schema.json` is generated from these classes.
"""

import re
import unicodedata
from pathlib import PurePosixPath
from typing import Annotated, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from polydev.guest.protocol import MAX_BUNDLE_FILES, MAX_FILE_BYTES
from polydev.providers.pattern import BadPattern, check

PROMPT_PLACE: Final = "{prompt}"
"""Stands for the whole prompt as one element of ``run.command``."""

_RESERVED_ENV: Final = frozenset(
    {
        "BROWSER",
        "DISPLAY",
        "HOME",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "LD_LIBRARY_PATH",
        "LD_PRELOAD",
        "LOGNAME",
        "NO_PROXY",
        "PATH",
        "SHELL",
        "USER",
    }
)


def _home_path(value: str) -> str:
    path = PurePosixPath(value)
    if path.is_absolute() or value.startswith("~"):
        raise ValueError("must be relative to the home, without a leading / or ~")
    if ".." in path.parts or str(path) != value or value == ".":
        raise ValueError("must be a plain relative path without '..', '.', '//' or a final '/'")
    return value


def _beside(value: str) -> str:
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or str(path) != value:
        raise ValueError("must name a file beside or below this TOML file, without '..'")
    return value


def _program_first(value: tuple[str, ...]) -> tuple[str, ...]:
    program = value[0]
    if not program:
        raise ValueError("its first item is the program and cannot be empty")
    if "/" in program and not program.startswith("/"):
        raise ValueError(
            "its first item is the program: a bare name (an installed tool) or a full path, as "
            "there is no working directory to start from"
        )
    return value


def _regex(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from None
    return value


def _re2(value: str) -> str:
    try:
        check(value)
    except BadPattern as error:
        raise ValueError(
            f"is not a regular expression that is searched on the host (RE2: no look-around, no "
            f"backreferences): {error}"
        ) from None
    return value


def _visible(value: str) -> str:
    for character in value:
        if unicodedata.category(character) in {"Cc", "Cf", "Zl", "Zp"}:
            raise ValueError(
                f"must not hold control or invisible formatting characters (U+{ord(character):04X})"
            )
    return value


def _env_name(value: str) -> str:
    if value.upper() in _RESERVED_ENV:
        raise ValueError(f"{value} is set by Polydev itself and cannot be changed here")
    return value


def _pointer(value: str) -> str:
    if value and not value.startswith("/"):
        raise ValueError("is not a JSON pointer (RFC 6901): it must start with '/'")
    if re.search(r"~(?![01])", value):
        raise ValueError("is not a JSON pointer (RFC 6901): '~' must be written '~0'")
    return value


NO_NUL: Final = r"^[^\x00]*$"
FILE_MODE: Final = r"^0[0-7]{3}$"
PRIVATE_MODE: Final = r"^0[0-7]{2}0$"
_NO_CONTROL: Final = r"^[^\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]*$"
"""The usual of what `_visible` refuses, so that an editor says so too."""
_Visible = Annotated[
    str, Field(json_schema_extra={"pattern": _NO_CONTROL}), AfterValidator(_visible)
]
Line = Annotated[_Visible, StringConstraints(min_length=1, max_length=200)]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
Command = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Argument = Annotated[str, StringConstraints(max_length=4096, pattern=NO_NUL)]
Argv = Annotated[
    tuple[Argument, ...], Field(min_length=1, max_length=64), AfterValidator(_program_first)
]
HomePath = Annotated[
    _Visible,
    StringConstraints(min_length=1, max_length=255),
    AfterValidator(_home_path),
]
BesidePath = Annotated[
    _Visible,
    StringConstraints(min_length=1, max_length=255),
    AfterValidator(_beside),
]
Regex = Annotated[str, StringConstraints(min_length=1, max_length=1000), AfterValidator(_regex)]
Re2 = Annotated[str, StringConstraints(min_length=1, max_length=1000), AfterValidator(_re2)]
EnvName = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$"),
    AfterValidator(_env_name),
]
Pointer = Annotated[str, StringConstraints(max_length=255), AfterValidator(_pointer)]
Host = Annotated[
    str,
    StringConstraints(
        max_length=253,
        pattern=r"^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$",
    ),
]
FileMode = Annotated[str, StringConstraints(pattern=FILE_MODE)]
PrivateMode = Annotated[str, StringConstraints(pattern=PRIVATE_MODE)]
"""Others get nothing of a credential."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class NpmInstall(_Part):
    """A package of the npm registry, at the version that a lock file pins."""

    kind: Literal["npm"]
    package: Annotated[
        str, StringConstraints(pattern=r"^(?:@[a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*$")
    ] = Field(description="Name of the package.")
    command: Command = Field(description="Name of its program, as in its package.json.")
    lock: BesidePath = Field(
        description="Folder beside this file that holds package.json and package-lock.json."
    )


class ScriptInstall(_Part):
    """One executable file that lies beside the TOML file and is copied."""

    kind: Literal["script"]
    file: BesidePath = Field(description="The file, relative to this TOML file.")
    command: Command = Field(description="Name that it is installed under.")
    version: Line = Field(default="1", description="Shown to people.")


Install = Annotated[NpmInstall | ScriptInstall, Field(discriminator="kind")]


class LoginFile(_Part):
    """A file to write before the login starts: settings that the tool wants to find."""

    path: HomePath = Field(description="Where, relative to the home.")
    content: str = Field(max_length=65536, description="What.")
    mode: FileMode = Field(default="0600", description="Mode in octal.")


class PromptAnswer(_Part):
    """A question of the tool on its terminal, and what to answer."""

    name: Slug = Field(description="Named so in the timeline.")
    pattern: Regex = Field(
        description="Python regular expression, searched in the output without escape sequences."
    )
    answer: str = Field(
        max_length=1000,
        pattern=NO_NUL,
        description="Typed as it is; '\\r' is Enter. Never a secret.",
    )
    times: int = Field(default=1, ge=1, le=20, description="How often at most.")


class Login(_Part):
    """The tool's own login command, run in a pseudo-terminal beside a browser."""

    command: Argv = Field(description="Program and arguments; no shell is involved.")
    env: dict[EnvName, Argument] = Field(
        default_factory=dict[str, str], description="Added to the environment."
    )
    url_hosts: tuple[Host, ...] = Field(
        default=(),
        max_length=32,
        description="Hosts that the tool may open as its login page. Empty: any https host.",
    )
    files: tuple[LoginFile, ...] = Field(default=(), max_length=32)
    prompts: tuple[PromptAnswer, ...] = Field(default=(), max_length=32)
    denied_pattern: Regex | None = Field(
        default=None,
        description="Output which means that the provider turned the sign-in down.",
    )


class Capture(_Part):
    """One file that the login writes."""

    path: HomePath = Field(description="Where, relative to the home.")
    max_bytes: int = Field(default=65536, ge=1, le=MAX_FILE_BYTES, description="Largest size.")
    required: bool = Field(default=True, description="The sign-in is not done without it.")
    required_keys: tuple[Line, ...] = Field(
        default=(),
        max_length=32,
        description="Dotted keys that must be there and not empty; the file is a JSON object.",
    )
    only_keys: tuple[Line, ...] = Field(
        default=(),
        max_length=32,
        description="Take only these top-level keys of a JSON object; merged on delivery.",
    )
    mode: PrivateMode = Field(
        default="0600", description="Mode that it is delivered with; others may do nothing."
    )


class Source(_Part):
    """Where a value is found in a captured JSON file."""

    file: HomePath = Field(description="One of the captured files.")
    pointer: Pointer = Field(description="JSON pointer (RFC 6901) to the value.")
    claim: Pointer | None = Field(
        default=None,
        description="The value is a JSON web token: JSON pointer into its payload, which is "
        "read without checking its signature, for display only.",
    )


class Identity(_Part):
    """What may be shown of whose credential it is. Sources are tried in order."""

    account: tuple[Source, ...] = Field(default=(), max_length=8)
    plan: tuple[Source, ...] = Field(default=(), max_length=8)
    expires_at: tuple[Source, ...] = Field(
        default=(),
        max_length=8,
        description="A time: seconds or milliseconds since 1970, or RFC 3339 text.",
    )


class Status(_Part):
    """The tool's own answer to "am I signed in?", run where the credential was delivered."""

    command: Argv = Field(description="Program and arguments.")
    env: dict[EnvName, Argument] = Field(default_factory=dict[str, str])
    exit_codes: tuple[Annotated[int, Field(ge=0, le=255)], ...] = Field(
        default=(0,), min_length=1, max_length=16, description="Exit codes that mean yes."
    )
    pattern: Re2 | None = Field(
        default=None,
        description="Must be found in its output (out, then err), too: an RE2 regular expression.",
    )
    true_pointer: Pointer | None = Field(
        default=None, description="Its output is JSON, and true must stand here, too."
    )
    account_pointer: Pointer | None = Field(default=None, description="Account in that JSON.")
    plan_pointer: Pointer | None = Field(default=None, description="Plan in that JSON.")
    text: Line | None = Field(
        default=None,
        description="Shown instead of the output when the answer is yes (for a tool whose output "
        "is not about the sign-in).",
    )


class Run(_Part):
    """How one prompt is put to the tool without a terminal."""

    command: Argv = Field(
        description="Program and arguments. '{prompt}' as a whole argument is the prompt; without "
        "it the prompt is the standard input."
    )
    env: dict[EnvName, Argument] = Field(default_factory=dict[str, str])
    timeout: int = Field(default=600, ge=1, le=86400, description="Seconds.")

    @model_validator(mode="after")
    def _place_is_whole(self) -> Self:
        if any(PROMPT_PLACE in part and part != PROMPT_PLACE for part in self.command):
            raise ValueError(
                "command: '{prompt}' must be a whole argument of its own, so that a prompt can "
                "never be taken for anything else"
            )
        if self.command.count(PROMPT_PLACE) > 1:
            raise ValueError("command: '{prompt}' stands in it twice; the prompt is put once")
        if self.command[0] == PROMPT_PLACE:
            raise ValueError("command: '{prompt}' cannot be the program")
        return self


class Shell(_Part):
    """What an interactive terminal runs."""

    command: Argv = ("/bin/bash", "-i")
    env: dict[EnvName, Argument] = Field(default_factory=dict[str, str])


class Assist(_Part):
    """A click that carries no secret, which Polydev may do for the person."""

    host: Host = Field(description="Exact host of the page.")
    selector: Line = Field(description="CSS selector of one visible, enabled element.")
    text: Line | None = Field(default=None, description="Its trimmed text, if that must match.")


class Provider(_Part):
    """One command-line tool: how to install it, sign it in, capture, prove and use that."""

    model_config = ConfigDict(title="Polydev provider")

    format: Literal[1] = Field(description="Version of this format.")
    name: Slug = Field(description="Used in commands and URLs; never changes.")
    title: Line = Field(description="What people call it.")
    vendor: Line = Field(description="Who makes it.")
    terms_url: Annotated[str, StringConstraints(max_length=500, pattern=r"^https://[^\s]+$")] = (
        Field(description="The terms that its users agree to.")
    )
    replaces: bool = Field(
        default=False,
        description="This file takes the place of the built-in provider of the same name.",
    )
    ca_env: tuple[EnvName, ...] = Field(
        default=(),
        max_length=8,
        description="Variables that name a file of trusted certificates; set to the machine's.",
    )
    install: Install
    login: Login
    capture: tuple[Capture, ...] = Field(min_length=1, max_length=MAX_BUNDLE_FILES)
    identity: Identity = Identity()
    status: Status
    run: Run | None = None
    shell: Shell = Shell()
    assist: tuple[Assist, ...] = Field(default=(), max_length=16)

    @model_validator(mode="after")
    def _files_fit_together(self) -> Self:
        paths = [entry.path for entry in self.capture]
        for index, path in enumerate(paths):
            if path in paths[:index]:
                raise ValueError(f"capture: {path} is named twice")
        if not any(entry.required for entry in self.capture):
            raise ValueError("capture: at least one file must be required")
        for field in ("account", "plan", "expires_at"):
            sources: tuple[Source, ...] = getattr(self.identity, field)
            for source in sources:
                if source.file not in paths:
                    raise ValueError(f"identity.{field}: {source.file} is not a captured file")
        return self
