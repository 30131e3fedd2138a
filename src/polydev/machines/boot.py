"""From a machine's row to a machine that is ready: boots one incarnation, waits for its agent."""

import asyncio
import socket

from polydev.domain.machine import Channel, DisplaySize, Limits, MachineKind, MachineSpec
from polydev.errors import MachineError, MachineGone, MachineNotReady
from polydev.guest.client import AgentClient
from polydev.machines.driver import Driver, DriverState, Exited
from polydev.settings import Settings
from polydev.store.database import Database
from polydev.store.records import MachineRecord
from polydev.store.repositories import machines as rows
from polydev.vault.keyring import Keyring

_POLL_S = 1.0


class Boot:
    """Knows what a machine of each kind is given, and nothing of whose it is."""

    def __init__(self, settings: Settings, driver: Driver, db: Database, keyring: Keyring) -> None:
        self._settings = settings
        self._driver = driver
        self._db = db
        self._keyring = keyring

    async def run(self, record: MachineRecord) -> MachineRecord:
        """Start the incarnation that the row names; returns once it is ready, and written so.
        If it raises, that incarnation is stopped."""
        state = await self._driver.start(self._spec(record))
        try:
            async with self._db.transaction() as tx:
                record = await rows.set_driver_state(tx, record.id, record.incarnation, state)
            client = self.agent(record)
            try:
                await self._ready_or_dead(state, client)
            finally:
                await client.close()
        except BaseException:
            await asyncio.shield(self._driver.stop(state))
            raise
        async with self._db.transaction() as tx:
            return await rows.mark_ready(tx, record.id, record.incarnation)

    def agent(self, record: MachineRecord) -> AgentClient:
        """Our end of the guest agent of the incarnation that the row names."""
        state = record.driver_state
        if state is None or record.incarnation is None:
            raise MachineGone(f"Machine {record.id} is not running.")

        async def dial() -> socket.socket:
            return await self._driver.dial(state, Channel.AGENT)

        return AgentClient(dial, self._keyring.agent_token(record.id, record.incarnation))

    async def _ready_or_dead(self, state: DriverState, client: AgentClient) -> None:
        """Wait until the machine is ready, and not for one that has already died."""
        ready = asyncio.create_task(client.wait_ready(self._settings.timeouts.machine_ready))
        try:
            while not (await asyncio.wait({ready}, timeout=_POLL_S))[0]:
                outcome = await self._driver.poll(state)
                if isinstance(outcome, Exited):
                    raise MachineNotReady(
                        "The machine ended before it was ready.", detail=outcome.detail
                    )
            ready.result()
        finally:
            ready.cancel()
            await asyncio.gather(ready, return_exceptions=True)

    def _spec(self, record: MachineRecord) -> MachineSpec:
        machines = self._settings.machines
        limits = machines.browser if record.kind is MachineKind.BROWSER else machines.cli
        if record.incarnation is None:
            raise MachineError(f"Machine {record.id} has no incarnation to boot.")
        return MachineSpec(
            machine_id=record.id,
            incarnation=record.incarnation,
            kind=record.kind,
            agent_token=self._keyring.agent_token(record.id, record.incarnation),
            limits=Limits(limits.memory_mib, limits.cpus, limits.processes, limits.scratch_mib),
            hostname=machines.hostname,
            display=DisplaySize(machines.width, machines.height),
        )


def cause_of(error: BaseException) -> str:
    """What a machine's row says of a boot that failed."""
    if isinstance(error, MachineError):
        return error.detail
    if isinstance(error, asyncio.CancelledError):
        return "nobody waited any longer for it to become ready"
    return type(error).__name__
