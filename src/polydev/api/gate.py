"""Finds the person behind an API key or a cookie, in the store."""

from polydev.api.auth import Principal, csrf_token
from polydev.domain.secret import Secret
from polydev.store.database import Database
from polydev.store.repositories import keys, web_logins


class Gate:
    """The two look-ups that `auth.Authentication` needs."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def by_key(self, given: Secret) -> Principal | None:
        async with self._db.reading() as tx:
            found = await keys.authenticate(tx, given.reveal())
        if found is None:
            return None
        key, user = found
        if keys.wants_touch(key):
            async with self._db.transaction() as tx:
                await keys.touch(tx, key.id)
        return Principal(user.id, user.role, "key", key.id)

    async def by_cookie(self, given: Secret) -> Principal | None:
        async with self._db.reading() as tx:
            found = await web_logins.authenticate_cookie(tx, given.reveal())
        if found is None:
            return None
        login, user = found
        return Principal(
            user.id,
            user.role,
            "cookie",
            login.id,
            only_session_id=login.session_id,
            csrf_token=csrf_token(given.reveal()),
        )
