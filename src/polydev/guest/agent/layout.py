"""Where things are in a machine. Tests give their own; nothing else does."""

from dataclasses import dataclass
from pathlib import Path

from polydev.guest import protocol


@dataclass(frozen=True, slots=True)
class Layout:
    config_file: Path = Path(protocol.CONFIG_FILE)
    agent_socket: Path = Path(protocol.AGENT_SOCKET)
    display_socket: Path = Path(protocol.DISPLAY_SOCKET)
    egress_socket: Path = Path(protocol.EGRESS_SOCKET)
    ca_bundle: Path = Path(protocol.CA_BUNDLE)
    extra_ca: Path = Path(protocol.EXTRA_CA)
    home: Path = Path(protocol.HOME)
    agent_tree: Path = Path(protocol.BROWSER_SHIM).parent.parent
    proxy_host: str = "127.0.0.1"
    proxy_port: int = 3128

    @property
    def shim(self) -> Path:
        return self.agent_tree / "bin" / "open-url"

    @property
    def shims(self) -> Path:
        """Holds the shim under the names of other programs that open a browser."""
        return self.agent_tree / "shims"

    @property
    def share(self) -> Path:
        """Static files of the agent: the waiting page, the window manager's configuration."""
        return self.agent_tree / "lib" / "polydev" / "guest" / "agent" / "share"

    @property
    def chromium_profile(self) -> Path:
        return self.home / ".config" / "polydev-chromium"
