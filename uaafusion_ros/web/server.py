"""The HTTP and WebSocket side of the page, on aiohttp.

There are the page's few files and one WebSocket, and nothing that changes anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from importlib.resources import files

from aiohttp import WSCloseCode, WSMsgType, web

from uaafusion_ros.web.access import (
    SECURITY_HEADERS,
    host_objection,
    origin_objection,
    own_names,
)
from uaafusion_ros.web.hub import Hub
from uaafusion_ros.web.protocol import LONGEST, Look, ProtocolError, message, read_message
from uaafusion_ros.web.viewer import Viewer

LIVE = "/live"
FILES = {
    "/": ("index.html", "text/html"),
    "/style.css": ("style.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/connection.js": ("connection.js", "text/javascript"),
    "/health.js": ("health.js", "text/javascript"),
    "/pictures.js": ("pictures.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
"""Paths, and the file of ``page/`` that each shows, with its type."""

HEARTBEAT = 10.0
"""Seconds between two pings; a browser that has gone without a word is forgotten soon after."""

LONGEST_REASON = 123
"""Bytes for the reason in a WebSocket's end (RFC 6455, 5.5)."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class PageServer:
    """What requests are answered with."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._names = own_names() | {name.lower() for name in hub.settings.names}
        folder = files("uaafusion_ros.web") / "page"
        self._files = {
            path: ((folder / name).read_bytes(), kind) for path, (name, kind) in FILES.items()
        }
        self._sockets: set[web.WebSocketResponse] = set()

    def application(self) -> web.Application:
        """The application with its routes."""
        application = web.Application(middlewares=[self._check_host])
        for path in FILES:
            application.router.add_get(path, self._file)
        application.router.add_get(LIVE, self._live, allow_head=False)
        application.on_response_prepare.append(_harden)
        return application

    async def close(self) -> None:
        """Tells all browsers that the server goes; they call again until it is back."""
        ends = [
            socket.close(code=WSCloseCode.GOING_AWAY, message=b"the viewer ends")
            for socket in list(self._sockets)
        ]
        await asyncio.gather(*ends, return_exceptions=True)

    @web.middleware
    async def _check_host(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if objection := host_objection(request.headers.get("Host"), self._names):
            raise web.HTTPForbidden(text=objection)
        try:
            return await handler(request)
        except web.HTTPNotFound:
            known = ", ".join((*FILES, LIVE))
            raise web.HTTPNotFound(
                text=f"{request.path[:80]!r} is not known here; known are {known}"
            ) from None

    async def _file(self, request: web.Request) -> web.Response:
        body, kind = self._files[request.path]
        return web.Response(body=body, content_type=kind, charset="utf-8")

    async def _live(self, request: web.Request) -> web.StreamResponse:
        headers = request.headers
        if objection := origin_objection(headers.get("Origin"), headers.get("Host")):
            raise web.HTTPForbidden(text=objection)
        # What is a little too long is answered with words, what is far too long by aiohttp.
        socket = web.WebSocketResponse(
            heartbeat=HEARTBEAT, max_msg_size=64 * LONGEST, compress=False
        )
        await socket.prepare(request)
        if self._hub.full:
            text = f"{self._hub.settings.viewers} browsers look already, and no more may"
            await _refuse(socket, text, WSCloseCode.TRY_AGAIN_LATER)
            return socket
        self._sockets.add(socket)
        viewer = Viewer(socket)
        sender = asyncio.ensure_future(viewer.send_all())
        self._hub.welcome(viewer)
        try:
            await self._listen(socket, viewer)
        finally:
            self._hub.farewell(viewer)
            self._sockets.discard(socket)
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
        return socket

    async def _listen(self, socket: web.WebSocketResponse, viewer: Viewer) -> None:
        """Reads what the page says until it ends, or says what is not known."""
        async for received in socket:
            if received.type == WSMsgType.ERROR:  # aiohttp has ended it, and said why
                return
            try:
                if received.type != WSMsgType.TEXT:
                    raise ProtocolError(
                        "a binary message, expected JSON texts", WSCloseCode.UNSUPPORTED_DATA
                    )
                said = read_message(received.data)
            except ProtocolError as error:
                await _refuse(socket, str(error), error.code)
                return
            viewer.take(said)
            if isinstance(said, Look):
                self._hub.looks_changed()


async def _refuse(socket: web.WebSocketResponse, reason: str, code: int) -> None:
    await socket.send_str(message("error", message=reason))
    short = reason.encode()[:LONGEST_REASON].decode(errors="ignore")
    await socket.close(code=code, message=short.encode())


async def _harden(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(SECURITY_HEADERS)
