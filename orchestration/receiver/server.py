"""The process of `attune receive`: socket, signals, log lines."""

from __future__ import annotations

import logging
import signal
import socket
import sys
import time
from ipaddress import ip_address
from types import FrameType

import uvicorn

from orchestration.lib.errors import SettingError
from orchestration.receiver.app import Receiver
from orchestration.receiver.config import ReceiverConfig
from orchestration.receiver.inbox import prepared_folders

CONNECTIONS = 512
# SDKs send every few seconds; a connection that closes in between costs them a retry
IDLE_SECONDS = 75
SHUTDOWN_SECONDS = 15

log = logging.getLogger(__name__)


def serve(config: ReceiverConfig) -> None:
    """Receive until SIGTERM or Ctrl-C; what was taken by then is finished and answered.

    Raises:
        SettingError: the address is taken or not of this machine, the inbox cannot be written, or
            another receiver writes there.
    """
    _log_to_standard_error()
    with prepared_folders(config.inbox, config.staging), _listen(config) as listener:
        server = uvicorn.Server(
            uvicorn.Config(
                Receiver(config).app(),
                log_config=None,
                log_level=logging.WARNING,
                access_log=False,
                server_header=False,
                ws="none",
                lifespan="on",
                limit_concurrency=CONNECTIONS,
                timeout_keep_alive=IDLE_SECONDS,
                timeout_graceful_shutdown=SHUTDOWN_SECONDS,
            )
        )
        # the server ends in order on these, then raises them again for whoever started it
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, _ended)
        _announce(config, listener)
        server.run(sockets=[listener])


def _log_to_standard_error() -> None:
    formatter = logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)


def _listen(config: ReceiverConfig) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    try:
        return socket.create_server((config.host, config.port), family=family, backlog=CONNECTIONS)
    except OSError as error:
        raise SettingError(
            f"cannot listen: {error.strerror}",
            where=f"{config.host}:{config.port}",
            next_step="choose another --port or --host, or end what listens there",
        ) from error


def _announce(config: ReceiverConfig, listener: socket.socket) -> None:
    address, port = listener.getsockname()[:2]
    endpoint = f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"
    log.info("receiving OTLP/HTTP on %s into %s", endpoint, config.inbox)
    log.info("the token is in %s; Ctrl-C ends", config.token_source)
    if not ip_address(address).is_loopback:
        log.warning("other machines can reach this port: token and telemetry travel unencrypted")


def _ended(_: int, __: FrameType | None) -> None:
    """Leave nothing to do: the server has ended in order, and the process exits with 0."""
