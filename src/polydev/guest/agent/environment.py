"""The environment of every program in a machine, made from nothing: the one place for it.

Nothing is inherited, so no variable of the host gets in. `CI`, `SSH_CONNECTION` and
`DEBIAN_FRONTEND` are never set: Gemini CLI takes each of them for "there is no browser here".
"""

from collections.abc import Mapping

from polydev.guest import protocol
from polydev.guest.agent.layout import Layout

SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"


def base_environment(layout: Layout) -> dict[str, str]:
    """What every child gets: home, path, locale, the way out and the certificates."""
    home = str(layout.home)
    proxy = f"http://{layout.proxy_host}:{layout.proxy_port}"
    bypass = "127.0.0.1,localhost,::1"
    env = {
        "HOME": home,
        "USER": "dev",
        "LOGNAME": "dev",
        "SHELL": "/bin/bash",
        "PATH": f"{protocol.TOOLS_BIN}:{protocol.NODE_BIN}:{SYSTEM_PATH}",
        "LANG": "C.UTF-8",
        "TMPDIR": "/tmp",  # noqa: S108 (a private file system of this machine)
        "XDG_CONFIG_HOME": f"{home}/.config",
        "XDG_CACHE_HOME": f"{home}/.cache",
        "XDG_DATA_HOME": f"{home}/.local/share",
        "XDG_STATE_HOME": f"{home}/.local/state",
        "HTTP_PROXY": proxy,
        "HTTPS_PROXY": proxy,
        "http_proxy": proxy,
        "https_proxy": proxy,
        "NO_PROXY": bypass,
        "no_proxy": bypass,
        "SSL_CERT_FILE": str(layout.ca_bundle),
        "CODEX_CA_CERTIFICATE": str(layout.ca_bundle),
    }
    if layout.extra_ca.is_file():
        env["NODE_EXTRA_CA_CERTS"] = str(layout.extra_ca)
    return env


def program_environment(
    layout: Layout,
    extra: Mapping[str, str],
    *,
    terminal: bool = False,
    display: str | None = None,
    url_socket: str | None = None,
) -> dict[str, str]:
    """What a tool gets: the base, its terminal, the display and browser if there are any, and
    what the provider's definition adds (which wins)."""
    env = base_environment(layout)
    env["TERM"] = "xterm-256color" if terminal else "dumb"
    if display is not None:
        env["DISPLAY"] = display
    if url_socket is not None:
        env["BROWSER"] = str(layout.shim)
        # Some tools run `xdg-open`, and Debian's looks for a desktop's browser before BROWSER.
        env["PATH"] = f"{layout.shims}:{env['PATH']}"
        env["POLYDEV_URL_SOCKET"] = url_socket
    env.update(extra)
    return env
