"""The private channel between supervisor and agent: both ends.

One Unix socket pair of type SEQPACKET, so that a message is whole or absent and can carry
descriptors. The supervisor holds what must outlive the agent (the listening socket, the pipe to
Chromium, small notes) and hands copies to each new one.

To the agent: ``hello`` (config, notes), ``units``, ``browser`` (with two descriptors: to write to
Chromium, to read from it), ``log``. From it: ``ready``, ``browser_ready``, ``note``, ``log``.
"""

import asyncio
import json
import os
import socket
from collections.abc import Callable, Sequence
from typing import Final, cast

Message = dict[str, object]
_MAX_MESSAGE: Final = 128 * 1024

AGENT_LINK_FD: Final = 3
AGENT_LISTEN_FD: Final = 4


class Link:
    """One end. ``on_message`` gets each message and the descriptors that came with it, which it
    owns then; ``on_close`` is called once when the other end is gone."""

    def __init__(
        self,
        end: socket.socket,
        on_message: Callable[[Message, list[int]], None],
        on_close: Callable[[], None],
    ) -> None:
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self._end = end
        self._on_message = on_message
        self._on_close = on_close
        asyncio.get_running_loop().add_reader(end.fileno(), self._readable)

    def send(self, message: Message, fds: Sequence[int] = ()) -> None:
        """Send without waiting. A message is dropped when the other end is gone or has not read
        for a megabyte: each state message is complete, so the next one makes up for it."""
        try:
            socket.send_fds(self._end, [json.dumps(message).encode()], fds)
        except OSError:
            return

    def close(self) -> None:
        if self._end.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._end.fileno())
            self._end.close()

    def _readable(self) -> None:
        try:
            data, fds, _, _ = socket.recv_fds(self._end, _MAX_MESSAGE, 4)
        except BlockingIOError:
            return
        except OSError:
            data, fds = b"", []
        if not data:
            self.close()
            self._on_close()
            return
        for fd in fds:
            os.set_inheritable(fd, False)
        try:
            message = json.loads(data)
        except ValueError:
            return
        if isinstance(message, dict):
            self._on_message(cast("Message", message), fds)


def pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
