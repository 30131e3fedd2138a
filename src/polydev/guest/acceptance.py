"""What the host takes of what a machine says that it captured."""

from collections.abc import Sequence
from dataclasses import replace

from polydev.domain.credential import Bundle, CapturedFile
from polydev.errors import AgentError, CaptureRefused
from polydev.guest.manifest import incomplete, subset
from polydev.guest.protocol import ManifestEntry


def accept(bundle: Bundle, manifest: Sequence[ManifestEntry]) -> Bundle:
    """Hold a bundle against the manifest again: only its files, in its sizes, modes and keys."""
    entries = {entry.path: entry for entry in manifest}
    given = {file.path for file in bundle.files}
    for entry in manifest:
        if entry.required and entry.path not in given:
            raise AgentError(f"{entry.path} is missing.", detail=f"{entry.path}: is missing")
    return Bundle(tuple(_accept_file(file, entries.get(file.path)) for file in bundle.files))


def _accept_file(file: CapturedFile, entry: ManifestEntry | None) -> CapturedFile:
    why: str | None = None
    if entry is None:
        why = "is not in the manifest"
    elif len(file.content) > entry.max_bytes:
        why = f"is larger than {entry.max_bytes} bytes"
    if why is not None or entry is None:
        raise CaptureRefused(
            f"{file.path} {why}.", offender=file.path, detail=f"{file.path}: {why}"
        )
    # A key that is not captured was checked where the whole file is.
    kept = tuple(key for key in entry.required_keys if _captured(entry, key))
    why = incomplete(replace(entry, required_keys=kept), file.content)
    if why is not None:
        raise AgentError(f"{file.path} {why}.", detail=f"{file.path}: {why}")
    content = subset(file.content, entry.only_keys) if entry.only_keys else file.content
    return CapturedFile(file.path, entry.mode, content, bool(entry.only_keys))


def _captured(entry: ManifestEntry, key: str) -> bool:
    tops = entry.only_keys
    return not tops or any(key == top or key.startswith(f"{top}.") for top in tops)
