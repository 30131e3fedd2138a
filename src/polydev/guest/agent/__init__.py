"""The guest agent: all that runs inside a machine.

`supervisor` is started first and starts the rest; `main` is the agent itself, behind the API of
`polydev.guest.protocol`; `open_url` is the `BROWSER` shim. The folder ships alone: it imports the
standard library, starlette, uvicorn, websockets, `polydev.domain` and its neighbours in
`polydev.guest` only, and runs on the machine's own /usr/bin/python3 (3.11 or newer).
"""
