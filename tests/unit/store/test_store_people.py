"""People, their API keys, and the sign-ins of the dashboard."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text

from polydev.domain.secret import Secret
from polydev.errors import Conflict
from polydev.store.database import Database
from polydev.store.models import ApiKeyRow, WebLoginRow
from polydev.store.repositories import keys, users, web_logins

_HOUR = timedelta(hours=1)


async def person(db: Database, name: str = "ada") -> str:
    async with db.transaction() as tx:
        return (await users.create(tx, name, "member")).id


async def api_key(db: Database, user_id: str, **more: datetime) -> tuple[str, Secret]:
    async with db.transaction() as tx:
        record, secret = await keys.create(tx, user_id, "laptop", **more)
    return record.id, secret


async def link(db: Database, user_id: str, lifetime: timedelta = _HOUR) -> tuple[str, str]:
    async with db.transaction() as tx:
        record, secret = await web_logins.create(tx, user_id, "link", lifetime)
    return record.id, secret.reveal()


async def test_a_name_is_taken_once(db: Database) -> None:
    await person(db)
    with pytest.raises(Conflict):
        await person(db)


async def test_a_key_signs_its_person_in(db: Database) -> None:
    ada = await person(db)
    key_id, secret = await api_key(db, ada)
    async with db.reading() as tx:
        found = await keys.authenticate(tx, secret.reveal())
    assert found is not None
    assert (found[0].id, found[1].id) == (key_id, ada)


async def test_no_secret_is_stored_or_shown(db: Database) -> None:
    ada = await person(db)
    _, secret = await api_key(db, ada)
    _, token = await link(db, ada)
    async with db.reading() as tx:
        stored = str(
            [dict(row) for row in (await tx.execute(select(ApiKeyRow.__table__))).mappings()]
        )
        stored += str(
            [dict(row) for row in (await tx.execute(select(WebLoginRow.__table__))).mappings()]
        )
        shown = repr((await keys.authenticate(tx, secret.reveal()), secret))
    for hidden in (secret.reveal(), token):
        assert hidden not in stored
        assert hidden.split("_", 1)[1] not in stored + shown


@pytest.mark.parametrize("spoil", ["", "x", "pdl", "cut", "longer", "case", "space", "unicode"])
async def test_what_is_not_quite_a_key_signs_nobody_in(db: Database, spoil: str) -> None:
    _, secret = await api_key(db, await person(db))
    good = secret.reveal()
    wrong = {
        "": "",
        "x": "x",
        "pdl": good.replace("pdk_", "pdl_"),
        "cut": good[:-1],
        "longer": good + "a",
        "case": good.swapcase(),
        "space": good + " ",
        "unicode": good + "\u00e9",
    }[spoil]
    async with db.reading() as tx:
        assert await keys.authenticate(tx, wrong) is None


async def test_an_expired_key_is_no_key(db: Database) -> None:
    _, secret = await api_key(db, await person(db), expires_at=datetime.now(UTC))
    async with db.reading() as tx:
        assert await keys.authenticate(tx, secret.reveal()) is None


async def test_a_revoked_key_is_no_key_and_stays_revoked_at_its_first_time(db: Database) -> None:
    ada = await person(db)
    key_id, secret = await api_key(db, ada)
    async with db.transaction() as tx:
        first = await keys.revoke(tx, ada, key_id)
        second = await keys.revoke(tx, ada, key_id)
    assert first == second
    async with db.reading() as tx:
        assert await keys.authenticate(tx, secret.reveal()) is None


async def test_another_persons_key_cannot_be_listed_or_revoked(db: Database) -> None:
    ada, eve = await person(db), await person(db, "eve")
    key_id, secret = await api_key(db, ada)
    async with db.transaction() as tx:
        assert await keys.list_of(tx, eve) == []
        assert await keys.revoke(tx, eve, key_id) is None
        assert await keys.authenticate(tx, secret.reveal()) is not None


async def test_a_key_is_touched_when_it_is_new_or_a_minute_old(db: Database) -> None:
    ada = await person(db)
    key_id, secret = await api_key(db, ada)

    async def wants() -> bool:
        async with db.reading() as tx:
            found = await keys.authenticate(tx, secret.reveal())
        assert found is not None
        return keys.wants_touch(found[0])

    assert await wants()
    async with db.transaction() as tx:
        await keys.touch(tx, key_id)
    assert not await wants()
    async with db.transaction() as tx:
        row = await tx.get(ApiKeyRow, key_id)
        assert row is not None
        row.last_used_at = datetime.now(UTC) - timedelta(seconds=61)
    assert await wants()


async def test_a_disabled_person_has_no_way_in(db: Database) -> None:
    ada = await person(db)
    _, secret = await api_key(db, ada)
    async with db.transaction() as tx:
        _, cookie = await web_logins.create(tx, ada, "cookie", _HOUR)
        await users.disable(tx, ada)
    async with db.reading() as tx:
        assert await keys.authenticate(tx, secret.reveal()) is None
        assert await web_logins.authenticate_cookie(tx, cookie.reveal()) is None


async def test_a_link_works_once_however_many_try_at_once(db: Database) -> None:
    _, token = await link(db, await person(db))

    async def redeem() -> bool:
        async with db.transaction() as tx:
            return await web_logins.redeem_link(tx, token) is not None

    assert sum(await asyncio.gather(*(redeem() for _ in range(10)))) == 1


async def test_a_link_that_expired_or_was_revoked_is_worth_nothing(db: Database) -> None:
    ada = await person(db)
    _, late = await link(db, ada, timedelta(seconds=-1))
    revoked_id, revoked = await link(db, ada)
    async with db.transaction() as tx:
        await web_logins.revoke(tx, revoked_id)
        assert await web_logins.redeem_link(tx, late) is None
        assert await web_logins.redeem_link(tx, revoked) is None


async def test_a_link_is_no_cookie_and_a_cookie_is_no_link(db: Database) -> None:
    ada = await person(db)
    _, token = await link(db, ada)
    async with db.transaction() as tx:
        _, cookie = await web_logins.create(tx, ada, "cookie", _HOUR)
        assert await web_logins.authenticate_cookie(tx, token) is None
        assert await web_logins.redeem_link(tx, cookie.reveal()) is None
        assert await web_logins.authenticate_cookie(tx, cookie.reveal()) is not None


async def test_signing_out_everywhere_ends_links_and_cookies(db: Database) -> None:
    ada, bob = await person(db), await person(db, "bob")
    _, token = await link(db, ada)
    async with db.transaction() as tx:
        _, mine = await web_logins.create(tx, ada, "cookie", _HOUR)
        _, theirs = await web_logins.create(tx, bob, "cookie", _HOUR)
        await web_logins.revoke_all(tx, ada)
        assert await web_logins.redeem_link(tx, token) is None
        assert await web_logins.authenticate_cookie(tx, mine.reveal()) is None
        assert await web_logins.authenticate_cookie(tx, theirs.reveal()) is not None


async def test_disabled_admins_do_not_count(db: Database) -> None:
    async with db.transaction() as tx:
        await users.create(tx, "root1", "admin")
        second = await users.create(tx, "root2", "admin")
        await users.disable(tx, second.id)
        assert await users.count_admins(tx) == 1


async def test_a_time_keeps_its_zone(db: Database) -> None:
    ada = await person(db)
    async with db.reading() as tx:
        found = await users.get(tx, ada)
        await tx.execute(text("SELECT 1"))
    assert found is not None
    assert found.created_at.utcoffset() == timedelta(0)
