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
    def orphans(self) -> Path:
        """Root's alone: folders of CLI machines that no row owned (`remove_leftover`)."""
        return self.state_dir / "orphans"

    def free_orphan(self) -> Path:
        """Where to keep this machine's folder; one kept earlier stays as it is."""
        path, number = self.orphans / self.machine_id, 2
        while path.exists():
            path, number = self.orphans / f"{self.machine_id}.{number}", number + 1
        return path

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
