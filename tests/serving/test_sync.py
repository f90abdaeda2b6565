from __future__ import annotations

from datetime import timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.clock import naive_utc
from serving.errors import (
    HotMartError,
    RemovalRefusedError,
    StaleChangeSetError,
    VerificationError,
)
from serving.hot_marts import encode_key
from serving.store import ChangeSet, Digest, digest_of
from tests.serving.conftest import AS_OF, ROW_HASH, Workspace, manifest_of, node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

VIEW = "hot_user_profiles"
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
CONTENTS = st.dictionaries(st.sampled_from(["a", "b", "ü", 'q"', "e\n", "f", "g"]), TEXT)


@pytest.fixture(scope="module", params=["sqlite", "valkey"])
def store_kind(request: pytest.FixtureRequest) -> str:
    """Both stores mean the same."""
    return str(request.param)


@pytest.mark.parametrize("has_row_hash", [True, False])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(sequence=st.lists(CONTENTS, min_size=1, max_size=5))
def test_after_any_sequence_the_store_equals_the_mart_and_unchanged_rows_were_left_alone(
    make_workspace: Callable[[], Workspace], has_row_hash: bool, sequence: list[dict[str, str]]
) -> None:
    workspace = make_workspace()
    if not has_row_hash:
        workspace.manifest = manifest_of(node(VIEW, ["user_id"]))
    before: dict[str, str] = {}
    generations: dict[str, int] = {}
    generation = 0
    for number, contents in enumerate(sequence):
        workspace.build(contents)
        (report,) = workspace.sync(allow_removal=True).views
        touched = {key for key, payload in contents.items() if before.get(key) != payload}
        gone = before.keys() - contents.keys()
        if touched or gone or number == 0:
            generation += 1
        generations = {key: generation if key in touched else generations[key] for key in contents}
        assert report.added == len(contents.keys() - before.keys())
        assert report.changed == len(touched & before.keys())
        assert report.removed == len(gone)
        assert report.unchanged == len(contents) - len(touched)
        assert report.generation == generation
        assert workspace.served() == contents
        entries = workspace.store.get_many(VIEW, list(contents))
        assert {key: entry.generation for key, entry in entries.items()} == generations
        verified = workspace.verify()
        assert verified.ok, verified.differences
        assert verified.rows == len(contents)
        before = contents
    workspace.store.close()


def test_a_sync_with_nothing_to_do_moves_nothing_but_renews_the_meta(workspace: Workspace) -> None:
    workspace.build({"a": "1", "b": "2"})
    workspace.sync()
    rows_before = workspace.store.get_many(VIEW, ["a", "b"])
    report = workspace.sync()
    assert report.moved == 0
    assert report.views[0].generation == 1
    assert workspace.store.get_many(VIEW, ["a", "b"]) == rows_before
    meta = workspace.store.meta(VIEW)
    assert meta is not None
    assert (meta.generation, meta.run_id) == (1, "run-2")
    assert meta.as_of == AS_OF + timedelta(hours=2)


def test_a_value_carries_where_its_last_change_came_from(workspace: Workspace) -> None:
    workspace.build({"a": "1", "b": "2"})
    workspace.sync()
    workspace.build({"a": "1", "b": "3"})
    workspace.sync()
    old, new = workspace.store.get(VIEW, "a"), workspace.store.get(VIEW, "b")
    assert old is not None
    assert new is not None
    assert (old.generation, old.as_of) == (1, AS_OF + timedelta(hours=1))
    assert (new.generation, new.as_of) == (2, AS_OF + timedelta(hours=2))
    assert new.schema_version == old.schema_version != ""


def test_a_key_that_left_the_mart_is_removed(workspace: Workspace) -> None:
    workspace.build({"a": "1", "b": "2", "c": "3"})
    workspace.sync()
    workspace.build({"a": "1", "c": "3"})
    (report,) = workspace.sync().views
    assert (report.removed, report.added, report.changed) == (1, 0, 0)
    assert workspace.store.get(VIEW, "b") is None


