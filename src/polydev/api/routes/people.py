"""People and their API keys."""

from datetime import UTC, datetime, timedelta

from fastapi import APIRouter, Request

from polydev.api import schemas, views
from polydev.api.deps import Admin, KeyId, Person, Svc, UserId
from polydev.api.standing import standing_of
from polydev.errors import Conflict, NotFound
from polydev.store.repositories import audit, keys, users, web_logins

router = APIRouter(tags=["people and keys"])


@router.get("/api/users", summary="All people (administrators)")
async def list_users(who: Admin, svc: Svc) -> schemas.UserList:
    del who
    async with svc.db.reading() as tx:
        records = await users.list_all(tx)
    return schemas.UserList(users=[views.user(record) for record in records])


@router.post("/api/users", status_code=201, summary="Add a person (administrators)")
async def create_user(body: schemas.CreateUser, who: Admin, svc: Svc) -> schemas.CreatedUser:
    async with svc.db.transaction() as tx:
        record = await users.create(tx, body.name, body.role)
        _, secret = await keys.create(tx, record.id, "first key")
        await audit.append(
            tx, actor=who.user_id, action="user.create", target=record.id, data={"role": body.role}
        )
    return schemas.CreatedUser(**views.user(record).model_dump(), key=secret.reveal())


@router.delete("/api/users/{id}", status_code=204, summary="Disable a person (administrators)")
async def disable_user(request: Request, user_id: UserId, who: Admin, svc: Svc) -> None:
    """Their keys and sign-ins end at once; what belongs to them stays for the record."""
    async with svc.db.transaction() as tx:
        record = await users.get(tx, user_id)
        if record is None:
            raise NotFound(f"There is no user {user_id}.")
        if record.disabled_at is not None:
            return
        if record.role == "admin" and await users.count_admins(tx) == 1:
            raise Conflict("This is the last administrator; make another one first.")
        await users.disable(tx, user_id)
        await keys.revoke_all(tx, user_id)
        await web_logins.revoke_all(tx, user_id)
        await audit.append(tx, actor=who.user_id, action="user.disable", target=user_id, data={})
    standing_of(request.app).announce()


@router.get("/api/keys", summary="Your API keys, without their secrets")
async def list_keys(who: Person, svc: Svc) -> schemas.ApiKeyList:
    async with svc.db.reading() as tx:
        records = await keys.list_of(tx, who.user_id)
    return schemas.ApiKeyList(keys=[views.api_key(record) for record in records])


@router.post("/api/keys", status_code=201, summary="Make an API key; it is shown once")
async def create_key(body: schemas.CreateApiKey, who: Person, svc: Svc) -> schemas.CreatedApiKey:
    days = body.expires_in_days
    expires_at = datetime.now(UTC) + timedelta(days=days) if days else None
    async with svc.db.transaction() as tx:
        record, secret = await keys.create(tx, who.user_id, body.label, expires_at=expires_at)
        await audit.append(tx, actor=who.user_id, action="key.create", target=record.id, data={})
    return schemas.CreatedApiKey(**views.api_key(record).model_dump(), key=secret.reveal())


@router.delete("/api/keys/{id}", status_code=204, summary="Revoke an API key")
async def revoke_key(request: Request, key_id: KeyId, who: Person, svc: Svc) -> None:
    """Ends what was opened with it, too."""
    async with svc.db.transaction() as tx:
        if await keys.revoke(tx, who.user_id, key_id) is None:
            raise NotFound(f"There is no key {key_id}.")
        await audit.append(tx, actor=who.user_id, action="key.revoke", target=key_id, data={})
    standing_of(request.app).announce()
