"""Receipts of completed sign-ins."""

from fastapi import APIRouter

from polydev.api import schemas, views
from polydev.api.deps import Person, ReceiptId, Svc
from polydev.errors import NotFound
from polydev.store.repositories import receipts

router = APIRouter(tags=["receipts"])


@router.get("/api/receipts", summary="Your receipts, newest first")
async def list_receipts(who: Person, svc: Svc) -> schemas.ReceiptList:
    async with svc.db.reading() as tx:
        records = await receipts.list_of(tx, who.user_id)
    return schemas.ReceiptList(receipts=[views.receipt(record) for record in records])


@router.get("/api/receipts/{id}", summary="One receipt")
async def get_receipt(receipt_id: ReceiptId, who: Person, svc: Svc) -> schemas.ReceiptView:
    async with svc.db.reading() as tx:
        record = await receipts.get(tx, who.user_id, receipt_id)
    if record is None:
        raise NotFound(f"There is no receipt {receipt_id}.")
    return views.receipt(record)
