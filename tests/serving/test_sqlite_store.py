from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

import apsw
import pytest

from serving import sqlite_store
from serving.errors import (
    IncompleteErasureError,
    LostControlsError,
    StoreError,
    StoreUrlError,
)
from serving.sqlite_store import SqliteStore, check_sqlite_version
from serving.store import Control, Read, digest_of, open_store
from tests.serving.conftest import controlled_manifest, manifest_of, node

if TYPE_CHECKING:
    from pathlib import Path

    from serving.store import ChangeSet, ViewMeta
    from tests.serving.conftest import Workspace

VIEW = "hot_user_profiles"

READER = """
import json, sys, time
from serving.client import Client
url, keys, wanted = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
reads, torn, seen = 0, [], set()
with Client(url) as client:
    print("ready", flush=True)
    end = time.monotonic() + 120
    while len(seen) < wanted and time.monotonic() < end:
        rounds = {value.split(b":")[0].decode() for value in client.get_many(
            "hot_user_profiles", keys).values()}
        reads += 1
        seen |= rounds
        if len(rounds) != 1:
            torn.append(sorted(rounds))
print(json.dumps({"reads": reads, "torn": torn[:5], "seen": len(seen)}))
"""


@pytest.mark.parametrize("url", ["mongodb://localhost", "cache.sqlite", "", "file:///x"])
def test_an_unknown_scheme_names_the_supported_ones(url: str) -> None:
    with pytest.raises(StoreUrlError, match="sqlite:///PATH"):
        open_store(url)


@pytest.mark.parametrize("url", ["sqlite://cache.sqlite", "sqlite:///"])
def test_a_url_without_a_file_is_refused(url: str) -> None:
    with pytest.raises(StoreUrlError, match="names no file"):
        open_store(url)


def test_a_refused_url_does_not_show_its_password() -> None:
    with pytest.raises(StoreUrlError) as caught:
        open_store("mongodb://attune:hunter2@localhost/0")
    assert "hunter2" not in str(caught.value)
    assert "localhost" in str(caught.value)


def test_a_sqlite_with_the_wal_bug_is_refused() -> None:
    check_sqlite_version("3.51.3")
    check_sqlite_version("3.100.0")
    with pytest.raises(StoreError, match=r"fixed in 3\.51\.3"):
        check_sqlite_version("3.51.2")


def test_an_earlier_state_is_not_kept(tmp_path: Path) -> None:
    with (
        open_store(f"sqlite:///{tmp_path / 'cache.sqlite'}") as store,
        pytest.raises(StoreError, match="build and sync again"),
    ):
        store.rollback(VIEW)


def test_a_reader_finds_no_cache_where_none_is(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="attune sync"):
        open_store(f"sqlite:///{tmp_path}/none.sqlite", read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_those_who_make_a_cache_at_once_wait_for_each_other(tmp_path: Path) -> None:
    def make(path: Path) -> list[str]:
        starting = threading.Barrier(3)

        def open_it(_: int) -> list[str]:
            starting.wait()
            with SqliteStore(path) as store:
                return store.views()

        with ThreadPoolExecutor(3) as processes:
            return [view for views in processes.map(open_it, range(3)) for view in views]

    for number in range(20):
        assert make(tmp_path / f"{number}.sqlite") == []


def test_a_file_that_is_about_to_be_made_is_no_cache_yet(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "cache.sqlite"):
        pass
    (tmp_path / "cache.sqlite.controls").write_bytes(b"")
    with pytest.raises(StoreError, match=r"no cache at .* yet"):
        SqliteStore(tmp_path / "cache.sqlite", read_only=True)


def test_another_applications_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    with apsw.Connection(str(path)) as connection:
        connection.execute("create table theirs (x)")
    with pytest.raises(StoreError, match="not an attune cache"):
        open_store(f"sqlite:///{path}")
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreError, match="damaged"):
        open_store(f"sqlite:///{path}")


def test_a_file_of_an_earlier_format_is_refused_and_what_users_said_is_kept(
    workspace: Workspace,
) -> None:
    workspace.build({"a": "1"})
    workspace.sync()
    workspace.store.add_control(Control("a", "e", b"{}"))
    workspace.store.close()
    with closing(apsw.Connection(str(workspace.cache_path))) as connection:
        connection.pragma("user_version", sqlite_store.FORMATS[sqlite_store.VALUES_ID] - 1)
    with pytest.raises(
        StoreError,
        match=r"sqlite is not an attune cache of format .* delete .*sqlite and cache\.sqlite\.controls",
    ):
        SqliteStore(workspace.cache_path)
    for file in workspace.cache_path.parent.glob("cache.sqlite*"):
        if ".controls" not in file.name:
            file.unlink()
    workspace.store = SqliteStore(workspace.cache_path)
    workspace.sync()
    assert workspace.store.read(VIEW, "a").controls == (b"{}",)


