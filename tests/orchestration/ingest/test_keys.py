"""The ring of keys: a new key makes new pseudonyms, and everybody stays who they are."""

from __future__ import annotations

import hmac
import json
import pickle
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.ingest import (
    IngestLockedError,
    KeyFileError,
    list_keys,
    load_inbox,
    pseudonymize,
    pseudonyms,
    retire_key,
    rotate_keys,
    stable_pseudonym,
)
from orchestration.ingest.home import Home, one_ingest_at_a_time
from orchestration.ingest.keys import KeyedHash, load_keys
from tests.orchestration.ingest.otlp import Query, lines, log, request

if TYPE_CHECKING:
    from pathlib import Path


def load(home: Path, declarations: Path, name: str, *records: Any) -> None:
    (home / "inbox" / f"{name}.jsonl").write_bytes(lines(request(*records)))
    load_inbox(home, declarations)


def links(home: Path, query: Query) -> list[tuple[Any, ...]]:
    files = home / "lake" / "pseudonym_links" / "*.parquet"
    return query(f"select pseudonym, stable_pseudonym from read_parquet('{files}') order by all")


def test_a_new_key_is_active_and_the_old_one_stays(home: Path, declarations: Path) -> None:
    load(home, declarations, "a", log(attributes={"user.id": "user-1"}))
    before = load_keys(home / "key.json")
    keys = rotate_keys(home, now=datetime(2026, 3, 1, tzinfo=UTC))
    assert load_keys(home / "key.json") == keys
    assert (keys.active, list(keys.ring)) == ("k2", ["k1", "k2"])
    assert keys.ring["k1"] == before.ring["k1"] != keys.ring["k2"]
    assert keys.event_id_key == before.event_id_key
    assert (home / "key.json").stat().st_mode & 0o777 == 0o600
    assert [(key.key_id, key.is_active) for key in list_keys(home)] == [("k1", False), ("k2", True)]
    assert list_keys(home)[1].created_at == "2026-03-01T00:00:00+00:00"
    assert keys.ring["k2"].hex() not in repr(keys) + repr(keys.infos())


def test_the_next_name_is_one_that_is_free(home: Path) -> None:
    load_keys(home / "key.json")
    content = json.loads((home / "key.json").read_text())
    content["keys"] = {"k1": content["keys"]["k1"], "k3": "ab" * 32}
    (home / "key.json").write_text(json.dumps(content))
    assert rotate_keys(home).active == "k4"


def test_a_key_retires_when_nothing_is_served_under_it(
    home: Path, declarations: Path, query: Query
) -> None:
    load(home, declarations, "a", log("a", attributes={"user.id": "user-1"}))
    rotate_keys(home)
    load(home, declarations, "b", log("b", attributes={"user.id": "user-1"}))
    for key_id, why in (("k1", "oldest"), ("k2", "rotate"), ("k7", "has k1, k2")):
        with pytest.raises(KeyFileError, match=why):
            retire_key(home, key_id)
    linked = links(home, query)
    rotate_keys(home)
    known = pseudonyms(home, "user-1")
    retire_key(home, "k2")
    assert [key.key_id for key in list_keys(home)] == ["k1", "k3"]
    assert pseudonyms(home, "user-1") == [known[0], known[2]]
    assert links(home, query) == linked == [(known[1], known[2])]
    rotate_keys(home)
    retire_key(home, "k3")
    assert rotate_keys(home).active == "k5"


def test_no_rotation_without_a_key_or_while_an_ingest_runs(home: Path) -> None:
    with pytest.raises(KeyFileError, match="does not exist yet"):
        list_keys(home)
    with pytest.raises(KeyFileError, match="restore the file"):
        rotate_keys(home)
    load_keys(home / "key.json")
    before = (home / "key.json").read_bytes()
    with one_ingest_at_a_time(Home(home)), pytest.raises(IngestLockedError):
        rotate_keys(home)
    assert (home / "key.json").read_bytes() == before


