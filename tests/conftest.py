"""Fixtures that every kind of test may use."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# Times say nothing on a busy machine, and what is tried must not change from one run to the next.
hypothesis.settings.register_profile(
    "polydev",
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("polydev")


@pytest.fixture
def state_dir() -> Iterator[Path]:
    """An empty state directory that machines' own users can pass through.

    pytest's tmp_path lies in a folder of mode 0700, which as root would shut them out.
    """
    folder = Path(tempfile.mkdtemp(prefix="polydev-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The person's own configuration is not the tests' business."""
    for name in list(os.environ):
        if name.startswith("POLYDEV_") and not name.startswith("POLYDEV_TEST_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("POLYDEV_CONFIG", "/dev/null")
