"""Rule 3: an incremental history of builds gives the tables of one build from nothing.

Each case cuts a simulated world, with its faults, into files at random, adds late identity links,
consent changes, resets and erasures, and loads the files in random order in several steps; some
steps change a declaration, rotate the key of pseudonyms, compact the lake or erase from it who asked
to be forgotten. After the last step
every mart must equal a build from nothing, either over the same lake or over a lake that was loaded
in another order.

`ATTUNE_PROPERTY_CASES=500 pytest tests/end_to_end/test_incremental_equals_full_refresh.py` runs as
many cases as one likes; a failing case names its number, which is its seed.
"""

from __future__ import annotations

import json
import math
import os
import random
import shutil
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from orchestration.lib import dbt_runner
from orchestration.lib import steps as lib_steps
from orchestration.lib.report import open_warehouse
from simulator import simulate
from tests.workspaces import ManifestCache, WorkspaceUnderTest, make_workspace

if TYPE_CHECKING:
    from pathlib import Path

CASES = int(os.environ.get("ATTUNE_PROPERTY_CASES", "20"))
START = date(2026, 3, 2)
DAYS = 3
USERS = 14
# later than any load of the test
AS_OF = "2100-01-01T00:00:00"
ROTATED_SHARE = 0.3
COMPACTED_SHARE = 0.3
ERASED_SHARE = 0.5
# what depends on how records came in files, which differs when they are loaded in another order
ABOUT_FILES = {"rpt_telemetry_ledger", "rpt_telemetry_problems"}
# what counts all that lies in the lake
ABOUT_ERASURES = ABOUT_FILES | {"rpt_erasure_requests", "rpt_tracking_plan_coverage"}

DECLARATION_CHANGES = {
    "catalog/consent_purposes.csv": ("personalization,false,", "personalization,true,"),
    "catalog/model_prices.csv": ("assist-small,0.25,", "assist-small,0.50,"),
    "catalog/excluded_units.csv": ("^internal-", "^(internal-|nothing)"),
    "preferences/preference_signals.csv": ("response.style,1,1", "response.style,1,3"),
    "preferences/preference_dimensions.csv": ("task.kind,,", "task.kind,2,"),
    "preferences/context_bins.csv": (
        "attribute,bin,lower,upper\n",
        "attribute,bin,lower,upper\ntask.kind,any,0,1\n",
    ),
    "experiments/experiments.csv": (
        "concise-answers,user,control,2026-03-02",
        "concise-answers,user,control,2026-03-03",
    ),
}


def control_record(rng: random.Random, users: list[str], anonymous: list[str]) -> dict[str, Any]:
    """One late control: a link, an unlink, a consent, a setting, a reset or an erasure."""
    at = datetime.combine(START, datetime.min.time(), UTC) + timedelta(
        seconds=rng.randrange(DAYS * 86400)
    )
    user = rng.choice(users)
    kind = rng.choices(
        ["link", "unlink", "consent", "set", "cleared", "erasure"], [4, 2, 6, 3, 2, 1]
    )[0]
    attributes: dict[str, Any] = {"user.id": user}
    if kind in ("link", "unlink"):
        name = "user.identified"
        attributes |= {"identity.anonymous_id": rng.choice(anonymous), "identity.action": kind}
    elif kind == "consent":
        name = "user.consent.changed"
        attributes |= {
            "consent.purpose": rng.choice(["personalization", "measurement", "operations"]),
            "consent.granted": rng.random() < 0.6,
        }
    elif kind == "set":
        name = "user.preference.set"
        attributes |= {
            "preference.dimension": "answer_style",
            "preference.value": rng.choice(["concise", "detailed"]),
        }
    elif kind == "cleared":
        name = "user.preference.cleared"
        if rng.random() < 0.5:
            attributes["preference.dimension"] = "answer_style"
    else:
        name = "user.erasure.requested"
    return {
        "timeUnixNano": str(int(at.timestamp()) * 10**9 + rng.randrange(10**9)),
        "eventName": name,
        "attributes": [
            {
                "key": key,
                "value": {"boolValue": value}
                if isinstance(value, bool)
                else {"stringValue": value},
            }
            for key, value in attributes.items()
        ],
    }


def request_of(records: list[dict[str, Any]]) -> str:
    """One export request without resource attributes."""
    return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]})


