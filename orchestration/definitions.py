"""The code location: `dagster dev -m orchestration.definitions`, or `make ui`."""

from __future__ import annotations

import os

import dagster as dg

from orchestration.defs.lake import compaction_job, erasure_job, lake_asset
from orchestration.defs.models import model_assets
from orchestration.defs.serving import serving_assets
from orchestration.defs.triggers import (
    cache_age,
    everything,
    failure_sensor,
    hourly_cache_age,
    inbox_sensor,
    nightly,
    nightly_compaction,
    weekly_erasure,
)
from orchestration.lib.home import Workspace, workspace_from
from orchestration.lib.manifest import prepared_manifest, with_attached_tests
from orchestration.lib.translator import FolderTranslator
from orchestration.resources.dbt import dbt_command


def definitions_of(workspace: Workspace) -> dg.Definitions:
    """Put together what runs in a workspace."""
    manifest = with_attached_tests(prepared_manifest(workspace))
    translator = FolderTranslator()
    compaction, erasure = compaction_job(workspace), erasure_job(workspace)
    return dg.Definitions(
        assets=[
            lake_asset(workspace, manifest),
            model_assets(workspace, manifest, translator),
            *serving_assets(workspace, manifest, translator),
        ],
        jobs=[everything, compaction, erasure, cache_age],
        schedules=[
            nightly,
            nightly_compaction(compaction),
            weekly_erasure(erasure),
            hourly_cache_age,
        ],
        sensors=[inbox_sensor(workspace), failure_sensor(manifest)],
        resources={"dbt": dbt_command(workspace)},
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Read the environment only when Dagster asks."""
    return definitions_of(workspace_from(os.environ))
