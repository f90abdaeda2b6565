"""A small world behind an API that listens on this machine: what every test here starts from."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import httpx
import uvicorn

from serving.api.app import Api
from serving.api.errors import EventSinkError
from serving.api.server import server_config
from serving.api.settings import ApiLimits, ApiSettings, Ports
from serving.api.tokens import ROLES, create_token
from serving.hot_marts import encode_key
from serving.store import open_store
from serving.sync import sync
from tests.serving.conftest import manifest_of, node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

AS_OF = datetime.fromisoformat("2026-03-10T00:00:00")
NOW = AS_OF + timedelta(hours=2)
KEYS = (b"new" * 11, b"old" * 11)
ANNA, BERT, UNKNOWN = "anna/ä 1", "bert", "nobody"
TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"
START_SECONDS = 60.0
MANIFEST = manifest_of(
    node("hot_user_profiles", ["user_id"]),
    node("hot_preference_dimensions", ["dimension"]),
    node("hot_consent_purposes", ["purpose"]),
    node("hot_experiments", ["experiment_name"]),
    node("hot_decision_points", ["decision_point"]),
    node("hot_policy_arms", ["decision_point", "context"]),
)


def pseudonyms(raw: str) -> list[str]:
    """Under a newer key, and under the oldest one."""
    return [hmac.digest(key, raw.encode(), "sha256").hex() for key in KEYS]


def stable(raw: str) -> str:
    return pseudonyms(raw)[-1]


def preference(dimension: str, value: str, kind: str = "inferred", **more: Any) -> dict[str, Any]:
    shown = {
        "context": "all",
        "kind": kind,
        "score": 0.8 if kind == "inferred" else None,
        "score_lower": 0.7 if kind == "inferred" else None,
        "score_upper": 0.9 if kind == "inferred" else None,
        "evidence_count": 12,
        "reason": "Signals from you: 12.",
    }
    return {"dimension": dimension, "value": value, **shown, **more}


def profile(*preferences: dict[str, Any], consent: bool = True) -> dict[str, Any]:
    return {
        "preferences": list(preferences),
        "segments": {"plan": "pro"},
        "consent": {"measurement": True, "operations": True, "personalization": consent},
    }


def dimension(name: str, default: str, *values: str, **more: Any) -> dict[str, Any]:
    return {
        "dimension": name,
        "description": f"About {name}",
        "default_value": default,
        "values": [{"value": value, "label": value.title()} for value in values],
        "context_attributes": None,
        "is_user_controllable": True,
        **more,
    }


def experiment(name: str, **more: Any) -> dict[str, Any]:
    return {
        "experiment_name": name,
        "unit": "user",
        "started_at": "2026-03-01T00:00:00Z",
        "ended_at": None,
        "control_variant": "control",
        "variants": [
            {"variant": "control", "allocation": 0.5},
            {"variant": "treatment", "allocation": 0.5},
        ],
        "layer": None,
        "holdout_share": 0.0,
        **more,
    }


def policy(context: str, **probabilities: float) -> dict[str, Any]:
    return {
        "decision_point": "reply-format",
        "context": context,
        "actions": [{"action": a, "probability": p} for a, p in sorted(probabilities.items())],
        "exploration_floor": 0.05,
        "position": 0,
    }


def world() -> dict[str, dict[str, dict[str, Any]]]:
    """View -> key -> payload."""
    dimensions = [
        dimension("style", "detailed", "concise", "detailed"),
        dimension("format", "prose", "bullets", "prose", context_attributes="task.kind"),
        dimension("model", "small", "large", "small", is_user_controllable=False),
    ]
    purposes = [("personalization", False), ("measurement", True), ("operations", True)]
    experiments = [
        experiment("answers"),
        experiment("planned", started_at="2026-06-01T00:00:00Z"),
        experiment("held", holdout_share=1.0),
        experiment("sessions", unit="session"),
    ]
    points = [{"decision_point": "reply-format", "context_attributes": "task.kind", "bins": None}]
    policies = [policy("all", bullets=0.5, prose=0.5), policy("fix", bullets=0.9, prose=0.1)]
    anna = profile(
        preference("format", "bullets"),
        preference("format", "prose", context="task.kind=fix"),
        preference("style", "concise"),
    )
    bert = profile(preference("style", "detailed", "default"), consent=False)
    return {
        "hot_user_profiles": {stable(ANNA): anna, stable(BERT): bert},
        "hot_preference_dimensions": {each["dimension"]: each for each in dimensions},
        "hot_consent_purposes": {
            name: {"purpose": name, "granted_by_default": granted, "description": f"To {name}"}
            for name, granted in purposes
        },
        "hot_experiments": {each["experiment_name"]: each for each in experiments},
        "hot_decision_points": {each["decision_point"]: each for each in points},
        "hot_policy_arms": {
            encode_key([each["decision_point"], each["context"]]): each for each in policies
        },
    }


def fill(folder: Path, url: str, views: Mapping[str, Mapping[str, Any]], as_of: datetime) -> None:
    """Build these views in a warehouse and sync them."""
    with duckdb.connect() as warehouse:
        warehouse.execute("attach ':memory:' as warehouse; create schema warehouse.serving")
        for each in MANIFEST["nodes"].values():
            columns = each["config"]["meta"]["serving"]["key_columns"]
            typed = ", ".join(f"{column} varchar" for column in columns)
            table = f"warehouse.serving.{each['name']}"
            warehouse.execute(
                f"create table {table} ({typed}, payload varchar, content_hash varchar)"
            )
            for key, payload in views.get(each["name"], {}).items():
                parts = json.loads(key) if len(columns) > 1 else [key]
                text = json.dumps(payload)
                digest = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
                marks = ", ".join("?" for _ in range(len(columns) + 2))
                warehouse.execute(f"insert into {table} values ({marks})", [*parts, text, digest])
        with open_store(url) as store:
            sync(
                warehouse,
                store,
                MANIFEST,
                as_of=as_of,
                run_id="run",
                ledger=folder / "ledger.duckdb",
                allow_removal=True,
            )


@dataclass
class Sink:
    """Takes lines, or says that it cannot."""

    lines: list[bytes] = field(default_factory=list)
    trouble: str = ""
    is_running: bool = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.is_running = False

    async def append(self, line: bytes) -> None:
        if self.trouble:
            raise EventSinkError(self.trouble)
        self.lines.append(line)

    @property
    def events(self) -> list[dict[str, Any]]:
        """Name, trace and attributes of each event."""
        found = []
        for line in self.lines:
            (record,) = json.loads(line)["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
            said = {a["key"]: next(iter(a["value"].values())) for a in record["attributes"]}
            found.append({"name": record["eventName"], "trace": record.get("traceId"), **said})
        return found


@dataclass
class Served:
    """An API that listens, its cache, its events, and tokens for it."""

    folder: Path
    url: str
    port: int
    sink: Sink
    settings: ApiSettings
    clock: list[datetime]
    server: uvicorn.Server

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def token(self, *roles: str, user: str | None = None) -> str:
        """Make a token that the API knows already."""
        subject = None if user is None else stable(user)
        _, text = create_token(
            self.settings.token_file, name="test", roles=roles or ROLES, subject=subject
        )
        self.settle()
        return text

    def client(self, token: str | None = None) -> httpx.Client:
        """A client with a token, by default one that may do everything."""
        given = self.token() if token is None else token
        headers = {"authorization": f"Bearer {given}"} if given else {}
        return httpx.Client(base_url=self.base, headers=headers, timeout=30)

    def stop(self) -> None:
        """Tell it to end, as a signal does."""
        self.server.should_exit = True

    def settle(self) -> None:
        """Wait until the API has looked at its cache and tokens twice more."""
        with httpx.Client(base_url=self.base) as client:
            seen = looks(client)
            eventually(lambda: looks(client) >= seen + 2)

    def fill(self, views: Mapping[str, Mapping[str, Any]], as_of: datetime = AS_OF) -> None:
        """Sync other views, and wait until the API knows."""
        fill(self.folder, self.url, views, as_of)
        self.settle()


def looks(client: httpx.Client) -> float:
    """How often the API has looked, at what it looked at least."""
    lines = client.get("/metrics").text.splitlines()
    return min(float(each.split()[1]) for each in lines if each.startswith("attune_looks_total"))


def eventually(condition: Callable[[], bool]) -> None:
    """Wait for what has to come, and fail if it does not."""
    end = time.monotonic() + START_SECONDS
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.005)


@contextmanager
def serving(
    folder: Path,
    *,
    url: str | None = None,
    views: Mapping[str, Mapping[str, Any]] | None = None,
    limits: ApiLimits | None = None,
    ports: Ports | None = None,
) -> Iterator[Served]:
    """An API on a free port of this process; `views` default to `world()`, {} leaves no cache."""
    url = url or f"sqlite:///{folder / 'cache.sqlite'}"
    wanted = world() if views is None else views
    if wanted:
        fill(folder, url, wanted, AS_OF)
    sink, clock = Sink(), [NOW]
    settings = ApiSettings(
        cache_url=url,
        token_file=folder / "tokens.json",
        port=0,
        limits=limits or ApiLimits(user_requests=1e6, failures=1e6),
        refresh_seconds=0.01,
        catalog_file=folder / "catalog.json",
    )
    own = Ports(pseudonyms=pseudonyms, events=sink, now=lambda: clock[0])
    application = Api(settings, ports or own)
    server = uvicorn.Server(server_config(application, application.answer))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            eventually(lambda: server.started or not thread.is_alive())
            yield Served(folder, url, listener.getsockname()[1], sink, settings, clock, server)
        finally:
            server.should_exit = True
            thread.join()


def names(found: Sequence[Mapping[str, Any]]) -> list[str]:
    return [each["name"] for each in found]
