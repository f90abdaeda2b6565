"""Rule 4: what is planted in every field of telemetry is nowhere behind the front door.

An e-mail address, a card number, an API key, a raw user id and content stand in every field that a
record can have, in lines that are taken and in lines that are refused, and in names of files. After
a whole run, a failing build and a failing run of Dagster every byte below ATTUNE_HOME is searched,
packed and encoded ones too; only the folders that hold raw text, which are private and documented,
are left out.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tests.orchestration.ingest.otlp import lines
from tests.orchestration.test_end_to_end import run_everything
from tests.workspaces import ManifestCache, WorkspaceUnderTest, make_workspace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("dagster")

EMAIL = "zqmail.canary@zqleak.example.com"
CARD = "5105105105105100"
CARD_IN_GROUPS = "5105 1051 0510 5100"
API_KEY = "sk-zqkeycanary0123456789ABCDEF"
USER = "zq-user-canary-0007"
CONTENT = "zqcontent canary that nobody may read"
PERSONAL = "Zqname Canary"
CANARIES = (EMAIL, CARD, CARD_IN_GROUPS, API_KEY, USER)
NEEDLES = (*CANARIES, CONTENT, PERSONAL, "zqmail", "zqleak", "zqkeycanary")
# raw text: private to the owner, deleted after a declared number of days
PRIVATE = ("inbox", "processed", "rejected", "key.json")
CONTENT_KEYS = ("gen_ai.input.messages", "gen_ai.prompt", "gen_ai.prompt.0.content")
NANOS = "1772539200000000000"
HEX_TRACE, HEX_SPAN = "ab" * 16, "cd" * 8
# a value that cannot be cast is quoted in the error that dbt logs
CASTING_METRIC = """
version: 2
semantic_models:
  - name: canary_events
    description: Casts what cannot be cast.
    model: ref('fct_events')
    defaults: {agg_time_dimension: occurred_at}
    entities:
      - {name: canary_event, type: primary, expr: event_id}
    dimensions:
      - name: occurred_at
        type: time
        type_params: {time_granularity: day}
    measures:
      - name: canary_sum
        agg: sum
        expr: "cast(attributes['note'] as double)"
metrics:
  - name: canary_total
    label: Canary
    description: Fails.
    type: simple
    type_params: {measure: canary_sum}
    config: {meta: {experiment: {kind: mean, better: up, window_days: 7}}}
