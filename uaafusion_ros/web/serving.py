"""Runs the page in a thread of its own, beside whatever brings the images."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import threading
from collections.abc import Callable
from typing import Any

from aiohttp import web

from uaafusion_ros.web.hub import Hub
from uaafusion_ros.web.server import PageServer

BACKLOG = 64
GRACE = 0.15
"""Seconds for each step of the end."""


class ServingError(OSError):
    """The page cannot be served there: why, and what to do."""


class PageThread:
    """The event loop of the page.

    Args:
        make_hub: called in the loop's thread.
        host, port: where to listen; port 0 takes a free one.
        logger: of what nobody expected.

    Raises:
        ServingError: the address is not free, or not one of this machine.
    """

    def __init__(
        self, make_hub: Callable[[], Hub], host: str, port: int, logger: logging.Logger
    ) -> None:
        self._make_hub, self._logger = make_hub, logger
        self._sockets = _listen(host, port)
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._hub: Hub | None = None
        address = self._sockets[0].getsockname()
        name = "localhost" if address[0] in ("127.0.0.1", "::1") else address[0]
        #: What to type into a browser.
        self.url = f"http://{f'[{name}]' if ':' in name else name}:{address[1]}/"
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)

    def start(self) -> None:
        """Serves from now on."""
        self._thread.start()

    def close(self, timeout: float) -> bool:
        """Ends the page; returns whether it has ended within ``timeout`` seconds."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def call(self, act: Callable[[Hub], Any]) -> None:
        """Has something done with the hub, in the loop's thread; from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(lambda: self._hub and act(self._hub))

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except Exception:
            self._logger.exception("the page has ended")
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        hub = self._hub = self._make_hub()
        server = PageServer(hub)
        runner = web.AppRunner(
            server.application(), handle_signals=False, access_log=None, logger=self._logger
        )
        await runner.setup()
        for listening in self._sockets:
            await web.SockSite(runner, listening).start()
        work = asyncio.ensure_future(hub.run())
        stop = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            # What does not end by then, such as a browser that answers nothing, is cut off.
            await asyncio.wait({asyncio.ensure_future(server.close())}, timeout=GRACE)
            await asyncio.wait({asyncio.ensure_future(runner.cleanup())}, timeout=GRACE)
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            for task in rest:
                task.cancel()
            if rest:
                await asyncio.wait(rest, timeout=GRACE)


def _listen(host: str, port: int) -> list[socket.socket]:
    """Sockets of all addresses that ``host`` stands for."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise ServingError(f"host {host!r} is not known: {error.strerror}") from error
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            listening = socket.socket(family, kind, protocol)
            sockets.append(listening)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listening.bind(address)
            listening.listen(BACKLOG)  # whoever calls before the loop runs waits a moment
            if port == 0:
                break  # each would take another one
    except OSError as error:
        for listening in sockets:
            listening.close()
        raise ServingError(_sentence(error, host, port)) from error
    return sockets


def _sentence(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} of {host} is in use, by another viewer perhaps; choose another one with "
            "the parameter port"
        )
    if error.errno == errno.EACCES:
        return f"port {port} needs rights that this process does not have; choose one above 1023"
    if error.errno == errno.EADDRNOTAVAIL:
        return (
            f"{host} is no address of this machine; choose one of its own with the parameter host"
        )
    return f"cannot listen on port {port} of {host}: {error.strerror}"
