"""Paths of files in a guest's home, as they travel: relative, POSIX, normalised."""

from polydev.guest.protocol import ProtocolError

_MAX_PATH = 512
_MAX_DEPTH = 16


def check_home_path(path: str, where: str) -> tuple[str, ...]:
    """Return the path's components, or raise `ProtocolError` that starts with ``where``.

    Refused: empty, absolute, ``.`` and ``..`` and empty components, control characters,
    backslashes and anything that is not a name on every file system.
    """
    if not path or len(path.encode("utf-8", "surrogatepass")) > _MAX_PATH:
        raise ProtocolError(f"{where}: is empty or too long")
    if path.startswith("/"):
        raise ProtocolError(f"{where}: must be relative to the home")
    if not path.isprintable() or "\\" in path:
        raise ProtocolError(f"{where}: holds a character that is not allowed")
    parts = tuple(path.split("/"))
    if any(part in ("", ".", "..") or len(part.encode()) > 255 for part in parts):
        raise ProtocolError(f"{where}: must be normalised, without . and ..")
    if len(parts) > _MAX_DEPTH:
        raise ProtocolError(f"{where}: is too deep")
    return parts