def test_beside_another_file_of_what_users_said_no_value_is_served_that_they_may_have_taken_back(
    workspace: Workspace,
) -> None:
    controlled = controlled_manifest()["nodes"].values()
    workspace.manifest = manifest_of(*controlled, node("hot_others", ["user_id"]))
    workspace.execute("create schema serving")
    workspace.execute("create table serving.fct_controls (event_id varchar)")
    workspace.build({"a": "believed", "b": "2"})
    workspace.build({"x": "declared"}, view="hot_others")
    workspace.sync()
    workspace.store.add_control(Control("a", "withdrawn", b"{}"))
    workspace.store.close()
    for file in workspace.folder.glob("cache.sqlite.controls*"):
        file.unlink()
    workspace.store = open_store(workspace.url)
    workspace.store.add_control(Control("b", "e", b"{}"))

    with open_store(workspace.url, read_only=True) as reader:

        def served() -> dict[str, bytes]:
            found = {key: entry.payload for key, entry in reader.get_many(VIEW, ["a", "b"]).items()}
            read = reader.read_many(VIEW, ["a", "b"])
            assert found == {key: e.entry.payload for key, e in read.items() if e.entry is not None}
            assert {row.key for block in reader.scan(VIEW) for row in block} == found.keys()
            assert (reader.meta(VIEW) is None) == (not found)
            for key in ("a", "b"):
                entry = reader.read(VIEW, key).entry
                assert entry == reader.get(VIEW, key)
                assert (None if entry is None else entry.payload) == found.get(key)
            return found

        assert served() == {}
        assert reader.read(VIEW, "b").controls == (b"{}",)
        assert reader.views() == ["hot_others"]
        assert reader.get("hot_others", "x") is not None
        with pytest.raises(LostControlsError):
            workspace.sync(has_heard=lambda _: False)
        assert served() == {}
        workspace.build({"a": "nothing", "b": "2"})
        workspace.sync(has_heard=lambda _: True)
        assert served() == {"a": b"nothing", "b": b"2"}
    workspace.store.close()
    for file in workspace.folder.glob("cache.sqlite.controls*"):
        file.unlink()
    workspace.store = open_store(workspace.url)
    # the marts agree with what users said already: that is enough
    assert workspace.sync(has_heard=lambda _: True).moved == 0
    with open_store(workspace.url, read_only=True) as reader:
        assert reader.get(VIEW, "a") is not None


