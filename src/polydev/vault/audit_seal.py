"""Notices an audit log that was edited, cut off at its end, or chained anew.

Each line's hash covers the line before it, so whoever knows the last line's hash can check them
all. That hash is kept with the vault's marks, outside the database and authenticated, and follows
each line once that is committed. A crash between the two leaves it some lines behind, which the
next start makes good.
"""

from pathlib import Path
from typing import Final

import structlog

from polydev.errors import VaultError
from polydev.store.database import Database
from polydev.store.repositories import audit
from polydev.vault.keyring import Keyring
from polydev.vault.marks import AuditLine, Marks

_ADVICE: Final = (
    "If the database was restored from a backup, `polydev vault accept-current` takes it as it is; "
    "else find out who can write to it."
)

log = structlog.get_logger("polydev.audit")


class AuditSeal:
    """One per database and process."""

    def __init__(self, db: Database, keyring: Keyring, folder: Path) -> None:
        self._db = db
        self._marks = Marks(folder, keyring)

    async def fault(self) -> str | None:
        """What is wrong with the log as a whole; None if nothing is. Reads all of it."""
        kept = self._marks.read().audit
        async with self._db.reading() as tx:
            broken = await audit.first_broken(tx)
            if broken is not None:
                return f"Line {broken} of the audit log was changed, removed or moved."
            if kept is None:
                return None
            last, found = await audit.last(tx), await audit.hash_at(tx, kept.seq)
        if found is None:
            there = last.seq if last else 0
            return f"The audit log lost its end: it had {kept.seq} lines and has {there}. {_ADVICE}"
        if found != kept.hash:
            return f"The audit log is another: line {kept.seq} is not what was written. {_ADVICE}"
        return None

    async def begin(self) -> bool:
        """Check the log; if it is whole, keep its last line from now on.

        A log that is not whole is told of at the level of an error, at each start anew: what is
        kept then stays as it is.
        """
        fault = await self.fault()
        if fault is not None:
            log.error("audit.broken", detail=fault)
            return False
        async with self._db.reading() as tx:
            last = await audit.last(tx)
        if last is not None:
            await self._keep(last.seq, last.hash)
        self._db.watch_audit(self._keep)
        return True

    async def _keep(self, seq: int, line_hash: str) -> None:
        try:
            self._marks.raise_audit_to(AuditLine(seq, line_hash))
        except (OSError, VaultError):
            # The line is written; the next one, or the next start, makes it good.
            log.exception("audit.not_sealed", seq=seq)
