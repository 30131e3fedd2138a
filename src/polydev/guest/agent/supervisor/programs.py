"""How display, window manager and Chromium are started: their command lines, and no more."""

import json
from pathlib import Path
from typing import Final

from polydev.guest.agent.layout import Layout
from polydev.guest.protocol import MachineConfig

XVNC: Final = "/usr/bin/Xvnc"
OPENBOX: Final = "/usr/bin/openbox"
CERTUTIL: Final = "/usr/bin/certutil"
START_PAGE: Final = "data:text/html,"
"""Not about:blank: with that, Chromium puts the keyboard into its address bar, not the page."""

_CHROMIUMS: Final = ("/usr/lib/chromium/chromium", "/usr/bin/chromium", "/usr/bin/google-chrome")
"""The program itself first: Debian's launcher script costs time and adds extensions."""

_PREFERENCES: Final = {
    "autofill": {"credit_card_enabled": False, "profile_enabled": False},
    "bookmark_bar": {"show_on_all_tabs": False},
    "browser": {"check_default_browser": False, "has_seen_welcome_page": True},
    "credentials_enable_service": False,
    "credentials_enable_autosignin": False,
    "profile": {"password_manager_enabled": False, "password_manager_leak_detection": False},
    "search": {"suggest_enabled": False},
    "signin": {"allowed": False},
    "translate": {"enabled": False},
}


def display(layout: Layout, config: MachineConfig, ready_fd: int) -> tuple[str, ...]:
    """Xvnc: X server and VNC server in one, on a Unix socket only.

    It asks for no password: whoever reaches the socket has been through the host's relay. The
    number of the display is its own choice and comes out of ``ready_fd`` once it listens.
    """
    return (
        XVNC,
        "-displayfd",
        str(ready_fd),
        "-rfbunixpath",
        str(layout.display_socket),
        "-rfbunixmode",
        "0600",
        "-rfbport",
        "-1",
        "-SecurityTypes",
        "None",
        "-geometry",
        f"{config.width}x{config.height}",
        "-depth",
        "24",
        "-AcceptSetDesktopSize",
        "-AlwaysShared",
        "-nolisten",
        "tcp",
        "-noreset",
        "-s",
        "0",
        "-dpms",
        "-br",
        "-desktop",
        "Polydev",
    )


def window_manager(layout: Layout, supervisor_pid: int) -> tuple[str, ...]:
    """openbox with our few rules; it runs its startup command once it manages windows."""
    return (
        OPENBOX,
        "--sm-disable",
        "--config-file",
        str(layout.share / "openbox.xml"),
        "--startup",
        f"/bin/sh -c 'kill -USR1 {supervisor_pid}'",
    )


def chromium(layout: Layout, config: MachineConfig) -> tuple[str, ...]:
    """Chromium, driven through the pipe on its descriptors 3 and 4: it opens no port."""
    program = next((p for p in _CHROMIUMS if Path(p).exists()), _CHROMIUMS[1])
    sandbox = () if config.browser_sandbox else ("--no-sandbox",)
    return (
        program,
        *sandbox,
        "--remote-debugging-pipe",
        f"--user-data-dir={layout.chromium_profile}",
        f"--proxy-server=http://{layout.proxy_host}:{layout.proxy_port}",
        "--ozone-platform=x11",
        "--start-maximized",
        f"--window-size={config.width},{config.height}",
        "--window-position=0,0",
        "--disable-gpu",
        "--disable-quic",
        "--disable-sync",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-default-apps",
        "--disable-breakpad",
        "--disable-features=Translate,MediaRouter,OptimizationHints,GlobalMediaControls",
        "--hide-crash-restore-bubble",
        "--no-default-browser-check",
        "--no-first-run",
        "--no-pings",
        "--password-store=basic",
        START_PAGE,
    )


def prepare_profile(layout: Layout) -> None:
    """Put our preferences into a profile that is new, and free one whose owner was killed."""
    profile = layout.chromium_profile
    preferences = profile / "Default" / "Preferences"
    if not preferences.exists():
        preferences.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        preferences.write_text(json.dumps(_PREFERENCES))
        (profile / "First Run").touch()
    for lock in profile.glob("Singleton*"):
        lock.unlink(missing_ok=True)


def certificate_imports(layout: Layout) -> list[tuple[str, ...]]:
    """The commands that make Chromium trust the operator's extra CA (its NSS store).

    certutil takes one certificate a time, so a file of several is cut into parts, in the same
    private home.
    """
    store = layout.home / ".pki" / "nssdb"
    store.mkdir(mode=0o700, parents=True, exist_ok=True)
    end = "-----END CERTIFICATE-----"
    parts = [part + end for part in layout.extra_ca.read_text().split(end)[:-1]]
    commands: list[tuple[str, ...]] = []
    for i, text in enumerate(parts):
        file = store / f"polydev-{i}.pem"
        file.write_text(text[text.index("-----BEGIN") :] + "\n")
        commands.append(
            (
                CERTUTIL,
                "-A",
                "-d",
                f"sql:{store}",
                "-n",
                f"polydev-{i}",
                "-t",
                "C,,",
                "-i",
                str(file),
            )
        )
    return commands
