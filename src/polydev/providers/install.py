"""Installs the tools on this host: what `polydev providers install` does.

    <state_dir>/node/bin/node                     bound at /opt/polydev/node
    <state_dir>/tools/bin/<command>               bound at /opt/polydev/tools
    <state_dir>/tools/sets/<provider>-<hash>/     one `npm ci`, never changed afterwards
    <state_dir>/tools/installed.json              command -> where it came from, version, stamp

A running machine has these directories bound, so nothing in them is moved away: a new set is
built beside the old one and then each launcher is replaced in one rename. The replaced set stays
until a later install, for the tools that still run from it.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Final, cast

from polydev.domain.text import clean
from polydev.errors import InstallFailed, InvalidInput
from polydev.providers.catalog import RECORD, Entry, source_of
from polydev.providers.identity import parse_json, resolve
from polydev.providers.node import install_node, make_public_dir, npm_command
from polydev.providers.schema import NpmInstall, ScriptInstall

Report = Callable[[str], None]
Record = dict[str, dict[str, str]]

_NPM_TIMEOUT_S: Final = 1200
_OF_THE_NETWORK: Final = re.compile(
    r"\b(?:E(?:403|407|50[234])|EAI_AGAIN|ENOTFOUND|ECONN\w+|E\w*TIMEDOUT|ENETUNREACH|EHOSTUNREACH"
    r"|\w*CERT\w*|ERR_SOCKET\w*)\b"
)
_NETWORK_HINT: Final = (
    "Check the connection to the npm registry (npm's own settings, such as a proxy or a mirror, "
    "are used) and try again. "
)
_MAX_SCRIPT_BYTES: Final = 256 << 20


def install_tools(entries: Iterable[Entry], state_dir: Path, report: Report) -> bool:
    """Install Node and these providers' tools; True if anything was done.

    Safe to repeat and to run twice at once. Blocks; ``report`` gets one line per step.

    Raises:
        InstallFailed: says which tool, why, and what to do.
        InvalidInput: what a provider's file names to install is not there.
    """
    tools = state_dir / "tools"
    for directory in (tools, tools / "bin", tools / "sets"):
        make_public_dir(directory)
    with _locked(tools / ".lock"):
        changed = install_node(state_dir / "node")
        if changed:
            report("Node.js for the tools: installed")
        record = _read_record(tools)
        before = {entry.get("set", "") for entry in record.values()}
        for entry in entries:
            changed |= _install_one(entry, tools, record, report)
        if changed:
            _remove_unused_sets(tools, before | {e.get("set", "") for e in record.values()})
    return changed


def _install_one(entry: Entry, tools: Path, record: Record, report: Report) -> bool:
    provider = entry.provider
    install = provider.install
    stamp = _stamp(entry)
    if _is_current(entry, tools, record, stamp):
        report(f"{provider.title} {record[install.command]['version']}: already installed")
        return False
    if isinstance(install, NpmInstall):
        report(f"{provider.title}: installing {install.package} from the npm registry")
        version, in_set = _npm_install(entry, install, tools, stamp)
    else:
        version, in_set = _script_install(entry, install, tools), ""
    record[install.command] = {
        "from": source_of(provider),
        "version": version,
        "stamp": stamp,
        "set": in_set,
    }
    _write_atomically(tools / RECORD, json.dumps(record, indent=2).encode() + b"\n", 0o644)
    report(f"{provider.title} {version}: installed")
    return True


def up_to_date(entry: Entry, tools: Path) -> bool:
    """Whether what is installed is what the provider's file and lock ask for."""
    try:
        return _is_current(entry, tools, _read_record(tools), _stamp(entry))
    except InvalidInput:
        return False


def _is_current(entry: Entry, tools: Path, record: Record, stamp: str) -> bool:
    command = entry.provider.install.command
    old = record.get(command, {})
    same = old.get("stamp") == stamp and old.get("from") == source_of(entry.provider)
    return same and "version" in old and (tools / "bin" / command).exists()


# --- npm ----------------------------------------------------------------------------------------


def _npm_install(entry: Entry, install: NpmInstall, tools: Path, stamp: str) -> tuple[str, str]:
    lock = entry.file.parent / install.lock
    name = f"{entry.provider.name}-{stamp[:16]}"
    final, fresh = tools / "sets" / name, tools / "sets" / f".{name}.new"
    if not final.exists():
        shutil.rmtree(fresh, ignore_errors=True)
        make_public_dir(fresh)
        try:
            for part in ("package.json", "package-lock.json"):
                shutil.copyfile(lock / part, fresh / part)
                (fresh / part).chmod(0o644)
        except OSError as error:
            raise InvalidInput(
                f"{entry.provider.title}: {error.filename} cannot be read ({error.strerror}). "
                "`install.lock` must name a folder with package.json and package-lock.json.",
                field="install.lock",
            ) from None
        # Scripts run for the one package that was asked for, not for all that it depends on.
        _npm(entry, fresh, "ci", "--ignore-scripts")
        _npm(entry, fresh, "rebuild", install.package)
        fresh.rename(final)
    version, program = _npm_program(entry, install, final)
    _link(tools / "bin" / install.command, program)
    return version, name


