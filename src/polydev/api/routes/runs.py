"""Using a signed-in tool: a prompt whose output streams, and a ticket for a terminal."""

from collections.abc import AsyncGenerator, AsyncIterator

from fastapi import APIRouter, Request
from starlette.responses import StreamingResponse

from polydev.api import schemas
from polydev.api.deps import Person, Svc
from polydev.api.services import RunOutput
from polydev.api.standing import standing_of
from polydev.errors import Conflict, PolydevError
from polydev.store.repositories import machines
from polydev.stream.tickets import StreamKind, ticket_office

router = APIRouter(tags=["use"])

NDJSON = "application/x-ndjson"


@router.post(
    "/api/prompts",
    summary="Run one prompt in your CLI machine",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Lines of RunChunk; the last has `exit`.",
            "content": {NDJSON: {"schema": {"$ref": "#/components/schemas/RunChunk"}}},
        }
    },
)
async def run_prompt(
    request: Request, body: schemas.RunRequest, who: Person, svc: Svc
) -> StreamingResponse:
    """Closing the connection ends the tool; so does the end of the key or sign-in behind it."""
    output = standing_of(request.app).guard(
        who, svc.runs.run(who.user_id, body.provider, body.prompt)
    )
    # What is refused is refused with a problem document: so the first piece before the headers.
    try:
        first = await anext(output)
    except StopAsyncIteration:
        first = None
    return StreamingResponse(
        _lines(first, output), media_type=NDJSON, headers={"X-Accel-Buffering": "no"}
    )


async def _lines(first: RunOutput | None, rest: AsyncIterator[RunOutput]) -> AsyncGenerator[bytes]:
    try:
        if first is not None:
            yield _line(first)
        async for piece in rest:
            yield _line(piece)
    except PolydevError as error:
        # The status line is long gone: say it in the stream, then break off without an `exit`.
        yield _line(schemas.RunChunk(stream="err", text=f"polydev: {error.person}\n"))
    finally:
        if isinstance(rest, AsyncGenerator):
            await rest.aclose()


def _line(piece: RunOutput | schemas.RunChunk) -> bytes:
    chunk = schemas.RunChunk.model_validate(piece)
    return chunk.model_dump_json(by_alias=True, exclude_none=True).encode() + b"\n"


@router.post("/api/shell/ticket", summary="A ticket for a terminal in your CLI machine")
async def create_shell_ticket(
    request: Request, body: schemas.ShellRequest, who: Person, svc: Svc
) -> schemas.StreamTicket:
    svc.catalog.get(body.provider)
    async with svc.db.reading() as tx:
        machine = await machines.cli_machine_of(tx, who.user_id)
    if machine is None:
        raise Conflict("You have no CLI machine yet; your first sign-in makes one.")
    issued = ticket_office(request.app).issue(
        StreamKind.PTY,
        machine.id,
        user_id=who.user_id,
        via=who.via,
        login_id=who.login_id,
        provider=body.provider,
    )
    return schemas.StreamTicket(
        ticket=issued.secret.reveal(),
        websocket_path=f"/api/stream/{machine.id}/pty",
        expires_at=issued.expires_at,
    )
