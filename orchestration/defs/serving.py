"""What leaves the warehouse: the cache that the assistant reads, and the file and pages for people.

All depend on tables whose checks block: a failed test stops the run before anything moves.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from orchestration.defs.policies import RETRY, WAREHOUSE_POOL
from orchestration.lib import steps
from orchestration.lib.home import Workspace
from orchestration.lib.manifest import hot_mart_ids, model_ids_of_schemas
from orchestration.lib.translator import FolderTranslator

PUBLISHED_SCHEMAS = ("marts", "serving")
OWNERS = ["team:serving"]


def serving_assets(
    workspace: Workspace, manifest: Mapping[str, Any], translator: FolderTranslator
) -> list[dg.AssetsDefinition | dg.AssetChecksDefinition]:
    """Return the sync with the check of its age, the publish and the reports."""

    def keys(unique_ids: list[str]) -> list[dg.AssetKey]:
        return [translator.get_asset_key(manifest["nodes"][each]) for each in unique_ids]

    @dg.asset(
        deps=keys(hot_mart_ids(manifest)),
        group_name="serving",
        kinds={workspace.cache_url.partition(":")[0]},
        owners=OWNERS,
        retry_policy=RETRY,
        pool=WAREHOUSE_POOL,
    )
    def serving_cache(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        """The hot marts as the assistant reads them; only what changed moved."""
        report = steps.sync(workspace)
        for view in report.views:
            context.log.info(
                f"{view.view}: {view.added} added, {view.changed} changed, {view.removed} removed"
            )
        return dg.MaterializeResult(
            metadata={
                "moved": report.moved,
                "controls_settled": report.settled,
                "controls_waiting": report.waiting,
                "as_of": report.as_of.isoformat(),
                "dagster/row_count": sum(view.rows for view in report.views),
            }
        )

    # blocking, so that the run fails that found it, and is reported
    @dg.asset_check(
        asset=serving_cache,
        blocking=True,
        description="No hot mart is missing or older than it declares.",
    )
    def cache_is_fresh() -> dg.AssetCheckResult:
        ages = steps.cache_freshness(workspace)
        return dg.AssetCheckResult(
            passed=not any(age.is_stale for age in ages.values()),
            metadata={f"{view}_age_hours": round(age.age_hours, 3) for view, age in ages.items()},
        )

    @dg.asset(
        deps=keys(model_ids_of_schemas(manifest, PUBLISHED_SCHEMAS)),
        group_name="serving",
        kinds={"duckdb", "parquet"},
        owners=OWNERS,
        retry_policy=RETRY,
        pool=WAREHOUSE_POOL,
    )
    def published_file() -> dg.MaterializeResult[Any]:
        """Every mart in one read-only DuckDB file and as Parquet, replaced as a whole."""
        report = steps.publish(workspace)
        return dg.MaterializeResult(
            metadata={
                "path": dg.MetadataValue.path(str(report.path)),
                "tables": len(report.tables),
                "bytes": report.bytes,
                "dagster/row_count": sum(table.rows for table in report.tables),
            }
        )

    @dg.asset(
        deps=[published_file],
        group_name="serving",
        kinds={"html"},
        owners=OWNERS,
        retry_policy=RETRY,
    )
    def experiment_reports() -> dg.MaterializeResult[Any]:
        """A page per experiment, drawn from the published file: decision, effects, health."""
        report = steps.report(workspace)
        return dg.MaterializeResult(
            metadata={
                "index": dg.MetadataValue.url(report.index.as_uri()),
                "path": dg.MetadataValue.path(str(report.index)),
                "summary": dg.MetadataValue.md(report.as_markdown()),
                "bytes": report.bytes,
                "pages": len(report.pages),
            }
        )

    return [serving_cache, cache_is_fresh, published_file, experiment_reports]
