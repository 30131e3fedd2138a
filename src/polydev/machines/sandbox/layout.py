"""Where one machine's files lie on the host."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class MachinePaths:
    """Folders and files of one machine. Made by the driver, removed by `destroy`."""

    state_dir: Path
    machine_id: str

    @property
    def folder(self) -> Path:
        """Mode 0710, its group the machine's own: only this machine's user may pass through."""
        return self.state_dir / "machines" / self.machine_id

    @property
    def host(self) -> Path:
        """Bound read-write into the machine: the agent's and the display's sockets. Hostile."""
        return self.folder / "host"

    @property
    def egress(self) -> Path:
        """Bound read-only into the machine: the socket of its egress proxy."""
        return self.folder / "egress"

    @property
    def home(self) -> Path:
        """A CLI machine's home; a browser machine has none on disk."""
        return self.folder / "home"

    @property
    def keeper_file(self) -> Path:
        """The keeper's process and incarnation, for a server that has lost them."""
        return self.folder / "keeper.json"

    @property
    def console(self) -> Path:
        """Outside the machine's folder: it outlives the machine."""
        return self.state_dir / "consoles" / f"{self.machine_id}.log"

    @property
    def egress_log(self) -> Path:
        return self.state_dir / "consoles" / f"{self.machine_id}.egress.jsonl"