def _npm(entry: Entry, directory: Path, *arguments: str) -> None:
    command = npm_command()
    env = {
        **os.environ,
        # What a package's script starts as `node` must be our Node.
        "PATH": f"{Path(command[0]).parent}:{os.environ.get('PATH', os.defpath)}",
        "npm_config_audit": "false",
        "npm_config_fund": "false",
        "npm_config_update_notifier": "false",
    }
    try:
        done = subprocess.run(
            (*command, *arguments),
            cwd=directory,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_NPM_TIMEOUT_S,
            umask=0o022,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise InstallFailed(
            f"{entry.provider.title}: npm did not finish in {_NPM_TIMEOUT_S} seconds. Check the "
            "connection to the npm registry and try again."
        ) from None
    if done.returncode != 0:
        said = clean(done.stdout.decode("utf-8", "replace")).strip()
        hint = _NETWORK_HINT if _OF_THE_NETWORK.search(said) else ""
        raise InstallFailed(
            f"{entry.provider.title}: `npm {arguments[0]}` failed (exit code {done.returncode}). "
            f"{hint}Its last lines:\n  " + "\n  ".join(said.splitlines()[-15:])
        )


def _npm_program(entry: Entry, install: NpmInstall, in_set: Path) -> tuple[str, Path]:
    """The installed package's version and the file that is its program."""
    package = in_set / "node_modules" / install.package
    described = parse_json(_read(package / "package.json"))
    version, programs = resolve(described, "/version"), resolve(described, "/bin")
    program = programs if isinstance(programs, str) else None
    if isinstance(programs, dict):
        program = cast("dict[str, object]", programs).get(install.command)
    if not isinstance(version, str) or not isinstance(program, str):
        raise InstallFailed(
            f"{entry.provider.title}: the package {install.package} has no program "
            f"'{install.command}'. Correct `install.command` in {entry.file.name}."
        )
    return version, package / program


def _link(launcher: Path, program: Path) -> None:
    """Make a launcher that works in a machine and on the host alike: both keep ``node`` beside
    ``tools``, and nothing depends on PATH."""
    inside = os.path.relpath(program, launcher.parent)
    with program.open("rb") as file:
        first = file.readline(128)
    if first.startswith(b"#!") and b"node" in first:
        script = (
            f'#!/bin/sh\nhere="${{0%/*}}"\nexec "$here/../../node/bin/node" "$here/{inside}" "$@"\n'
        )
        _write_atomically(launcher, script.encode(), 0o755)
        return
    fresh = launcher.with_name(f".{launcher.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(inside)
    fresh.replace(launcher)


def _remove_unused_sets(tools: Path, used: set[str]) -> None:
    for directory in (tools / "sets").iterdir():
        if directory.name not in used:
            shutil.rmtree(directory, ignore_errors=True)


# --- scripts ------------------------------------------------------------------------------------


def _script_install(entry: Entry, install: ScriptInstall, tools: Path) -> str:
    _write_atomically(tools / "bin" / install.command, _script(entry, install), 0o755)
    return install.version


def _script(entry: Entry, install: ScriptInstall) -> bytes:
    source = entry.file.parent / install.file
    try:
        if not source.is_file() or source.stat().st_size > _MAX_SCRIPT_BYTES:
            raise InvalidInput(
                f"{entry.provider.title}: {source} is not a file that can be installed. Correct "
                f"`install.file` in {entry.file}, or put the file there.",
                field="install.file",
            )
        return source.read_bytes()
    except OSError as error:
        raise InvalidInput(
            f"{entry.provider.title}: {source} cannot be read ({error.strerror}).",
            field="install.file",
        ) from None


# --- shared -------------------------------------------------------------------------------------


def _stamp(entry: Entry) -> str:
    """Changes when the same install would give something else."""
    install = entry.provider.install
    digest = hashlib.sha256(install.model_dump_json().encode())
    if isinstance(install, NpmInstall):
        for part in ("package.json", "package-lock.json"):
            digest.update(_read(entry.file.parent / install.lock / part))
    else:
        digest.update(_script(entry, install))
    return digest.hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _read_record(tools: Path) -> Record:
    parsed = parse_json(_read(tools / RECORD))
    record: Record = {}
    if isinstance(parsed, dict):
        for command, entry in cast("dict[str, object]", parsed).items():
            if isinstance(entry, dict):
                fields = cast("dict[str, object]", entry)
                record[command] = {k: v for k, v in fields.items() if isinstance(v, str)}
    return record


def _write_atomically(path: Path, content: bytes, mode: int) -> None:
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.write_bytes(content)
    fresh.chmod(mode)
    fresh.replace(path)


@contextmanager
def _locked(path: Path) -> Generator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
