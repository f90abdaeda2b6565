"""Runs dbt inside this process and says what it does while it does it.

In process, because starting dbt costs five seconds and a build, a sync and a report follow each
other. The connection that dbt leaves open is closed afterwards: the warehouse file has one writer,
and a forgotten connection locks out everybody, this process's own sync included.
"""

from __future__ import annotations

import gc
import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orchestration.lib.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from orchestration.lib.home import Workspace

FAILED = ("error", "fail", "runtime error")
# unit tests know the models and not the data: `make test` and plain `dbt build` run them, and a
# build of data does not wait for them
BUILD = ("build", "--exclude-resource-type", "unit_test")


@dataclass(frozen=True, slots=True)
class NodeProgress:
    """One step of a build: done of total nodes are finished, and this one starts or ended."""

    done: int
    total: int
    name: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A node that did not build, or a test that found rows."""

    name: str
    kind: str
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name} ({self.path}): {self.message}"


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build did: nodes by status, by kind, and how long it and each model took (seconds)."""

    seconds: float
    model_seconds: Mapping[str, float]
    statuses: Mapping[str, int]
    kinds: Mapping[str, int]
    failures: Sequence[Failure]


@dataclass(slots=True)
class _Follower:
    """Turns dbt's events into progress."""

    on_progress: Callable[[NodeProgress], None]
    done: int = 0
    total: int = 0
    names: dict[str, str] = field(default_factory=dict)

    def __call__(self, event: Any) -> None:
        name = event.info.name
        if name == "LogStartLine":
            self.total = max(self.total, int(event.data.total))
            self._report(str(event.data.node_info.node_name))
        elif name == "NodeFinished":
            self.done += 1
            self._report(str(event.data.node_info.node_name))

    def _report(self, name: str) -> None:
        self.on_progress(NodeProgress(self.done, max(self.total, self.done), name))


@dataclass(slots=True)
class _ErrorCollector:
    """Keeps what dbt logs as an error: its exception may name only the kind of failure."""

    messages: list[str] = field(default_factory=list)

    def __call__(self, event: Any) -> None:
        if event.info.level == "error" and event.info.name != "MainEncounteredError":
            self.messages.append(_one_paragraph(event.info.msg))


def run_dbt(
    workspace: Workspace,
    arguments: Sequence[str],
    *,
    on_progress: Callable[[NodeProgress], None] | None = None,
    manifest: Any = None,
) -> Any:
    """Run one dbt command and return its result object.

    Args:
        workspace: What to build, and where.
        arguments: Command and options, such as `["build", "--select", "fct_events"]`.
        on_progress: Called as nodes start and end, from dbt's threads.
        manifest: A parsed manifest, to save parsing; it must be of the same declarations.

    Raises:
        BuildError: dbt could not parse the project or start; a node that fails does not raise.
    """
    from dbt.cli.main import dbtRunner

    errors = _ErrorCollector()
    callbacks: list[Callable[[Any], None]] = [errors]
    if on_progress:
        callbacks.append(_Follower(on_progress))
    workspace.make_folders()
    options = [
        "--project-dir",
        str(workspace.project_dir),
        "--profiles-dir",
        str(workspace.project_dir),
        "--target",
        workspace.target,
        "--target-path",
        str(workspace.dbt_target),
        "--log-path",
        str(workspace.dbt_logs),
    ]
    with environment(workspace.environment()), working_directory(workspace.project_dir):
        try:
            result = dbtRunner(manifest=manifest, callbacks=callbacks).invoke(
                ["--log-level", "none", "--log-level-file", "info", *arguments, *options]
            )
        finally:
            close_connections()
    if result.exception is not None:
        reasons = [_one_paragraph(str(result.exception)), *errors.messages]
        raise BuildError(
            f"dbt {arguments[0]} could not run: {' '.join(dict.fromkeys(reasons))}",
            where=str(workspace.project_dir),
            next_step=f"correct what it names; dbt's log is {workspace.dbt_logs / 'dbt.log'}",
        )
    return result


def parse(workspace: Workspace) -> Any:
    """Parse the project and return its manifest; `manifest.json` is written too."""
    return run_dbt(workspace, ["parse"]).result


def build(
    workspace: Workspace,
    *,
    on_progress: Callable[[NodeProgress], None] | None = None,
    full_refresh: bool = False,
    as_of: str | None = None,
    select: str | None = None,
    exclude: str | None = None,
    only_selected_tests: bool = False,
    manifest: Any = None,
) -> BuildReport:
    """Build everything and run its data tests.

    Args:
        workspace: What to build, and where.
        on_progress: Called as nodes start and end.
        full_refresh: Rebuild incremental models from nothing.
        as_of: UTC time up to which loads count, ISO; default the newest load.
        select: dbt selection; default everything.
        exclude: dbt selection of what is left as it is.
        only_selected_tests: Leave out tests that the selection does not name.
        manifest: A parsed manifest of the same declarations.

    Raises:
        BuildError: a node failed; every failing node is named, with its file.
    """
    arguments = [*BUILD]
    if full_refresh:
        arguments.append("--full-refresh")
    if as_of:
        arguments += ["--vars", f"{{as_of: '{as_of}'}}"]
    if select:
        arguments += ["--select", *select.split()]
    if exclude:
        arguments += ["--exclude", *exclude.split()]
    if only_selected_tests:
        arguments += ["--indirect-selection", "empty"]
    result = run_dbt(workspace, arguments, on_progress=on_progress, manifest=manifest)
    report = _report_of(result.result)
    if report.failures or not result.success:
        count = len(report.failures)
        raise BuildError(
            f"{count} of {sum(report.statuses.values())} dbt nodes failed; nothing was synced or "
            "published",
            where="\n".join(str(failure) for failure in report.failures),
            next_step=(
                "a failing test names the claim that does not hold: look at its file, then run "
                f"`attune build` again. Compiled SQL lies in {workspace.dbt_target / 'compiled'}"
            ),
        )
    return report


def close_connections() -> None:
    """Close the connections that dbt's adapters hold in this process, so that files are free."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.adapters.factory import cleanup_connections

    cleanup_connections()
    DuckDBConnectionManager.close_all_connections()
    # the connection closes when its last holder goes, and exceptions hold frames
    gc.collect()


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for a while; dbt reads nothing else."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def working_directory(path: Path) -> Iterator[None]:
    """Change the directory for a while: seeds and docs paths are relative to the project."""
    before = os.getcwd()  # noqa: PTH109 (Path.cwd resolves links, and the old name is put back)
    os.chdir(path)
    try:
        yield
    finally:
        os.chdir(before)


def _report_of(run_result: Any) -> BuildReport:
    statuses: dict[str, int] = {}
    kinds: dict[str, int] = {}
    failures: list[Failure] = []
    model_seconds: dict[str, float] = {}
    for result in run_result.results:
        status = str(result.status)
        kind = str(result.node.resource_type)
        statuses[status] = statuses.get(status, 0) + 1
        kinds[kind] = kinds.get(kind, 0) + 1
        if kind == "model":
            model_seconds[result.node.name] = float(result.execution_time)
        if status in FAILED:
            failures.append(
                Failure(
                    name=result.node.name,
                    kind=kind.replace("_", " "),
                    path=result.node.original_file_path,
                    message=_one_paragraph(result.message or status),
                )
            )
    return BuildReport(
        seconds=float(run_result.elapsed_time),
        model_seconds=model_seconds,
        statuses=statuses,
        kinds=kinds,
        failures=failures,
    )


def _one_paragraph(message: str) -> str:
    return " ".join(message.split())
