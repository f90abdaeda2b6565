"""dbt for Dagster: the project and its command, both of one workspace."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dagster_dbt import DbtCliResource, DbtProject

if TYPE_CHECKING:
    from orchestration.lib.home import Workspace


def dbt_project(workspace: Workspace) -> DbtProject:
    """Return the project, with its artifacts where the command line puts them."""
    return DbtProject(
        project_dir=workspace.project_dir,
        profiles_dir=workspace.project_dir,
        target_path=workspace.dbt_target,
        target=workspace.target,
    )


def dbt_command(workspace: Workspace) -> DbtCliResource:
    """Return the dbt command of this environment, by full path: PATH may hold another one."""
    return DbtCliResource(
        project_dir=dbt_project(workspace),
        dbt_executable=str(Path(sys.executable).with_name("dbt")),
    )
