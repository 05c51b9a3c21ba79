"""Requests to an ASGI app without a network."""

import asyncio
import json

SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.3"},
    "http_version": "1.1",
    "method": "POST",
    "query_string": b"",
    "root_path": "",
    "headers": [],
    "server": None,
    "client": None,
    "scheme": "http",
    "state": {},
}


def post(app, path, request, *, disconnects=lambda: False) -> bytes:
    """Post a request and return the body of the response; the client disconnects when `disconnects()` is true."""
    return exchange(app, path, request, disconnects=disconnects)[1]


def exchange(app, path, request, *, method="POST", disconnects=lambda: False) -> tuple[int, bytes, dict[str, str]]:
    """Send a request and return status, body and headers of the response."""
    messages = [{"type": "http.request", "body": json.dumps(request).encode(), "more_body": False}]
    sent = []

    async def receive():
        while not messages and not disconnects():
            await asyncio.sleep(0.005)
        return messages.pop() if messages else {"type": "http.disconnect"}

    async def send(message) -> None:
        sent.append(message)

    async def call() -> None:
        scope = {**SCOPE, "method": method, "path": path, "raw_path": path.encode()}
        await asyncio.wait_for(app(scope, receive, send), 60)

    asyncio.run(call())
    start, *rest = sent
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    return start["status"], b"".join(message.get("body", b"") for message in rest), headers