def test_whatever_the_file_system_refuses_is_the_stores_error(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = workspace.folder / "blocked"
    blocked.write_text("a file where the folder should be")
    with pytest.raises(StoreError, match="its folder"):
        SqliteStore(blocked / "cache.sqlite")
    workspace.build({"a": "1"})
    workspace.sync()
    workspace.store.add_control(Control("a", "e", b"{}"))

    def failing(_: int) -> None:
        raise OSError("input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(StoreError, match="input/output error"):
        workspace.store.settle([("a", "e")])
    assert workspace.store.read(VIEW, "a").controls == (b"{}",)
    assert isinstance(workspace.store, SqliteStore)
    workspace.store._said.execute("drop table pending_erasures")
    with pytest.raises(StoreError, match="pending_erasures"):
        workspace.store.clean()


def test_a_reader_cannot_write(workspace: Workspace) -> None:
    workspace.build({"a": "1"})
    workspace.sync()
    with (
        open_store(workspace.url, read_only=True) as reader,
        pytest.raises(StoreError, match="readonly"),
    ):
        reader.erase(["a"])
    assert workspace.served() == {"a": "1"}


def test_a_full_disk_leaves_the_old_state_readable(workspace: Workspace) -> None:
    workspace.build({"a": "1"})
    workspace.sync()
    assert isinstance(workspace.store, SqliteStore)
    connection = workspace.store._values
    connection.pragma("max_page_count", connection.pragma("page_count") + 5)
    workspace.build({"a": "2", "b": "x" * 200_000})
    with pytest.raises(StoreError, match="disk is full"):
        workspace.sync()
    assert workspace.served() == {"a": "1"}
    connection.pragma("max_page_count", 1_000_000)
    workspace.sync()
    assert workspace.verify().ok


def test_a_reader_sees_the_old_state_or_the_new_one_never_a_mix(
    workspace: Workspace, child_environment: dict[str, str]
) -> None:
    keys = [f"user{number}" for number in range(200)]

    def contents(round_number: int) -> dict[str, str]:
        return dict.fromkeys(keys, f"{round_number}:" + "x" * 50)

    workspace.build(contents(0))
    workspace.sync()
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, workspace.url, json.dumps(keys), "6"],
        env=child_environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert reader.stdout is not None
    assert reader.stdout.readline() == "ready\n"
    round_number = 0
    while reader.poll() is None:
        round_number += 1
        workspace.build(contents(round_number))
        workspace.sync()
    result = json.loads(reader.stdout.read())
    reader.stdout.close()
    assert result["torn"] == []
    assert result["reads"] > 6
    assert result["seen"] == 6


def test_a_hundred_readers_never_see_a_torn_profile_nor_two_generations(
    workspace: Workspace,
) -> None:
    keys = [f"user{number}" for number in range(100)]

    def contents(round_number: int) -> dict[str, str]:
        return dict.fromkeys(keys, f"{round_number} " * 200)

    workspace.build(contents(0))
    workspace.sync()
    stop = threading.Event()
    problems: list[str] = []
    seen: list[set[str]] = [set() for _ in range(100)]

    def read(number: int) -> None:
        rng = random.Random(number)
        with open_store(workspace.url, read_only=True) as reader:
            while not stop.wait(0.02):
                some = rng.sample(keys, 5)
                words = [each.payload.split() for each in reader.get_many(VIEW, some).values()]
                rounds = {word.decode() for value in words for word in value}
                if len(words) != 5 or len(rounds) != 1:
                    problems.append(f"reader {number} saw {rounds} in {len(words)} values")
                    return
                seen[number] |= rounds

    threads = [threading.Thread(target=read, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    try:
        for round_number in range(1, 7):
            workspace.build(contents(round_number))
            workspace.sync()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert problems == []
    assert min(map(len, seen)) > 0
    assert len(set.union(*seen)) > 2


def marked(rng: random.Random) -> str:
    """A value that can be found in a file, short enough for a page or long enough to overflow."""
    return f"<{rng.getrandbits(128):032x}>" * rng.choice([1, 3, 8, 20, 60, 200])


@pytest.mark.parametrize("seed", [9, 17])
def test_an_erased_user_leaves_no_byte_in_the_files(workspace: Workspace, seed: int) -> None:
    # with these seeds SQLite leaves stale copies in split pages although secure_delete is on
    rng = random.Random(seed)
    contents: dict[str, str] = {}
    ever: dict[str, list[str]] = {}
    for _ in range(6):
        for _ in range(400):
            key = hashlib.sha256(str(rng.randrange(800)).encode()).hexdigest()
            if rng.random() < 0.2:
                contents.pop(key, None)
            else:
                contents[key] = marked(rng)
                ever.setdefault(key, []).append(contents[key][:34])
        workspace.build(contents)
        workspace.sync()
    victims = rng.sample(sorted(contents), 60)
    assert all(contents[key].encode()[:34] in workspace.file_bytes() for key in victims)
    assert workspace.store.erase([*victims, "never-there"]) == 60
    data = workspace.file_bytes()
    assert [key for key in victims if key.encode() in data] == []
    assert [value for key in victims for value in ever[key] if value.encode() in data] == []
    survivor = next(key for key in contents if key not in victims)
    assert survivor.encode() in data
    meta = workspace.store.meta(VIEW)
    assert meta is not None
    assert meta.digest == digest_of(workspace.store.ledger(VIEW))


def locked(workspace: Workspace) -> apsw.Connection:
    """Lock the values as a long fill or a VACUUM of another process does; closing it ends that."""
    other = apsw.Connection(str(workspace.cache_path))
    other.execute("begin immediate")
    return other


def test_neither_a_control_nor_an_erasure_waits_for_whoever_writes_the_values(
    workspace: Workspace,
) -> None:
    workspace.build({"a": "value-of-a", "b": "value-of-b", "c": "value-of-c"})
    workspace.sync()
    said = Control("a", "e", b"{}")
    with (
        closing(locked(workspace)),
        open_store(workspace.url, read_only=True) as reader,
        SqliteStore(workspace.cache_path) as writer,
    ):
        started = time.monotonic()
        writer.add_control(said)
        assert writer.erase(["b"], clean=False) == 0
        assert time.monotonic() - started < 5
        assert reader.read(VIEW, "a").controls == (b"{}",)
        assert reader.read(VIEW, "b") == Read(None, (), is_erased=True)
        assert reader.read_many(VIEW, ["b"]) == {"b": Read(None, (), is_erased=True)}
        assert reader.get(VIEW, "b") is None
        assert reader.get_many(VIEW, ["b", "c"]).keys() == {"c"}
        with (
            SqliteStore(workspace.cache_path, busy_timeout_ms=50) as impatient,
            pytest.raises(IncompleteErasureError, match="no longer served"),
        ):
            impatient.erase(["c"])
        assert reader.get(VIEW, "c") is None
    assert b"value-of-b" in workspace.file_bytes()
    # the processes that began are gone: the next sync ends what they left
    assert workspace.sync().moved == 0
    assert workspace.served() == {"a": "value-of-a"}
    assert [
        each for each in ("b", "c") if f"value-of-{each}".encode() in workspace.file_bytes()
    ] == []
    assert workspace.verify().ok


def test_an_erasure_in_the_middle_of_a_fill_is_never_undone_by_it(workspace: Workspace) -> None:
    workspace.build({f"user{number}": f"value-of-{number}." for number in range(100)})
    workspace.sync()
    workspace.build({f"user{number}": f"later-of-{number}." for number in range(100)})
    seen: list[Read] = []

    class ErasedMeanwhile(SqliteStore):
        def _write_entries(self, change_set: ChangeSet, generation: int) -> int:
            rows = super()._write_entries(change_set, generation)
            if not seen:
                with SqliteStore(workspace.cache_path) as other:
                    other.erase(["user7"], clean=False)
                    seen.append(other.read(VIEW, "user7"))
            return rows

        def _write_meta(self, meta: ViewMeta, controls_id: str | None) -> None:
            super()._write_meta(meta, controls_id)
            seen.append(self.read(VIEW, "user7"))

    workspace.store = ErasedMeanwhile(workspace.cache_path)
    workspace.sync()
    seen.append(workspace.store.read(VIEW, "user7"))
    assert len(seen) == 4
    assert set(seen) == {Read(None, (), is_erased=True)}
    assert len(workspace.served()) == 99
    assert b"later-of-7." not in workspace.file_bytes()
    assert workspace.verify().ok


@pytest.mark.parametrize("statement", ["_GET", "_GET_MANY", "_READ_ALONE", "_READ_MANY"])
def test_readers_look_at_controls_before_values(workspace: Workspace, statement: str) -> None:
    # else a value could be older than the forgetting of the control that it lacks
    workspace.build({"a": "1"})
    workspace.sync()
    with SqliteStore(workspace.cache_path, read_only=True) as reader:
        steps = reader._connection.execute("explain " + getattr(sqlite_store, statement), ("", ""))
        begun = [step[2] for step in steps if step[1] == "Transaction"]
        files = {
            number: name for number, name, _ in reader._connection.execute("pragma database_list")
        }
    assert [files[number] for number in begun] == ["main", "served"]


def test_a_held_state_has_the_controls_of_before_its_values(workspace: Workspace) -> None:
    workspace.build({"a": "believed"})
    workspace.sync()
    workspace.store.add_control(Control("a", "e", b"{}"))
    with open_store(workspace.url, read_only=True) as reader:
        reader.hold()
        assert reader.meta(VIEW) is not None
        workspace.build({"a": "nothing"})
        workspace.sync()
        workspace.store.settle([("a", "e")])
        read = reader.read(VIEW, "a")
        reader.release()
        assert read.entry is not None
        assert (read.entry.payload, read.controls) == (b"believed", (b"{}",))
        assert reader.read(VIEW, "a").controls == ()


def test_what_is_said_while_a_quiet_state_is_held_counts_once_it_is_released(
    workspace: Workspace,
) -> None:
    workspace.build({"a": "believed"})
    workspace.sync()
    with open_store(workspace.url, read_only=True) as reader:
        reader.hold()
        workspace.store.add_control(Control("a", "e", b"{}"))
        assert reader.read(VIEW, "a").controls == ()
        reader.release()
        assert reader.read(VIEW, "a").controls == (b"{}",)
        reader.hold()
        assert reader.read(VIEW, "a").controls == (b"{}",)
        workspace.store.erase(["a"], clean=False)
        reader.release()
        assert reader.read(VIEW, "a") == Read(None, (), is_erased=True)


def test_a_sync_leaves_no_log_behind_unless_somebody_reads(workspace: Workspace) -> None:
    log = workspace.cache_path.with_name(f"{workspace.cache_path.name}-wal")
    workspace.build({f"user{number}": "1" for number in range(500)})
    with open_store(workspace.url, read_only=True) as reader:
        reader.hold()
        assert reader.meta(VIEW) is None
        workspace.sync()
        assert log.stat().st_size > 0
        assert reader.meta(VIEW) is None
        reader.release()
    workspace.sync()
    assert log.stat().st_size == 0
    assert workspace.verify().ok


def test_what_a_user_said_leaves_no_byte_in_the_files_once_they_are_erased(
    workspace: Workspace,
) -> None:
    workspace.build({"a": "1"})
    workspace.sync()
    for number in range(200):
        user = f"user{number}"
        workspace.store.add_control(Control(user, "e", f"<said-by-{number}>".encode() * 30))
    assert b"<said-by-7>" in workspace.file_bytes()
    workspace.store.erase(["user7"])
    assert b"<said-by-7>" not in workspace.file_bytes()
    assert b"user7<" not in workspace.file_bytes()
    assert b"<said-by-8>" in workspace.file_bytes()


def test_an_erasure_that_a_reader_holds_up_says_so_and_is_finished_later(
    workspace: Workspace,
) -> None:
    workspace.build({"a": "secret-of-a", "b": "2"})
    workspace.sync()
    workspace.store.close()
    with open_store(workspace.url, read_only=True) as reader:
        held = reader.scan(VIEW)
        assert next(held)
        snapshot = apsw.Connection(str(workspace.cache_path), flags=apsw.SQLITE_OPEN_READONLY)
        snapshot.execute("begin")
        snapshot.execute("select count(*) from entries").fetchall()
        with SqliteStore(workspace.cache_path, busy_timeout_ms=50) as impatient:
            with pytest.raises(IncompleteErasureError, match="erase the same keys again"):
                impatient.erase(["a"])
            assert impatient.get(VIEW, "a") is None
        assert b"secret-of-a" in workspace.file_bytes()
        snapshot.close()
        held.close()  # type: ignore[attr-defined]
    workspace.build({"b": "2"})
    workspace.store = open_store(workspace.url)
    workspace.sync()
    assert b"secret-of-a" not in workspace.file_bytes()
    assert workspace.store.erase(["a"]) == 0


def test_whoever_is_erased_while_the_files_are_cleaned_is_cleaned_by_the_next_sync(
    workspace: Workspace,
) -> None:
    workspace.build({"a": "secret-of-a", "b": "secret-of-b", "c": "3"})
    workspace.sync()
    emptied: list[str | None] = []

    class ErasedMeanwhile(SqliteStore):
        def _empty_log(self, connection: apsw.Connection) -> str | None:
            emptied.append(super()._empty_log(connection))
            if len(emptied) == 2:
                with SqliteStore(workspace.cache_path) as other:
                    other.erase(["b"], clean=False)
            return emptied[-1]

    with ErasedMeanwhile(workspace.cache_path) as store:
        store.erase(["a"])
        assert emptied == [None, None]
        assert store._unclean_mark() is not None
    workspace.sync()
    files = workspace.file_bytes()
    assert (b"secret-of-a" in files, b"secret-of-b" in files) == (False, False)
    assert isinstance(workspace.store, SqliteStore)
    assert workspace.store._unclean_mark() is None


def test_a_checkpoint_that_leaves_frames_behind_is_no_finished_erasure(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    class HalfCheckpoint(apsw.Connection):
        def wal_checkpoint(self, *_: object, **__: object) -> tuple[int, int]:
            return (7, 3)

    workspace.build({"a": "1"})
    workspace.sync()
    monkeypatch.setattr(apsw, "Connection", HalfCheckpoint)
    with (
        SqliteStore(workspace.cache_path, busy_timeout_ms=50) as store,
        pytest.raises(IncompleteErasureError, match=r"\(7, 3\)"),
    ):
        store.erase(["a"])


def test_a_checkpoint_that_loses_a_race_is_tried_again(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = [apsw.BusyError("another writer was first"), (2, 1)]

    class RacedCheckpoint(apsw.Connection):
        def wal_checkpoint(self, *args: Any, **named: Any) -> tuple[int, int]:
            answer = lost.pop(0) if lost else super().wal_checkpoint(*args, **named)
            if isinstance(answer, Exception):
                raise answer
            return answer  # type: ignore[return-value]

    workspace.build({"a": "secret-of-a"})
    workspace.sync()
    monkeypatch.setattr(apsw, "Connection", RacedCheckpoint)
    with open_store(workspace.url) as store:
        assert store.erase(["a"]) == 1
    assert lost == []
    assert b"secret-of-a" not in workspace.file_bytes()