def ids_in(lines: list[bytes], key: str) -> list[str]:
    """Distinct raw values of one attribute in log lines."""
    found = set()
    for line in lines:
        try:
            request = json.loads(line)
        except ValueError:
            continue
        for resource in request.get("resourceLogs", []):
            for scope in resource["scopeLogs"]:
                for record in scope["logRecords"]:
                    for item in record.get("attributes", []):
                        if item["key"] == key:
                            found.add(item["value"]["stringValue"])
    return sorted(found)


def files_of_case(rng: random.Random, folder: Path, seed: int) -> list[tuple[str, bytes]]:
    """Cut a world into files of random lines: (name, content)."""
    simulate(folder, users=USERS, days=DAYS, start=START, seed=seed)
    lines: list[bytes] = []
    for path in sorted(folder.glob("*.jsonl")):
        lines += path.read_bytes().removesuffix(b"\n").split(b"\n")
    anonymous = ids_in(lines, "enduser.pseudo.id") or ["anonymous-nobody"]
    users = ids_in(lines, "user.id")
    lines += [
        request_of([control_record(rng, users, [*anonymous, *users])]).encode()
        for _ in range(rng.randrange(4, 12))
    ]
    lines += rng.choices(lines, k=rng.randrange(3))
    rng.shuffle(lines)
    count = rng.randrange(3, 7)
    cuts = sorted(rng.sample(range(1, len(lines)), min(count, len(lines) - 1)))
    return [
        (f"part-{number}.jsonl", b"\n".join(lines[start:end]) + b"\n")
        for number, (start, end) in enumerate(zip([0, *cuts], [*cuts, len(lines)], strict=True))
    ]


def build(workspace: WorkspaceUnderTest, select: str = "fqn:*") -> None:
    """Build models without their tests: the comparison is the test."""
    result = dbt_runner.run_dbt(
        workspace.workspace,
        [
            "build",
            "--select",
            select,
            "--exclude-resource-type",
            "test",
            "--exclude-resource-type",
            "unit_test",
            "--vars",
            f"{{as_of: '{AS_OF}'}}",
        ],
        manifest=workspace.manifests.manifest_for(workspace.workspace),
    )
    failed = [node for node in result.result.results if str(node.status) not in ("success", "pass")]
    assert not failed, [f"{node.node.name}: {node.message}" for node in failed]


def marts_of(workspace: WorkspaceUnderTest) -> dict[str, list[tuple[Any, ...]]]:
    """Every mart's rows, in an order of their own: the exact columns first."""
    marts = {}
    with open_warehouse(workspace.workspace.warehouse) as connection:
        names = connection.execute(
            "select table_schema, table_name from information_schema.tables "
            "where table_schema in ('marts', 'serving') order by all"
        ).fetchall()
        for schema, name in names:
            columns = connection.execute(
                "select column_name from information_schema.columns "
                "where table_schema = ? and table_name = ? "
                "order by data_type = 'DOUBLE', ordinal_position",
                [schema, name],
            ).fetchall()
            listed = ", ".join(f'"{column}"' for (column,) in columns)
            rows = connection.execute(f"select {listed} from {schema}.{name}").fetchall()
            marts[name] = sorted(rows, key=repr)
    return marts


def differences(
    incremental: dict[str, list[tuple[Any, ...]]],
    full: dict[str, list[tuple[Any, ...]]],
    ignored: set[str],
) -> list[str]:
    """Say where two builds differ; doubles may differ by 1e-9."""
    found = []
    assert incremental.keys() == full.keys()
    for name in incremental.keys() - ignored:
        if len(incremental[name]) != len(full[name]):
            found.append(f"{name}: {len(incremental[name])} rows against {len(full[name])}")
            continue
        for left, right in zip(incremental[name], full[name], strict=True):
            if not all(map(same, left, right)):
                found.append(f"{name}: {left} against {right}")
                break
    return found


def same(left: Any, right: Any) -> bool:
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-12)
    if isinstance(left, str) and isinstance(right, str) and left.startswith("{"):
        return same_json(json.loads(left), json.loads(right))
    return bool(left == right)


def same_json(left: Any, right: Any) -> bool:
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same_json(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same_json, left, right))
    return same(left, right)


