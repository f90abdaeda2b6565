"""The process of `attune serve`: socket, signals, log lines without identifiers."""

from __future__ import annotations

import logging
import signal
import socket
import sys
import time
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, cast

import uvicorn

from serving.api.app import Api
from serving.api.connection import Connection
from serving.errors import ServingError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from uvicorn._types import ASGIApplication

    from serving.api.settings import ApiSettings, Ports

CONNECTIONS = 1024
IDLE_SECONDS = 75
SHUTDOWN_SECONDS = 15

log = logging.getLogger(__name__)


class ListenError(ServingError):
    """The address cannot be listened on."""


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
        uvicorn.Server(server_config(application, application.answer)).run(sockets=[listener])


def server_config(
    application: Api | ASGIApplication,
    answer: Callable[[bytes, bytes, str], bytes | None] | None = None,
) -> uvicorn.Config:
    """How the API is served: no access log, for a path holds an id.

    Args:
        application: Answers everything.
        answer: What of it can be answered at once; see `Connection`.
    """
    return uvicorn.Config(
        cast("ASGIApplication", application),
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        server_header=False,
        date_header=False,
        ws="none",
        http=cast("Any", partial(Connection, answer=answer)),
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
