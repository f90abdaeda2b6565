"""What users say, and what is taken back: at once, and never undone by a later sync."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.clock import utc_now
from serving.errors import ErasedError, LostControlsError
from serving.redis_store import RedisStore
from serving.sqlite_store import SqliteStore
from serving.store import Control, Read, open_store
from tests.serving.conftest import Workspace, controlled_manifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

VIEW = "hot_user_profiles"
USERS = ["a", "b", "c", "d}", "e{f}"]


@pytest.fixture(scope="module", params=["sqlite", "valkey"])
def store_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def make_controlled(make_workspace: Callable[[], Workspace]) -> Callable[[], Workspace]:
    """Workspaces whose profiles users control: the warehouse lists the events it holds."""

    def make() -> Workspace:
        workspace = make_workspace()
        workspace.manifest = controlled_manifest()
        workspace.execute("create schema serving")
        workspace.execute("create table serving.fct_controls (event_id varchar)")
        return workspace

    return make


def control(user: str, number: int) -> Control:
    return Control(user, f"event-{number}", json.dumps({"number": number}).encode())


def test_a_control_is_read_with_its_value_at_once_and_settled_by_the_build_that_holds_it(
    make_controlled: Callable[[], Workspace],
) -> None:
    workspace = make_controlled()
    workspace.build({"a": "1", "b": "2"})
    workspace.sync()
    said = [control("a", 1), control("a", 2), control("new", 3)]
    for each in [*said, said[0]]:
        workspace.store.add_control(each)
    read = workspace.store.read(VIEW, "a")
    assert read.entry is not None
    assert read.entry.payload == b"1"
    assert read.controls == (said[0].payload, said[1].payload)
    assert workspace.store.read(VIEW, "new") == Read(None, (said[2].payload,), is_erased=False)
    assert workspace.store.read(VIEW, "nobody") == Read(None, (), is_erased=False)
    many = workspace.store.read_many(VIEW, ["a", "b", "new", "nobody"])
    assert {user: len(each.controls) for user, each in many.items()} == {"a": 2, "b": 0, "new": 1}

    report = workspace.sync()
    assert (report.moved, report.settled, report.waiting) == (0, 0, 3)
    assert workspace.verify().waiting == 3
    workspace.execute("insert into serving.fct_controls values ('event-1')")
    workspace.build({"a": "said", "b": "2"})
    report = workspace.sync()
    assert (report.moved, report.settled, report.waiting) == (1, 1, 2)
    read = workspace.store.read(VIEW, "a")
    assert read.entry is not None
    assert read.entry.payload == b"said"
    assert read.controls == (said[1].payload,)
    assert workspace.verify().ok


def test_an_erased_user_stays_away_whatever_the_warehouse_still_holds(
    make_controlled: Callable[[], Workspace],
) -> None:
    workspace = make_controlled()
    workspace.build({"a": "1", "b": "2"})
    workspace.sync()
    workspace.store.add_control(control("a", 1))
    assert workspace.store.erase(["a", "later"]) == 1
    assert workspace.store.read(VIEW, "a") == Read(None, (), is_erased=True)
    with pytest.raises(ErasedError, match="erased"):
        workspace.store.add_control(control("a", 2))
    assert list(workspace.store.controls()) in ([], [[]])
    for contents in ({"a": "1", "b": "2"}, {"a": "3", "b": "2", "later": "4"}, {"a": "3"}):
        workspace.build(contents)
        workspace.sync(allow_removal=True)
        assert workspace.served() == {user: each for user, each in contents.items() if user == "b"}
        assert workspace.verify().ok
    workspace.sync(recheck=True, ledger=None)
    assert workspace.served() == {}
    assert workspace.verify().ok


def lose(workspace: Workspace) -> None:
    """A server that is flushed; files that are deleted."""
    if isinstance(workspace.store, RedisStore):
        client = workspace.store._client
        for name in client.scan_iter(match=f"{workspace.store._prefix}:*"):
            client.delete(name)
    else:
        workspace.store.close()
        for path in workspace.folder.glob("cache.sqlite*"):
            path.unlink()
        workspace.store = open_store(workspace.url)


def test_a_lost_store_is_not_filled_with_what_users_took_back(
    make_controlled: Callable[[], Workspace],
) -> None:
    workspace = make_controlled()
    workspace.build({"a": "believed", "b": "2", "c": "3"})
    workspace.sync()
    workspace.store.erase(["b"])
    workspace.sync()
    workspace.store.add_control(control("a", 1))
    lose(workspace)
    asked: list[datetime] = []

    def has_heard(moment: datetime) -> bool:
        asked.append(moment)
        return len(asked) > 1

    before = utc_now()
    with pytest.raises(LostControlsError, match="attune run"):
        workspace.sync(has_heard=has_heard)
    with pytest.raises(LostControlsError):
        workspace.sync(has_heard=lambda _: False)
    assert workspace.served() == {}
    assert workspace.store.read(VIEW, "b").is_erased
    workspace.execute("insert into serving.fct_controls values ('event-1')")
    workspace.build({"a": "nothing", "b": "2", "c": "3"})
    workspace.sync(has_heard=has_heard)
    # the loss is as old as its first sight: what was said since is not lost
    assert asked[0] == asked[1]
    assert before <= asked[0] <= utc_now()
    assert workspace.served() == {"a": "nothing", "c": "3"}
    assert workspace.verify().ok
    workspace.sync()


def test_a_store_that_came_back_older_forgets_the_erased_again(
    make_controlled: Callable[[], Workspace],
) -> None:
    workspace = make_controlled()
    workspace.build({"a": "1", "b": "2"})
    workspace.sync()
    workspace.store.erase(["a"])
    workspace.sync()
    if isinstance(workspace.store, RedisStore):
        prefix = workspace.store._prefix
        workspace.store._client.delete(f"{prefix}:erased")
        header = f"{1:016x}|{0:016x}||hash"
        workspace.store._client.set(f"{prefix}:v:{VIEW}:1:{{a}}", f"{header}\nold")
    else:
        assert isinstance(workspace.store, SqliteStore)
        workspace.store._said.execute("delete from erasures")
        workspace.store._values.execute(
            "insert into entries select view, 'a', 'hash', 1, '', 0, cast('old' as blob) from entries"
        )
    workspace.store.add_control(control("a", 1))
    assert workspace.store.get(VIEW, "a") is not None
    workspace.sync(recheck=True)
    assert workspace.store.read(VIEW, "a") == Read(None, (), is_erased=True)
    assert workspace.served() == {"b": "2"}
    assert workspace.verify().ok


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("build"), st.dictionaries(st.sampled_from(USERS), st.text("xy", max_size=2))
        ),
        st.tuples(st.just("say"), st.sampled_from(USERS)),
        st.tuples(st.just("hear"), st.just(None)),
        st.tuples(st.just("erase"), st.sampled_from(USERS)),
        st.tuples(st.just("sync"), st.booleans()),
    ),
    min_size=2,
    max_size=12,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS)
def test_cache_and_mart_agree_after_any_sequence_of_controls_builds_syncs_and_erasures(
    make_controlled: Callable[[], Workspace], steps: list[tuple[str, object]]
) -> None:
    workspace = make_controlled()
    mart: dict[str, str] = {}
    waiting: dict[str, list[bytes]] = {}
    unheard: list[str] = []
    held: set[str] = set()
    said: dict[str, str] = {}
    erased: set[str] = set()
    workspace.build(mart)
    for number, (what, value) in enumerate([*steps, ("sync", True)]):
        if what == "build":
            assert isinstance(value, dict)
            mart = value
            workspace.build(mart)
        elif what == "say" and value not in erased:
            said[f"event-{number}"] = str(value)
            unheard.append(f"event-{number}")
            workspace.store.add_control(control(str(value), number))
            waiting.setdefault(str(value), []).append(control(str(value), number).payload)
        elif what == "hear":
            for event in unheard:
                workspace.execute(f"insert into serving.fct_controls values ('{event}')")
            held |= set(unheard)
            unheard = []
        elif what == "erase":
            erased.add(str(value))
            waiting.pop(str(value), None)
            workspace.store.erase([str(value)])
        elif what == "sync":
            workspace.sync(allow_removal=True, recheck=not value)
            for user in waiting:
                waiting[user] = [
                    payload
                    for payload in waiting[user]
                    if f"event-{json.loads(payload)['number']}" not in held
                ]
            expected = {user: each for user, each in mart.items() if user not in erased}
            assert workspace.served() == expected
            assert workspace.verify().ok
        reads = workspace.store.read_many(VIEW, USERS)
        for user in USERS:
            controls = reads[user].controls if user in reads else ()
            assert list(controls) == waiting.get(user, [])
            assert (user in reads and reads[user].is_erased) == (user in erased)
    workspace.store.close()
