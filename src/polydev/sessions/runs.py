"""Using a signed-in tool in the person's CLI machine: one prompt, or a terminal."""

import codecs
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal

from polydev.errors import Conflict
from polydev.guest.client import Pty
from polydev.machines.manager import MachineManager
from polydev.providers.catalog import Catalog
from polydev.providers.plan import run_exec, shell_pty
from polydev.store.database import Database
from polydev.store.repositories import audit, credentials


@dataclass(frozen=True, slots=True)
class RunOutput:
    """A piece of what the tool prints, or (``exit``) its end."""

    stream: Literal["out", "err"] | None
    text: str | None
    exit: int | None


class RunService:
    """Every method takes the person, and works in that person's own CLI machine."""

    def __init__(self, db: Database, machines: MachineManager, catalog: Catalog) -> None:
        self._db = db
        self._machines = machines
        self._catalog = catalog

    async def run(self, user_id: str, provider: str, prompt: str) -> AsyncIterator[RunOutput]:
        """The tool's output for one prompt, as it comes; closing the iterator ends the tool.

        Raises:
            Conflict: the tool is not signed in, or takes no prompts.
        """
        definition = self._catalog.get(provider)
        await self._require_credential(user_id, provider)
        request = run_exec(definition, prompt)
        machine = await self._machines.cli_machine(user_id)
        async with self._db.transaction() as tx:
            await audit.append(tx, actor=user_id, action="run", target=machine.id, data={})
        agent = self._machines.agent(machine)
        # A character can be cut in two at the edge of a chunk.
        decoders = {name: codecs.getincrementaldecoder("utf-8")("replace") for name in "oe"}
        try:
            async for chunk in agent.exec(request):
                if chunk.exit is not None:
                    yield RunOutput(None, None, chunk.exit)
                    return
                stream: Literal["out", "err"] = "out" if chunk.stream == "out" else "err"
                text = decoders[stream[0]].decode(chunk.data)
                if text:
                    yield RunOutput(stream, text, None)
        finally:
            await agent.close()

    async def shell(self, user_id: str, provider: str, columns: int, rows: int) -> Pty:
        """An interactive terminal in the CLI machine, with the provider's environment."""
        definition = self._catalog.get(provider)
        machine = await self._machines.cli_machine(user_id)
        async with self._db.transaction() as tx:
            await audit.append(tx, actor=user_id, action="shell", target=machine.id, data={})
        agent = self._machines.agent(machine)
        return await agent.pty(shell_pty(definition, columns=columns, rows=rows))

    async def _require_credential(self, user_id: str, provider: str) -> None:
        async with self._db.reading() as tx:
            found = await credentials.of_provider(tx, user_id, provider)
        if found is None:
            raise Conflict(
                f"You are not signed in to {self._catalog.get(provider).title}. "
                f"Run `polydev login {provider}` first."
            )