def test_too_many_removals_are_refused_before_any_view_is_written(workspace: Workspace) -> None:
    workspace.manifest = manifest_of(node(VIEW, ["user_id"]), node("hot_a", ["user_id"]))
    workspace.build({"a": "1", "b": "2", "c": "3"})
    workspace.build({"x": "1"}, view="hot_a")
    workspace.sync()
    workspace.build({"a": "1"})
    workspace.build({"x": "2"}, view="hot_a")
    with pytest.raises(RemovalRefusedError, match=r"2 of 3 keys \(66.7%\)") as caught:
        workspace.sync()
    assert "allow_removal" in str(caught.value)
    assert workspace.served() == {"a": "1", "b": "2", "c": "3"}
    assert workspace.served("hot_a") == {"x": "1"}
    assert workspace.sync(max_removed_share=0.7).moved == 3
    workspace.build({})
    assert workspace.sync(allow_removal=True).views[1].rows == 0
    assert workspace.served() == {}


def test_a_view_whose_mart_left_the_manifest_is_emptied_only_on_insistence(
    workspace: Workspace,
) -> None:
    workspace.manifest = manifest_of(node(VIEW, ["user_id"]), node("hot_a", ["user_id"]))
    workspace.build({"a": "1"})
    workspace.build({"x": "1"}, view="hot_a")
    workspace.sync()
    workspace.manifest = manifest_of(node(VIEW, ["user_id"]))
    assert [each.kind for each in workspace.verify().differences] == ["unexpected"]
    with pytest.raises(RemovalRefusedError, match="hot_a: 1 of 1"):
        workspace.sync()
    workspace.sync(allow_removal=True)
    assert workspace.served("hot_a") == {}
    assert workspace.verify().ok
    assert [view.view for view in workspace.sync().views] == [VIEW]


def test_several_key_columns_make_one_json_key(workspace: Workspace) -> None:
    workspace.manifest = manifest_of(node("hot_arms", ["point", "context"]))
    workspace.execute("create schema serving")
    workspace.execute(
        "create table serving.hot_arms as select 'p' as point, 'a\"b' as context, '{}' as payload, "
        "md5('{}') as content_hash"
    )
    workspace.sync()
    entry = workspace.store.get("hot_arms", encode_key(["p", 'a"b']))
    assert entry is not None
    assert entry.payload == b"{}"


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("drop table serving.hot_user_profiles", "dbt build"),
        ("alter table serving.hot_user_profiles drop content_hash", r"content_hash \(missing\)"),
        ("alter table serving.hot_user_profiles alter payload type json", r"payload \(JSON\)"),
        ("insert into serving.hot_user_profiles values ('a', '2', md5('2'), 1)", "1 rows repeat"),
        ("insert into serving.hot_user_profiles values (null, '2', md5('2'), 1)", "1 rows lack"),
        ("insert into serving.hot_user_profiles values ('z', null, 'h', 1)", "1 rows lack"),
        ("insert into serving.hot_user_profiles values ('z', '2', null, 1)", "1 rows lack"),
        ("insert into serving.hot_user_profiles values ('z', '2', md5('2'), null)", "1 rows lack"),
        ("alter table serving.hot_user_profiles drop row_hash", r"row_hash \(missing\)"),
        ("alter table serving.hot_user_profiles alter row_hash type text", r"row_hash \(VARCHAR\)"),
    ],
)
def test_a_mart_that_cannot_be_served_is_refused(
    workspace: Workspace, statement: str, message: str
) -> None:
    workspace.build({"a": "1"})
    workspace.execute(statement)
    with pytest.raises(HotMartError, match=message):
        workspace.sync()
    assert workspace.store.views() == []


@pytest.mark.parametrize(
    "inserted",
    [
        # one like a row that was synced; one beside it; a new one twice, alike and not
        "('a', '1', md5('1'), {a_1})",
        "('a', '2', md5('2'), 7)",
        "('z', '2', md5('2'), 7), ('z', '2', md5('2'), 7)",
        "('z', '2', md5('2'), 7), ('z', '3', md5('3'), 8)",
    ],
)
def test_a_repeated_key_is_refused_before_anything_moves_where_only_changes_are_compared(
    workspace: Workspace, inserted: str
) -> None:
    workspace.build({"a": "1", "b": "1"})
    workspace.sync()
    a_1 = ROW_HASH.format("'a'", "md5('1')")
    workspace.execute(f"insert into serving.{VIEW} values {inserted.format(a_1=a_1)}")
    with pytest.raises(HotMartError, match="1 rows repeat"):
        workspace.sync()
    assert workspace.served() == {"a": "1", "b": "1"}
    assert workspace.store.is_as_left(VIEW)