@pytest.mark.parametrize("case", range(CASES))
def test_incremental_equals_full_refresh(
    case: int, tmp_path: Path, project_dir: Path, manifests: ManifestCache
) -> None:
    rng = random.Random(case)
    files = files_of_case(rng, tmp_path / "world", seed=1000 + case)
    shutil.copytree(project_dir / "seeds" / "declarations", tmp_path / "declarations")

    incremental = make_workspace(
        tmp_path / "incremental", project_dir, manifests, declarations=tmp_path / "declarations"
    )
    rng.shuffle(files)
    steps = rng.randrange(2, 4)
    upkeep = random.Random(f"upkeep {case}")
    is_rotated = False
    erased = 0
    for step in range(steps):
        if step and upkeep.random() < ERASED_SHARE:
            erased += lib_steps.erase_records(incremental.workspace).rows
        for name, content in files[step::steps]:
            incremental.drop(name, content)
        if rng.random() < 0.4:
            # the same file again, under another name
            name, content = rng.choice(files[step::steps])
            incremental.drop(f"again-{name}", content)
        if step and rng.random() < 0.6:
            change_declaration(rng, tmp_path / "declarations")
        if step and upkeep.random() < ROTATED_SHARE:
            is_rotated = True
            lib_steps.rotate_keys(incremental.workspace)
        incremental.ingest()
        if upkeep.random() < COMPACTED_SHARE:
            lib_steps.compact(incremental.workspace)
        build(incremental)

    full = make_workspace(
        tmp_path / "full", project_dir, manifests, declarations=tmp_path / "declarations"
    )
    shutil.copy(incremental.workspace.key_file, full.workspace.key_file)
    # attributes carry pseudonyms of the key that was active when they were loaded
    is_same_lake = is_rotated or (rng.random() < 0.5 and not erased)
    if is_same_lake:
        shutil.rmtree(full.workspace.lake, ignore_errors=True)
        shutil.copytree(incremental.workspace.lake, full.workspace.lake)
    else:
        for number, (name, content) in enumerate(reversed(files)):
            full.drop(f"{number:02d}-{name}", content)
        full.ingest()
    build(full)

    ignored = ABOUT_ERASURES if erased else ABOUT_FILES
    found = differences(marts_of(incremental), marts_of(full), set() if is_same_lake else ignored)
    assert not found, f"case {case}, {'same lake' if is_same_lake else 'other order'}: {found}"


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("catalog/consent_purposes.csv", "measurement,true,", "measurement,false,"),
        ("catalog/model_prices.csv", "assist-small,0.25,", "assist-small,0.50,"),
    ],
)
def test_a_changed_declaration_reaches_what_is_made_from_what_reads_it(
    name: str,
    before: str,
    after: str,
    tmp_path: Path,
    project_dir: Path,
    manifests: ManifestCache,
) -> None:
    declarations = tmp_path / "declarations"
    shutil.copytree(project_dir / "seeds" / "declarations", declarations)
    changed = make_workspace(
        tmp_path / "changed", project_dir, manifests, declarations=declarations
    )
    changed.simulate(users=USERS, days=DAYS)
    changed.ingest()
    build(changed, "+fct_unit_metrics_daily")
    path = declarations / name
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))
    build(changed, "+fct_unit_metrics_daily")

    full = make_workspace(tmp_path / "full", project_dir, manifests, declarations=declarations)
    shutil.copy(changed.workspace.key_file, full.workspace.key_file)
    shutil.rmtree(full.workspace.lake, ignore_errors=True)
    shutil.copytree(changed.workspace.lake, full.workspace.lake)
    build(full, "+fct_unit_metrics_daily")

    assert not differences(marts_of(changed), marts_of(full), set())


def record(name: str, at: str, trace_id: str | None = None, **attributes: str) -> dict[str, Any]:
    """A log record; `__` in the name of an attribute stands for a dot."""
    nanoseconds = int(datetime.fromisoformat(at).timestamp() * 1000) * 10**6
    return {
        "timeUnixNano": str(nanoseconds),
        "eventName": name,
        "attributes": [
            {"key": key.replace("__", "."), "value": {"stringValue": value}}
            for key, value in attributes.items()
        ],
    } | ({"traceId": trace_id} if trace_id else {})


def exposure(at: str) -> dict[str, Any]:
    """What u1 was served in one trace, told at a time."""
    return record(
        "feature_flag.evaluation",
        at,
        "a" * 32,
        user__id="u1",
        feature_flag__key="answers",
        feature_flag__result__variant="control",
    )


def feedback(at: str, uid: str) -> dict[str, Any]:
    """A copy of one record under the emitter's own id."""
    return record("assistant.feedback", at, user__id="u1", rating="up", log__record__uid=uid)


def identity(at: str, action: str) -> dict[str, Any]:
    """A statement about whose anonymous id a1 is."""
    return record(
        "user.identified",
        at,
        user__id="u1",
        identity__anonymous_id="a1",
        identity__action=action,
    )


