"""Dagster's home in the workspace, and the command that opens its web UI."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.lib.manifest import prepared_manifest

if TYPE_CHECKING:
    from orchestration.lib.home import Workspace

# one slot per pool: the warehouse file has one writer, and readers wait for it too
INSTANCE = """\
telemetry:
  enabled: false
nux:
  enabled: false
concurrency:
  pools:
    default_limit: 1
    granularity: op
"""


def prepare(workspace: Workspace) -> None:
    """Make Dagster's home, and the manifest that the code location reads."""
    workspace.make_folders()
    settings = workspace.dagster_home / "dagster.yaml"
    if not settings.is_file():
        settings.write_text(INSTANCE)
    prepared_manifest(workspace)


def environment(workspace: Workspace) -> dict[str, str]:
    """Return the environment of a Dagster process of this workspace."""
    scripts = str(Path(sys.executable).parent)
    return {
        **os.environ,
        **workspace.environment(),
        "PATH": scripts + os.pathsep + os.environ.get("PATH", ""),
    }


def command(workspace: Workspace, port: int) -> tuple[str, list[str], dict[str, str]]:
    """Return program, arguments and environment of web server and daemon, on loopback only."""
    program = str(Path(sys.executable).with_name("dagster"))
    arguments = [
        program,
        "dev",
        "--module-name",
        "orchestration.definitions",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    return program, arguments, environment(workspace)
