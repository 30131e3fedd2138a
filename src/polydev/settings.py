"""All settings, in one place; with `settings_sources` the only reader of the environment.

Sources, the first that names a value wins: environment (``POLYDEV_…``, nested with ``__``), a
``.env`` file in the working directory, a TOML file (``POLYDEV_CONFIG``, else
``<config dir>/polydev.toml``), the default. A wrong value ends the start with the field's name.
`docs/settings.md` is generated from this file by ``python -m polydev.settings`` and a test holds
the two together.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from polydev.errors import SettingsError
from polydev.settings_sources import check_sources, config_file

Seconds = Annotated[float, Field(gt=0, le=7 * 24 * 3600)]
Port = Annotated[int, Field(ge=0, le=65535)]
MiB = Annotated[int, Field(gt=0, le=1 << 20)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Timeouts(_Section):
    """How long each part of a sign-in may take, in seconds."""

    machine_ready: Seconds = Field(
        default=120, description="From asking for a machine to its being ready."
    )
    login_url: Seconds = Field(
        default=60, description="From starting the CLI's login to its opening a URL."
    )
    person: Seconds = Field(
        default=600,
        description="For the person to sign in, from the last sign of life of an open viewer.",
    )
    session: Seconds = Field(default=1800, description="For the whole session.")
    capture: Seconds = Field(default=60, description="For the CLI to finish writing its files.")
    delivery: Seconds = Field(default=60, description="For writing the files into the CLI machine.")
    verify: Seconds = Field(default=90, description="For the CLI's own status command.")


class MachineLimits(_Section):
    """What one machine may use."""

    memory_mib: MiB = Field(default=2048, ge=256, description="Memory in MiB.")
    cpus: float = Field(default=2, gt=0, le=256, description="Processors' worth of time.")
    processes: int = Field(default=1024, ge=64, description="Processes and threads.")
    scratch_mib: MiB = Field(default=1024, ge=64, description="In-memory /tmp (and home) in MiB.")


class Sandbox(_Section):
    """The bubblewrap driver."""

    uid_base: int = Field(
        default=231000,
        ge=1000,
        description="As root: first of the host user ids that machines run under, one each.",
    )
    uid_count: int = Field(default=1000, ge=1, description="As root: how many such ids there are.")
    browser_sandbox: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="Chromium's own sandbox inside the machine; auto probes it once.",
    )


class Machines(_Section):
    """Machines of every driver."""

    driver: Literal["sandbox"] = Field(
        default="sandbox", description="Which driver makes machines."
    )
    pool_size: int = Field(default=1, ge=0, le=64, description="Browser machines kept warm.")
    pool_max_age: Seconds = Field(
        default=3600, description="Seconds after which a warm one is replaced."
    )
    max_machines: int = Field(
        default=32, ge=1, description="Most machines that run at once on this host."
    )
    hostname: str = Field(
        default="polydev",
        pattern=r"^[a-z][a-z0-9-]{0,30}$",
        description="Host name inside machines.",
    )
    width: int = Field(default=1280, ge=640, le=4096, description="Display width in pixels.")
    height: int = Field(default=800, ge=480, le=2160, description="Display height in pixels.")
    browser: MachineLimits = MachineLimits(memory_mib=4096)
    cli: MachineLimits = MachineLimits()
    sandbox: Sandbox = Sandbox()


class Egress(_Section):
    """The guests' way out."""

    allow: tuple[str, ...] = Field(
        default=(),
        description="Host patterns that may be reached; empty means every public host. A pattern "
        "is `example.com` (that name alone), `*.example.com` (all below it), an address or a "
        "network (`203.0.113.0/24`); no scheme, port or path.",
    )
    deny: tuple[str, ...] = Field(
        default=(),
        description="Host patterns that may not; wins over allow. Networks here also hold for the "
        "addresses that names resolve to.",
    )
    max_connections: int = Field(default=256, ge=1, description="Open connections per machine.")
    max_bytes: int = Field(
        default=4 << 30, ge=1 << 20, description="Bytes per machine and incarnation."
    )
    extra_ca: Path | None = Field(
        default=None,
        description="PEM file of certificates that machines trust beside the system's "
        "(an inspecting proxy's, say).",
    )
    testing_resolve_override: dict[str, str] = Field(
        default_factory=dict[str, str],
        description='TESTS ONLY: host -> "address:port", past the address checks. Refused unless '
        "`testing` is on.",
    )

    @field_validator("extra_ca")
    @classmethod
    def _readable(cls, value: Path | None) -> Path | None:
        if value is not None:
            try:
                text = value.read_text(encoding="ascii")
            except UnicodeDecodeError:
                text = ""
            except OSError as error:
                raise ValueError(f"cannot read {value}: {error.strerror}") from error
            if "-----BEGIN CERTIFICATE-----" not in text:
                raise ValueError(f"{value} holds no PEM certificate")
        return value


class Api(_Section):
    """The HTTP server."""

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: Port = Field(default=4000, description="Port to listen on.")
    public_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^/?#\s]+$",
        description="Address that people use, if a proxy stands before Polydev; sets the allowed "
        "Origin and Host, and Secure cookies when https.",
    )
    max_body: int = Field(default=1 << 20, ge=1024, description="Largest request body in bytes.")
    cookie_days: float = Field(
        default=7, gt=0, le=90, description="Life of a dashboard sign-in in days."
    )


