"""The command line with a played server and a home of its own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from polydev.cli.main import app
from tests.unit.cli.fake_api import KEY, FakeApi

Polydev = Callable[..., Result]


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No profile, no browser, no state and no wishes about colours of whoever runs the tests."""
    for name in (
        *("DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR"),
        *("COLUMNS", "LINES", "TERMINAL_WIDTH"),
        *("FORCE_COLOR", "PY_COLORS", "NO_COLOR", "GITHUB_ACTIONS"),
        *("TTY_COMPATIBLE", "TTY_INTERACTIVE"),
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("POLYDEV_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    with FakeApi() as fake:
        monkeypatch.setenv("POLYDEV_SERVER", fake.url)
        monkeypatch.setenv("POLYDEV_API_KEY", KEY)
        yield fake


@pytest.fixture
def polydev() -> Polydev:
    """Run a command; the result has ``exit_code``, ``stdout`` and ``stderr``."""

    def run(*arguments: str, input: str | None = None) -> Result:  # noqa: A002 - the runner's word
        result = CliRunner().invoke(app, list(arguments), input=input)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert "Traceback" not in result.output
        return result

    return run
