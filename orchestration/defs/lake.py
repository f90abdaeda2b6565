"""The lake: what ingest wrote, one asset per source table of the dbt project."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import dagster as dg

from orchestration.defs.policies import RETRY, WAREHOUSE_POOL
from orchestration.lib import render, runs, steps
from orchestration.lib.home import Workspace
from orchestration.lib.progress import Stages


def lake_asset(workspace: Workspace, manifest: Mapping[str, Any]) -> dg.AssetsDefinition:
    """Load the inbox; the source tables are assets, so that lineage starts at the files."""
    sources = list(manifest["sources"].values())

    @dg.multi_asset(
        name="lake",
        specs=[
            dg.AssetSpec(
                [source["source_name"], source["name"]],
                description=source["description"],
                group_name=source["source_name"],
                kinds={"parquet"},
            )
            for source in sources
        ],
        retry_policy=RETRY,
        pool="ingest",
    )
    def lake(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        report = steps.ingest(
            workspace,
            on_progress=lambda done, total, name: context.log.info(f"{done} of {total}: {name}"),
        )
        context.log.info(render.ingested(report))
        for refused in report.refused:
            context.log.warning(render.refused(refused))
        metadata = steps.ingest_totals(report) | {
            "refused": [asdict(each) for each in report.refused]
        }
        for spec in context.assets_def.specs:
            yield dg.MaterializeResult(asset_key=spec.key, metadata=metadata)

    return lake


def erasure_job(workspace: Workspace) -> dg.JobDefinition:
    """Return the job that takes users who asked to be forgotten out of every file."""

    @dg.op(
        pool=WAREHOUSE_POOL,
        retry_policy=RETRY,
        description="Take who asked to be forgotten out of the lake and the warehouse's file.",
    )
    def erase_records(context: dg.OpExecutionContext) -> None:
        report = runs.erase(workspace, Stages())
        context.log.info(render.erased(report))
        context.add_output_metadata(
            {name: value for name, value in asdict(report).items() if name != "seconds"}
        )

    @dg.job(
        name="erasure",
        description="Erase who asked for it from lake, raw files, warehouse and published file.",
    )
    def erasure() -> None:
        erase_records()

    return erasure


def compaction_job(workspace: Workspace) -> dg.JobDefinition:
    """Return the job that merges the lake's small files, alone with the warehouse."""

    @dg.op(
        pool=WAREHOUSE_POOL,
        retry_policy=RETRY,
        description="Merge the lake's many small files of each event date into few.",
    )
    def compact_lake(context: dg.OpExecutionContext) -> None:
        changed = steps.compact(workspace)
        for each in changed:
            context.log.info(
                f"{each.folder}: {each.files_before} files became {each.files_after}, "
                f"{each.rows} rows merged"
            )
        context.add_output_metadata(
            {
                "folders": len(changed),
                "files_before": sum(each.files_before for each in changed),
                "files_after": sum(each.files_after for each in changed),
            }
        )

    @dg.job(
        name="compaction",
        description="Merge the lake's small files; no row and no table changes by it.",
    )
    def compaction() -> None:
        compact_lake()

    return compaction
