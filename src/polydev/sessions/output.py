"""Collecting what a program in a machine prints."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from polydev.errors import AgentError
from polydev.guest.client import ExecChunk


@dataclass(frozen=True, slots=True)
class Answer:
    """All that a program said, and how it ended."""

    exit: int
    out: bytes
    err: bytes


async def collect(chunks: AsyncIterator[ExecChunk], *, max_bytes: int) -> Answer:
    """Read a whole `exec` stream, keeping at most ``max_bytes`` of each stream.

    Raises:
        AgentError: it did not end in its time, or its end did not come: it gave no answer.
    """
    out, err = bytearray(), bytearray()
    async for chunk in chunks:
        if chunk.ended == "timeout":
            raise AgentError("The program did not end in its time and was ended.")
        if chunk.exit is not None:
            return Answer(chunk.exit, bytes(out), bytes(err))
        kept = out if chunk.stream == "out" else err
        kept += chunk.data[: max_bytes - len(kept)]
    raise AgentError("The program's answer ended before the program did.")
