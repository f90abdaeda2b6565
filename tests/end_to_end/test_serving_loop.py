"""The loop is closed: what the API serves and hears comes back through the inbox into the marts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import orjson
import pytest

from orchestration.lib import dbt_runner, serve, steps
from orchestration.lib.report import open_warehouse
from orchestration.receiver.config import Limits
from serving.api.events import Trace as TraceOfEvent
from serving.api.events import event_line, new_event_id
from serving.clock import utc_now
from serving.hot_marts import encode_key
from serving.store import open_store
from serving.sync import sync
from serving.verify import verify
from tests.serving.api.served import dimension, experiment, fill, policy, profile, serving, world

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime
    from pathlib import Path

    from tests.workspaces import WorkspaceUnderTest

pytestmark = pytest.mark.xdist_group("serving_loop")

DECISIONS = 400
TABLES = (
    "+path:models/marts/serving",
    "+fct_user_controls_served",
    "+rpt_policy_values",
    "+int_exposures_merged",
)
EXPERIMENT = """experiment_name,unit,control_variant,started_at,ended_at,owner,hypothesis
answers,user,control,2020-01-01,,team,Nothing changes
"""
VARIANTS = "experiment_name,variant,allocation\nanswers,control,0.5\nanswers,treatment,0.5\n"
METRICS = "experiment_name,metric_name,role\nanswers,turns_per_user,success\n"


def emitted(name: str, at: datetime, trace_id: str = "", **attributes: Any) -> bytes:
    """An event of the assistant itself."""
    named = {key.replace("__", "."): value for key, value in attributes.items()}
    trace = TraceOfEvent(trace_id, trace_id[:16])
    return event_line(name, named, event_id=new_event_id(), at=at, trace=trace)


def served_before(users: Iterable[str]) -> dict[str, dict[str, Any]]:
    """What an earlier build would have served: consent, and nothing known yet."""
    point = {"decision_point": "reply-format", "context_attributes": "task.kind", "bins": None}
    arms = policy("all", bullets=0.5, code_first=0.25, prose=0.25)
    answers = experiment("answers", started_at="2020-01-01T00:00:00Z")
    style = dimension("answer_style", "detailed", "concise", "detailed")
    return {
        "hot_consent_purposes": world()["hot_consent_purposes"],
        "hot_user_profiles": {user: profile() for user in users},
        "hot_preference_dimensions": {"answer_style": style},
        "hot_experiments": {"answers": answers},
        "hot_decision_points": {"reply-format": point},
        "hot_policy_arms": {encode_key(["reply-format", "all"]): arms},
    }


def built(under_test: WorkspaceUnderTest) -> None:
    """Build what is asked for here, with the data tests that concern nothing else."""
    workspace = under_test.workspace
    result = dbt_runner.run_dbt(
        workspace,
        ["build", "--indirect-selection", "cautious", "--exclude-resource-type", "unit_test"]
        + ["--select", *TABLES],
        manifest=under_test.manifests.manifest_for(workspace),
    )
    assert result.success, [each.message for each in result.result if each.status != "success"]


def synced(under_test: WorkspaceUnderTest) -> None:
    """Sync what was built."""
    workspace = under_test.workspace
    manifest = orjson.loads(workspace.manifest.read_bytes())
    with (
        open_warehouse(workspace.warehouse) as connection,
        open_store(workspace.cache_url) as store,
    ):
        sync(
            connection,
            store,
            manifest,
            as_of=steps.build_as_of(connection, workspace),
            run_id="test",
            ledger=workspace.home / "ledger.duckdb",
            # the erased user, and what this world's declarations do not know
            allow_removal=True,
            has_heard=lambda _: True,
        )
        assert verify(connection, store, manifest).ok


def test_what_is_served_and_said_comes_back(
    workspace: Callable[..., WorkspaceUnderTest], tmp_path: Path
) -> None:
    under_test = workspace(
        overrides={
            "experiments/experiments.csv": EXPERIMENT,
            "experiments/experiment_variants.csv": VARIANTS,
            "experiments/experiment_metrics.csv": METRICS,
        }
    )
    moment = utc_now() - timedelta(hours=3)
    consent: dict[str, Any] = {"consent__purpose": "personalization", "consent__granted": True}
    first = [
        emitted("user.consent.changed", moment - timedelta(days=1), user__id=user, **consent)
        for user in ("anna", "bert", "carl")
    ]
    under_test.drop("first.jsonl", b"\n".join(first) + b"\n")
    api_ports = replace(serve.ports(under_test.workspace, Limits(free_bytes=0)), now=lambda: moment)
    stable = {user: api_ports.pseudonyms(user)[-1] for user in ("anna", "bert", "carl")}
    url = under_test.workspace.cache_url
    fill(tmp_path, url, served_before(stable.values()), moment)
    (under_test.workspace.home / serve.STAGING).mkdir()
    with (
        serving(tmp_path, url=url, views={}, ports=api_ports) as served,
        served.client() as client,
    ):
        said = client.put("/v1/users/anna/preferences/answer_style", json={"value": "concise"})
        withdrawn = client.put("/v1/users/bert/consents/personalization", json={"granted": False})
        erased = client.post("/v1/users/carl/erasure")
        assert (said.status_code, withdrawn.status_code, erased.status_code) == (200, 200, 202)
        before = {
            user: client.get(f"/v1/users/{user}/profile").json()["profile"]
            for user in ("anna", "bert", "carl")
        }
        decided = decisions(client)
        exposed = client.post(
            "/ofrep/v1/evaluate/flags/answers", json={"context": {"targetingKey": "anna"}}
        ).json()

    # the client emits what it was told as well: the same decisions, and what came of them
    lines = []
    for number, decision in enumerate(decided):
        attributes = {
            key: value
            for key, value in decision["event"]["attributes"].items()
            if key not in ("decision.propensity", "task.kind")
        }
        trace = TraceOfEvent(decision["trace_id"], "1" * 16)
        lines.append(
            event_line(
                "feature_flag.evaluation",
                attributes,
                event_id=new_event_id(),
                at=moment + timedelta(seconds=1),
                trace=trace,
            )
        )
        if number % 3 == 0:
            lines.append(
                emitted(
                    "assistant.response.copied",
                    moment + timedelta(minutes=1),
                    decision["trace_id"],
                    user__id=f"user-{number}",
                    response__id=f"response-{number}",
                )
            )
    under_test.drop("client.jsonl", b"\n".join(lines) + b"\n")
    report = under_test.ingest()
    assert report.rejected == {}
    built(under_test)

    logged = under_test.query(
        "select trace_id, context, action, propensity, reward from marts.fct_decisions"
    )
    assert {each["trace_id"]: each for each in logged} == {
        decision["trace_id"]: {
            "trace_id": decision["trace_id"],
            "context": decision["context"],
            "action": decision["action"],
            "propensity": pytest.approx(decision["propensity"]),
            "reward": 1.0 if number % 3 == 0 else 0.0,
        }
        for number, decision in enumerate(decided)
    }
    assert len(logged) == DECISIONS
    values = under_test.query(
        "select estimator, support, value, logged_value, rows from marts.rpt_policy_values "
        "where policy_name = 'always-bullets'"
    )
    assert {each["support"] for each in values} <= {"ok", "warn"}
    assert all(each["rows"] == DECISIONS for each in values)
    assert all(each["value"] is not None for each in values)

    exposures = under_test.query(
        "select variant from intermediate.int_exposures_merged where flag_key = 'answers'"
    )
    assert exposures == [{"variant": exposed["variant"]}]

    held = {
        row["event_id"]
        for row in under_test.query("select event_id from serving.fct_user_controls_served")
    }
    assert {said.json()["event_id"], withdrawn.json()["event_id"]} < held
    synced(under_test)
    with open_store(url, read_only=True) as store:
        assert [control for block in store.controls() for control in block] == []
        after = {user: store.read("hot_user_profiles", key) for user, key in stable.items()}
    anna, bert = after["anna"].entry, after["bert"].entry
    assert anna is not None
    assert bert is not None
    assert kinds(before["anna"]) <= kinds(orjson.loads(anna.payload))
    assert orjson.loads(bert.payload)["consent"]["personalization"] is False
    assert {kind for _, _, kind in kinds(orjson.loads(bert.payload))} <= {"default"}
    assert after["carl"].entry is None


def decisions(client: httpx.Client) -> list[dict[str, Any]]:
    found = []
    for number in range(DECISIONS):
        context = ("explain", "write", "fix")[number % 3]
        query = {"user_id": f"user-{number}", "context": context}
        answer = client.get("/v1/decisions/reply-format", params=query)
        assert answer.status_code == 200, answer.text
        found.append(answer.json())
    return found


def kinds(profile: dict[str, Any]) -> set[tuple[str, str, str]]:
    return {(p["dimension"], p["value"], p["kind"]) for p in profile["preferences"]}
