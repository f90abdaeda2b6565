"""Every dbt model and seed as an asset, every dbt test as a check on its table."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
from dagster_dbt import DbtCliResource, dbt_assets

from orchestration.defs.policies import RETRY, WAREHOUSE_POOL
from orchestration.lib.dbt_runner import BUILD, environment
from orchestration.lib.home import Workspace
from orchestration.lib.table_facts import TableFacts
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
        target = workspace.dbt_target / "dagster"
        # a result left by an earlier run would pass for one of this run
        (target / "run_results.json").unlink(missing_ok=True)
        with environment(workspace.environment()):
            invocation = dbt.cli(BUILD, context=context, raise_on_error=False, target_path=target)
            events = list(invocation.stream())
        facts = TableFacts(
            workspace.warehouse,
            target / "compiled" / manifest["metadata"]["project_name"],
            manifest,
            translator.get_asset_key,
        )
        for event in events:
            if isinstance(event, dg.Output):
                unique_id = str(event.metadata["unique_id"].value)
                yield event.with_metadata({**event.metadata, **facts.metadata(unique_id)})
            else:
                yield event
        error = invocation.get_error()
        if error is not None:
            raise dg.Failure(
                description=str(error),
                # a test or a model that failed will fail again; dbt that never ran may run
                allow_retries=not (target / "run_results.json").is_file(),
            )

    return models
