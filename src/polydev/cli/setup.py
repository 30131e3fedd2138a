"""What `polydev init` does: database, key file, first admin, profile."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from polydev.cli.profile import Profile, save_profile, stored_server
from polydev.domain.secret import Secret
from polydev.errors import NotFound
from polydev.server import database_url
from polydev.settings import Settings, make_state_dir
from polydev.store.database import Database
from polydev.store.migrate import upgrade
from polydev.store.records import UserRecord
from polydev.store.repositories import audit, keys, users
from polydev.vault.opening import open_keyring

_LABEL = "polydev init"


@dataclass(frozen=True, slots=True)
class Initialised:
    state_dir: Path
    server: str
    admin: str
    created: bool
    key: Secret | None
    """None when there was an admin already: nothing was changed."""
    profile: Path | None
    """Where the key was stored for the command line; None when it was not."""


async def initialise(settings: Settings, name: str, *, new_key: bool) -> Initialised:
    """Make what is missing; safe to run again and to run twice at once.

    Raises:
        NotFound: ``new_key`` for a name that is no admin's.
        SettingsError, VaultError: state directory, key file or database must be mended first.
    """
    make_state_dir(settings)
    url = database_url(settings)
    # Before the database is made: it must not be there without the key that it was made with.
    await asyncio.to_thread(open_keyring, settings.key_file, url)
    await asyncio.to_thread(upgrade, url)
    db = Database(url)
    try:
        admin, created, key = await _first_admin(db, name, new_key=new_key)
    finally:
        await db.close()
    return Initialised(
        state_dir=settings.state_dir,
        server=settings.public_url,
        admin=admin,
        created=created,
        key=key,
        profile=_store(settings.public_url, key),
    )


async def _first_admin(
    db: Database, name: str, *, new_key: bool
) -> tuple[str, bool, Secret | None]:
    # One transaction, so that two that run at once make one admin.
    async with db.transaction() as tx:
        admins = [
            user
            for user in await users.list_all(tx)
            if user.role == "admin" and user.disabled_at is None
        ]
        if admins and not new_key:
            return admins[0].name, False, None
        created = not admins
        admin = await users.create(tx, name, "admin") if created else _named(admins, name)
        _, key = await keys.create(tx, admin.id, _LABEL)
        await audit.append(
            tx,
            actor="init",
            action="user.created" if created else "key.created",
            target=admin.id,
            data={"name": admin.name},
        )
        return admin.name, created, key


def _named(admins: list[UserRecord], name: str) -> UserRecord:
    for admin in admins:
        if admin.name == name:
            return admin
    known = ", ".join(admin.name for admin in admins)
    raise NotFound(f"There is no admin {name!r}. Say which with --name: {known}.")


def _store(server: str, key: Secret | None) -> Path | None:
    if key is None:
        return None
    # A profile for another server is not ours to overwrite.
    if stored_server() not in {None, server}:
        return None
    return save_profile(Profile(server, key))
