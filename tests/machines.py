"""Drivers for tests, made as the server makes them."""

from pathlib import Path

from polydev.machines.driver import Driver
from polydev.server import make_driver
from polydev.settings import load_settings


def make_sandbox_driver(state_dir: Path) -> Driver:
    return make_driver(load_settings(state_dir=state_dir))
