"""The steps from telemetry to a served preference, each callable alone.

The command line and Dagster call the same functions, so that what a person runs by hand is what
runs at night.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any

import duckdb

from orchestration.lib import dbt_runner
from orchestration.lib.errors import EmptyError, SettingError
from orchestration.lib.export import ExportReport, export_user
from orchestration.lib.manifest import hot_mart_ids, prepared_manifest, tests_of
from orchestration.lib.report import open_warehouse
from serving.client import view_freshness
from serving.hot_marts import hot_marts
from serving.ledger import ledger_path
from serving.publish import PublishReport
from serving.publish import publish as publish_file
from serving.store import open_store
from serving.sync import SyncReport
from serving.sync import sync as sync_views
from serving.verify import VerifyReport
from serving.verify import verify as verify_views
from simulator import SimulationReport
from simulator import simulate as simulate_days

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import date, datetime
    from pathlib import Path

    from orchestration.ingest import Compacted, Erased, IngestReport, KeyInfo, Progress
    from orchestration.lib.home import Workspace
    from orchestration.reports import ReportsWritten
    from serving.client import Freshness
    from serving.store import ViewMeta

# what the names of the read API's files in the inbox begin with
EVENTS_PREFIX = "serve"
INBOX_SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst")
PSEUDONYM_LENGTH = 64
# a load of a night's files; longer, and the holder is named
LOCK_WAIT_SECONDS = 30.0
ERASABLE = """
select record_kind, event_date, batch_id, line_number, record_number, event_number
from intermediate.int_records_erasable
"""
# whoever asked to be forgotten, under each id that was linked to theirs
ERASED_PSEUDONYMS = """
select user_id from intermediate.int_erasures_requested
union
select identities.pseudonym
from intermediate.int_identities_linked as identities
inner join intermediate.int_erasures_requested using (user_id)
"""
# what a build is a function of, beside the lake
BUILD_INPUTS = ("models", "macros", "seeds", "dbt_project.yml", "profiles.yml")


@dataclass(frozen=True, slots=True)
class SimulatedWorld:
    """What was simulated into a workspace, so that more days of the same world can follow."""

    users: int
    days: int
    seed: int


def inbox_files(workspace: Workspace) -> list[Path]:
    """Return the input files that wait, in the order of their names."""
    if not workspace.inbox.is_dir():
        return []
    return sorted(
        path
        for path in workspace.inbox.iterdir()
        if path.is_file() and path.name.endswith(INBOX_SUFFIXES)
    )


def loaded_batches(workspace: Workspace) -> list[str]:
    """Return the batch ids that are in the lake."""
    folder = workspace.lake / "batches"
    return sorted(path.stem for path in folder.glob("*.parquet") if path.stem != "empty")


def is_untouched(workspace: Workspace) -> bool:
    """Nothing waits and nothing was ever loaded."""
    return not inbox_files(workspace) and not loaded_batches(workspace)


def simulate(
    workspace: Workspace,
    *,
    users: int,
    days: int,
    seed: int,
    more_days: int = 0,
    on_progress: Callable[[int, int, int], None] | None = None,
) -> SimulationReport:
    """Write an assistant's telemetry into the inbox.

    Args:
        workspace: Whose inbox.
        users: Number of users of a new world.
        days: Days of a new world.
        seed: Another seed, another world.
        more_days: Instead, so many further days of the world that is already there.
        on_progress: Called with days done, days to do and records written.

    Raises:
        SettingError: more days of a world that is not there, or a second world.
    """
    state = workspace.home / "simulation.json"
    world = SimulatedWorld(**json.loads(state.read_text())) if state.is_file() else None
    first_day = 0
    if more_days:
        if world is None:
            raise SettingError(
                "there is no simulated world to continue",
                where=str(workspace.home),
                next_step="run `attune simulate` without --more-days first",
            )
        first_day = world.days
        world = SimulatedWorld(world.users, world.days + more_days, world.seed)
    elif world is not None:
        raise SettingError(
            f"this workspace already holds {world.days} days of {world.users} simulated users",
            where=str(workspace.home),
            next_step="add days with --more-days 1, or set ATTUNE_HOME to another folder",
        )
    else:
        world = SimulatedWorld(users, days, seed)
    workspace.make_folders()
    truth = workspace.home / "truth"
    # the truth holds raw user ids
    truth.mkdir(mode=0o700, exist_ok=True)
    report = simulate_days(
        workspace.inbox,
        truth_dir=truth,
        users=world.users,
        days=world.days,
        seed=world.seed,
        first_day=first_day,
        progress=on_progress,
    )
    state.write_text(json.dumps(asdict(world)) + "\n")
    return report


def ingest(
    workspace: Workspace, *, on_progress: Callable[[int, int, str], None] | None = None
) -> IngestReport:
    """Load what waits in the inbox, and delete raw text that was kept long enough.

    Args:
        workspace: Whose inbox.
        on_progress: Called with the file's number, the number of files, and what is read.

    Raises:
        IngestError: another ingest runs, the key cannot be used, or a declaration is wrong.
    """
    from orchestration.ingest import delete_raw, load_inbox

    workspace.make_folders()
    with dbt_runner.environment(workspace.environment()):
        report = load_inbox(
            workspace.home,
            workspace.declarations,
            progress=_block_progress(on_progress),
            wait_seconds=LOCK_WAIT_SECONDS,
        )
        delete_raw(workspace.home, workspace.raw_days, wait_seconds=LOCK_WAIT_SECONDS)
    return report


def replay(
    workspace: Workspace, *, on_progress: Callable[[int, int, str], None] | None = None
) -> IngestReport:
    """Load refused lines that would be taken now; arguments and errors are those of `ingest`."""
    from orchestration.ingest import replay as replay_rejected

    workspace.make_folders()
    with dbt_runner.environment(workspace.environment()):
        return replay_rejected(
            workspace.home,
            workspace.declarations,
            progress=_block_progress(on_progress),
            wait_seconds=LOCK_WAIT_SECONDS,
        )


def compact(workspace: Workspace, *, day: date | None = None) -> list[Compacted]:
    """Merge the many small files of each event date into few; no row changes, so nothing is rebuilt.

    Args:
        workspace: Whose lake.
        day: Only this event date; default all.

    Raises:
        IngestError: an ingest or a build runs, or a merged file is not whole.
    """
    from orchestration.ingest import compact as compact_lake

    workspace.make_folders()
    was_up_to_date = is_up_to_date(workspace)
    changed = compact_lake(workspace.home, day=day, warehouse=workspace.warehouse)
    if changed and was_up_to_date:
        record_run(workspace)
    return changed


def erase_records(workspace: Workspace) -> Erased:
    """Take what the warehouse says is to be forgotten out of the lake, with its raw text.

    Raises:
        EmptyError: nothing was built yet, or another process holds the warehouse.
        IngestError: an ingest or a build runs, or there is no room.
    """
    from orchestration.ingest import erase

    with open_warehouse(workspace.warehouse) as connection:
        erasable = connection.execute(ERASABLE).to_arrow_table()
        pseudonyms = connection.execute(ERASED_PSEUDONYMS).fetchall()
    with dbt_runner.environment(workspace.environment()):
        return erase(
            workspace.home,
            erasable,
            [pseudonym for (pseudonym,) in pseudonyms],
            warehouse=workspace.warehouse,
            wait_seconds=LOCK_WAIT_SECONDS,
        )


def pseudonyms_of(workspace: Workspace, user: str) -> list[str]:
    """Return what a user may be called in the tables, the likeliest first.

    Args:
        workspace: Whose keys.
        user: A raw id, or one of its pseudonyms, under whichever key it was made.

    Raises:
        KeyFileError: the key file is missing or unusable.
    """
    from orchestration.ingest import pseudonyms, stable_pseudonym

    if len(user) == PSEUDONYM_LENGTH and set(user) <= set("0123456789abcdef"):
        return [stable_pseudonym(workspace.home, user)]
    with dbt_runner.environment(workspace.environment()):
        return pseudonyms(workspace.home, user)[::-1]


def export(workspace: Workspace, user: str, write: Callable[[bytes], object]) -> ExportReport:
    """Write all that is held about a user as JSON lines.

    Args:
        workspace: Whose warehouse and lake.
        user: A raw id, or one of its pseudonyms.
        write: Takes one line at a time.

    Raises:
        EmptyError: nothing was built yet, or nothing is held about the user.
        KeyFileError: the key file is missing or unusable.
    """
    with open_warehouse(workspace.warehouse) as connection:
        return export_user(connection, pseudonyms_of(workspace, user), write)


def list_keys(workspace: Workspace) -> list[KeyInfo]:
    """Return the keys of the ring, oldest first, without their bytes.

    Raises:
        KeyFileError: the key file is missing or unusable.
    """
    from orchestration.ingest import list_keys as list_ring

    with dbt_runner.environment(workspace.environment()):
        return list_ring(workspace.home)


def rotate_keys(workspace: Workspace) -> list[KeyInfo]:
    """Make a new key, which is in force from now on, and return the ring.

    Raises:
        IngestError: an ingest runs, or the key file cannot be used.
    """
    from orchestration.ingest import rotate_keys as rotate_ring

    with dbt_runner.environment(workspace.environment()):
        return rotate_ring(workspace.home).infos()


def retire_key(workspace: Workspace, key_id: str) -> list[KeyInfo]:
    """Take a key out of the ring under which nothing is served any more, and return the ring.

    Raises:
        IngestError: an ingest runs, the key file cannot be used, or the key is still in use.
    """
    from orchestration.ingest import retire_key as retire_from_ring

    with dbt_runner.environment(workspace.environment()):
        return retire_from_ring(workspace.home, key_id).infos()


def _block_progress(
    on_progress: Callable[[int, int, str], None] | None,
) -> Callable[[Progress], None] | None:
    if on_progress is None:
        return None

    def tell(block: Progress) -> None:
        share = block.bytes_done / block.bytes_total if block.bytes_total else 1.0
        on_progress(block.file_number, block.file_count, f"{block.file_name} {share:.0%}")

    return tell


def ingest_totals(report: IngestReport) -> dict[str, int]:
    """Return what a load did as numbers: files, records in, well-formed, rejected, files refused."""
    return {
        "files": len(report.batch_ids),
        "files_already_loaded": len(report.files) - len(report.batch_ids),
        "records_in": report.records_in,
        "well_formed": report.well_formed,
        "rejected": sum(report.rejected.values()),
        "files_refused": len(report.refused),
    }


def rollback(workspace: Workspace, view: str) -> ViewMeta:
    """Serve what the cache held of a view before its last fill, until the next sync.

    Raises:
        StoreError: the cache keeps no earlier state of it, or a user was erased since.
    """
    with closing(open_store(workspace.cache_url)) as store:
        return store.rollback(view)


def test_hot_marts(workspace: Workspace) -> None:
    """Test what a sync would serve, as it lies in the warehouse.

    Raises:
        EmptyError: nothing was built yet.
        BuildError: a test failed; every failing one is named.
    """
    with open_warehouse(workspace.warehouse):
        manifest = prepared_manifest(workspace)
    tests = tests_of(manifest, hot_mart_ids(manifest))
    dbt_runner.build(workspace, select=" ".join(tests), only_selected_tests=True)


def sync(
    workspace: Workspace,
    *,
    allow_removal: bool = False,
    recheck: bool = False,
    only_hot_path: bool = False,
) -> SyncReport:
    """Bring the serving cache to what the hot marts hold.

    Args:
        workspace: Whose warehouse and cache.
        allow_removal: Remove whatever the hot marts no longer hold.
        recheck: Read the cache instead of trusting what was noted of it, and repair it.
        only_hot_path: Sync the marts of the hot path alone.

    Raises:
        EmptyError: nothing was built or loaded yet.
        ServingError: a hot mart or the cache cannot be used, or too much would be removed.
    """
    with (
        open_warehouse(workspace.warehouse) as connection,
        closing(open_store(workspace.cache_url)) as store,
    ):
        return sync_views(
            connection,
            store,
            workspace.manifest,
            as_of=build_as_of(connection, workspace),
            run_id=uuid.uuid4().hex,
            ledger=ledger_path(workspace.home / "sync", workspace.cache_url),
            recheck=recheck,
            only_hot_path=only_hot_path,
            allow_removal=allow_removal,
            has_heard=lambda moment: _has_heard(connection, workspace, moment),
        )


def _has_heard(
    connection: duckdb.DuckDBPyConnection, workspace: Workspace, moment: datetime
) -> bool:
    """Whether the build holds every event that the API wrote before a moment, naive UTC.

    True where it never wrote any.
    """
    until = moment.replace(tzinfo=UTC).timestamp()
    for path in inbox_files(workspace):
        # a load may take the file meanwhile: then the batches below tell
        with suppress(FileNotFoundError):
            if path.name.startswith(f"{EVENTS_PREFIX}-") and path.stat().st_mtime < until:
                return False
    found = connection.execute(
        "select max(loaded_at) from read_parquet($1) where starts_with(file_name, $2)",
        [str(workspace.lake / "batches" / "*.parquet"), f"{EVENTS_PREFIX}-"],
    ).fetchone()
    newest: datetime | None = None if found is None else found[0]
    return newest is None or newest <= build_as_of(connection, workspace)


def verify(workspace: Workspace) -> VerifyReport:
    """Compare every key and payload of the cache with the warehouse.

    Raises:
        EmptyError: nothing was built yet.
        ServingError: the cache cannot be read.
    """
    with (
        open_warehouse(workspace.warehouse) as connection,
        closing(open_store(workspace.cache_url, read_only=True)) as store,
    ):
        return verify_views(connection, store, workspace.manifest)


def cache_freshness(workspace: Workspace) -> dict[str, Freshness]:
    """Say how old each hot mart is in the cache.

    Raises:
        ServingError: there is no cache yet, it lacks a hot mart, or it cannot be read.
    """
    with closing(open_store(workspace.cache_url, read_only=True)) as store:
        # by the manifest: an emptied cache has no views that could be old
        marts = hot_marts(workspace.manifest)
        return {mart.view: view_freshness(store, mart.view) for mart in marts}


def publish(workspace: Workspace) -> PublishReport:
    """Replace the published file by a copy of the marts.

    Raises:
        PublishError: there is no warehouse, or it is being written.
    """
    return publish_file(workspace.warehouse, workspace.published)


def report(workspace: Workspace) -> ReportsWritten:
    """Write a page per experiment from the published file.

    Raises:
        EmptyError: nothing was published yet, or by a version that did not publish experiments.
    """
    # matplotlib takes a second to load, and most commands draw nothing
    from orchestration.reports import write_reports

    return write_reports(workspace.published, workspace.reports, workspace.manifest)


def day_of_build(workspace: Workspace) -> date | None:
    """Return the date up to which loads counted in the last build, UTC; None before the first."""
    try:
        with open_warehouse(workspace.warehouse) as connection:
            return build_as_of(connection, workspace).date()
    except EmptyError:
        return None


def build_as_of(connection: duckdb.DuckDBPyConnection, workspace: Workspace) -> datetime:
    """Return the time up to which loads counted in the last build, naive UTC.

    Raises:
        EmptyError: nothing was built, or nothing was loaded.
    """
    try:
        row = connection.execute("select max(as_of) from intermediate.int_as_of").fetchone()
    except duckdb.CatalogException as error:
        raise EmptyError(
            "the warehouse was never built",
            where=str(workspace.warehouse),
            next_step="run `attune build` first",
        ) from error
    if row is None or row[0] is None:
        raise EmptyError(
            "nothing was ever loaded, so there is nothing to serve",
            where=str(workspace.lake),
            next_step=f"put OTLP/JSON lines into {workspace.inbox}, or run `attune simulate`; then "
            "`attune ingest` and `attune build`",
        )
    as_of: datetime = row[0]
    return as_of


def touched_dates(workspace: Workspace, batches: Iterable[str]) -> list[str]:
    """Return the event dates that these batches hold records of, in order."""
    wanted = {f"{batch}.parquet" for batch in batches}
    return sorted(
        {
            path.parent.name.removeprefix("event_date=")
            for table in ("log_records", "spans")
            for path in (workspace.lake / table).glob("event_date=*/*.parquet")
            if path.name in wanted
        }
    )


def fingerprint(workspace: Workspace) -> str:
    """Digest everything that a build is a function of: lake, declarations and models.

    Lake files are immutable but for erasure and compaction, which change size or time; the project
    and the declarations are small and read whole.
    """
    digest = hashlib.sha256()
    for path in sorted(workspace.lake.rglob("*.parquet")):
        status = path.stat()
        digest.update(f"{path}\x1f{status.st_size}\x1f{status.st_mtime_ns}\n".encode())
    sources = [workspace.project_dir / name for name in BUILD_INPUTS] + [workspace.declarations]
    for source in sources:
        files = [source] if source.is_file() else sorted(source.rglob("*"))
        for path in files:
            if path.is_file():
                digest.update(f"{path}\x1f".encode() + path.read_bytes() + b"\n")
    return digest.hexdigest()


def is_up_to_date(workspace: Workspace) -> bool:
    """Whether the last complete run was made from exactly what is here now."""
    state = workspace.home / "last_run.json"
    made = (state, workspace.warehouse, workspace.published, workspace.reports / "index.html")
    if not all(path.is_file() for path in made):
        return False
    recorded: dict[str, Any] = json.loads(state.read_text())
    return recorded.get("fingerprint") == fingerprint(workspace)


def record_run(workspace: Workspace) -> None:
    """Remember what the run that just ended was made from."""
    state = workspace.home / "last_run.json"
    partial = state.with_suffix(".partial")
    partial.write_text(json.dumps({"fingerprint": fingerprint(workspace)}) + "\n")
    os.replace(partial, state)


def copy_starter(workspace: Workspace, folder: Path) -> list[str]:
    """Copy the default declarations into a new folder and return the files' names.

    Raises:
        SettingError: the folder exists and is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SettingError(
            f"{folder} is not empty",
            where="attune init DIR",
            next_step="name a new folder: nothing is overwritten",
        )
    source = workspace.project_dir / "seeds" / "declarations"
    shutil.copytree(source, folder, dirs_exist_ok=True)
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )
