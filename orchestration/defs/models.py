"""Every dbt model and seed as an asset, every dbt test as a check on its table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
from dagster_dbt import DbtCliResource, dbt_assets

from orchestration.defs.policies import RETRY, WAREHOUSE_POOL
from orchestration.lib.dbt_runner import close_connections, environment
from orchestration.lib.home import Workspace
from orchestration.lib.translator import FolderTranslator
from orchestration.resources.dbt import dbt_project


def model_assets(
    workspace: Workspace, manifest: Mapping[str, Any], translator: FolderTranslator
) -> dg.AssetsDefinition:
    """Build and test every selected model in one dbt run, which starts in five seconds."""

    @dbt_assets(
        name="models",
        manifest=manifest,
        project=dbt_project(workspace),
        dagster_dbt_translator=translator,
        retry_policy=RETRY,
        pool=WAREHOUSE_POOL,
    )
    def models(context: dg.AssetExecutionContext, dbt: DbtCliResource) -> Iterator[Any]:
        with environment(workspace.environment()):
            invocation = dbt.cli(
                ["build"],
                context=context,
                raise_on_error=False,
                target_path=workspace.dbt_target / "dagster",
            )
            try:
                yield from invocation.stream().fetch_row_counts().fetch_column_metadata()
            finally:
                # counting rows leaves the warehouse file locked by this process
                close_connections()
        if not invocation.is_successful():
            raise dg.Failure(
                description=str(invocation.get_error()),
                allow_retries=not (invocation.target_path / "run_results.json").is_file(),
            )

    return models
