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


def build(workspace: WorkspaceUnderTest) -> None:
    """Build the models without their tests: the comparison is the test."""
    result = dbt_runner.run_dbt(
        workspace.workspace,
        [
            "build",
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


def change_declaration(rng: random.Random, declarations: Path) -> None:
    """Change one declaration, or change it back."""
    name = rng.choice(sorted(DECLARATION_CHANGES))
    before, after = DECLARATION_CHANGES[name]
    path = declarations / name
    text = path.read_text()
    path.write_text(text.replace(after, before) if after in text else text.replace(before, after))
