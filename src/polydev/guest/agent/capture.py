"""Holds the home against a capture manifest: is it all there, and what is in it."""

import hashlib

from polydev.domain.credential import CapturedFile
from polydev.guest.agent.homefs import FileRefused, Home
from polydev.guest.manifest import incomplete, subset
from polydev.guest.protocol import MAX_BUNDLE_BYTES, MAX_BUNDLE_FILES, ManifestEntry

Manifest = tuple[ManifestEntry, ...]


class NotComplete(Exception):
    """A file that is needed is missing or does not hold what it must."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path


def capture(home: Home, manifest: Manifest) -> tuple[CapturedFile, ...]:
    """All files of the manifest, checked.

    Raises `FileRefused` for the first one that is not a file that we take, `NotComplete` for the
    first whose content is not (yet) what is asked for.
    """
    if len(manifest) > MAX_BUNDLE_FILES:
        raise FileRefused(manifest[MAX_BUNDLE_FILES].path, "is one file too many")
    files: list[CapturedFile] = []
    total = 0
    for entry in manifest:
        content = home.read(entry.path, entry.max_bytes)
        if content is None:
            if entry.required:
                raise NotComplete(entry.path, "is missing")
            continue
        why = incomplete(entry, content)
        if why is not None:
            raise NotComplete(entry.path, why)
        if entry.only_keys:
            content = subset(content, entry.only_keys)
        total += len(content)
        if total > MAX_BUNDLE_BYTES:
            raise FileRefused(entry.path, f"brings the files above {MAX_BUNDLE_BYTES} bytes")
        files.append(CapturedFile(entry.path, entry.mode, content, bool(entry.only_keys)))
    return tuple(files)


def satisfied(home: Home, manifest: Manifest) -> bool:
    """Whether there is nothing more to wait for before a `capture`.

    A file that it would refuse for what it is (a link, too large) is not waited for: time does
    not mend it, and the capture that follows says its name.
    """
    for entry in manifest:
        try:
            content = home.read(entry.path, entry.max_bytes)
        except FileRefused:
            continue
        if content is None and entry.required:
            return False
        if content is not None and incomplete(entry, content) is not None:
            return False
    return True


def fingerprints(home: Home, manifest: Manifest) -> dict[str, str] | None:
    """A hash of what `capture` would take of each file; None while it would take nothing."""
    try:
        files = capture(home, manifest)
    except (FileRefused, NotComplete):
        return None
    return {file.path: hashlib.sha256(file.content).hexdigest() for file in files}
