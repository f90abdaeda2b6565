"""One whole run: simulate where there is nothing, then take what is new through every step."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from orchestration.lib import dbt_runner, render, steps
from orchestration.lib.declarations import require_declarations
from orchestration.lib.manifest import (
    daily_models,
    hot_path_selection,
    is_outdated,
    prepared_manifest,
)
from orchestration.lib.report import Summary, read_summary
from orchestration.lib.warehouse_file import rewrite

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestration.lib.home import Workspace
    from orchestration.lib.progress import Stages

ERASABLE_SELECTION = "+int_records_erasable"
# stands while the lake may have forgotten somebody whom the warehouse's file has not
ERASURE_UNFINISHED = "erasure.unfinished"
# stands while the lake may hold what the cache does not
HOT_PATH_UNFINISHED = "hot_path.unfinished"


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run did and found.

    Attributes:
        simulated_records: Records written by the simulator; 0 where nothing was simulated.
        loaded_files: Files that ingest loaded.
        refused_files: Files that ingest left in the inbox; progress says why.
        touched_dates: Event dates that the loaded files hold records of.
        built_nodes: dbt nodes built or tested; 0 where everything was up to date.
        moved: Values written to and removed from the cache.
        seconds: Duration of each stage.
        summary: What the tables say now.
    """

    simulated_records: int
    loaded_files: int
    refused_files: Sequence[str]
    touched_dates: Sequence[str]
    built_nodes: int
    moved: int
    seconds: Mapping[str, float]
    summary: Summary

    def as_dict(self) -> dict[str, Any]:
        """Return the report for `--json`."""
        return asdict(self)


def run(
    workspace: Workspace,
    stages: Stages,
    *,
    users: int,
    days: int,
    seed: int,
    more_days: int = 0,
) -> RunReport:
    """Run everything that is due.

    Args:
        workspace: Where.
        stages: Shows progress and keeps durations.
        users: Users to simulate in an untouched workspace.
        days: Days to simulate in an untouched workspace.
        seed: Of the simulation.
        more_days: Further days to simulate before the run.

    Raises:
        AttuneError: a wrong declaration, a failed build, a setting that cannot be used.
        IngestError: another ingest runs, or the key cannot be used.
        ServingError: the cache or the published file cannot be written.
    """
    require_declarations(workspace.declarations, workspace.project_dir)
    simulated = 0
    if more_days or steps.is_untouched(workspace):
        with stages.stage("simulate", "days") as update:
            world = steps.simulate(
                workspace,
                users=users,
                days=days,
                seed=seed,
                more_days=more_days,
                on_progress=lambda done, total, records: update(
                    done, total, f"{records:,} records"
                ),
            )
        simulated = world.records
        stages.say(f"simulated {simulated:,} records of {world.users:,} users")

    before = set(steps.loaded_batches(workspace))
    with stages.stage("ingest", "files") as update:
        loads = steps.ingest(workspace, on_progress=update)
    for refused in loads.refused:
        stages.say(escape(render.refused(refused)))
    loaded = [batch for batch in steps.loaded_batches(workspace) if batch not in before]
    dates = steps.touched_dates(workspace, loaded)
    built = moved = 0
    if steps.is_up_to_date(workspace):
        stages.say("no new files, and no declaration or model changed: nothing to rebuild")
    else:
        stages.say(_what_is_new(loaded, dates, is_first=not before))
        built, moved = _build_and_serve(workspace, stages)
        steps.record_run(workspace)
        stages.say(f"{built} nodes built and tested, {moved:,} values moved to the cache")
    return RunReport(
        simulated_records=simulated,
        loaded_files=len(loaded),
        refused_files=[refused.file_name for refused in loads.refused],
        touched_dates=dates,
        built_nodes=built,
        moved=moved,
        seconds=dict(stages.seconds),
        summary=read_summary(workspace.warehouse),
    )


@dataclass(frozen=True, slots=True)
class EraseReport:
    """What an erasure did.

    Attributes:
        rows: Rows of the lake that are gone, copies and span events included.
        lake_files: Files of the lake that were replaced or deleted.
        raw_files: Files deleted from `processed/`.
        raw_lines: Lines deleted from `rejected/`.
        is_rewritten: Whether the warehouse's file and the published one were written anew.
        seconds: Duration of each stage.
    """

    rows: int
    lake_files: int
    raw_files: int
    raw_lines: int
    is_rewritten: bool
    seconds: Mapping[str, float]


