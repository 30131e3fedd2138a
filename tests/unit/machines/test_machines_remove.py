"""A guest may make folders that its host cannot simply remove."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from polydev.machines.sandbox import remove
from polydev.machines.sandbox.remove import own_tree, remove_tree

NOBODY = 65534
SCRIPT = (
    "import sys, pathlib; from polydev.machines.sandbox.remove import remove_tree; "
    "p = pathlib.Path(sys.argv[1]); q = p / 'x' / 'y' / 'z'; q.mkdir(parents=True); "
    "(q / 'file').touch(); (p / 'x' / 'y').chmod(0o555); (p / 'x').chmod(0); "
    "remove_tree(p); sys.exit(p.exists())"
)


def test_a_tree_is_removed_and_what_a_link_points_at_stays(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o500)
    tree = tmp_path / "tree"
    (tree / "deep").mkdir(parents=True)
    (tree / "deep" / "link").symlink_to(outside)
    remove_tree(tree)
    assert not tree.exists()
    assert outside.stat().st_mode & 0o777 == 0o500


def test_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    remove_tree(tmp_path / "missing")


def test_folders_without_permissions_are_removed_by_their_owner() -> None:
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        tree.mkdir()
        user = None
        if os.geteuid() == 0:
            user = NOBODY
            Path(folder).chmod(0o777)
            os.chown(tree, NOBODY, NOBODY)
        try:
            done = subprocess.run(
                [sys.executable, "-c", SCRIPT, str(tree)],
                user=user,
                group=user,
                capture_output=True,
                check=False,
                cwd="/",
            )
        except PermissionError:
            pytest.skip("this Python environment lies where an ordinary user may not read")
        if b"ModuleNotFoundError" in done.stderr:
            pytest.skip("this Python environment lies where an ordinary user may not read")
        assert done.returncode == 0, done.stderr


def test_a_tree_deeper_than_any_recursion_is_removed(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    nest(tree, 5000)
    remove_tree(tree)
    assert not tree.exists()


def test_a_deep_tree_without_permissions_is_removed_by_its_owner() -> None:
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        tree.mkdir()
        nest(tree, 5000, mode=0)
        user = None
        if os.geteuid() == 0:
            user = NOBODY
            Path(folder).chmod(0o777)
            own_tree(tree, NOBODY)
        # The system's Python and the bare source, as an ordinary user may not read our own.
        code = f"{Path(remove.__file__).read_text()}\nimport sys; remove_tree(Path(sys.argv[1]))"
        subprocess.run(
            ["/usr/bin/python3", "-c", code, str(tree)],
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            check=True,
            cwd="/",
        )
        assert not tree.exists()


def test_a_tree_is_given_to_another_user_but_not_what_its_links_point_at(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    outside = tmp_path / "outside"
    outside.touch()
    tree = tmp_path / "tree"
    (tree / "deep").mkdir(parents=True)
    (tree / "deep" / "link").symlink_to(outside)
    own_tree(tree, NOBODY)
    assert {path.lstat().st_uid for path in tree.rglob("*")} == {NOBODY}
    assert outside.stat().st_uid == 0


def nest(folder: Path, depth: int, mode: int = 0o755) -> None:
    """Folders in folders, each of ``mode`` once it holds the next."""
    fd = os.open(folder, os.O_PATH)
    for _ in range(depth):
        os.mkdir("d", dir_fd=fd)
        inner = os.open("d", os.O_PATH, dir_fd=fd)
        os.chmod(f"/proc/self/fd/{fd}", mode)  # noqa: PTH101 - a descriptor has no path
        os.close(fd)
        fd = inner
    os.close(fd)
