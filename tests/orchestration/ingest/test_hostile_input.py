"""Whatever lies in the inbox: the good files load, the others stay and are named with a reason."""

from __future__ import annotations

import errno
import gzip
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import zstandard
from typer.testing import CliRunner

from orchestration.cli import app
from orchestration.ingest import IngestError, Progress, load_inbox, replay
from orchestration.ingest.errors import RefusedFileError
from orchestration.ingest.inbox import NEXT_STEPS, open_file, open_inbox
from orchestration.ingest.lines import BLOCK_LINES, CHUNK_BYTES, Limits, read_blocks
from orchestration.ingest.strict import read_line
from tests.orchestration.ingest.homes import assert_balanced, contents
from tests.orchestration.ingest.otlp import Query, lines, log, request, span_request

if TYPE_CHECKING:
    from collections.abc import Callable

MEMORY_KIB = 1 << 20
SMALL = Limits(line_bytes=2_000, line_objects=100, unpacked_bytes=50_000, unpacked_ratio=20)


def good(name: str) -> bytes:
    return lines(request(log(name)))


def put_link(path: Path) -> None:
    outside = path.parent.parent / "outside.jsonl"
    outside.write_bytes(good("outside"))
    path.symlink_to(outside)


def put_link_inside(path: Path) -> None:
    path.symlink_to("a.jsonl")


def put_folder(path: Path) -> None:
    path.mkdir()
    (path / "inner.jsonl").write_bytes(good("inner"))


def put_bomb(path: Path) -> None:
    pack = gzip.compress if path.name.endswith(".gz") else zstandard.ZstdCompressor().compress
    path.write_bytes(pack(good("bomb") + b" " * 1_000_000))


@pytest.mark.parametrize(
    ("name", "put", "reason"),
    [
        ("b.jsonl", put_link, "is_a_link"),
        ("b.jsonl", put_link_inside, "is_a_link"),
        ("b.jsonl", lambda path: path.symlink_to("nowhere"), "is_a_link"),
        ("b.jsonl", put_folder, "not_a_regular_file"),
        ("b.jsonl", os.mkfifo, "not_a_regular_file"),
        ("b.jsonl.gz", put_bomb, "unpacks_too_large"),
        ("b.jsonl.zst", put_bomb, "unpacks_too_large"),
    ],
)
def test_a_file_that_cannot_be_taken_stays_and_the_others_load(
    home: Path, declarations: Path, name: str, put: Callable[[Path], None], reason: str
) -> None:
    put(home / "inbox" / name)
    for other in ("a.jsonl", "z.jsonl"):
        (home / "inbox" / other).write_bytes(good(other))
    before = os.lstat(home / "inbox" / name)
    for _ in range(2):
        report = load_inbox(home, declarations, limits=SMALL)
        (refused,) = report.refused
        assert (refused.file_name, refused.reason) == (name, reason)
        assert refused.next_step == NEXT_STEPS[reason]
        after = os.lstat(home / "inbox" / name)
        assert (before.st_ino, before.st_mode) == (after.st_ino, after.st_mode)
        found = contents(home)
        assert {row[1] for row in found["log_records"]} == {"a.jsonl", "z.jsonl"}
        assert (found["processed"], found["inbox"]) == (["a.jsonl", "z.jsonl"], [name])
        assert_balanced(home)


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more\n")


