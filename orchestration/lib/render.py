"""Turns reports into tables and sentences for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import RenderableType

    from orchestration.ingest import Compacted, IngestReport, KeyInfo, RefusedFile
    from orchestration.lib.dbt_runner import BuildReport
    from orchestration.lib.export import ExportReport
    from orchestration.lib.home import Workspace
    from orchestration.lib.report import (
        Decision,
        ExperimentReport,
        LedgerTotals,
        MetricResult,
        Preference,
        Summary,
    )
    from orchestration.lib.runs import EraseReport, FollowReport
    from orchestration.reports import ReportsWritten
    from serving.publish import PublishReport
    from serving.store import ViewMeta
    from serving.sync import SyncReport
    from simulator import SimulationReport

COLOURS = {
    "better": "green",
    "worse": "red",
    "ship": "green",
    "do not ship": "red",
    "invalid": "red",
    "stated": "cyan",
    "inferred": "green",
}
INTERVALS = {"fixed_horizon": "", "always_valid": "always-valid ", "repeated": "repeated "}
LEDGER_COLUMNS = ("records_in", "accepted", "duplicate", "rejected", "suppressed")


def simulated(report: SimulationReport) -> str:
    """Say what the simulator wrote."""
    return (
        f"{report.records:,} records of {report.users:,} users in {len(report.files)} files, "
        f"{report.records_per_second:,.0f} records/s"
    )


def ingested(report: IngestReport) -> str:
    """Say what was loaded, and why lines were refused."""
    loaded, repeated = len(report.batch_ids), len(report.files) - len(report.batch_ids)
    if not report.files and not report.refused:
        return "no files in the inbox: nothing to load"
    first = (
        f"{report.records_in:,} records in {loaded} file{'' if loaded == 1 else 's'}: "
        f"{report.well_formed:,} well-formed, {sum(report.rejected.values()):,} rejected"
    )
    parts = [first]
    parts += [f"  {count:,} {reason}" for reason, count in report.rejected.items()]
    if repeated:
        parts.append(f"  {repeated} files were loaded before and are not loaded again")
    parts += [refused(each) for each in report.refused]
    return "\n".join(parts)


def refused(file: RefusedFile) -> str:
    """Say why a file was left in the inbox, and what to do."""
    return f"refused {file.file_name}: {file.reason}, {file.detail}; {file.next_step}"


def built(report: BuildReport) -> str:
    """Say what a build made."""
    kinds = ", ".join(f"{count} {kind}s" for kind, count in sorted(report.kinds.items()))
    return f"{kinds} in {report.seconds:.0f} s; every test passed"


def synced(report: SyncReport) -> str:
    """Say what moved to the cache."""
    lines = [
        f"{view.view}: {view.added:,} added, {view.changed:,} changed, {view.removed:,} removed, "
        f"{view.unchanged:,} unchanged"
        for view in report.views
    ]
    return "\n".join([*lines, f"as of {report.as_of.isoformat()}"])


def rolled_back(meta: ViewMeta) -> str:
    """Say what is served after a rollback."""
    return (
        f"{meta.view}: serving {meta.rows:,} rows as of {meta.as_of.isoformat()} again, until the "
        "next sync"
    )


def followed(report: FollowReport) -> str:
    """Say what a turn of the hot path brought to the cache, and where its time went."""
    if not report.loaded_files:
        return "nothing waits in the inbox that can be loaded"
    stages = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in report.seconds.items())
    return (
        f"{report.loaded_files} files, {report.built_nodes} nodes built and tested, "
        f"{report.moved:,} values moved to the cache ({stages})"
    )


def published(report: PublishReport) -> str:
    """Say what was published where."""
    return (
        f"{len(report.tables)} tables, {report.bytes / 1e6:.1f} MB\n"
        f"  {report.path}\n  {report.parquet_path}"
    )


def reported(report: ReportsWritten) -> str:
    """Say which pages were written where."""
    lines = [f"  {escape(str(page.path))}" for page in report.pages]
    size = f"{len(report.pages)} experiments, {report.bytes / 1e6:.1f} MB"
    return "\n".join([size, *lines, f"open {escape(str(report.index))}"])


def summary(found: Summary, workspace: Workspace) -> RenderableType:
    """Show what a run found, and what to open next."""
    parts: list[RenderableType] = [ledger_totals(found.ledger)]
    parts += [experiment(each) for each in found.experiments]
    if found.user_id is None:
        parts.append("\nNo user has a preference yet.")
    else:
        parts += [f"\n[bold]One user[/]: {found.user_id}", preferences(found.preferences)]
    parts.append(next_steps(found, workspace))
    return Group(*parts)


def ledger_totals(totals: LedgerTotals) -> RenderableType:
    """Show the ledger in one line: what came in, and where it went."""
    verdict = (
        "nothing is lost"
        if totals.is_balanced
        else "[red]these do not add up: look at `attune ledger`[/]"
    )
    return (
        f"\n[bold]Ledger[/]: {totals.records_in:,} records in {totals.files:,} files = "
        f"{totals.accepted:,} accepted + {totals.duplicate:,} duplicate + "
        f"{totals.rejected:,} rejected + {totals.suppressed:,} suppressed ({verdict})"
    )


def ledger(rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Show the ledger, one line per file."""
    table = _table("file", *LEDGER_COLUMNS)
    for row in rows:
        table.add_row(escape(str(row["file_name"])), *(f"{row[name]:,}" for name in LEDGER_COLUMNS))
    return table