def test_an_active_key_that_is_not_in_the_ring_is_refused(home: Path) -> None:
    load_keys(home / "key.json")
    content = json.loads((home / "key.json").read_text()) | {"active": "k9"}
    (home / "key.json").write_text(json.dumps(content))
    with pytest.raises(KeyFileError, match="is not a key file"):
        load_keys(home / "key.json")


def test_new_rows_carry_the_new_pseudonym_and_a_link_leads_to_the_old(
    home: Path, declarations: Path, query: Query
) -> None:
    load(home, declarations, "a", log("a", attributes={"user.id": "user-1"}))
    assert links(home, query) == []
    old = pseudonymize(home, "user-1")
    rotate_keys(home)
    new = pseudonymize(home, "user-1")
    load(home, declarations, "b", log("b", attributes={"user.id": "user-1", "path": "/user-1/x"}))
    assert query("select event_name, user_id from log_records order by all") == [
        ("a", old),
        ("b", new),
    ]
    assert query("select attributes['path'] from log_records where event_name = 'b'") == [
        (f"/{old}/x",)
    ]
    assert links(home, query) == [(new, old)]
    assert pseudonyms(home, "user-1") == [new, old]
    assert [stable_pseudonym(home, each) for each in (new, old)] == [old, old]


def test_links_lead_over_any_number_of_rotations_to_the_oldest_key(
    home: Path, declarations: Path, query: Query
) -> None:
    load(home, declarations, "a", log("a", attributes={"user.id": "user-1"}))
    for name in ("b", "c"):
        rotate_keys(home)
        load(home, declarations, name, log(name, attributes={"session.id": "user-1"}))
    newest, middle, oldest = pseudonyms(home, "user-1")
    assert links(home, query) == sorted([(middle, oldest), (newest, oldest)])


def test_a_copy_sent_again_after_a_rotation_has_the_same_event_id(
    home: Path, declarations: Path, query: Query
) -> None:
    records = [
        log("own id", attributes={"user.id": "user-1", "log.record.uid": "user-1/7"}),
        log("same id", attributes={"user.id": "user-1", "log.record.uid": "user-1"}),
        log("no id", attributes={"user.id": "user-1"}, traceId="no hex"),
    ]
    load(home, declarations, "a", *records)
    rotate_keys(home)
    load(home, declarations, "b", *records, log("more"))
    assert query(
        "select event_name, count(*), count(distinct event_id), count(distinct trace_id) "
        "from log_records group by all order by all"
    ) == [("more", 1, 1, 0), ("no id", 2, 1, 1), ("own id", 2, 1, 0), ("same id", 2, 1, 0)]


def test_a_link_is_kept_when_the_load_that_met_the_user_first_fails(
    home: Path, declarations: Path, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(home, declarations, "a", log("a"))
    rotate_keys(home)
    from orchestration.ingest.lake import BatchWriter

    commit = BatchWriter.commit

    def fail(*_: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(BatchWriter, "commit", fail)
    with pytest.raises(OSError, match="no space"):
        load(home, declarations, "b", log("b", attributes={"user.id": "user-1"}))
    monkeypatch.setattr(BatchWriter, "commit", commit)
    load_inbox(home, declarations)
    assert links(home, query) == [tuple(pseudonyms(home, "user-1"))]


def test_what_a_kill_left_beside_the_key_is_deleted(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    for name in ("key.json.0f.tmp", "key.json.0f.tmp.tmp"):
        (tmp_path / name).write_bytes(b"{}")
    (tmp_path / "other.json.0f.tmp").write_bytes(b"")
    keys = load_keys(path)
    assert load_keys(path) == keys
    assert sorted(each.name for each in tmp_path.iterdir()) == ["key.json", "other.json.0f.tmp"]


@given(key=st.binary(min_size=1, max_size=100), message=st.binary(max_size=300))
def test_a_keyed_hash_is_the_standard_librarys(key: bytes, message: bytes) -> None:
    expected = hmac.digest(key, message, "sha256").hex()
    keyed = KeyedHash(key)
    assert keyed.hex(message) == expected
    # a second message, and another process, start anew
    assert keyed.hex(message) == expected
    assert pickle.loads(pickle.dumps(keyed)).hex(message) == expected  # noqa: S301 - our own
