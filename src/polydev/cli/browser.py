"""Opens a page in the person's own browser without putting its one-time secret into a command
line: other users of this computer can read those."""

from __future__ import annotations

import contextlib
import html
import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

from polydev.cli.profile import has_graphical_browser, private_runtime_dir


@contextlib.contextmanager
def opened_in_browser(url: str) -> Generator[bool]:
    """Try to open ``url``; yields whether a browser was started.

    The browser is handed a private file that sends it on; the file is gone when the block ends.
    """
    if not has_graphical_browser():
        yield False
        return
    import webbrowser

    directory = Path(tempfile.mkdtemp(prefix="polydev-", dir=private_runtime_dir()))
    try:
        page = directory / "open.html"
        target = html.escape(url, quote=True)
        descriptor = os.open(page, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(
                '<!doctype html><meta charset="utf-8"><title>Polydev</title>'
                '<meta name="referrer" content="no-referrer">'
                f'<meta http-equiv="refresh" content="0; url={target}">'
                f'<a href="{target}">Go on to Polydev</a>\n'
            )
        try:
            started = webbrowser.open(page.as_uri())
        except webbrowser.Error:
            started = False
        yield started
    finally:
        shutil.rmtree(directory, ignore_errors=True)
