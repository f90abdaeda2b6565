"""Mutated files: never a crash, and every line and record is accounted for.

Set ATTUNE_PROPERTY_CASES for more than the usual number of cases; the seed of a case that fails is
in the message.
"""

from __future__ import annotations

import gzip
import os
import random
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import zstandard

from orchestration.ingest import IngestReport, load_inbox, replay
from orchestration.ingest.lines import Limits
from simulator import simulate
from tests.orchestration.ingest.homes import assert_balanced, contents
from tests.orchestration.ingest.otlp import lines, log, request, span_request

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CASES = int(os.environ.get("ATTUNE_PROPERTY_CASES", "20"))
FILES = 6
LONGEST = 60_000
LOADED_AT = datetime(2026, 11, 1, tzinfo=UTC)
LIMITS = Limits(line_bytes=100_000, line_objects=20_000, unpacked_bytes=400_000, unpacked_ratio=100)

TOKENS: Sequence[bytes] = (
    b"\x00",
    b"\r",
    b"\n",
    b"\r\n",
    b"\n\n",
    b"\xef\xbb\xbf",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    "\u2028\U0001f600".encode(),
    rb"\ud800",
    rb"\udc00\ud83d",
    rb"\u0000",
    b"\\",
    b'"',
    b"{",
    b"}",
    b"[]",
    b",",
    b":",
    b"null",
    b"true",
    b"NaN",
    b"-Infinity",
    b"-0",
    b"1e999",
    b"1" * 400,
    b"-" + b"9" * 25,
    b"0.1e-400",
    b"007",
    b'"9223372036854775808"',
    b"/*x*/",
    b'"resourceLogs":[],',
    b'"resourceSpans":[{}],',
    b'"intValue":',
    b'"doubleValue":"1e5",',
    b'{"key":"user.id","value":{"stringValue":"x"}},',
    b'{"key":"log.record.uid","value":{"stringValue":""}},',
    b'"value":{"arrayValue":{"values":[{"kvlistValue":{"values":[{"key":"k","value":{}}]}}]}}',
    b"[" * 3_000,
    b'{"kvlistValue":{"values":[{"key":"k","value":' * 60,
)


def mutated(data: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    """The data after one accident."""
    place = chance.randrange(len(data) + 1)
    end = min(len(data), place + chance.choice((1, 2, 10, 300, 5_000)))
    kind = chance.randrange(8)
    if kind == 0 and data:
        changed = bytearray(data)
        for _ in range(chance.choice((1, 3, 40))):
            changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        return bytes(changed)
    if kind == 1:
        return data[:place]
    if kind == 2:
        return data[:place] + data[end:]
    if kind == 3:
        return data[:end] + data[place:]
    if kind == 4:
        other = chance.choice(others)
        start = chance.randrange(len(other) + 1)
        return data[:place] + other[start : start + 500] + data[place:]
    if kind == 5:
        old, new = (chance.choice((b"\n", b"\r\n", b"\r", b'"', b":", b"0", b"{")) for _ in "12")
        return data.replace(old, new, chance.choice((1, 5, -1)))
    return data[:place] + chance.choice(TOKENS) * chance.choice((1, 1, 2)) + data[end:]


def packed(data: bytes, name: str, chance: random.Random, others: Sequence[bytes]) -> bytes:
    """The data as the name says; now and then broken after packing."""
    if name.endswith(".gz"):
        data = gzip.compress(data, mtime=0)
    elif name.endswith(".zst"):
        data = zstandard.ZstdCompressor().compress(data)
    if name.endswith((".gz", ".zst")) and chance.random() < 0.4:
        data = mutated(data, chance, others)
    return data


def put_mutants(inbox: Path, corpus: Sequence[bytes], chance: random.Random) -> None:
    """Files that were good once."""
    for number in range(FILES):
        data = chance.choice(corpus)
        for _ in range(chance.choice((0, 1, 1, 2, 5))):
            data = mutated(data, chance, corpus)
        name = f"{number}.jsonl{chance.choice(('', '', '', '.gz', '.zst'))}"
        (inbox / name).write_bytes(packed(data, name, chance, corpus))


def line_starts(data: bytes) -> bytes:
    """At most so many bytes of a file, whole lines where there are any."""
    cut = data[:LONGEST]
    return cut[: cut.rfind(b"\n") + 1] or cut


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, shared_dir: Path) -> list[bytes]:
    """Real, dirty and simulated lines, and some of each kind of value."""
    folder = tmp_path_factory.mktemp("world")
    simulate(folder, users=8, days=2, seed=5)
    real = shared_dir / "real"
    paths = [*folder.iterdir(), *real.glob("dirty/*.jsonl"), *real.glob("otlp_sample/*.jsonl")]
    found = [line_starts(path.read_bytes()) for path in sorted(paths)]
    values: list[Any] = [{}, {"bytesValue": "AQI="}, {"doubleValue": "NaN"}, 2**62, 0.5, True]
    for depth in (2, 6):
        value: Any = {"intValue": 1}
        for _ in range(depth):
            pair = {"key": "k", "value": value}
            value = {"kvlistValue": {"values": [pair, {"key": "l", "value": {}}]}}
            value = {"arrayValue": {"values": [value, {"stringValue": "é\u2028"}]}}
        values.append(value)
    kinds = {f"kind.{number}": value for number, value in enumerate(values)}
    start = {"startTimeUnixNano": "1700000000000000000", "name": "span"}
    event = {"timeUnixNano": "1700000000000000001", "name": "event"}
    links = [{"traceId": "ab" * 16, "attributes": []}]
    found.append(
        lines(
            *(request(log("kinds", attributes={**kinds, "n": number})) for number in range(5)),
            span_request({**start, "events": [event], "links": links}, {**start, "events": []}),
        )
    )
    return found


def loaded(home: Path, declarations: Path, block_bytes: int) -> IngestReport:
    report = load_inbox(
        home, declarations, loaded_at=LOADED_AT, limits=LIMITS, block_bytes=block_bytes
    )
    assert {each.reason for each in report.refused} <= {"unpacks_too_large"}
    assert_balanced(home)
    return report


@pytest.mark.parametrize("seed", range(CASES))
def test_mutated_files_never_crash_and_always_balance(
    home: Path, declarations: Path, tmp_path: Path, corpus: list[bytes], seed: int
) -> None:
    chance = random.Random(seed)
    load_inbox(home, declarations)
    put_mutants(home / "inbox", corpus, chance)
    others: list[Path] = []
    for name in ("small-blocks", "line-by-line"):
        others.append(tmp_path / name)
        shutil.copytree(home, others[-1])

    report = loaded(home, declarations, 32 << 20)
    for file in report.files:
        assert file.records_in == file.well_formed + sum(file.rejected.values())
    found = contents(home)
    loaded(others[0], declarations, chance.choice((300, 5_000)))
    assert contents(others[0]) == found, "blocks of another size read the same"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("orchestration.ingest.blocks.parse_lines", never_plain)
        loaded(others[1], declarations, 32 << 20)
    assert contents(others[1]) == found, "the strict reader reads the same"

    again: Callable[..., IngestReport]
    for again in (load_inbox, replay):
        report = again(home, declarations, loaded_at=LOADED_AT, limits=LIMITS)
        assert report.batch_ids == []
        assert contents(home) == found, "running again changes nothing"


def never_plain(*_: Any) -> None:
    from orchestration.ingest.fast import NotPlainError

    raise NotPlainError(0)
