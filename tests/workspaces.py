"""A workspace for one test: own home, own declarations, dbt in this process."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from orchestration.lib import dbt_runner, steps
from orchestration.lib.home import workspace_from
from orchestration.lib.report import open_warehouse

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orchestration.ingest import IngestReport
    from orchestration.lib.dbt_runner import BuildReport
    from orchestration.lib.home import Workspace
    from simulator import SimulationReport


@dataclass(slots=True)
class ManifestCache:
    """Parsed manifests by what parsing reads of the declarations: it costs more than a small build.

    Of a CSV a manifest knows only where it lies. Declarations with the same files share a manifest
    in which the seeds point to each one's own.
    """

    _manifests: dict[tuple[Any, ...], tuple[Any, bytes]] = field(default_factory=dict)

    def manifest_for(self, workspace: Workspace) -> Any:
        """Return a manifest of its own for one run; `manifest.json` lies where dbt would put it."""
        key = (workspace.project_dir, workspace.target, *_parsed_of(workspace.declarations))
        if key not in self._manifests:
            parsed = dbt_runner.parse(workspace)
            self._manifests[key] = (parsed, workspace.manifest.read_bytes())
        parsed, text = self._manifests[key]
        manifest, document = parsed.deepcopy(), orjson.loads(text)
        for unique_id, node in document["nodes"].items():
            declared = workspace.declarations / node["path"]
            if node["resource_type"] == "seed" and declared.is_file():
                node["original_file_path"] = str(declared)
                manifest.nodes[unique_id].original_file_path = str(declared)
        workspace.dbt_target.mkdir(parents=True, exist_ok=True)
        workspace.manifest.write_bytes(orjson.dumps(document))
        return manifest


def _parsed_of(declarations: Path) -> list[tuple[str, bytes]]:
    """Every file by its place, with what it says unless it is a CSV."""
    return [
        (
            path.relative_to(declarations).as_posix(),
            b"" if path.suffix == ".csv" else path.read_bytes(),
        )
        for path in sorted(declarations.rglob("*"))
        if path.is_file()
    ]


@dataclass(frozen=True, slots=True)
class WorkspaceUnderTest:
    """The steps of attune on one temporary workspace."""

    workspace: Workspace
    manifests: ManifestCache

    def drop(self, name: str, content: bytes | str) -> Path:
        """Put a file into the inbox, as a writer that renames into place does."""
        self.workspace.make_folders()
        path = self.workspace.inbox / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def drop_folder(self, folder: Path) -> list[Path]:
        """Copy every telemetry file of a folder into the inbox."""
        self.workspace.make_folders()
        files = sorted(p for p in folder.iterdir() if p.name.endswith(steps.INBOX_SUFFIXES))
        return [self.drop(path.name, path.read_bytes()) for path in files]

    def simulate(self, *, users: int = 60, days: int = 5, seed: int = 7) -> SimulationReport:
        """Simulate a small world into the inbox."""
        return steps.simulate(self.workspace, users=users, days=days, seed=seed)

    def ingest(self) -> IngestReport:
        """Load the inbox."""
        return steps.ingest(self.workspace)

    def build(
        self, *, full_refresh: bool = False, as_of: str | None = None, select: str | None = None
    ) -> BuildReport:
        """Build and test; raises BuildError when a test fails."""
        return dbt_runner.build(
            self.workspace,
            full_refresh=full_refresh,
            as_of=as_of,
            select=select,
            manifest=self.manifests.manifest_for(self.workspace),
        )

    def query(self, sql: str, *parameters: Any) -> list[dict[str, Any]]:
        """Return the rows of a query on the warehouse as dictionaries."""
        with open_warehouse(self.workspace.warehouse) as connection:
            result = connection.execute(sql, list(parameters))
            names = [column[0] for column in result.description]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def make_workspace(
    root: Path,
    project_dir: Path,
    manifests: ManifestCache,
    *,
    declarations: Path | None = None,
    overrides: Mapping[str, str] | None = None,
    target: str = "duckdb",
) -> WorkspaceUnderTest:
    """Make a workspace below a temporary folder.

    Args:
        root: Temporary folder; made if missing.
        project_dir: The dbt project.
        manifests: Shared, so that equal declarations are parsed once.
        declarations: Default the project's own.
        overrides: Files to replace in a copy of the declarations: path -> content.
        target: The engine.
    """
    root.mkdir(parents=True, exist_ok=True)
    source = declarations or project_dir / "seeds" / "declarations"
    if overrides:
        copy = root / "declarations"
        shutil.copytree(source, copy)
        for name, content in overrides.items():
            path = copy / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        source = copy
    workspace = workspace_from(
        {
            "ATTUNE_HOME": str(root / "home"),
            "ATTUNE_DECLARATIONS": str(source),
            "ATTUNE_TARGET": target,
        },
        project_dir=project_dir,
    )
    workspace.make_folders()
    return WorkspaceUnderTest(workspace, manifests)
