"""Removing a folder that a guest has filled: it may have taken away our own permissions in it, and
nested folders deeper than any recursion of ours could go."""

import subprocess
from pathlib import Path


def remove_tree(folder: Path) -> None:
    """Remove a folder with all that is in it, as far as the file system lets us. Blocks.

    coreutils do it: they walk by descriptor, without recursion and without following links, so
    that neither depth nor a link leads them astray. Nothing in the folder may be running.

    Where we are an ordinary user, the guest's files are our own and it may have made folders that
    nobody can enter (`chmod 0`), or read-only ones as some tools do. Those are opened up first.
    """
    _quietly("rm", "-rf", "--one-file-system", "--", str(folder))
    if folder.exists():
        _quietly("chmod", "-R", "u+rwX", "--", str(folder))
        _quietly("rm", "-rf", "--one-file-system", "--", str(folder))


def own_tree(folder: Path, uid: int) -> None:
    """Give a folder with all that is in it to another user, links themselves included. Blocks.

    Raises:
        OSError: something of it still belongs to somebody else.
    """
    if not _quietly("chown", "-Rh", "--", f"{uid}:{uid}", str(folder)):
        raise PermissionError(1, "it cannot be given to another user", str(folder))


def _quietly(program: str, *arguments: str) -> bool:
    done = subprocess.run(
        [f"/bin/{program}", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"PATH": "/usr/bin:/bin"},
        check=False,
    )
    return done.returncode == 0
