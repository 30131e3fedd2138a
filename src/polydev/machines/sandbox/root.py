"""What a sandbox sees: the bubblewrap command line, made from a spec and nothing else.

The system is the host's ``/usr``, read-only, with ``/usr/local`` hidden; ``/etc`` is made of a few
public files and of ours; everything else is private memory. No path comes from a person.
"""

from dataclasses import dataclass
from pathlib import Path

from polydev.domain.machine import MachineKind, MachineSpec
from polydev.guest.protocol import AGENT_SOCKET, CA_BUNDLE, CONFIG_FILE, EXTRA_CA, HOME
from polydev.machines.sandbox.layout import MachinePaths
from polydev.machines.sandbox.nesting import find_bwrap

GUEST_UID = 1000
GUEST_NAME = "dev"

SOCKETS = str(Path(AGENT_SOCKET).parent)
_SOCKETS_SIZE = str(64 << 10)
_MADE_UP_SIZE = str(1 << 20)
_SEALED = ("/usr/local", "/opt", "/etc", "/run", "/dev", "/")

_PUBLIC_ETC = (
    "/etc/fonts",
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/services",
    "/etc/protocols",
    "/etc/X11",
    "/etc/xdg/openbox",
)

_POLICIES = """{
  "PasswordManagerEnabled": false,
  "AutofillAddressEnabled": false,
  "AutofillCreditCardEnabled": false,
  "SyncDisabled": true,
  "BrowserSignin": 0,
  "MetricsReportingEnabled": false,
  "DefaultBrowserSettingEnabled": false,
  "PromotionsEnabled": false,
  "TranslateEnabled": false,
  "DownloadRestrictions": 3,
  "PrintingEnabled": false,
  "BackgroundModeEnabled": false,
  "ExtensionInstallBlocklist": ["*"],
  "URLBlocklist": ["file://*", "chrome://settings/*", "view-source:*"]
}
"""


@dataclass(frozen=True, slots=True)
class Shared:
    """What all machines of this host share, read-only."""

    agent: Path
    tools: Path
    node: Path


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file that exists only in the machine's memory; its text never touches the host's disk."""

    path: str
    text: str
    mode: str = "0444"


def data_files(
    spec: MachineSpec, config: str, ca_bundle: str, extra_ca: str | None
) -> list[DataFile]:
    """The files made for this machine. ``config`` holds the agent's token."""
    host = spec.hostname
    files = [
        DataFile(CONFIG_FILE, config, "0400"),
        DataFile(CA_BUNDLE, ca_bundle),
        DataFile("/etc/ssl/certs/ca-certificates.crt", ca_bundle),
        DataFile(
            "/etc/passwd",
            f"root:x:0:0:root:/nonexistent:/usr/sbin/nologin\n"
            f"{GUEST_NAME}:x:{GUEST_UID}:{GUEST_UID}::{HOME}:/bin/bash\n"
            f"nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
        ),
        DataFile("/etc/group", f"root:x:0:\n{GUEST_NAME}:x:{GUEST_UID}:\nnogroup:x:65534:\n"),
        DataFile("/etc/hosts", f"127.0.0.1 localhost {host}\n::1 localhost\n"),
        DataFile("/etc/hostname", f"{host}\n"),
        # Names are resolved by the egress proxy alone; the machine has no resolver.
        DataFile("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"),
        DataFile("/etc/machine-id", spec.incarnation.encode().hex()[-32:].rjust(32, "0") + "\n"),
        DataFile("/etc/chromium/policies/managed/polydev.json", _POLICIES),
    ]
    if extra_ca is not None:
        files.append(DataFile(EXTRA_CA, extra_ca))
    return files


def bwrap_argv(spec: MachineSpec, paths: MachinePaths, shared: Shared) -> list[str]:
    """The command line up to the data files, which the keeper adds with their descriptors."""
    scratch = str(spec.limits.scratch_mib << 20)
    argv = [
        find_bwrap(),
        *("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net"),
        *("--unshare-cgroup-try", "--uid", str(GUEST_UID), "--gid", str(GUEST_UID)),
        *("--hostname", spec.hostname, "--die-with-parent", "--new-session"),
        *("--clearenv", "--cap-drop", "ALL"),
        *("--ro-bind", "/usr", "/usr", *_made_up("/usr/local")),
        *_system_links(),
        *("--proc", "/proc", "--dev", "/dev"),
        *("--perms", "1777", "--size", scratch, "--tmpfs", "/tmp"),  # noqa: S108 - the guest's own
        *("--perms", "1777", "--size", scratch, "--tmpfs", "/dev/shm"),  # noqa: S108 - likewise
        *_made_up("/run"),
        *_made_up("/etc"),
        *("--dir", "/etc/ssl/certs", "--symlink", "../tmp", "/var/tmp"),  # noqa: S108 - likewise
    ]
    for path in _PUBLIC_ETC:
        argv += ["--ro-bind-try", path, path]
    argv += _made_up("/opt")
    for source, target in ((shared.agent, "agent"), (shared.tools, "tools"), (shared.node, "node")):
        argv += ["--ro-bind", str(source), f"/opt/polydev/{target}"]
    # The sockets that the host dials (`dial.py`): in the machine's memory, not on the host's disk.
    argv += ["--perms", "0700", "--size", _SOCKETS_SIZE, "--tmpfs", SOCKETS]
    argv += ["--ro-bind", str(paths.egress), "/run/polydev/egress"]
    if spec.kind is MachineKind.CLI:
        argv += ["--bind", str(paths.home), HOME]
    else:
        argv += ["--perms", "0700", "--size", scratch, "--tmpfs", HOME]
    argv += ["--chdir", HOME]
    for name, value in (
        ("HOME", HOME),
        ("USER", GUEST_NAME),
        ("PATH", "/usr/bin:/bin"),
        ("LANG", "C.UTF-8"),
    ):
        argv += ["--setenv", name, value]
    return argv


def seal() -> list[str]:
    """The options that come after all others: nothing can be put beside what the machine was made
    of, and so nothing fills the host's memory there."""
    return [word for path in _SEALED for word in ("--remount-ro", path)]


def _made_up(path: str) -> list[str]:
    """A folder of our own making, sealed once it is complete."""
    return ["--perms", "0755", "--size", _MADE_UP_SIZE, "--tmpfs", path]


def _system_links() -> list[str]:
    """``/bin``, ``/lib`` and their like, as the host has them (links on a merged-/usr system)."""
    argv: list[str] = []
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        path = Path("/") / name
        if path.is_symlink():
            argv += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            argv += ["--ro-bind", str(path), str(path)]
    return argv