"""
BROKEN_VARIANTS = """experiment_name,variant,allocation
concise-answers,control,0.5
concise-answers,concise,0.1
"""


def string(text: str) -> dict[str, Any]:
    return {"stringValue": text}


def values(text: str) -> list[dict[str, Any]]:
    """The text as an OTLP value of each type that can hold it."""
    pair = {"key": text, "value": {"arrayValue": {"values": [string(f"in {text}!")]}}}
    encoded = base64.b64encode(f"bytes of {text}".encode()).decode()
    found = [
        string(text),
        string(f"before {text}, after"),
        {"arrayValue": {"values": [string(text), {"bytesValue": encoded}]}},
        {"kvlistValue": {"values": [pair]}},
        {"bytesValue": encoded},
    ]
    if text.isdigit():
        found += [{"intValue": text}, {"doubleValue": float(text)}]
    return found


def attributes(text: str, **named: str) -> list[dict[str, Any]]:
    """Attributes of each type, under plain keys, under keys that hold the text, and named ones."""
    found = [{"key": f"field.{n}", "value": value} for n, value in enumerate(values(text))]
    found += [
        {"key": f"key.{text}.x", "value": string("value")},
        {"key": "note", "value": string(f"note of {text}")},
        {"key": "user.email", "value": string(EMAIL)},
        {"key": "user.full_name", "value": string(PERSONAL)},
        *({"key": key, "value": string(CONTENT)} for key in CONTENT_KEYS),
    ]
    return found + [{"key": key, "value": string(value)} for key, value in named.items()]


def record(text: str, name: str, **named: str) -> dict[str, Any]:
    return {
        "timeUnixNano": NANOS,
        "severityText": text,
        "eventName": name,
        "body": {"kvlistValue": {"values": [{"key": text, "value": string(CONTENT)}]}},
        "attributes": attributes(text, **{"user.id": USER} | named),
        "traceId": HEX_TRACE,
        "spanId": HEX_SPAN,
    }


def taken_lines(text: str) -> list[dict[str, Any]]:
    """Requests with the text in every field, once as an identifier of its records too."""
    names = ("service.name", "service.version", "deployment.environment.name")
    identifiers = ("organization.id", "session.id")
    plain = dict.fromkeys(names, text)
    return requests(text, plain) + requests(text, plain | dict.fromkeys(identifiers, text))


def requests(text: str, named: dict[str, str]) -> list[dict[str, Any]]:
    plain_resource = {"attributes": attributes(text, **named)}
    scope = {"name": text, "version": text, "attributes": attributes(text)}
    flag = {
        "feature_flag.key": text,
        "feature_flag.result.variant": text,
        "feature_flag.context.id": USER,
    }
    logs = [
        record(text, f"event {text}"),
        record(text, text, **{"log.record.uid": text}),
        record(text, "uid", **{"log.record.uid": f"{text}/1"}),
        record(text, "feature_flag.evaluation", **flag),
        record(text, "assistant.feedback", **{"feedback.score": text, "response.id": text}),
        record(text, "assistant.suggestion.shown", **{"suggestion.length": text}),
        record(text, "assistant.response.shown", **{"response.id": text, "task.kind": text}),
        record(text, "user.preference.set", **{"preference.value": text}),
        record(text, "user.consent.changed", **{"consent.purpose": text}),
        record(text, "ids") | {"traceId": text, "spanId": text},
        record(text, "", **{"event.name": f"named {text}"}),
        record(text, "body only") | {"body": string(f"{text}.body")},
    ]
    span = {
        "traceId": HEX_TRACE,
        "spanId": HEX_SPAN,
        "parentSpanId": text,
        "traceState": text,
        "name": f"chat {text}",
        "startTimeUnixNano": NANOS,
        "endTimeUnixNano": NANOS,
        "attributes": attributes(
            text,
            **{
                "user.id": USER,
                "gen_ai.operation.name": "chat",
                "gen_ai.request.model": text,
                "gen_ai.usage.input_tokens": text,
                "error.type": text,
            },
        ),
        "events": [{"name": text, "timeUnixNano": NANOS, "attributes": attributes(text)}],
        "links": [{"traceId": HEX_TRACE, "spanId": text, "attributes": attributes(text)}],
        "status": {"code": 2, "message": text},
    }
    return [
        {
            "resourceLogs": [
                {
                    "resource": plain_resource,
                    "scopeLogs": [{"scope": scope, "logRecords": logs, "schemaUrl": text}],
                    "schemaUrl": text,
                }
            ]
        },
        {
            "resourceSpans": [
                {
                    "resource": plain_resource,
                    "scopeSpans": [
                        {"scope": scope, "spans": [span, span | {"name": text}], "schemaUrl": text}
                    ],
                }
            ]
        },
    ]


def refused_lines(text: str) -> bytes:
    """Lines and records that are refused, each for another reason."""
    twice = record(text, "twice")
    twice["attributes"] = [*twice["attributes"], {"key": "note", "value": string("other")}]

    def request(*records: Any) -> dict[str, Any]:
        return {"resourceLogs": [{"scopeLogs": [{"logRecords": list(records)}]}]}

    return (
        f'{{"{text}": "{text}\n{text}\n["{text}"]\n"{text}"\n'.encode()
        + lines(
            {text: text},
            {"resourceLogs": text},
            request({text: text}),
            request(twice),
            request(record(text, "no time") | {"timeUnixNano": text}),
            request(record(text, "early") | {"timeUnixNano": "1"}),
            request(record(text, "kinds") | {"attributes": [{"key": text, "value": text}]}),
            request(record(text, "both") | {"body": {"stringValue": text, "intValue": text}}),
        )
        + b'{"resourceLogs":[{"schemaUrl":"'
        + text.encode()
    )


def attune(under_test: WorkspaceUnderTest, *arguments: str, declarations: Path) -> tuple[int, str]:
    """Run the command; its exit code and everything that it printed."""
    settings = {"ATTUNE_DECLARATIONS": str(declarations), "COLUMNS": "200"}
    finished = subprocess.run(
        [sys.executable, "-m", "orchestration.cli", *arguments],
        env=os.environ | under_test.workspace.environment() | settings,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    return finished.returncode, finished.stdout + finished.stderr


@pytest.fixture(scope="module")
def searched(
    tmp_path_factory: pytest.TempPathFactory, project_dir: Path, manifests: ManifestCache
) -> tuple[WorkspaceUnderTest, str]:
    """The workspace after everything, and what the commands printed."""
    root = tmp_path_factory.mktemp("canaries")
    broken, casting = root / "broken", root / "casting"
    for folder in (broken, casting):
        shutil.copytree(project_dir / "seeds" / "declarations", folder)
    (broken / "experiments" / "experiment_variants.csv").write_text(BROKEN_VARIANTS)
    (casting / "metrics").mkdir(exist_ok=True)
    (casting / "metrics" / "canary.yml").write_text(CASTING_METRIC)
    under_test = make_workspace(root, project_dir, manifests)
    good = under_test.workspace.declarations
    for number, text in enumerate(CANARIES):
        content = lines(*taken_lines(text)) + refused_lines(text)
        under_test.drop(f"{number}.jsonl", content)
    under_test.drop(f"{EMAIL}.jsonl", lines(*taken_lines(USER), {EMAIL: EMAIL}))
    under_test.drop(f"{CARD}.jsonl.gz", gzip.compress(lines(*taken_lines(EMAIL)))[:-9])
    under_test.drop(f"{API_KEY}.jsonl.zst", b"no zstandard")
    printed = []

    def run(*arguments: str, declarations: Path, fails: bool = False) -> None:
        code, output = attune(under_test, *arguments, declarations=declarations)
        assert bool(code) is fails, output
        printed.append(output)

    run("ingest", declarations=good)
    run("keys", "rotate", declarations=good)
    under_test.drop("after-rotation.jsonl", lines(*taken_lines(EMAIL)) + refused_lines(USER))
    found = run_everything(under_test)
    assert found.success, found.failed
    for command in ("ledger", "replay", "compact"):
        run(command, declarations=good)
    run("build", declarations=broken, fails=True)
    failing = make_workspace(root, project_dir, ManifestCache(), declarations=casting)
    assert failing.workspace.home == under_test.workspace.home
    assert not run_everything(failing).success
    return under_test, "\n".join(printed)


def spellings(needle: str) -> set[bytes]:
    """The needle as it may stand in bytes, lower case; base64 as it is, at each of its offsets."""
    raw = needle.encode()
    found = {raw, raw.hex().encode(), quote(needle, safe="").encode(), json.dumps(needle).encode()}
    found |= {raw.replace(b" ", b"+"), raw.decode().encode("utf-16-le")}
    return {each.strip(b'"').lower() for each in found}


def base64_spellings(needle: str) -> set[bytes]:
    found = set()
    for shift in range(3):
        whole = base64.b64encode(b"\0" * shift + needle.encode())
        # the first and last characters also depend on what stands beside
        found.add(whole[-(-shift * 8 // 6) :].rstrip(b"=")[1:-2])
    return found


def any_of(texts: Iterable[set[bytes]]) -> str:
    """A pattern of all texts: one pass over the bytes looks for all of them."""
    return "|".join(
        "".join(f"\\x{byte:02x}" for byte in each) for found in texts for each in sorted(found)
    )


PLAIN = any_of(map(spellings, NEEDLES))
ENCODED = any_of(map(base64_spellings, NEEDLES))


def leaks(data: bytes) -> set[str]:
    """The needles that the bytes hold, however written."""
    whole = pa.array([data], pa.large_binary())
    if not (
        pc.match_substring_regex(whole, PLAIN, ignore_case=True)[0].as_py()
        or pc.match_substring_regex(whole, ENCODED)[0].as_py()
    ):
        return set()
    lower = data.lower()
    return {
        needle
        for needle in NEEDLES
        if any(each in lower for each in spellings(needle))
        or any(each in data for each in base64_spellings(needle))
    }


def contents(path: Path) -> Iterator[bytes]:
    """The bytes of a file, and what they say once unpacked."""
    yield path.read_bytes()
    if path.suffix == ".parquet":
        for column in pq.read_table(path).columns:
            yield json.dumps(column.to_pylist(), default=str, ensure_ascii=False).encode()
    elif path.suffix == ".duckdb":
        with duckdb.connect(str(path), read_only=True) as connection:
            tables = connection.execute(
                "select table_schema, table_name from information_schema.tables "
                "where table_schema != 'lake'"
            ).fetchall()
            for schema, name in tables:
                rows = connection.execute(f'select * from "{schema}"."{name}"').fetchall()
                yield json.dumps(rows, default=str, ensure_ascii=False).encode()
    elif path.read_bytes()[:15] == b"SQLite format 3":
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            names = connection.execute("select name from sqlite_master where type = 'table'")
            for (name,) in names.fetchall():
                rows = connection.execute(f'select * from "{name}"').fetchall()
                yield json.dumps(rows, default=str, ensure_ascii=False).encode()


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    for data in (
        b"x" + EMAIL.upper().encode(),
        EMAIL.encode().hex().encode(),
        quote(EMAIL).encode(),
        *(base64.b64encode(b"y" * shift + EMAIL.encode() + b"tail") for shift in range(3)),
    ):
        assert EMAIL in leaks(data), data
    pq.write_table(
        pa.table({"a": [f"{number} {EMAIL}" for number in range(99)]}), tmp_path / "a.parquet"
    )
    assert any(EMAIL in leaks(data) for data in contents(tmp_path / "a.parquet"))


def test_no_canary_is_anywhere_behind_the_door(searched: tuple[WorkspaceUnderTest, str]) -> None:
    under_test, printed = searched
    home = under_test.workspace.home
    assert not leaks(printed.encode())
    files = 0
    found: dict[str, set[str]] = {}
    for path in home.rglob("*"):
        name = path.relative_to(home).as_posix()
        if not path.is_file() or name.split("/")[0] in PRIVATE:
            continue
        files += 1
        for data in (name.encode(), *contents(path)):
            if leaking := leaks(data):
                found.setdefault(name, set()).update(leaking)
    assert not found
    kinds = {path.suffix for path in home.rglob("*")}
    assert {".parquet", ".duckdb", ".sqlite", ".log", ".json", ".db"} <= kinds
    assert files > 100


def test_the_lines_were_taken_and_refused(searched: tuple[WorkspaceUnderTest, str]) -> None:
    under_test, _ = searched
    lake = under_test.workspace.lake
    taken = pq.read_table(sorted((lake / "log_records").rglob("*.parquet")))
    assert taken.num_rows > 24 * len(CANARIES)
    refused = pq.read_table(sorted((lake / "rejections").glob("*.parquet")))
    assert len(pc.unique(refused["reason"])) > 5
    marked = json.dumps(taken["attributes"].to_pylist())
    for marker in ("email", "card", "api_key", "bytes"):
        assert f"[redacted:{marker}]" in marked


def test_the_builds_failed_as_they_should(searched: tuple[WorkspaceUnderTest, str]) -> None:
    under_test, printed = searched
    assert "experiment_variants" in printed
    logs = [path.read_text() for path in under_test.workspace.home.rglob("dbt.log")]
    assert any("Could not convert string" in log for log in logs)


def test_what_holds_raw_text_is_private(searched: tuple[WorkspaceUnderTest, str]) -> None:
    under_test, _ = searched
    home = under_test.workspace.home
    raw = [path for name in ("processed", "rejected") for path in (home / name).iterdir()]
    assert raw
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in [*raw, home / "key.json"])
    for name in ("processed", "rejected"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o700
