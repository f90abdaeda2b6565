"""The process of `attune serve`: socket, signals, log lines without identifiers."""

from __future__ import annotations

import logging
import signal
import socket
import sys
import time
from ipaddress import ip_address
from typing import TYPE_CHECKING, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.api.app import Api
from serving.errors import ServingError

if TYPE_CHECKING:
    import asyncio
    from types import FrameType

    from serving.api.settings import ApiSettings, Ports

CONNECTIONS = 1024
IDLE_SECONDS = 75
# for the whole header of a connection's first request
HEADER_SECONDS = 10.0
SHUTDOWN_SECONDS = 15

log = logging.getLogger(__name__)


class ListenError(ServingError):
    """The address cannot be listened on."""


class Connection(HttpToolsProtocol):
    """A connection that gives way, while it has nothing in progress, to one that may have.

    Who opens many and asks for nothing then closes their own, and keeps nobody out.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.made_at = self.loop.time()
        self.loop.call_later(HEADER_SECONDS, self._give_up)
        if len(self.connections) >= CONNECTIONS:
            idle = [
                each
                for each in self.connections
                if isinstance(each, Connection) and each is not self and each.is_idle
            ]
            if idle:
                # first those that never asked for anything, and of them who is here longest
                min(idle, key=lambda each: (each.has_asked, each.made_at)).close()

    @property
    def has_asked(self) -> bool:
        """Whether a whole header has come; uvicorn's annotation hides that there is none at first."""
        return cast("object | None", self.cycle) is not None

    @property
    def is_idle(self) -> bool:
        """Whether nothing was asked, or everything that was is answered."""
        return not self.has_asked or self.cycle.response_complete

    def close(self) -> None:
        """Close it at once, and count it no more."""
        self.connections.discard(self)
        self.transport.abort()

    def _give_up(self) -> None:
        if not self.has_asked:
            self.close()


def serve(settings: ApiSettings, ports: Ports) -> None:
    """Answer until SIGTERM or Ctrl-C; what was begun by then is finished and answered.

    Raises:
        ListenError: the address is taken or not of this machine.
        TokenError: the token file cannot be used.
    """
    log_to_standard_error()
    with listening(settings.host, settings.port) as listener:
        # the server ends in order on these, then raises them again for whoever started it
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, _ended)
        application = Api(settings, ports)
        _announce(settings, listener)
        uvicorn.Server(server_config(application)).run(sockets=[listener])


def server_config(application: Api) -> uvicorn.Config:
    """How the API is served: no access log, for a path holds an id."""
    return uvicorn.Config(
        application,
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        server_header=False,
        date_header=False,
        ws="none",
        http=Connection,
        lifespan="on",
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


def listening(host: str, port: int) -> socket.socket:
    """Open the socket.

    Raises:
        ListenError: the address is taken or not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=CONNECTIONS)
    except OSError as error:
        raise ListenError(
            f"cannot listen on {host}:{port} ({error.strerror}): choose another --port or --host, "
            "or end what listens there"
        ) from error


def log_to_standard_error() -> None:
    """Log lines with UTC times."""
    formatter = logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)


def _announce(settings: ApiSettings, listener: socket.socket) -> None:
    address, port = listener.getsockname()[:2]
    shown = f"[{address}]" if ":" in address else address
    log.info("serving on http://%s:%s; /openapi.json says what there is", shown, port)
    log.info("tokens are in %s; Ctrl-C ends", settings.token_file)
    if not ip_address(address).is_loopback:
        log.warning("other machines can reach this port: tokens and answers travel unencrypted")


def _ended(_: int, __: FrameType | None) -> None:
    """Leave nothing to do: the server has ended in order, and the process exits with 0."""