def erase(workspace: Workspace, stages: Stages) -> EraseReport:
    """Erase who asked for it from the lake, the warehouse's file and the published one.

    What is served of them went when they asked. Nothing open, nothing changes. A run that is cut
    off is finished by the next.

    Raises:
        AttuneError: a wrong declaration, a failed build, or a warehouse that others have open.
        IngestError: an ingest runs, or there is no room.
        ServingError: the cache or the published file cannot be written.
    """
    require_declarations(workspace.declarations, workspace.project_dir)
    unfinished = workspace.home / ERASURE_UNFINISHED
    with stages.stage("find", "nodes") as update:
        dbt_runner.build(
            workspace,
            select=ERASABLE_SELECTION,
            only_selected_tests=True,
            on_progress=lambda node: update(node.done, node.total, node.name),
        )
    unfinished_before = unfinished.exists()
    unfinished.touch()
    with stages.stage("erase", "files"):
        erased = steps.erase_records(workspace)
    is_due = unfinished_before or erased.rows > 0
    if is_due:
        _build_and_serve(workspace, stages)
        with stages.stage("rewrite", "tables"):
            rewrite(workspace.warehouse)
        steps.record_run(workspace)
    unfinished.unlink()
    return EraseReport(
        rows=erased.rows,
        lake_files=erased.lake_files,
        raw_files=erased.raw_files,
        raw_lines=erased.raw_lines,
        is_rewritten=is_due,
        seconds=dict(stages.seconds),
    )


def _build_and_serve(workspace: Workspace, stages: Stages) -> tuple[int, int]:
    """Build, sync, publish and report; nodes built and values moved."""
    with stages.stage("build", "nodes") as update:
        report = dbt_runner.build(
            workspace, on_progress=lambda node: update(node.done, node.total, node.name)
        )
    with stages.stage("sync", "views"):
        moved = steps.sync(workspace).moved
    with stages.stage("publish", "tables"):
        steps.publish(workspace)
    with stages.stage("report", "pages"):
        steps.report(workspace)
    return sum(report.statuses.values()), moved


@dataclass(frozen=True, slots=True)
class FollowReport:
    """What one turn of the hot path did; seconds by stage, and by model of its first build."""

    loaded_files: int
    refused_files: list[str]
    built_nodes: int
    moved: int
    seconds: dict[str, float]
    model_seconds: dict[str, float]


class HotPath:
    """Brings what arrives in the inbox to the cache between whole builds.

    dbt's project is parsed once, and again when a model or declaration changes.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._parsed: Any = None

    def follow(self, stages: Stages) -> FollowReport:
        """Load what waits, build the marts of the hot path and sync them; nothing waits, nothing runs.

        The first events of a day are served by what the population was fitted to the day before;
        then it is fitted anew, and everybody's scores with it.

        What a turn loaded and could not build or sync is built by the next, whatever waits then.

        Raises:
            AttuneError: a wrong declaration or a failed build.
            IngestError: another ingest runs, or the key cannot be used.
            ServingError: the cache cannot be written.
        """
        workspace = self._workspace
        unfinished = workspace.home / HOT_PATH_UNFINISHED
        is_due = unfinished.exists()
        if not is_due and not steps.inbox_files(workspace):
            return FollowReport(0, [], 0, 0, {}, {})
        require_declarations(workspace.declarations, workspace.project_dir)
        day = steps.day_of_build(workspace)
        unfinished.touch()
        with stages.stage("ingest", "files") as update:
            loads = steps.ingest(workspace, on_progress=update)
        refused = [each.file_name for each in loads.refused]
        if not loads.batch_ids and not is_due:
            unfinished.unlink()
            return FollowReport(0, refused, 0, 0, dict(stages.seconds), {})
        with stages.stage("parse", "project"):
            if self._parsed is None or is_outdated(workspace):
                self._parsed = dbt_runner.parse(workspace)
        manifest = prepared_manifest(workspace)
        # what moves once a day is left as it is until the first events of the day are served
        is_new_day = day is not None and not is_due and loads.loaded_at.date() != day
        held = daily_models(manifest) if is_new_day else None
        report = self._build(stages, "build", hot_path_selection(manifest), held)
        with stages.stage("sync", "views"):
            moved = steps.sync(workspace, only_hot_path=True).moved
        nodes = sum(report.statuses.values())
        if held:
            refit = self._build(stages, "refit", hot_path_selection(manifest))
            with stages.stage("sync of the refit", "views"):
                moved += steps.sync(workspace, only_hot_path=True).moved
            nodes += sum(refit.statuses.values())
        unfinished.unlink()
        return FollowReport(
            loaded_files=len(loads.batch_ids),
            refused_files=refused,
            built_nodes=nodes,
            moved=moved,
            seconds=dict(stages.seconds),
            model_seconds=dict(report.model_seconds),
        )

    def _build(
        self, stages: Stages, stage: str, select: str, exclude: str | None = None
    ) -> dbt_runner.BuildReport:
        with stages.stage(stage, "nodes") as update:
            return dbt_runner.build(
                self._workspace,
                select=select,
                exclude=exclude,
                only_selected_tests=True,
                manifest=self._parsed,
                on_progress=lambda node: update(node.done, node.total, node.name),
            )


def _what_is_new(loaded: Sequence[str], dates: Sequence[str], *, is_first: bool) -> str:
    """Say why there is something to build."""
    if not loaded:
        return "no new files; a declaration or a model changed, or the last run did not end"
    span = f"{dates[0]} to {dates[-1]}" if len(dates) > 1 else "".join(dates)
    files = f"{len(loaded)} new file{'' if len(loaded) == 1 else 's'}"
    touched = f"{len(dates)} event date{'' if len(dates) == 1 else 's'}"
    if is_first:
        return f"{files} with {touched} ({span}): building everything"
    return f"{files} touch {touched} ({span}): rebuilding those and what depends on them"
