"""Replacing files of the lake by others: all of a switch happens, or nothing, whenever it is cut off.

The new files are written beside the lake first. A plan, written in one piece, then says which files
come where and which go; from then on the switch is finished by whoever comes next. While a plan
stands no build starts (`prepare_lake` refuses), and while a build holds the warehouse no switch
begins.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq

from orchestration.ingest.errors import DiskFullError, SwitchError
from orchestration.ingest.home import Home, write_atomically
from orchestration.ingest.lake import COMPRESSION_LEVEL

PLAN = "switch.json"
WORK = "switching"
LAKE_FILE = 0o644
ROW_GROUP_ROWS = 122_880


@contextmanager
def switching(home: Home, command: str) -> Iterator[Path]:
    """The folder for new files; nothing unfinished is left behind but a plan.

    Args:
        home: whose lake; the caller holds its lock.
        command: what to run again when there is room.

    Raises:
        DiskFullError: there is no room for the new files beside the old.
    """
    finish_switch(home)
    work = home.lake / WORK
    work.mkdir()
    try:
        yield work
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DiskFullError(
            f"no room in {home.lake} for new files beside the old: no row is lost; make room, then "
            f"run `{command}` again"
        ) from error
    finally:
        if not (home.lake / PLAN).exists():
            shutil.rmtree(work, ignore_errors=True)


def switch(
    home: Home, moves: Mapping[str, str], deleted: Iterable[str], warehouse: Path | None
) -> None:
    """Move new files to their places and delete others, as one step.

    Args:
        home: whose lake; the caller holds its lock.
        moves: name in the folder of new files -> path below the lake; what stands there is replaced.
        deleted: paths below the lake.
        warehouse: the file that a build holds open while it reads the lake.

    Raises:
        SwitchError: a build runs.
    """
    plan = {"moves": dict(moves), "deleted": list(deleted)}
    with _no_build(warehouse):
        sync_to_disk(home.lake / WORK)
        write_atomically(home.lake / PLAN, json.dumps(plan).encode(), LAKE_FILE)
        sync_to_disk(home.lake)
        finish_switch(home)
        (home.lake / WORK).mkdir()


def finish_switch(home: Home) -> None:
    """Finish a switch that was begun, and delete what never came to one; the caller holds the lock.

    Raises:
        SwitchError: new files that the plan names are gone.
    """
    plan = home.lake / PLAN
    if plan.exists():
        content = json.loads(plan.read_text(encoding="utf-8"))
        moves = {home.lake / WORK / name: home.lake / to for name, to in content["moves"].items()}
        missing = [to for new, to in moves.items() if not new.exists() and not to.exists()]
        if missing:
            raise SwitchError(
                f"{plan} names {missing[0]}, which is neither there nor in {home.lake / WORK}: "
                "nothing was deleted; restore it, or delete the plan to keep the files that it "
                "replaces"
            )
        for new, to in moves.items():
            if new.exists():
                os.replace(new, to)
        deleted = [home.lake / name for name in content["deleted"]]
        folders = {path.parent for path in (*moves.values(), *deleted)}
        for folder in folders:
            sync_to_disk(folder)
        for path in deleted:
            path.unlink(missing_ok=True)
        for folder in folders:
            sync_to_disk(folder)
        plan.unlink()
    shutil.rmtree(home.lake / WORK, ignore_errors=True)


@contextmanager
def new_file(like: Path, path: Path) -> Iterator[pq.ParquetWriter]:
    """Write a Parquet file of the lake, with the columns of another; durable at the end."""
    with pq.ParquetWriter(
        path,
        pq.read_schema(like),
        compression="zstd",
        compression_level=COMPRESSION_LEVEL,
        coerce_timestamps="us",
        store_schema=False,
    ) as writer:
        yield writer
    sync_to_disk(path)


def sync_to_disk(path: Path) -> None:
    """Make durable what a file holds, or which names a folder does."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _no_build(warehouse: Path | None) -> Iterator[None]:
    """Hold the warehouse's lock, which DuckDB takes as well, so that no build reads meanwhile."""
    if warehouse is None or not warehouse.exists():
        yield
        return
    descriptor = os.open(warehouse, os.O_RDWR)
    try:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise SwitchError(
                f"{warehouse} is in use: a build may be reading the lake; the lake is as it was, "
                "run the command again when it has ended"
            ) from error
        yield
    finally:
        os.close(descriptor)
