"""A guest may put anything where its socket should be."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from polydev.errors import MachineGone
from polydev.machines.hostile_socket import connect_hostile


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def listening(path: Path) -> socket.socket:
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()
    return server


def test_a_socket_is_connected_to(tmp_path: Path, folder: int) -> None:
    with listening(tmp_path / "agent.sock") as server:
        connection = connect_hostile(folder, "agent.sock")
        with connection, server.accept()[0] as guest:
            guest.sendall(b"hello")
            connection.setblocking(True)
            assert connection.recv(5) == b"hello"


def test_a_path_longer_than_a_socket_address_still_works(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    fd = os.open(deep, os.O_PATH | os.O_DIRECTORY)
    server = socket.socket(socket.AF_UNIX)
    server.bind(f"/proc/self/fd/{fd}/agent.sock")
    server.listen()
    connect_hostile(fd, "agent.sock").close()
    server.close()
    os.close(fd)


def test_a_link_to_a_socket_of_the_host_is_refused(tmp_path: Path, folder: int) -> None:
    with listening(tmp_path / "of-the-host.sock"):
        (tmp_path / "agent.sock").symlink_to(tmp_path / "of-the-host.sock")
        with pytest.raises(MachineGone):
            connect_hostile(folder, "agent.sock")


def test_a_file_a_pipe_and_a_folder_are_refused(tmp_path: Path, folder: int) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("file", "pipe", "folder", "missing"):
        with pytest.raises(MachineGone):
            connect_hostile(folder, name)


def test_a_socket_that_nobody_serves_is_gone(tmp_path: Path, folder: int) -> None:
    listening(tmp_path / "agent.sock").close()
    with pytest.raises(MachineGone):
        connect_hostile(folder, "agent.sock")