class Vault(_Section):
    """Where the key-encryption key comes from."""

    key_file: Path | None = Field(
        default=None,
        description="File of 64 hexadecimal characters, mode 0600, its owner's alone; made at the "
        "first start. Default: `<state_dir>/keys/root.key`.",
    )


class Settings(BaseSettings):
    """Everything that can be set. Frozen."""

    model_config = SettingsConfigDict(
        env_prefix="POLYDEV_",
        env_nested_delimiter="__",
        env_file=".env",
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
    )

    state_dir: Path = Field(
        default_factory=lambda: default_state_dir(),  # noqa: PLW0108 - defined below
        description="Where databases, keys, machines and tools live. Default: /var/lib/polydev as "
        "root, else ~/.local/share/polydev.",
    )
    providers_dir: Path | None = Field(
        default=None,
        description="Folder of your own provider definitions (*.toml). Default: "
        "`<state_dir>/providers`.",
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="sqlite:///FILE or postgresql://…; default: a SQLite file in the state "
        "directory. DBOS uses the same database (PostgreSQL) or a file beside it (SQLite).",
    )
    executor_id: str = Field(
        default="local",
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="Stable name of this host's worker; one process per name.",
    )
    log_format: Literal["auto", "console", "json"] = Field(
        default="auto", description="auto: console on a terminal, else JSON lines."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Level."
    )
    assist: bool = Field(
        default=True,
        description="Do the clicks that carry no secret, where a provider's file names them.",
    )
    testing: bool = Field(
        default=False, description="TESTS ONLY: allows the settings named testing_…."
    )
    timeouts: Timeouts = Timeouts()
    machines: Machines = Machines()
    egress: Egress = Egress()
    api: Api = Api()
    vault: Vault = Vault()

    @field_validator("state_dir", "providers_dir")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        """Machines and tools are reached by this path, from other working directories too."""
        return value.expanduser().absolute() if value is not None else None

    def model_post_init(self, context: object, /) -> None:
        del context
        if self.egress.testing_resolve_override and not self.testing:
            raise ValueError(
                "egress.testing_resolve_override: only for tests; set testing = true to allow it"
            )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del file_secret_settings
        toml = TomlConfigSettingsSource(settings_cls, toml_file=config_file())
        return (init_settings, env_settings, _OwnNames(settings_cls, dotenv_settings), toml)

    @property
    def public_url(self) -> str:
        """The address that people use, without a trailing slash."""
        if self.api.public_url:
            return self.api.public_url
        host = "127.0.0.1" if self.api.host in {"0.0.0.0", "::"} else self.api.host  # noqa: S104 - a name to show, nothing binds here
        return f"http://{f'[{host}]' if ':' in host else host}:{self.api.port}"

    @property
    def key_file(self) -> Path:
        return self.vault.key_file or self.state_dir / "keys" / "root.key"

    @property
    def tools_dir(self) -> Path:
        return self.state_dir / "tools"

    @property
    def user_providers_dir(self) -> Path:
        return self.providers_dir or self.state_dir / "providers"


class _OwnNames(PydanticBaseSettingsSource):
    """A ``.env`` file is shared with other programs and with our own client: what is not a setting
    of the server is passed over there. (`check_sources` has refused what is misspelt.)"""

    def __init__(self, settings_cls: type[BaseSettings], inner: PydanticBaseSettingsSource) -> None:
        super().__init__(settings_cls)
        self._inner = inner

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return self._inner.get_field_value(field, field_name)

    def __call__(self) -> dict[str, Any]:
        fields = self.settings_cls.model_fields
        return {name: value for name, value in self._inner().items() if name in fields}


def default_state_dir() -> Path:
    if os.geteuid() == 0:
        return Path("/var/lib/polydev")
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "polydev"


def load_settings(**overrides: object) -> Settings:
    """Read and check all sources.

    Raises:
        SettingsError: with one line per wrong field, naming it; never the value.
    """
    check_sources(Settings)
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # pydantic checks them
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(part) for part in item['loc']) or 'settings'}: {_words(item)}"
            for item in error.errors(include_input=False, include_url=False)
        ]
        raise SettingsError("These settings are wrong:\n  " + "\n  ".join(lines)) from None
    except ValueError as error:
        raise SettingsError(f"These settings are wrong:\n  {error}") from None


def _words(item: ErrorDetails) -> str:
    if item["type"] == "extra_forbidden":
        return "there is no such setting; docs/settings.md lists all there are"
    return item["msg"].removeprefix("Value error, ")


def make_state_dir(settings: Settings) -> Path:
    """The state directory, made where it is missing.

    Raises:
        SettingsError: it cannot be made, is no directory, or may not be written to.
    """
    folder = settings.state_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "this user may not write to it")
    except FileExistsError:
        why = "is a file; it must be a directory"
    except OSError as error:
        why = f"cannot be used: {error.strerror}"
    else:
        return folder
    raise SettingsError(
        f"state_dir: {folder} {why}. Name a directory that this user may write to in "
        "POLYDEV_STATE_DIR."
    )


if __name__ == "__main__":
    from polydev.settings_page import settings_page

    sys.stdout.write(settings_page())