def overwrite_behind_the_clock(path: Path) -> None:
    before = path.stat()
    data = path.read_bytes()
    path.write_bytes(data.replace(b"b.jsonl", b"c.jsonl"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path: Path) -> None:
    other = path.with_name(".other")
    other.write_bytes(good("other"))
    other.rename(path)


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (append, "changed_while_read"),
        (lambda path: os.truncate(path, 10), "changed_while_read"),
        (overwrite_behind_the_clock, "changed_while_read"),
        (replace, "changed_while_read"),
        (Path.unlink, "vanished"),
    ],
)
def test_a_file_that_changes_under_the_reader_is_not_loaded(
    home: Path, declarations: Path, act: Callable[[Path], None], reason: str, query: Query
) -> None:
    path = home / "inbox" / "b.jsonl"
    path.write_bytes(b"".join(lines(request(log("b.jsonl"))) for _ in range(50)))
    (home / "inbox" / "z.jsonl").write_bytes(good("z.jsonl"))
    acted = False

    def once(progress: Progress) -> None:
        nonlocal acted
        if not acted and progress.file_name == "b.jsonl":
            acted = True
            act(path)

    report = load_inbox(home, declarations, progress=once, block_bytes=1_000)
    assert acted
    assert [(each.file_name, each.reason) for each in report.refused] == [("b.jsonl", reason)]
    assert query("select event_name from log_records") == [("z.jsonl",)]
    assert_balanced(home)
    assert path.exists() == (reason != "vanished")
    again = load_inbox(home, declarations)
    assert (again.refused, len(again.files)) == ([], int(reason != "vanished"))
    assert_balanced(home)


