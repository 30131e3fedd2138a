"""Credentials: what is known about them, never their content."""

from datetime import UTC, datetime

from fastapi import APIRouter

from polydev.api import schemas, views
from polydev.api.deps import CredentialId, Person, Svc
from polydev.errors import NotFound
from polydev.store.repositories import credentials

router = APIRouter(tags=["credentials"])


@router.get("/api/credentials", summary="Your credentials")
async def list_credentials(who: Person, svc: Svc) -> schemas.CredentialList:
    async with svc.db.reading() as tx:
        records = await credentials.list_of(tx, who.user_id)
    return schemas.CredentialList(credentials=[views.credential(record) for record in records])


@router.get("/api/credentials/{id}", summary="One credential")
async def get_credential(
    credential_id: CredentialId, who: Person, svc: Svc
) -> schemas.CredentialView:
    async with svc.db.reading() as tx:
        record = await credentials.get(tx, who.user_id, credential_id)
    if record is None:
        raise NotFound(f"There is no credential {credential_id}.")
    return views.credential(record)


@router.post("/api/credentials/{id}/verify", summary="Ask the tool whether it is signed in")
async def verify_credential(
    credential_id: CredentialId, who: Person, svc: Svc
) -> schemas.VerifyResult:
    record = await svc.credentials.verify(who.user_id, credential_id)
    return schemas.VerifyResult(
        ok=bool(record.verified_ok),
        status_output=record.status_output or "",
        verified_at=record.verified_at or datetime.now(UTC),
    )


@router.post("/api/credentials/{id}/deliver", summary="Write it into your CLI machine again")
async def deliver_credential(
    credential_id: CredentialId, who: Person, svc: Svc
) -> schemas.CredentialView:
    return views.credential(await svc.credentials.deliver(who.user_id, credential_id))


@router.delete("/api/credentials/{id}", status_code=204, summary="Revoke: erase it everywhere here")
async def revoke_credential(credential_id: CredentialId, who: Person, svc: Svc) -> None:
    await svc.credentials.revoke(who.user_id, credential_id)
