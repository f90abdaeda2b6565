"""Replay: refused lines that now parse come through the inbox again, each exactly once.

A plan is written first and worked off after: what it names can be done twice without harm, so that
a crash at any point is finished by the next ingest or replay. The new file is named by its content,
and a content loads once.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from orchestration.ingest.errors import IngestError, RefusedFileError
from orchestration.ingest.flat import compact_json, items, members
from orchestration.ingest.home import PRIVATE_FILE, Home, write_atomically, writing_atomically
from orchestration.ingest.inbox import check_name
from orchestration.ingest.rejected import mark_replayed, read_rejected
from orchestration.ingest.rows import Stamp, find_rejections
from orchestration.ingest.strict import Refusal, StrictReader, check_request, read_line

PENDING = "replay.pending"
CONTENT = "replay.content"


def plan_replay(home: Home, loaded_at: datetime) -> str | None:
    """Put refused lines that would now be taken into the inbox as a new file, and mark them.

    Args:
        home: ATTUNE_HOME, whose lock the caller holds.
        loaded_at: the time of the load that follows: times are checked against it.

    Returns:
        The name of the new inbox file; None if no refused line would be taken.

    Raises:
        IngestError: a file of refused lines was edited and cannot be read.
    """
    marks: defaultdict[str, list[int]] = defaultdict(list)
    digest = hashlib.sha256()
    content = home.rejected / CONTENT
    with writing_atomically(content, PRIVATE_FILE) as file:
        for entry in read_rejected(home):
            raw = None if entry.is_replayed else entry.raw
            if raw is None or not _would_be_taken(raw, loaded_at):
                continue
            # A line that was corrected by hand may stand over several.
            line = b" ".join(raw.splitlines()) + b"\n"
            file.write(line)
            digest.update(line)
            marks[entry.batch_id].append(entry.index)
    if not marks:
        content.unlink()
        return None
    name = f"replay-{digest.hexdigest()[:16]}.jsonl"
    plan = {"file_name": name, "marks": marks}
    write_atomically(home.rejected / PENDING, json.dumps(plan).encode(), PRIVATE_FILE)
    finish_pending(home)
    return name


def finish_pending(home: Home) -> None:
    """Work off the plan of a replay, if there is one; the caller holds the lock.

    Raises:
        IngestError: the plan was edited and names a file outside the inbox.
    """
    path, content = home.rejected / PENDING, home.rejected / CONTENT
    if not path.exists():
        return
    plan = json.loads(path.read_text(encoding="utf-8"))
    try:
        check_name(plan["file_name"])
    except RefusedFileError as error:
        raise IngestError(
            f"{path} names a file outside the inbox: delete it, then run replay again"
        ) from error
    for batch_id, indices in plan["marks"].items():
        if (home.rejected / f"{batch_id}.jsonl").exists():
            mark_replayed(home, batch_id, set(indices), plan["file_name"])
    if content.exists():
        os.utime(content)
        shutil.move(content, home.inbox / plan["file_name"])
    path.unlink()


def single_record_requests(
    request: Mapping[str, Any], numbers: list[int], budget: int
) -> Iterator[bytes | None]:
    """Export requests with one record each of another one, with its resource and its scope.

    Args:
        request: an export request.
        numbers: the records' positions in the line, ascending, log records first.
        budget: bytes after which the rest is None: a resource is repeated for each record.
    """
    wanted = set(numbers)
    for number, single in enumerate(_singles(request)):
        if number in wanted:
            if budget <= 0:
                yield None
                continue
            raw = compact_json(single()).encode()
            budget -= len(raw)
            yield raw


def _singles(request: Mapping[str, Any]) -> Iterator[Callable[[], dict[str, Any]]]:
    """For each record in order, what makes a request of it alone."""
    for groups, scopes, records in (
        ("resourceLogs", "scopeLogs", "logRecords"),
        ("resourceSpans", "scopeSpans", "spans"),
    ):
        for group in items(request.get(groups), groups):
            for scope in items(members(group, groups).get(scopes), scopes):
                for record in items(members(scope, scopes).get(records), records):
                    yield partial(_single, groups, group, scopes, scope, records, record)


def _single(
    groups: str,
    group: Mapping[str, Any],
    scopes: str,
    scope: Mapping[str, Any],
    records: str,
    record: Any,
) -> dict[str, Any]:
    return {groups: [{**group, scopes: [{**scope, records: [record]}]}]}


def _would_be_taken(raw: bytes, loaded_at: datetime) -> bool:
    request = read_line(raw)
    if isinstance(request, Refusal) or check_request(request) is not None:
        return False
    reader = StrictReader()
    reader.add(1, request)
    return not find_rejections(reader.build(), Stamp("", loaded_at))
