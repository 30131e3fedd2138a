"""The credential files of a machine: capture, deliver, remove, and watch for refreshed ones."""

from collections.abc import Callable, Mapping

from polydev.domain.credential import CapturedFile
from polydev.guest.agent import capture as capturing
from polydev.guest.agent import deliver as delivering
from polydev.guest.agent.events import EventLog
from polydev.guest.agent.homefs import Home
from polydev.guest.agent.layout import Layout
from polydev.guest.agent.watch import PathWatch
from polydev.guest.codec import decode_list, encode
from polydev.guest.protocol import EventKind, ManifestEntry, ProtocolError, RemoveRequest

Note = dict[str, object]


class Credentials:
    """``remember`` keeps a note for the next agent, so that a watch outlives a crash of this one;
    the note holds paths and hashes only."""

    def __init__(self, layout: Layout, events: EventLog, remember: Callable[[Note], None]) -> None:
        self._root = layout.home
        self._home = Home(layout.home)
        self._events = events
        self._remember = remember
        self._manifest: tuple[ManifestEntry, ...] = ()
        self._known: dict[str, str] | None = None
        self._watch: PathWatch | None = None

    def capture(self, manifest: tuple[ManifestEntry, ...]) -> tuple[CapturedFile, ...]:
        return capturing.capture(self._home, manifest)

    def deliver(self, files: tuple[CapturedFile, ...]) -> list[str]:
        written = delivering.deliver(self._home, files)
        self._take_as_known()
        return written

    def remove(self, request: RemoveRequest) -> list[str]:
        removed = delivering.remove(self._home, request.paths, request.keys)
        self._take_as_known()
        return removed

    def watch(self, manifest: tuple[ManifestEntry, ...]) -> None:
        """From now on tell of changes to these files, measured against what they hold now."""
        self._begin(manifest)
        self._take_as_known()

    def resume(self, note: Mapping[str, object]) -> None:
        """Go on with the watch of the agent before this one; what changed meanwhile counts."""
        try:
            manifest = decode_list(ManifestEntry, note.get("manifest"), "manifest")
        except ProtocolError:
            return
        known = note.get("known")
        if isinstance(known, dict):
            self._known = {str(k): str(v) for k, v in known.items()}  # type: ignore[misc]
        self._begin(manifest)

    def _begin(self, manifest: tuple[ManifestEntry, ...]) -> None:
        if self._watch is not None:
            self._watch.close()
        self._manifest = manifest
        paths = [entry.path for entry in manifest]
        self._watch = PathWatch(self._root, paths, self._settled) if paths else None

    def _take_as_known(self) -> None:
        if self._manifest:
            self._known = capturing.fingerprints(self._home, self._manifest)
            self._keep_note()

    def _settled(self) -> None:
        now = capturing.fingerprints(self._home, self._manifest)
        if now is None or now == self._known:
            return
        before = self._known or {}
        changed = sorted(path for path in now.keys() | before if now.get(path) != before.get(path))
        self._known = now
        self._keep_note()
        self._events.emit(EventKind.CREDENTIAL_CHANGED, paths=changed)

    def _keep_note(self) -> None:
        self._remember({"manifest": encode(self._manifest), "known": self._known})