def test_rows_that_happen_to_share_a_row_hash_are_told_apart_by_their_texts(
    workspace: Workspace,
) -> None:
    workspace.build({"a": "1"})
    workspace.sync()
    workspace.execute(
        f"insert into serving.{VIEW} values ('b', '2', md5('2'), 7), ('c', '3', md5('3'), 7)"
    )
    assert workspace.sync().moved == 2
    assert workspace.served() == {"a": "1", "b": "2", "c": "3"}


def test_another_model_may_make_its_row_hashes_otherwise(workspace: Workspace) -> None:
    workspace.build({"a": "1", "b": "2"})
    workspace.sync()
    # by these numbers alone, nothing but b's value differs from what was synced
    workspace.execute(
        f"update serving.{VIEW} set payload = '3', content_hash = md5('3') where user_id = 'b'"
    )
    workspace.manifest["nodes"][f"model.attune.{VIEW}"]["checksum"]["checksum"] = "another"
    workspace.sync()
    assert workspace.served() == {"a": "1", "b": "3"}
    workspace.execute(
        f"update serving.{VIEW} set payload = '4', content_hash = md5('4'), "
        "row_hash = row_hash + 1 where user_id = 'b'"
    )
    assert workspace.sync().moved == 1
    assert workspace.served() == {"a": "1", "b": "4"}


class OneRow:
    """Rows of a mart that holds one."""

    def blocks(self, **_: bool) -> Iterator[list[tuple[str, str, bytes]]]:
        yield [("z", "h", b"v")]

    def encoded(self, expression: str, block_rows: int) -> Iterator[tuple[int, memoryview]]:
        raise NotImplementedError


def change_set(workspace: Workspace, *, base: int, expected: Digest) -> ChangeSet:
    rows = OneRow()
    meta = workspace.store.meta(VIEW)
    assert meta is not None
    return ChangeSet(
        view=VIEW,
        base_generation=base,
        base_erasures=0,
        base=digest_of(workspace.store.ledger(VIEW)),
        expected=expected,
        removals=[],
        upserts=rows,
        everything=rows,
        is_settled=False,
        is_refill=False,
        has_controls=False,
        schema_version=meta.schema_version,
        as_of=AS_OF,
        run_id=f"run-{workspace.syncs}",
        synced_at=AS_OF,
        max_age_hours=1.0,
    )


def test_a_change_set_against_an_older_generation_is_refused(workspace: Workspace) -> None:
    workspace.build({"a": "1"})
    workspace.sync()
    with pytest.raises(StaleChangeSetError, match=r"at generation 1, .* against 0"):
        workspace.store.apply(change_set(workspace, base=0, expected=Digest(2, "")))
    assert workspace.served() == {"a": "1"}


def test_an_erasure_outdates_the_change_set_of_a_sync_in_progress(workspace: Workspace) -> None:
    workspace.build({"a": "1", "b": "2"})
    workspace.sync()
    assert workspace.store.erase(["a"]) == 1
    with pytest.raises(StaleChangeSetError, match=r"at erasure 1, .* against 0"):
        workspace.store.apply(change_set(workspace, base=1, expected=Digest(3, "")))
    assert workspace.served() == {"b": "2"}


def test_a_change_set_with_another_outcome_than_expected_is_refused(
    workspace: Workspace,
) -> None:
    workspace.build({"a": "1"})
    workspace.sync()
    with pytest.raises(VerificationError, match="sync --recheck"):
        workspace.store.apply(change_set(workspace, base=1, expected=Digest(3, "0" * 32)))
    workspace.sync()
    assert workspace.served() == {"a": "1"}
    assert workspace.verify().ok


@given(pairs=st.dictionaries(TEXT, TEXT))
def test_the_digest_does_not_depend_on_order(pairs: dict[str, str]) -> None:
    items = list(pairs.items())
    assert digest_of([items]) == digest_of([[item] for item in reversed(items)])


def test_a_time_with_a_zone_becomes_utc() -> None:
    east = timezone(timedelta(hours=2))
    assert naive_utc(AS_OF.replace(tzinfo=east)) == AS_OF - timedelta(hours=2)


def test_a_share_outside_zero_to_one_is_refused(workspace: Workspace) -> None:
    workspace.build({"a": "1"})
    with pytest.raises(ValueError, match="share from 0 to 1"):
        workspace.sync(max_removed_share=50)
