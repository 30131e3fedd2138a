"""`polydev vault`: on the server's own machine, while the server is stopped."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from polydev.cli.base import Json, Yes, confirm, group
from polydev.cli.output import note, print_json, say

if TYPE_CHECKING:
    from polydev.settings import Settings
    from polydev.vault.accept import Survey

app = group("The vault of this machine's server: take its database as it is.")

GIVEN_UP = (
    "Polydev then takes this database for the newest. If somebody has put an older copy in its "
    "place, you will not be told: an older version of a credential counts as good, one that was "
    "revoked may be back, and what the audit log has lost stays lost. Content stays encrypted, and "
    "an edited or moved row is refused as before."
)


@app.command("accept-current")
def accept_current(yes: Yes = False, as_json: Json = False) -> None:
    """Take the database as it is now for the newest, after versions.json beside the key was lost or
    the database was restored from a backup. Asks first, and says what is given up.

    The server must be stopped.

    Example: polydev vault accept-current
    """
    from polydev.settings import load_settings

    found = asyncio.run(_accept(load_settings(), yes=yes))
    if as_json:
        print_json(
            {
                "credentials": found.credentials,
                "marksLost": found.lost is not None,
                "missing": found.missing,
                "lowered": [row.credential_id for row in found.lowered],
                "auditShortened": found.shortened,
            }
        )
    else:
        say(f"Accepted {found.credentials} credentials as they are. `polydev up` starts again.")


async def _accept(settings: Settings, *, yes: bool) -> Survey:
    from polydev.server import database_url
    from polydev.settings import make_state_dir
    from polydev.single import only_server
    from polydev.store.database import Database
    from polydev.store.held import held
    from polydev.store.migrate import upgrade
    from polydev.vault.accept import accept, survey
    from polydev.vault.opening import load_keyring

    make_state_dir(settings)
    url, folder = database_url(settings), settings.key_file.parent
    with only_server(settings.state_dir):
        keyring = load_keyring(settings.key_file, held(url).key_ids)
        await asyncio.to_thread(upgrade, url)
        db = Database(url)
        try:
            found = await survey(db, keyring, folder)
            _explain(found)
            confirm("Take the database as it is?", yes=yes)
            await accept(db, keyring, folder, found)
        finally:
            await db.close()
    return found


def _explain(found: Survey) -> None:
    """To standard error, where the question is asked, so that JSON stays JSON."""
    note(found.lost or "The marks can be read.")
    note(f"The database holds {found.credentials} credentials.")
    if found.missing:
        note(f"  {found.missing} that have been seen are not in it.")
    for row in found.lowered:
        note(f"  {row.credential_id}: version {row.version} here, {row.seen} has been seen")
    if found.shortened:
        note("The audit log is not the one that was last seen.")
    note(GIVEN_UP)
