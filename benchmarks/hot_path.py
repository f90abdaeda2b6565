"""How long 1,000 events take from the inbox to the cache, and where the time goes.

Run `make bench`, or `python -m benchmarks.hot_path --users 53000` for a warehouse of 10 million
records. What the hot path reads is loaded, as if on the two days before, and built first; then `attune
follow --once` runs as a process of its own, dbt's start-up included, on two batches: the first of a
day, after which everything that is learned from the population is learned anew, and another. What
is held to the goal is the time from the process's start to the end of the sync that serves the
batch; the first turn's refit and its sync come after.
`--world DIR` builds the world there and keeps it; a world that is there is brought to the models of
today, and a copy of it is used.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from orchestration.ingest import load_inbox
from orchestration.lib import dbt_runner, steps
from orchestration.lib.home import Workspace, workspace_from
from orchestration.lib.manifest import hot_path_selection, prepared_manifest
from orchestration.lib.progress import Stages
from orchestration.lib.report import open_warehouse

if TYPE_CHECKING:
    from collections.abc import Mapping

EVENTS = 1_000
BATCHES = ("the first batch of a day", "another batch")
GOAL_SECONDS = 30.0
SLOWEST = 10
SEED = 7


def records_in(line: bytes) -> int:
    """Log records and spans of one export request."""
    request = json.loads(line)
    scopes = [
        scope
        for resource in request.get("resourceLogs", []) + request.get("resourceSpans", [])
        for scope in resource.get("scopeLogs", []) + resource.get("scopeSpans", [])
    ]
    return sum(len(scope.get("logRecords", []) + scope.get("spans", [])) for scope in scopes)


def make_world(workspace: Workspace, stages: Stages, *, users: int, days: int) -> None:
    """Load a world unless there is one, and bring what the hot path reads to the models of today."""
    if steps.is_untouched(workspace):
        # the population is fitted on loads of earlier days: a world of one load is no usual one
        simulate(workspace, stages, users=users, days=days - 1)
        load(workspace, stages, days_ago=2)
        simulate(workspace, stages, more_days=1)
        load(workspace, stages, days_ago=1)
    with stages.stage("build", "nodes") as update:
        dbt_runner.build(
            workspace,
            select=hot_path_selection(prepared_manifest(workspace)),
            only_selected_tests=True,
            on_progress=lambda node: update(node.done, node.total, node.name),
        )
    with stages.stage("sync", "views"):
        steps.sync(workspace, only_hot_path=True)


def load(workspace: Workspace, stages: Stages, *, days_ago: int) -> None:
    """Load the inbox as if some days ago."""
    with stages.stage("ingest", "files"), dbt_runner.environment(workspace.environment()):
        load_inbox(
            workspace.home,
            workspace.declarations,
            loaded_at=datetime.now(UTC) - timedelta(days=days_ago),
        )


def simulate(
    workspace: Workspace, stages: Stages, *, users: int = 0, days: int = 0, more_days: int = 0
) -> None:
    """Write simulated telemetry into the inbox."""
    with stages.stage("simulate", "days") as update:
        steps.simulate(
            workspace,
            users=users,
            days=days,
            seed=SEED,
            more_days=more_days,
            on_progress=lambda done, total, records: update(done, total, f"{records:,} records"),
        )


def take_batches(workspace: Workspace, stages: Stages) -> list[tuple[bytes, int]]:
    """Simulate one more day; return the first lines of it, by batch, with their records."""
    simulate(workspace, stages, more_days=1)
    batches: list[tuple[list[bytes], int]] = [([], 0)]
    for path in sorted(workspace.inbox.glob("*.jsonl")):
        for line in path.read_bytes().splitlines():
            lines, records = batches[-1]
            if records >= EVENTS:
                lines, records = [], 0
                batches.append((lines, records))
            lines.append(line)
            batches[-1] = (lines, records + records_in(line))
            if len(batches) > len(BATCHES):
                break
        path.unlink()
    return [(b"\n".join(lines) + b"\n", records) for lines, records in batches[: len(BATCHES)]]


def count_records(workspace: Workspace) -> int:
    """Log records and spans that the world holds."""
    with open_warehouse(workspace.warehouse) as connection:
        counts = connection.execute(
            "select count(*) from lake.log_records union all select count(*) from lake.spans"
        ).fetchall()
    return sum(int(count) for (count,) in counts)


def follow(environment: Mapping[str, str]) -> tuple[dict[str, Any], float, float]:
    """Run `attune follow --once`; return its report, seconds on the clock and CPU seconds."""
    used, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "orchestration.cli", "follow", "--once", "--json"],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    return json.loads(done.stdout), seconds, cpu


def main() -> None:
    """Build a world, then follow small batches."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=2_000)
    parser.add_argument("--days", type=int, default=28)
    parser.add_argument("--world", type=Path, help="Where to keep the world, or find it")
    arguments = parser.parse_args()
    console, stages = Console(), Stages()
    with tempfile.TemporaryDirectory(dir=arguments.world and arguments.world.parent) as scratch:
        home = Path(scratch) / "home"
        kept = arguments.world or home
        workspace = workspace_from({**os.environ, "ATTUNE_HOME": str(kept)})
        make_world(workspace, stages, users=arguments.users, days=arguments.days)
        if kept != home:
            shutil.copytree(kept, home)
        environment = {**os.environ, "ATTUNE_HOME": str(home)}
        workspace = workspace_from(environment)
        # a workspace that is in use was parsed in its place
        dbt_runner.parse(workspace)
        world = count_records(workspace)
        for name, (batch, records) in zip(BATCHES, take_batches(workspace, stages), strict=True):
            (workspace.inbox / f"{name}.jsonl".replace(" ", "-")).write_bytes(batch)
            report, seconds, cpu = follow(environment)
            refit = sum(each for stage, each in report["seconds"].items() if "refit" in stage)
            title = (
                f"{name}: {records:,} events on {world:,}: served after {seconds - refit:.1f} s, "
                f"done after {seconds:.1f} s (CPU {cpu:.1f} s)"
            )
            table = Table("stage", "seconds", title=title)
            for stage, each in report["seconds"].items():
                table.add_row(stage, f"{each:.1f}")
            table.add_row("start and imports", f"{seconds - sum(report['seconds'].values()):.1f}")
            slowest = sorted(report["model_seconds"].items(), key=lambda model: -model[1])
            for model, each in slowest[:SLOWEST]:
                table.add_row(f"  of the build: {model}", f"{each:.1f}")
            console.print(table)
            verdict = "reached" if seconds - refit <= GOAL_SECONDS else "not reached"
            console.print(f"goal {GOAL_SECONDS:.0f} s on 10 million: {verdict} on {world:,}")


if __name__ == "__main__":
    main()
