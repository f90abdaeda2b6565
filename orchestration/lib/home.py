"""Where everything lies: one place that turns the environment into paths.

An unknown setting raises. A misspelt ATTUNE_DECLARATIONS that fell back to the default would build
somebody else's experiments without a word.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.lib.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Mapping

TARGETS = ("duckdb", "spark")
# long enough to correct a plan and replay, short enough for raw text
RAW_DAYS = 30
SETTINGS = {
    "ATTUNE_HOME": "the workspace: inbox, lake, warehouse, cache, published file",
    "ATTUNE_DECLARATIONS": "folder with catalog/, experiments/, preferences/ and metrics/",
    "ATTUNE_CACHE_URL": "the serving cache, sqlite:///PATH",
    "ATTUNE_KEY_FILE": "the pseudonymisation key, made on first use",
    "ATTUNE_TARGET": f"the engine: {' or '.join(TARGETS)}",
    "ATTUNE_MEMORY_LIMIT": "what DuckDB may use in a build, such as 8GB; default 80% of the memory",
    "ATTUNE_RAW_DAYS": "days for which processed files and refused lines, raw text, are kept",
    "ATTUNE_RECEIVE_TOKEN": "the token of `attune receive`; default a file in the workspace",
    "ATTUNE_SHARED": "real input for the tests",
    "ATTUNE_PROPERTY_CASES": "number of cases of the property tests",
    "ATTUNE_TRUTH_WORLDS": "number of simulated worlds that the tests judge",
}
PROJECT_DIR = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Workspace:
    """The paths and addresses of one workspace; every path is absolute.

    Attributes:
        project_dir: The dbt project: models, macros, seeds.
        home: ATTUNE_HOME.
        declarations: ATTUNE_DECLARATIONS.
        cache_url: ATTUNE_CACHE_URL.
        key_file: ATTUNE_KEY_FILE.
        target: ATTUNE_TARGET, the dbt target.
        raw_days: ATTUNE_RAW_DAYS.
    """

    project_dir: Path
    home: Path
    declarations: Path
    cache_url: str
    key_file: Path
    target: str
    raw_days: int

    @property
    def inbox(self) -> Path:
        return self.home / "inbox"

    @property
    def lake(self) -> Path:
        return self.home / "lake"

    @property
    def warehouse(self) -> Path:
        return self.home / "warehouse.duckdb"

    @property
    def published(self) -> Path:
        return self.home / "published" / "attune.duckdb"

    @property
    def reports(self) -> Path:
        return self.published.parent / "reports"

    @property
    def dagster_home(self) -> Path:
        return self.home / "dagster"

    @property
    def dbt_target(self) -> Path:
        """Where dbt's manifest and compiled SQL go.

        The default workspace shares `target/` with plain `dbt build`; any other has its own, so
        that two workspaces with different declarations do not overwrite each other's manifest.
        """
        is_default = self.home == self.project_dir / ".attune"
        return self.project_dir / "target" if is_default else self.home / "target"

    @property
    def manifest(self) -> Path:
        return self.dbt_target / "manifest.json"

    @property
    def dbt_logs(self) -> Path:
        return self.home / "logs"

    def environment(self) -> dict[str, str]:
        """Return the variables that make any program use this workspace."""
        return {
            "ATTUNE_HOME": str(self.home),
            "ATTUNE_DECLARATIONS": str(self.declarations),
            "ATTUNE_CACHE_URL": self.cache_url,
            "ATTUNE_KEY_FILE": str(self.key_file),
            "ATTUNE_TARGET": self.target,
            "ATTUNE_RAW_DAYS": str(self.raw_days),
            "DBT_TARGET_PATH": str(self.dbt_target),
            "DBT_LOG_PATH": str(self.dbt_logs),
            "DAGSTER_HOME": str(self.dagster_home),
        }

    def make_folders(self) -> None:
        """Make what has to be there before anything runs."""
        for folder in (self.inbox, self.lake, self.dagster_home, self.published.parent):
            folder.mkdir(parents=True, exist_ok=True)


def workspace_from(
    environment: Mapping[str, str], *, project_dir: Path = PROJECT_DIR, base: Path | None = None
) -> Workspace:
    """Read the workspace from environment variables.

    Args:
        environment: Usually `os.environ`.
        project_dir: The dbt project.
        base: What relative paths are relative to; default the current directory.

    Raises:
        SettingError: an ATTUNE_ variable that does not exist, or a value that cannot be used.
    """
    unknown = sorted(
        name for name in environment if name.startswith("ATTUNE_") and name not in SETTINGS
    )
    if unknown:
        raise SettingError(
            f"unknown setting {', '.join(unknown)}",
            where="the environment",
            next_step="unset it, or correct its name; there are " + ", ".join(SETTINGS),
        )
    base = Path.cwd() if base is None else base

    def path(name: str, default: Path) -> Path:
        value = environment.get(name, "")
        return base.joinpath(value).resolve() if value else default

    home = path("ATTUNE_HOME", project_dir / ".attune")
    declarations = path("ATTUNE_DECLARATIONS", project_dir / "seeds" / "declarations")
    if not declarations.is_dir():
        raise SettingError(
            f"there is no folder {declarations}",
            where="ATTUNE_DECLARATIONS",
            next_step="`attune init DIR` copies a starter; then set ATTUNE_DECLARATIONS=DIR",
        )
    target = environment.get("ATTUNE_TARGET") or TARGETS[0]
    if target not in TARGETS:
        raise SettingError(
            f"unknown engine {target!r}",
            where="ATTUNE_TARGET",
            next_step=f"set it to {' or '.join(TARGETS)}, or unset it",
        )
    raw_days = environment.get("ATTUNE_RAW_DAYS") or str(RAW_DAYS)
    if not raw_days.isdecimal():
        raise SettingError(
            f"{raw_days!r} is not a number of days",
            where="ATTUNE_RAW_DAYS",
            next_step="set it to a whole number, or unset it",
        )
    return Workspace(
        project_dir=project_dir,
        home=home,
        declarations=declarations,
        cache_url=environment.get("ATTUNE_CACHE_URL") or f"sqlite:///{home / 'cache.sqlite'}",
        key_file=path("ATTUNE_KEY_FILE", home / "key.json"),
        target=target,
        raw_days=int(raw_days),
    )