def experiment(report: ExperimentReport) -> RenderableType:
    """Show one experiment: what was decided on each treatment and why, and its metrics."""
    # a failed check says the same of every treatment
    is_one = len({(each.decision, each.reason) for each in report.decisions}) == 1
    heading = f"\n[bold]{escape(report.experiment_name)}[/]"
    parts: list[RenderableType] = [
        f"{heading}: {decision(report.decisions[0])}" if is_one else heading
    ]
    for each in report.decisions:
        if not is_one:
            parts.append(f"  {escape(each.treatment)}: {decision(each)}")
        metrics = [metric for metric in report.metrics if metric.treatment == each.treatment]
        table = _table(f"  {each.treatment}", "effect", " / ".join(_intervals(metrics)), "")
        for metric in metrics:
            table.add_row(
                f"  {escape(metric.metric_name)}",
                percent(metric.relative_effect),
                interval(metric.lower, metric.upper),
                _coloured(metric.direction) if metric.status == "ok" else escape(metric.status),
            )
        parts.append(table)
    return Group(*parts)


def decision(found: Decision) -> str:
    """Write a decision with its reason."""
    return f"{_coloured(found.decision.replace('_', ' '))} - {escape(found.reason)}"


def preferences(rows: Sequence[Preference]) -> RenderableType:
    """Show a user's preferences, each with its reason below it."""
    lines = []
    for row in rows:
        context = "" if row.context == "all" else f" where {row.context}"
        lines.append(
            f"  {escape(row.dimension)}{escape(context)}: [bold]{escape(row.value)}[/] "
            f"({_coloured(row.kind)})\n      [dim]{escape(row.reason)}[/]"
        )
    return "\n".join(lines)


def compacted(folders: Sequence[Compacted]) -> RenderableType:
    """Write which folders of the lake were merged."""
    if not folders:
        return "no folder of the lake has small files to merge"
    table = _table("folder", "files_before", "files_after", "rows")
    for each in folders:
        counts = (each.files_before, each.files_after, each.rows)
        table.add_row(escape(each.folder), *(f"{count:,}" for count in counts))
    return table


def exported(report: ExportReport) -> str:
    """Say how much was exported, and of whom."""
    return f"{sum(report.rows.values()):,} rows of {len(report.rows)} tables about {report.user_id}"


def erased(report: EraseReport) -> RenderableType:
    """Write what an erasure took out, and where."""
    if not (report.is_rewritten or report.raw_files or report.raw_lines):
        return "nobody is left to forget: no record of theirs is in the lake"
    found = (
        f"{report.rows:,} rows taken out of {report.lake_files:,} files of the lake, "
        f"{report.raw_files:,} raw files and {report.raw_lines:,} refused lines deleted"
    )
    anew = "; the warehouse's file and the published one were written anew"
    return found + (anew if report.is_rewritten else "")


def keys(ring: Sequence[KeyInfo]) -> RenderableType:
    """Write the ring of keys, oldest first."""
    table = _table("key", "made", "state")
    for key in ring:
        state = "active: made with it from now on" if key.is_active else "kept: finds who was known"
        table.add_row(escape(key.key_id), escape(key.created_at or "unknown"), state)
    return table


def next_steps(found: Summary, workspace: Workspace) -> str:
    """Say what to open next."""
    command = ".venv/bin/attune"
    return (
        "\n[bold]Next[/]\n"
        f"  {command} explain {found.user_id or 'USER'}\n"
        "      what the assistant is told about this user, from the cache; raw user ids work too\n"
        f"  {command} ledger\n      what became of every input file\n"
        f"  {escape(str(workspace.reports / 'index.html'))}\n"
        "      a page per experiment, for a browser: decision, effects, health\n"
        "  make ui\n      the asset graph, checks and runs in Dagster\n"
        f"  {escape(str(workspace.published))}\n      every mart in one file, for BI tools\n"
        f"  {escape(str(workspace.declarations))}\n"
        "      experiments, metrics and preferences: edit, then make run"
    )


def percent(share: float | None) -> str:
    """Write a share of control as a signed percentage, or nothing where there is none."""
    return "" if share is None else f"{share:+.1%}"


def interval(lower: float | None, upper: float | None) -> str:
    """Write the interval of a share, or nothing where there is none."""
    return "" if lower is None or upper is None else escape(f"[{lower:+.1%}, {upper:+.1%}]")


def _intervals(metrics: Sequence[MetricResult]) -> list[str]:
    kinds = {
        f"{100 * (1 - metric.alpha):g}% {INTERVALS[metric.interval_kind]}interval"
        for metric in metrics
    }
    return sorted(kinds)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    return table


def _coloured(word: str) -> str:
    colour = COLOURS.get(word)
    return f"[{colour}]{word}[/]" if colour else word
