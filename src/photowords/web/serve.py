"""Listens, and says where."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from photowords.errors import UserError
from photowords.web.answers import Streams
from photowords.web.app import create
from photowords.web.config import Config

HEADER_SECONDS = 10.0
"""How long a connection may take to say what it asks."""
BACKLOG = 2048


class Patient(H11Protocol):
    """Closes connections that never come to ask anything."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.loop.call_later(HEADER_SECONDS, self._give_up_unless_asked)

    def handle_events(self) -> None:
        super().handle_events()
        if self.conn.their_state is h11.IDLE and self.cycle is not None:  # another request may come, perhaps slowly
            self.loop.call_later(HEADER_SECONDS, self._give_up_if_stuck, self.cycle)

    def _give_up_unless_asked(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.abort()

    def _give_up_if_stuck(self, cycle: object) -> None:
        if self.cycle is cycle and self.cycle.response_complete and not self.transport.is_closing():
            self.transport.abort()


class Server(uvicorn.Server):
    """Ends the streams of events when it is asked to end: their pages would keep it."""

    def __init__(self, config: uvicorn.Config, streams: Streams) -> None:
        super().__init__(config)
        self._streams = streams

    def handle_exit(self, sig: int, frame: Any) -> None:
        self._streams.end()
        super().handle_exit(sig, frame)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises UserError where the port is taken or the host is not this machine's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        found.listen(BACKLOG)  # before the address is said
    except (OSError, OverflowError) as error:
        found.close()
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"port {port} of {host} cannot be used: {reason}; give another `port`") from error
    return found


def address(config: Config, port: int) -> str:
    """Where the page is opened on this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(config.host, config.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/?token={config.token}"


def serve(config: Config, port: int, say: Callable[[str], None]) -> None:
    """Answer until Ctrl-C. Runs that learn go on."""
    streams = Streams()
    app = create(config, streams)
    listening = listen(config.host, port)
    say(address(config, listening.getsockname()[1]))
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    server = Server(
        uvicorn.Config(
            app,
            http=Patient,
            ws="none",
            lifespan="on",
            backlog=BACKLOG,
            access_log=False,
            log_level="error",
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=2,
        ),
        streams,
    )
    asyncio.run(server.serve(sockets=[listening]))
