"""Tools: the providers as one person sees them."""

import asyncio

from fastapi import APIRouter

from polydev.api import schemas, views
from polydev.api.deps import Person, Svc
from polydev.store.repositories import credentials, sessions

router = APIRouter(tags=["tools"])


@router.get("/api/tools", summary="Every tool and your state with it")
async def list_tools(who: Person, svc: Svc) -> schemas.ToolList:
    providers = svc.catalog.all()
    # Looks at files.
    versions = await asyncio.to_thread(lambda: [svc.catalog.installed(p.name) for p in providers])
    async with svc.db.reading() as tx:
        stored = {c.provider: c for c in await credentials.list_of(tx, who.user_id)}
        live = {
            provider.name: await sessions.live_of_provider(tx, who.user_id, provider.name)
            for provider in providers
        }
    tools: list[schemas.ToolView] = []
    for provider, version in zip(providers, versions, strict=True):
        credential, session = stored.get(provider.name), live[provider.name]
        tools.append(
            schemas.ToolView(
                provider=provider.name,
                title=provider.title,
                vendor=provider.vendor,
                terms_url=provider.terms_url,
                installed=version is not None,
                version=version,
                live_session_id=session.id if session else None,
                credential=views.credential(credential) if credential else None,
            )
        )
    return schemas.ToolList(tools=tools)
