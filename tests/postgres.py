"""A private PostgreSQL server for one test run: an ordinary user's, on a Unix socket only."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg
from psycopg import sql

_START_S = 180


def find_binaries() -> Path | None:
    """The folder of `initdb` and `postgres`; Debian keeps them out of PATH."""
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((p for p in places if (p / "initdb").exists() and (p / "postgres").exists()), None)


@dataclass
class Server:
    socket_folder: Path
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def url(self, database: str) -> str:
        return f"postgresql://tester@/{database}?host={self.socket_folder}"

    def create(self, template: str | None = None) -> str:
        """Make a database (a copy of ``template``) and return its name."""
        name = f"test_{next(self._numbers)}"
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template is not None:
            statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        self._run(statement)
        return name

    def drop(self, name: str) -> None:
        self._run(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def _run(self, statement: sql.Composable) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)


@contextmanager
def server(binaries: Path) -> Iterator[Server]:
    """Start a server and stop it again; it also dies with us, should we be killed."""
    folder = Path(tempfile.mkdtemp(prefix="pdpg-"))
    become: list[str] = []
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        person = pwd.getpwnam("nobody")
        os.chown(folder, person.pw_uid, person.pw_gid)
        become = [f"--reuid={person.pw_uid}", f"--regid={person.pw_gid}", "--clear-groups"]
    as_user = ["setpriv", *become, "--pdeathsig=INT", "--"]
    data = folder / "data"
    try:
        made = subprocess.run(
            [*as_user, binaries / "initdb", "-D", data, "-U", "tester", "-A", "trust", "--no-sync"],
            check=False,
            capture_output=True,
            text=True,
            cwd=folder,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        )
        if made.returncode != 0:
            raise RuntimeError(f"initdb failed: {made.stderr.strip()}")
        options = {"listen_addresses": "", "unix_socket_directories": str(folder), "fsync": "off"}
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        process = subprocess.Popen(
            [*as_user, binaries / "postgres", "-D", data, *flags],
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        )
        try:
            _wait_until_ready(process)
            yield Server(folder)
        finally:
            # The fast shutdown: the smart one would wait for clients that were forgotten.
            process.send_signal(signal.SIGINT)
            process.wait(timeout=_START_S)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_ready(process: subprocess.Popen[str]) -> None:
    """Read its log until it says so, and go on reading so that the pipe never fills."""
    ready = threading.Event()
    lines: list[str] = []

    def read() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            if not ready.is_set():
                lines.append(line)
            if "ready to accept connections" in line:
                ready.set()
        ready.set()

    threading.Thread(target=read, daemon=True).start()
    if not ready.wait(_START_S) or process.poll() is not None:
        raise RuntimeError("PostgreSQL did not start:\n" + "".join(lines))
