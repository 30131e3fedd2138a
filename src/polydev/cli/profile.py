"""Which server the command line talks to, and with which key: the client's own settings.

`POLYDEV_SERVER` and `POLYDEV_API_KEY` win over the file that `polydev init` writes. Beside
`polydev.settings` this is the one reader of the environment, and of the person's surroundings.
"""

import ipaddress
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast
from urllib.parse import urlsplit

from polydev.domain.secret import Secret
from polydev.errors import NotSignedIn, SettingsError

DEFAULT_SERVER: Final = "http://127.0.0.1:4000"


@dataclass(frozen=True, slots=True)
class Profile:
    """A server and a key for it. The key does not show itself."""

    server: str
    api_key: Secret

    @property
    def loopback(self) -> bool:
        """Whether the server is this computer, so that no proxy belongs in between."""
        host = urlsplit(self.server).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost" or host.endswith(".localhost")


def profile_file() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "polydev" / "client.json"


def load_profile() -> Profile:
    """Environment first, then the file.

    Raises:
        NotSignedIn: there is no key anywhere.
        SettingsError: the address is not one, or the file is not safe to use.
    """
    stored = _read(profile_file())
    server = check_server(
        os.environ.get("POLYDEV_SERVER") or stored.get("server") or DEFAULT_SERVER
    )
    key = os.environ.get("POLYDEV_API_KEY")
    if not key and stored.get("server", DEFAULT_SERVER) == server:
        # A key goes to the server that it was made by and to no other.
        key = stored.get("api_key")
    if not key:
        raise NotSignedIn(
            f"There is no API key for {server}. On the server's own machine run `polydev init` "
            "(`polydev init --new-key` if it has an admin already); elsewhere set POLYDEV_SERVER "
            "and POLYDEV_API_KEY."
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise SettingsError("POLYDEV_API_KEY: is not an API key (they start with pdk_).")
    return Profile(server, Secret(key))


def save_profile(profile: Profile) -> Path:
    """Write the file for this person alone; returns where."""
    file = profile_file()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        json.dump({"server": profile.server, "api_key": profile.api_key.reveal()}, out, indent=2)
        out.write("\n")
    fresh.replace(file)
    return file


def stored_server() -> str | None:
    """The server of the stored profile, if there is one."""
    return _read(profile_file()).get("server")


def check_server(url: str) -> str:
    """A server's address in its plain form (no path, no final slash)."""
    try:
        parts = urlsplit(url)
        port_is_wrong = parts.port == 0
    except ValueError:  # a bracket that does not close, a port that is no number
        parts, port_is_wrong = urlsplit(""), True
    wrong = (
        port_is_wrong
        or parts.scheme not in {"http", "https"}
        or not parts.hostname
        or parts.username is not None
        or parts.path not in {"", "/"}
        or parts.query
        or parts.fragment
    )
    if wrong:
        raise SettingsError(
            "POLYDEV_SERVER: must look like https://polydev.example.com or http://127.0.0.1:4000"
        )
    return f"{parts.scheme}://{parts.netloc}"


def has_graphical_browser() -> bool:
    """Whether a browser window can be opened from here. (Without this check Python would start a
    text browser in the person's terminal.)"""
    if sys.platform == "darwin":
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def private_runtime_dir() -> Path | None:
    """The person's own directory for short-lived files, if the system made one."""
    value = os.environ.get("XDG_RUNTIME_DIR")
    return Path(value) if value and Path(value).is_dir() else None


def _read(file: Path) -> dict[str, str]:
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            raw = opened.read(65536)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read ({error.strerror}).") from None
    if mode & 0o077:
        raise SettingsError(
            f"{file}: other users may read it, and it holds an API key. Run `chmod 600 {file}`."
        )
    try:
        data = cast("object", json.loads(raw))
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise SettingsError(f"{file}: is not what `polydev init` wrote. Remove it and run that.")
    fields = cast("dict[str, object]", data)
    return {name: value for name, value in fields.items() if isinstance(value, str)}
