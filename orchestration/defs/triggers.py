"""What starts a run, and what is said when one fails."""

import hashlib
from collections.abc import Mapping
from typing import Any

import dagster as dg

from orchestration.lib.failed_checks import failed_checks, failure_message
from orchestration.lib.home import Workspace
from orchestration.lib.steps import inbox_files

everything = dg.define_asset_job(
    "everything",
    selection=dg.AssetSelection.all(),
    description="Ingest, build, test, sync, publish and report.",
)

cache_age = dg.define_asset_job(
    "cache_age",
    selection=dg.AssetSelection.checks(
        dg.AssetCheckKey(dg.AssetKey("serving_cache"), "cache_is_fresh")
    ),
    description="Look how old the cache is, and nothing else.",
)

hourly_cache_age = dg.ScheduleDefinition(
    name="hourly_cache_age",
    job=cache_age,
    cron_schedule="15 * * * *",
    execution_timezone="UTC",
    description="Each hour, whether or not anything else runs: a pipeline that stopped tells nobody.",
)

nightly = dg.ScheduleDefinition(
    name="nightly",
    job=everything,
    cron_schedule="30 2 * * *",
    execution_timezone="UTC",
    description="Once a night even without new files: consent and experiments age.",
)


def nightly_compaction(compaction: dg.JobDefinition) -> dg.ScheduleDefinition:
    """Return the schedule of the compaction: before the nightly run, which reads the lake."""
    return dg.ScheduleDefinition(
        name="nightly_compaction",
        job=compaction,
        cron_schedule="30 1 * * *",
        execution_timezone="UTC",
        description="Once a night, so that days that came in many files are read fast.",
    )


def weekly_erasure(erasure: dg.JobDefinition) -> dg.ScheduleDefinition:
    """Return the schedule of the erasure: often enough for any month's limit."""
    return dg.ScheduleDefinition(
        name="weekly_erasure",
        job=erasure,
        cron_schedule="30 4 * * 0",
        execution_timezone="UTC",
        description="Once a week, so that whoever asked to be forgotten is, in every file.",
    )


def inbox_sensor(workspace: Workspace) -> dg.SensorDefinition:
    """Start a run when files wait in the inbox."""

    @dg.sensor(name="inbox", job=everything, minimum_interval_seconds=30)
    def inbox(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        files = inbox_files(workspace)
        if not files:
            return dg.SkipReason(f"no files in {workspace.inbox}")
        busy = context.instance.get_runs_count(
            dg.RunsFilter(
                job_name=everything.name,
                statuses=[
                    dg.DagsterRunStatus.QUEUED,
                    dg.DagsterRunStatus.STARTING,
                    dg.DagsterRunStatus.STARTED,
                ],
            )
        )
        if busy:
            return dg.SkipReason(f"{len(files)} files wait for the run in progress")
        state = "\n".join(f"{path.name} {path.stat().st_mtime_ns}" for path in files)
        return dg.RunRequest(run_key=hashlib.sha256(state.encode()).hexdigest())

    return inbox


def failure_sensor(manifest: Mapping[str, Any]) -> dg.SensorDefinition:
    """Say which check failed and where, whatever job it ran in."""

    @dg.run_failure_sensor(name="failed_checks", default_status=dg.DefaultSensorStatus.RUNNING)
    def report_failed_checks(context: dg.RunFailureSensorContext) -> None:
        run_id = context.dagster_run.run_id
        context.log.error(
            failure_message(
                run_id,
                context.failure_event.message or "no reason was given",
                failed_checks(context.instance, run_id, manifest),
            )
        )

    return report_failed_checks