def consent(at: str, granted: str) -> dict[str, Any]:
    """A statement by the holder of a1."""
    return record(
        "user.consent.changed",
        at,
        enduser__pseudo__id="a1",
        consent__purpose="measurement",
        consent__granted=granted,
    )


def evaluation(user: str) -> str:
    """One event of one span, as told by an export that knows the span by this user: the event's own
    id does not say whose it was."""
    at = datetime(2026, 3, 3, 15, tzinfo=UTC)
    nanoseconds = str(int(at.timestamp()) * 10**9)
    event = record(
        "feature_flag.evaluation",
        at.isoformat(),
        feature_flag__key="copied",
        feature_flag__result__variant="control",
    )
    span = {
        "traceId": "b" * 32,
        "spanId": "c" * 16,
        "name": "turn",
        "startTimeUnixNano": nanoseconds,
        "endTimeUnixNano": nanoseconds,
        "attributes": [{"key": "user.id", "value": {"stringValue": user}}],
        "events": [
            {
                "timeUnixNano": nanoseconds,
                "name": event["eventName"],
                "attributes": event["attributes"],
            }
        ],
    }
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]})


@pytest.mark.parametrize("is_reversed", [False, True], ids=["in order", "late"])
def test_dates_that_share_a_record_or_an_exposure_are_built_together(
    is_reversed: bool, tmp_path: Path, project_dir: Path, manifests: ManifestCache
) -> None:
    files = [
        [
            # a chain: who builds the third day builds the second, and needs the first for that
            feedback("2026-03-02T12:00:00+00:00", "one"),
            feedback("2026-03-03T12:00:00+00:00", "one"),
            feedback("2026-03-03T13:00:00+00:00", "two"),
            feedback("2026-03-04T13:00:00+00:00", "two"),
            exposure("2026-03-05T23:59:59.900+00:00"),
            identity("2026-03-02T10:00:00+00:00", "link"),
            consent("2026-03-02T11:00:00+00:00", "true"),
        ],
        [
            feedback("2026-03-04T14:00:00+00:00", "three"),
            exposure("2026-03-06T00:00:00.100+00:00"),
            identity("2026-03-01T10:00:00+00:00", "unlink"),
            consent("2026-03-07T11:00:00+00:00", "false"),
        ],
    ]
    made_from = "+int_exposures_merged"
    incremental = make_workspace(tmp_path / "incremental", project_dir, manifests)
    told = list(zip(files, ["u1", "u2"], strict=True))
    for number, (records, user) in enumerate(reversed(told) if is_reversed else told):
        incremental.drop(f"{number}.jsonl", f"{request_of(records)}\n{evaluation(user)}\n")
        incremental.ingest()
        build(incremental, made_from)
    full = make_workspace(tmp_path / "full", project_dir, manifests)
    shutil.copy(incremental.workspace.key_file, full.workspace.key_file)
    shutil.rmtree(full.workspace.lake, ignore_errors=True)
    shutil.copytree(incremental.workspace.lake, full.workspace.lake)
    build(full, made_from)

    for table in (
        "int_records_deduplicated",
        "int_identities_linked",
        "int_consents_effective",
        "int_events_resolved",
        "int_exposures_resolved",
        "int_exposures_merged",
    ):
        query = f"select * from intermediate.{table} order by all"
        assert incremental.query(query) == full.query(query), table
    assert incremental.query(
        "select record_count from intermediate.int_exposures_merged where flag_key = 'answers'"
    ) == [{"record_count": 2}]
    # two users are said to have seen it: the copy that survives says who
    assert incremental.query(
        "select record_count from intermediate.int_exposures_merged where flag_key = 'copied'"
    ) == [{"record_count": 1}]
    assert incremental.query(
        "select count(*) as records from intermediate.int_records_deduplicated "
        "where event_name = 'assistant.feedback'"
    ) == [{"records": 3}]
    assert incremental.query(
        "select is_granted, valid_to is null as is_last from intermediate.int_consents_effective "
        "where user_id in (select user_id from intermediate.int_identities_linked) "
        "order by valid_from"
    ) == [{"is_granted": True, "is_last": False}, {"is_granted": False, "is_last": True}]


def change_declaration(rng: random.Random, declarations: Path) -> None:
    """Change one declaration, or change it back."""
    name = rng.choice(sorted(DECLARATION_CHANGES))
    before, after = DECLARATION_CHANGES[name]
    path = declarations / name
    text = path.read_text()
    path.write_text(text.replace(after, before) if after in text else text.replace(before, after))
