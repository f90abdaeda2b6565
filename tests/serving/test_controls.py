"""What users say, and what is taken back: at once, and never undone by a later sync."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from serving import redis_store
from serving.clock import utc_now
from serving.errors import ErasedError, LostControlsError, StoreError
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


def heard_when_asked_again(asked: list[datetime]) -> Callable[[datetime], bool]:
    """Notes the moments that it is asked about; from the second on the build holds what was said."""

    def has_heard(moment: datetime) -> bool:
        asked.append(moment)
        return len(asked) > 1

    return has_heard


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
    has_heard = heard_when_asked_again(asked)
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


def test_a_store_that_is_lost_with_its_ledger_is_filled_from_a_build_that_holds_what_was_said(
    make_controlled: Callable[[], Workspace],
) -> None:
    workspace = make_controlled()
    workspace.build({"a": "believed", "b": "2"})
    workspace.sync()
    workspace.store.erase(["b"])
    workspace.sync()
    workspace.store.add_control(control("a", 1))
    lose(workspace)
    workspace.ledger.unlink()
    asked: list[datetime] = []
    has_heard = heard_when_asked_again(asked)
    with pytest.raises(LostControlsError, match="no earlier sync is noted"):
        workspace.sync(has_heard=has_heard)
    assert workspace.served() == {}
    workspace.build({"a": "nothing"})
    workspace.sync(has_heard=has_heard)
    assert asked[0] == asked[1]
    assert workspace.served() == {"a": "nothing"}
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
        st.tuples(st.just("change the schema"), st.just(None)),
        st.tuples(st.just("roll back"), st.just(None)),
        st.tuples(st.just("lose"), st.just(None)),
        st.tuples(st.just("sync"), st.booleans()),
    ),
    min_size=2,
    max_size=14,
)


# what a search finds seldom
TAKEN_BACK_BEFORE_A_ROLLBACK: list[tuple[str, Any]] = [
    ("build", {"a": "x"}),
    ("sync", True),
    ("change the schema", None),
    ("build", {"a": "y"}),
    ("sync", True),
    ("say", "a"),
    ("hear", None),
    ("sync", True),
    ("roll back", None),
]
LOST_WITH_A_WORD_AND_AN_ERASURE: list[tuple[str, Any]] = [
    ("build", {"a": "x", "b": "y", "c": "x"}),
    ("erase", "c"),
    ("sync", True),
    ("say", "a"),
    ("erase", "b"),
    ("lose", None),
    ("sync", True),
    ("hear", None),
    ("sync", True),
]


class World:
    """A workspace, and beside it what must be true of it.

    Every value ends with the number of events that its build held, so that a value that is older
    than a settled control gives itself away.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.texts: dict[str, str] = {}
        self.mart: dict[str, str] = {}
        self.waiting: dict[str, list[Control]] = {}
        # words in the inbox, which the next build holds, and those that only the store knew too
        self.unheard: list[str | Control] = []
        self.lost: list[str | Control] = []
        self.held: list[str] = []
        self.settled: set[str] = set()
        self.erased: set[str] = set()
        self.erased_in_store: set[str] = set()
        self.erased_in_ledger: set[str] = set()
        self.build({})
        self.sync(True)

    def build(self, texts: dict[str, str]) -> None:
        self.texts = texts
        gone = self.erased - {word for word in self.unheard if isinstance(word, str)}
        self.mart = {
            user: f"{text} {len(self.held)}" for user, text in texts.items() if user not in gone
        }
        self.workspace.build(self.mart)

    def say(self, user: str, number: int) -> None:
        if user not in self.erased:
            said = control(user, number)
            self.workspace.store.add_control(said)
            self.waiting.setdefault(user, []).append(said)
            self.unheard.append(said)

    def hear(self) -> None:
        events = [word.event_id for word in self.unheard if isinstance(word, Control)]
        for event in events:
            self.workspace.execute(f"insert into serving.fct_controls values ('{event}')")
        self.held += events
        self.unheard, self.lost = [], []
        self.build(self.texts)

    def erase(self, user: str) -> None:
        self.workspace.store.erase([user])
        self.waiting.pop(user, None)
        self.erased.add(user)
        self.erased_in_store.add(user)
        self.unheard.append(user)

    def change_the_schema(self) -> None:
        described = self.workspace.manifest["nodes"][f"model.attune.{VIEW}"]["checksum"]
        described["checksum"] += "'"

    def roll_back(self) -> None:
        with suppress(StoreError):
            self.workspace.store.rollback(VIEW)

    def lose(self) -> None:
        lose(self.workspace)
        self.waiting, self.erased_in_store = {}, set()
        self.lost = list(self.unheard)

    def sync(self, by_ledger: bool) -> None:
        self.erased_in_store |= self.erased_in_ledger
        options = {"allow_removal": True, "recheck": not by_ledger}
        if self.lost:
            with pytest.raises(LostControlsError):
                self.workspace.sync(**options)
            return
        self.workspace.sync(**options, has_heard=lambda _: True)
        self.erased_in_ledger = set(self.erased_in_store)
        for user, said in self.waiting.items():
            self.settled |= {each.event_id for each in said} & set(self.held)
            self.waiting[user] = [each for each in said if each.event_id not in self.held]
        assert self.workspace.served() == {
            user: value for user, value in self.mart.items() if user not in self.erased_in_store
        }
        assert self.workspace.verify().ok

    def check_reads(self) -> None:
        reads = self.workspace.store.read_many(VIEW, USERS)
        for user in USERS:
            read = reads.get(user, Read(None, (), is_erased=False))
            assert list(read.controls) == [each.payload for each in self.waiting.get(user, [])]
            assert read.is_erased == (user in self.erased_in_store)
            if read.entry is not None:
                held = int(read.entry.payload.split()[-1])
                assert self.settled <= set(self.held[:held]), "a settled control was taken back"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS)
@example(steps=TAKEN_BACK_BEFORE_A_ROLLBACK)
@example(steps=LOST_WITH_A_WORD_AND_AN_ERASURE)
def test_cache_and_mart_agree_after_any_sequence_of_controls_builds_syncs_erasures_and_losses(
    make_controlled: Callable[[], Workspace], steps: list[tuple[str, Any]]
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        # nobody else reads here, so nobody has to be waited for
        patched.setattr(redis_store, "EPOCH_SECONDS", 0.0)
        world = World(make_controlled())
        for number, (what, value) in enumerate([*steps, ("hear", None), ("sync", True)]):
            match what:
                case "build":
                    world.build(value)
                case "say":
                    world.say(value, number)
                case "hear":
                    world.hear()
                case "erase":
                    world.erase(value)
                case "change the schema":
                    world.change_the_schema()
                case "roll back":
                    world.roll_back()
                case "lose":
                    world.lose()
                case "sync":
                    world.sync(value)
            world.check_reads()
        world.workspace.store.close()
