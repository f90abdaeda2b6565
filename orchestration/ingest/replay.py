"""Replay: refused lines that now parse come through the inbox again, each exactly once.

A plan is written first and worked off after: what it names can be done twice without harm, so that
a crash at any point is finished by the next ingest or replay. The new file is named by its content,
and a content loads once.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from orchestration.ingest.flat import compact_json, items, members
from orchestration.ingest.home import (
    PRIVATE_FILE,
    Home,
    one_ingest_at_a_time,
    write_atomically,
)
from orchestration.ingest.lake import clean_uncommitted, ensure_lake
from orchestration.ingest.rejected import RejectedEntry, mark_replayed, read_rejected
from orchestration.ingest.rows import Stamp, find_rejections
from orchestration.ingest.strict import Refusal, StrictReader, check_request, read_line

PENDING = "replay.pending"


def plan_replay(home: Path, loaded_at: datetime) -> str | None:
    """Put refused lines that would now be taken into the inbox as a new file, and mark them.

    Args:
        home: ATTUNE_HOME.
        loaded_at: the time of the load that follows: times are checked against it.

    Returns:
        The name of the new inbox file; None if no refused line would be taken.

    Raises:
        IngestLockedError: another process loads this home.
    """
    paths = Home(home)
    with one_ingest_at_a_time(paths):
        ensure_lake(home)
        clean_uncommitted(paths)
        finish_pending(paths)
        chosen = [
            (entry, raw)
            for entry in read_rejected(paths)
            if not entry.is_replayed
            and (raw := entry.raw) is not None
            and _would_be_taken(raw, loaded_at)
        ]
        if not chosen:
            return None
        content = b"".join(raw.rstrip(b"\r\n") + b"\n" for _, raw in chosen)
        name = f"replay-{hashlib.sha256(content).hexdigest()[:16]}.jsonl"
        _write_plan(paths, name, content, [entry for entry, _ in chosen])
        finish_pending(paths)
        return name


def finish_pending(home: Home) -> None:
    """Work off the plan of a replay, if there is one; the caller holds the lock."""
    path = home.rejected / PENDING
    if not path.exists():
        return
    plan = json.loads(path.read_text(encoding="utf-8"))
    for batch_id, indices in plan["marks"].items():
        if (home.rejected / f"{batch_id}.jsonl").exists():
            mark_replayed(home, batch_id, set(indices), plan["file_name"])
    write_atomically(home.inbox / plan["file_name"], plan["content"].encode("utf-8"), PRIVATE_FILE)
    path.unlink()


def single_record_request(request: Mapping[str, Any], number: int) -> bytes:
    """An export request with one record of another one, its resource and its scope.

    Args:
        request: an export request.
        number: the record's position in the line, log records first.

    Raises:
        IndexError: the request has fewer records.
    """
    seen = 0
    for groups, scopes, records in (
        ("resourceLogs", "scopeLogs", "logRecords"),
        ("resourceSpans", "scopeSpans", "spans"),
    ):
        for group in items(request.get(groups), groups):
            for scope in items(members(group, groups).get(scopes), scopes):
                found = items(members(scope, scopes).get(records), records)
                if number < seen + len(found):
                    only = {**scope, records: [found[number - seen]]}
                    return compact_json({groups: [{**group, scopes: [only]}]}).encode()
                seen += len(found)
    raise IndexError(f"the request has {seen} records, none has number {number}")


def _would_be_taken(raw: bytes, loaded_at: datetime) -> bool:
    request = read_line(raw)
    if isinstance(request, Refusal) or check_request(request) is not None:
        return False
    reader = StrictReader()
    reader.add(1, request)
    return not find_rejections(reader.build(), Stamp("", loaded_at))


def _write_plan(home: Home, name: str, content: bytes, entries: list[RejectedEntry]) -> None:
    marks: defaultdict[str, list[int]] = defaultdict(list)
    for entry in entries:
        marks[entry.batch_id].append(entry.index)
    plan = {"file_name": name, "marks": marks, "content": content.decode("utf-8")}
    write_atomically(home.rejected / PENDING, json.dumps(plan).encode(), PRIVATE_FILE)
