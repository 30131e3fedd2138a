"""Machines for the contract tests, and how a test talks to one."""

from collections.abc import Callable
from pathlib import Path

from polydev.domain.ids import new_id
from polydev.domain.machine import Channel, Limits, MachineKind, MachineSpec
from polydev.domain.secret import Secret
from polydev.guest.client import AgentClient
from polydev.guest.protocol import ExecRequest
from polydev.machines.driver import Driver, DriverState
from polydev.sessions.output import Answer, collect
from tests.machines import make_sandbox_driver

READY_S = 120.0
ANSWER_S = 120.0
"""Far more than any program here takes, also where a whole disk is read and the host is busy."""
DRIVERS: dict[str, Callable[[Path], Driver]] = {"sandbox": make_sandbox_driver}


class Machines:
    """Boots machines and sees that every one is destroyed when the test ends."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.made: dict[str, DriverState] = {}

    def spec(self, kind: MachineKind, machine_id: str | None = None) -> MachineSpec:
        return MachineSpec(
            machine_id=machine_id or new_id("mac"),
            incarnation=new_id("inc"),
            kind=kind,
            agent_token=Secret(new_id("key")),
            limits=Limits(memory_mib=1024, cpus=2, processes=400, scratch_mib=256),
        )

    async def boot(self, spec: MachineSpec) -> tuple[DriverState, AgentClient]:
        state = await self.driver.start(spec)
        self.made[spec.machine_id] = state
        client = self.client(spec, state)
        await client.wait_ready(READY_S)
        return state, client

    def client(self, spec: MachineSpec, state: DriverState) -> AgentClient:
        return AgentClient(lambda: self.driver.dial(state, Channel.AGENT), spec.agent_token)


async def sh(client: AgentClient, script: str) -> Answer:
    request = ExecRequest(argv=("/bin/sh", "-c", script), timeout_s=ANSWER_S)
    return await collect(client.exec(request), max_bytes=1 << 20)