def test_a_file_that_is_gone_before_it_is_read_is_named(home: Path, declarations: Path) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        (home / "inbox" / name).write_bytes(good(name))

    def delete_next(_: Progress) -> None:
        (home / "inbox" / "b.jsonl").unlink(missing_ok=True)

    report = load_inbox(home, declarations, progress=delete_next)
    assert [(each.file_name, each.reason) for each in report.refused] == [("b.jsonl", "vanished")]
    assert len(report.batch_ids) == 1


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO])
@pytest.mark.parametrize("call", ["open", "read"])
def test_a_file_that_cannot_be_read_is_named(
    home: Path, declarations: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        (home / "inbox" / name).write_bytes(good(name))
    inode = (home / "inbox" / "b.jsonl").stat().st_ino
    original_open, original_read = os.open, os.read

    def failing_open(path: Any, *arguments: Any, **options: Any) -> int:
        if path == "b.jsonl":
            raise OSError(code, os.strerror(code))
        return original_open(path, *arguments, **options)

    def failing_read(descriptor: int, size: int) -> bytes:
        if os.fstat(descriptor).st_ino == inode:
            raise OSError(code, os.strerror(code))
        return original_read(descriptor, size)

    with monkeypatch.context() as patch:
        if call == "open":
            patch.setattr(os, "open", failing_open)
        else:
            patch.setattr(os, "read", failing_read)
        report = load_inbox(home, declarations)
    assert [(each.reason, each.detail) for each in report.refused] == [
        ("cannot_be_read", os.strerror(code))
    ]
    assert len(report.batch_ids) == 1
    assert (home / "inbox" / "b.jsonl").read_bytes() == good("b.jsonl")
    assert len(load_inbox(home, declarations).batch_ids) == 1


@pytest.mark.parametrize(
    "name", ["../outside.jsonl", "folder/a.jsonl", "/etc/passwd", "..", "", "a.txt"]
)
def test_a_name_never_leads_out_of_the_inbox(home: Path, name: str) -> None:
    (home / "outside.jsonl").write_bytes(good("outside"))
    with (
        open_inbox(home / "inbox") as inbox,
        pytest.raises(RefusedFileError) as found,
        open_file(inbox, name),
    ):
        pass
    assert found.value.reason == "outside_inbox"


def test_a_plan_of_a_replay_never_leads_out_of_the_inbox(home: Path, declarations: Path) -> None:
    load_inbox(home, declarations)
    plan = {"file_name": "../outside.jsonl", "marks": {}}
    (home / "rejected" / "replay.pending").write_text(json.dumps(plan))
    (home / "rejected" / "replay.content").write_bytes(good("outside"))
    with pytest.raises(IngestError, match="outside the inbox"):
        load_inbox(home, declarations)
    assert not (home / "outside.jsonl").exists()


def test_a_file_that_takes_the_name_at_the_last_moment_is_not_lost(
    home: Path, declarations: Path, monkeypatch: pytest.MonkeyPatch, query: Query
) -> None:
    path = home / "inbox" / "a.jsonl"
    path.write_bytes(good("first"))
    original = os.fchmod

    def replace_then(descriptor: int, mode: int) -> None:
        original(descriptor, mode)
        replace(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fchmod", replace_then)
        assert load_inbox(home, declarations).refused == []
    assert [file.name for file in (home / "inbox").iterdir()] == ["a.jsonl"]
    load_inbox(home, declarations)
    assert sorted(query("select event_name from log_records")) == [("first",), ("other",)]


@pytest.mark.parametrize(
    ("call", "code"), [("fchmod", errno.EPERM), ("replace", errno.EXDEV), ("utime", errno.EACCES)]
)
def test_a_file_of_another_user_or_disk_is_copied_and_private(
    home: Path, declarations: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    (home / "inbox" / "a.jsonl").write_bytes(good("a"))
    (home / "inbox" / "a.jsonl").chmod(0o644)
    original = getattr(os, call)

    def failing(target: Any, *arguments: Any, **options: Any) -> Any:
        if call != "replace" or target == "a.jsonl":
            raise OSError(code, os.strerror(code))
        return original(target, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing)
        assert load_inbox(home, declarations).refused == []
    assert list((home / "inbox").iterdir()) == []
    (processed,) = (home / "processed").iterdir()
    assert (processed.name, processed.read_bytes()) == ("a.jsonl", good("a"))
    assert processed.stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_moved_away_is_loaded_once_and_named(
    home: Path, declarations: Path, monkeypatch: pytest.MonkeyPatch, query: Query
) -> None:
    (home / "inbox" / "a.jsonl").write_bytes(good("a"))
    original = os.replace

    def failing(source: Any, *arguments: Any, **options: Any) -> None:
        if source == "a.jsonl":
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        original(source, *arguments, **options)

    monkeypatch.setattr(os, "replace", failing)
    for _ in range(2):
        report = load_inbox(home, declarations)
        assert [each.reason for each in report.refused] == ["cannot_be_moved"]
        assert query("select count(*) from log_records") == [(1,)]


def test_names_that_are_no_text_or_very_long_are_loaded(
    home: Path, declarations: Path, query: Query
) -> None:
    names = [b"caf\xe9.jsonl", b"a\nb\x1b[31m.jsonl", "ü".encode() * 124 + b".jsonl"]
    for load in range(2):
        for number, name in enumerate(names):
            (home / "inbox" / os.fsdecode(name)).write_bytes(good(f"{load}{number}"))
        assert load_inbox(home, declarations).refused == []
    assert len(list((home / "processed").iterdir())) == 6
    assert sorted(query("select distinct file_name from batches")) == [
        ("a\ufffdb\ufffd[31m.jsonl",),
        ("caf\ufffd.jsonl",),
        ("ü" * 124 + ".jsonl",),
    ]


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
@pytest.mark.parametrize("block_bytes", [300, 5_000, 1 << 20])
def test_a_line_too_long_is_refused_alone(
    home: Path, declarations: Path, query: Query, suffix: str, block_bytes: int
) -> None:
    pack: dict[str, Callable[[bytes], bytes]] = {
        "": bytes,
        ".gz": gzip.compress,
        ".zst": zstandard.ZstdCompressor().compress,
    }
    fits = lines(request(log("fits", body={"stringValue": os.urandom(700).hex()})))
    long = lines(request(log("long", body={"stringValue": os.urandom(2_000).hex()})))
    dense = b'{"resourceLogs":[' + b"{}," * 120 + b"{}]}\n"
    content = good("1") + long + b"\n" + fits + dense + good("6") + b"not json\n" + long.rstrip()
    (home / "inbox" / f"a.jsonl{suffix}").write_bytes(pack[suffix](content))
    report = load_inbox(home, declarations, limits=SMALL, block_bytes=block_bytes)
    assert report.refused == []
    assert (report.files[0].lines, report.records_in) == (7, 7)
    assert query("select line_number, reason from rejections order by all") == [
        (2, "line_too_long"),
        (5, "line_too_long"),
        (7, "invalid_json"),
        (8, "line_too_long"),
    ]
    assert query("select line_number, event_name from log_records order by all") == [
        (1, "1"),
        (4, "fits"),
        (6, "6"),
    ]
    assert_balanced(home)


def test_refused_records_of_a_line_with_a_huge_resource_do_not_fill_the_disk(
    home: Path, declarations: Path, query: Query
) -> None:
    bad = [log("early", nanos=1) for _ in range(2_000)]
    data = lines(request(*bad, resource={"big": "x" * 100_000}))
    (home / "inbox" / "a.jsonl").write_bytes(data)
    assert load_inbox(home, declarations).rejected == {"time_out_of_range": 2_000}
    (kept,) = (home / "rejected").iterdir()
    assert kept.stat().st_size < 20 * len(data)
    entries = [json.loads(line) for line in kept.read_text().splitlines()]
    assert [entry["record_number"] for entry in entries] == list(range(2_000))
    assert query("select count(*) from rejections") == [(2_000,)]


@pytest.mark.parametrize("line", [b'{"a":[{},{}]}', b"x", b""])
def test_a_block_ends_at_so_many_lines_or_objects(home: Path, line: bytes) -> None:
    (home / "inbox" / "a.jsonl").write_bytes((line + b"\n") * 300_000)
    limits = Limits(line_objects=40_000)
    numbers: list[int] = []
    with open_inbox(home / "inbox") as inbox, open_file(inbox, "a.jsonl") as file:
        for block in read_blocks(file, 1 << 30, limits):
            assert len(block.lines) <= BLOCK_LINES + CHUNK_BYTES / (len(line) + 1)
            objects = sum(each.raw.count(b"{") + each.raw.count(b"[") for each in block.lines)
            assert objects <= limits.line_objects + CHUNK_BYTES
            numbers += [each.number for each in block.lines]
    assert numbers == (list(range(1, 300_001)) if line else [])


PROGRAM = """
import sys
from pathlib import Path
from orchestration.ingest import load_inbox
report = load_inbox(Path(sys.argv[1]), Path(sys.argv[2]))
print([each.reason for each in report.refused], report.rejected, report.well_formed)
# not ru_maxrss: that begins with what the process had before it became this program
print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""


def test_memory_stays_bounded_whatever_comes(home: Path, declarations: Path) -> None:
    inbox = home / "inbox"
    with (inbox / "a-line.jsonl").open("wb") as file:
        file.write(good("a") + b'{"a":"')
        file.truncate(200 << 20)
    (inbox / "b-dense.jsonl").write_bytes(
        lines(request(*[{"timeUnixNano": "1700000000000000000"}] * 512)) * 200
    )
    (inbox / "c-bomb.jsonl.zst").write_bytes(
        zstandard.ZstdCompressor(level=9).compress(bytes(1 << 29))
    )
    (inbox / "d-bomb.jsonl.gz").write_bytes(gzip.compress(bytes(1 << 27), 1) * 4)
    (inbox / "e-empty.jsonl").write_bytes(b"\n" * (4 << 20))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(home), str(declarations)],
        capture_output=True,
        text=True,
        check=True,
    )
    told, peak = done.stdout.splitlines()
    assert told == ("['unpacks_too_large', 'unpacks_too_large'] {'line_too_long': 1} 102401"), (
        done.stdout
    )
    assert int(peak) < MEMORY_KIB


def test_many_tiny_files_each_become_a_batch(home: Path, declarations: Path, query: Query) -> None:
    for number in range(100):
        (home / "inbox" / f"{number:03}.jsonl").write_bytes(good(f"{number:03}"))
    report = load_inbox(home, declarations)
    assert (len(report.batch_ids), report.refused) == (100, [])
    assert query("select count(*), count(distinct batch_id) from log_records") == [(100, 100)]
    assert query("select count(*), sum(records_in) from batches") == [(100, 100)]
    assert not list((home / "lake" / "rejections").glob("*-*"))


def test_a_line_that_was_corrected_by_hand_comes_in_once(
    home: Path, declarations: Path, query: Query
) -> None:
    (home / "inbox" / "a.jsonl").write_bytes(b'{"resourceLogs":[}\n' + b"\xff\n" + good("good"))
    load_inbox(home, declarations)
    (kept,) = (home / "rejected").iterdir()
    entries = [json.loads(line) for line in kept.read_text().splitlines()]
    # one by a person with an editor that breaks lines, one in place of bytes that are no text
    entries[0]["raw"] = json.dumps(request(log("first")), indent=1)
    entries[1]["raw"] = json.dumps(request(log("second")))
    kept.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    assert replay(home, declarations).records_in == 2
    for _ in range(2):
        assert replay(home, declarations).files == []
        assert query("select event_name, count(*) from log_records group by all order by all") == [
            ("first", 1),
            ("good", 1),
            ("second", 1),
        ]
    assert_balanced(home)


def test_a_refused_line_that_was_spoilt_by_hand_is_named(home: Path, declarations: Path) -> None:
    (home / "inbox" / "a.jsonl").write_bytes(b"{\n")
    load_inbox(home, declarations)
    (kept,) = (home / "rejected").iterdir()
    kept.write_text(kept.read_text() + '{"raw": \n')
    with pytest.raises(IngestError, match=r"\.jsonl, line 2 is not JSON"):
        replay(home, declarations)
    kept.write_text("[]\n")
    with pytest.raises(IngestError, match=r"\.jsonl, line 1 is no JSON object"):
        replay(home, declarations)


def test_a_parser_that_reads_more_brings_refused_lines_in_once(
    home: Path, declarations: Path, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = read_line
    records = json.dumps({"records": [log("new"), log("dialect")]}).encode()
    (home / "inbox" / "a.jsonl").write_bytes(good("old") + records + b"\n")
    assert load_inbox(home, declarations).rejected == {"not_an_export_request": 1}
    assert replay(home, declarations).files == []

    def reads_more(raw: bytes, **options: Any) -> Any:
        content = json.loads(raw)
        return request(*content["records"]) if "records" in content else own(raw, **options)

    for module in ("blocks", "replay"):
        # by name: the package exports a function that is called like the module
        found = importlib.import_module(f"orchestration.ingest.{module}")
        monkeypatch.setattr(found, "read_line", reads_more)
    assert replay(home, declarations).well_formed == 2
    assert replay(home, declarations).files == []
    assert query("select event_name, count(*) from log_records group by all order by all") == [
        ("dialect", 1),
        ("new", 1),
        ("old", 1),
    ]


def test_a_declaration_that_is_wrong_loads_nothing_and_once_corrected_everything(
    home: Path, tmp_path: Path, query: Query
) -> None:
    plan = tmp_path / "catalog" / "tracking_plan.csv"
    plan.parent.mkdir()
    plan.write_text("event_name,attribute,privacy\nevent,k,secret\n")
    (home / "inbox" / "a.jsonl").write_bytes(good("event"))
    with pytest.raises(IngestError, match=r"tracking_plan\.csv, line 2"):
        load_inbox(home, tmp_path)
    assert query("select count(*) from batches") == [(0,)]
    plan.write_text("event_name,attribute,privacy\nevent,k,content\n")
    for loads in (1, 0):
        assert len(load_inbox(home, tmp_path).batch_ids) == loads
    assert query("select count(*) from log_records") == [(1,)]


def test_the_command_names_refused_files_and_exits_with_one(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATTUNE_HOME", str(home))
    put_link(home / "inbox" / "[red]b.jsonl")
    (home / "inbox" / "a.jsonl").write_bytes(
        lines(span_request({"name": "s", "startTimeUnixNano": "1700000000000000000"}))
    )
    spoken = CliRunner().invoke(app, ["ingest"])
    assert spoken.exit_code == 1
    assert "1 well-formed" in spoken.stdout
    assert "refused [red]b.jsonl: is_a_link" in spoken.stdout
    assert NEXT_STEPS["is_a_link"] in spoken.stdout
    told = CliRunner().invoke(app, ["ingest", "--json"])
    assert told.exit_code == 1
    found = json.loads(told.stdout)
    assert found["files_refused"] == 1
    assert [each["reason"] for each in found["refused"]] == ["is_a_link"]
    (home / "inbox" / "[red]b.jsonl").unlink()
    assert CliRunner().invoke(app, ["ingest"]).exit_code == 0
