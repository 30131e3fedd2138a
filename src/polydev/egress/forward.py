"""Plain HTTP: one request to the origin, one answer back, then both connections end.

Both sides are parsed and written anew by h11, so what leaves has one reading only. There is no
keep-alive: a second request needs a second connection and is checked like the first.
"""

import asyncio

import h11

from polydev.egress.meter import Meter
from polydev.egress.reasons import Reason, Refused
from polydev.egress.request import Headers, ProxyRequest, end_to_end
from polydev.egress.streams import CHUNK, Stream


class Exchange:
    """One request and its answer. ``answered`` tells whether a refusal can still be sent."""

    def __init__(
        self,
        request: ProxyRequest,
        client: Stream,
        client_side: h11.Connection,
        meter: Meter,
        *,
        max_header_bytes: int,
    ) -> None:
        self._request = request
        self._client = client
        self._client_side = client_side
        self._origin_side = h11.Connection(h11.CLIENT, max_incomplete_event_size=max_header_bytes)
        self._meter = meter
        self.answered = False

    async def run(self, remote: Stream) -> None:
        """Raise `Refused` when either side breaks the rules or the connection."""
        try:
            async with self._meter.idle_guard(), asyncio.TaskGroup() as group:
                upload = group.create_task(self._upload(remote))
                await self._download(remote)
                # An origin may answer before it has read the whole body (413, a redirect).
                upload.cancel()
        except* OSError:
            refused = Refused(Reason.RESET)
        except* Refused as refusals:
            refused = refusals.exceptions[0]
        else:
            return
        raise refused

    async def _upload(self, remote: Stream) -> None:
        head = h11.Request(
            method=self._request.method,
            target=self._request.path,
            headers=_for_origin(self._request),
        )
        try:
            await self._to_origin(remote, head)
            if self._client_side.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[])
                await self._client.send(self._client_side.send(go_on))
            while True:
                event = await self._next_from_client()
                if isinstance(event, h11.EndOfMessage):
                    await self._to_origin(remote, h11.EndOfMessage())
                    return
                await self._to_origin(remote, event)
        except ConnectionError:
            return  # whether the origin has said something all the same, the download finds out

    async def _next_from_client(self) -> h11.Data | h11.EndOfMessage:
        try:
            while (event := self._client_side.next_event()) is h11.NEED_DATA:
                self._client_side.receive_data(await self._client.reader.read(CHUNK))
        except h11.RemoteProtocolError:
            raise Refused(Reason.BAD_REQUEST) from None
        if isinstance(event, h11.Data | h11.EndOfMessage):
            return event
        raise Refused(Reason.BAD_REQUEST)

    async def _to_origin(self, remote: Stream, event: h11.Event) -> None:
        data = self._origin_side.send(event) or b""
        self._meter.up(len(data))
        await remote.send(data)

    async def _download(self, remote: Stream) -> None:
        while True:
            event = await self._next_from_origin(remote)
            if isinstance(event, h11.Response):
                head = h11.Response(
                    status_code=event.status_code,
                    reason=event.reason,
                    headers=[*_for_client(event), (b"Connection", b"close")],
                )
                self.answered = True
                await self._client.send(self._client_side.send(head))
            elif isinstance(event, h11.Data):
                await self._client.send(self._client_side.send(event))
            elif isinstance(event, h11.EndOfMessage):
                await self._client.send(self._client_side.send(h11.EndOfMessage()))
                return

    async def _next_from_origin(self, remote: Stream) -> h11.Event:
        try:
            while (event := self._origin_side.next_event()) is h11.NEED_DATA:
                data = await remote.reader.read(CHUNK)
                self._meter.down(len(data))
                self._origin_side.receive_data(data)
        except h11.RemoteProtocolError:
            raise Refused(Reason.BAD_RESPONSE) from None
        known = (h11.InformationalResponse, h11.Response, h11.Data, h11.EndOfMessage)
        if isinstance(event, known):
            return event
        raise Refused(Reason.BAD_RESPONSE)


def _for_origin(request: ProxyRequest) -> Headers:
    """Host comes from the URI that was checked, whatever the guest's own Host header said."""
    target = request.target
    authority = target.host.in_authority + ("" if target.port == 80 else f":{target.port}")
    kept = [(n, v) for n, v in request.headers if n.lower() not in (b"host", b"expect")]
    framing = [(b"Transfer-Encoding", b"chunked")] if request.chunked else []
    return [(b"Host", authority.encode("ascii")), *kept, *framing, (b"Connection", b"close")]


def _for_client(response: h11.Response) -> Headers:
    headers = response.headers.raw_items()
    names = {name.lower() for name, _ in headers}
    if {b"content-length", b"transfer-encoding"} <= names:
        raise Refused(Reason.BAD_RESPONSE)
    try:
        return end_to_end(headers)
    except Refused:
        raise Refused(Reason.BAD_RESPONSE) from None
