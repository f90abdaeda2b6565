"""The written stream is valid OTLP/JSON, is counted rightly, and holds what was planted."""

import gzip
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow.parquet as pq
import pytest

from simulator import SimulationReport, planted, simulate
from simulator.__main__ import main

START = date(2026, 3, 2)
DAYS = 14
DAY_NS = 86_400_000_000_000

Record = dict[str, Any]


def value_of(value: dict[str, Any]) -> Any:
    ((kind, content),) = value.items()
    if kind == "intValue":
        assert isinstance(content, str)
        return int(content)
    if kind == "arrayValue":
        return [value_of(item) for item in content["values"]]
    assert isinstance(content, {"stringValue": str, "doubleValue": float, "boolValue": bool}[kind])
    return content


def attributes_of(record: Record) -> dict[str, Any]:
    attributes = {item["key"]: value_of(item["value"]) for item in record["attributes"]}
    assert len(attributes) == len(record["attributes"]), "an attribute stands twice"
    return attributes


@dataclass
class World:
    """A parsed world: records once each, and what the raw files held."""

    report: SimulationReport
    inbox: Path
    truth: Path
    logs: list[Record] = field(default_factory=list)
    spans: list[Record] = field(default_factory=list)
    internal: list[Record] = field(default_factory=list)
    copies: Counter[str] = field(default_factory=Counter)
    unreadable: int = 0
    without_time: int = 0
    lags: Counter[int] = field(default_factory=Counter)

    def events(self, name: str) -> list[Record]:
        return [record for record in self.logs if record["eventName"] == name]

    def truth_rows(self, name: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = pq.read_table(self.truth / f"{name}.parquet").to_pylist()
        return rows


def read(report: SimulationReport, inbox: Path, truth: Path) -> World:
    world = World(report, inbox, truth)
    seen: set[bytes] = set()
    for file in report.files:
        content = (inbox / file.name).read_bytes()
        assert not content or content.endswith(b"\n")
        file_day = (date.fromisoformat(file.name[:10]) - date(1970, 1, 1)).days
        for line in content.splitlines():
            read_line(world, seen, line, file_day)
    return world


def read_line(world: World, seen: set[bytes], line: bytes, file_day: int) -> None:
    try:
        request = orjson.loads(line)
    except orjson.JSONDecodeError:
        world.unreadable += 1
        return
    signal = next((key for key in ("resourceLogs", "resourceSpans") if key in request), None)
    if signal is None:
        world.unreadable += 1
        return
    (group,) = request[signal]
    service = attributes_of(group["resource"])["service.name"]
    kind = "logs" if signal == "resourceLogs" else "spans"
    (scope,) = group["scopeLogs" if kind == "logs" else "scopeSpans"]
    records = scope["logRecords" if kind == "logs" else "spans"]
    assert 1 <= len(records) <= planted.RECORDS_PER_LINE
    for record in records:
        attributes = attributes_of(record)
        key = attributes.get("log.record.uid", "").encode() or orjson.dumps([service, record])
        if kind == "logs" and "timeUnixNano" not in record:
            world.without_time += 1
            continue
        time = int(record["timeUnixNano" if kind == "logs" else "startTimeUnixNano"])
        world.lags[file_day - time // DAY_NS] += 1
        if key in seen:
            world.copies[kind] += 1
            continue
        seen.add(key)
        record["attributes"] = attributes
        if service == "internal-canary":
            world.internal.append(record)
            continue
        (world.logs if kind == "logs" else world.spans).append(record)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    inbox, truth = tmp_path_factory.mktemp("inbox"), tmp_path_factory.mktemp("truth")
    report = simulate(inbox, truth_dir=truth, users=1500, days=DAYS, start=START, seed=11)
    return read(report, inbox, truth)


@pytest.fixture(scope="module")
def person(world: World) -> dict[str, str]:
    """The user behind every anonymous id, as the sign-ins say."""
    return {
        record["attributes"]["identity.anonymous_id"]: record["attributes"]["user.id"]
        for record in world.events("user.identified")
        if "identity.action" not in record["attributes"]
    }


def unit_of(record: Record, person: dict[str, str]) -> str:
    attributes = record["attributes"]
    keys = ("feature_flag.context.id", "user.id", "enduser.pseudo.id")
    unit: str = next(attributes[key] for key in keys if key in attributes)
    return person.get(unit, unit)


def exposures(world: World, person: dict[str, str]) -> dict[str, dict[str, set[str]]]:
    """Variants that each unit reported, by flag; neither failed evaluations nor bots count."""
    served: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for record in world.events("feature_flag.evaluation"):
        attributes = record["attributes"]
        if (
            attributes["feature_flag.result.reason"] != "error"
            and "user.agent.synthetic_type" not in attributes
        ):
            flag = attributes["feature_flag.key"]
            served[flag][unit_of(record, person)].add(attributes["feature_flag.result.variant"])
    return served


def test_every_record_is_well_formed_and_happened_in_the_simulated_days(world: World) -> None:
    low = int(datetime(START.year, START.month, START.day, tzinfo=UTC).timestamp()) * 10**9
    high = low + DAYS * DAY_NS
    for record in world.logs:
        assert low <= int(record["timeUnixNano"]) < high
        assert int(record["timeUnixNano"]) < int(record["observedTimeUnixNano"])
        assert len(record["traceId"]) in {0, 32}
        assert len(record["spanId"]) in {0, 16}
        assert bool(record["traceId"]) == bool(record["spanId"])
        assert record["body"] == {}
    ends = {record["spanId"]: int(record["endTimeUnixNano"]) for record in world.spans}
    starts = {record["spanId"]: int(record["startTimeUnixNano"]) for record in world.spans}
    for record in world.spans:
        span = record["spanId"]
        assert low <= starts[span] < ends[span] < high
        parent = record.get("parentSpanId")
        assert (parent is None) == (record["name"] == "invoke_agent assistant")
        if parent is not None:
            assert starts[parent] <= starts[span]
            assert ends[span] <= ends[parent]


def test_no_record_arrives_in_a_file_before_it_happened_nor_more_than_three_days_late(
    world: World,
) -> None:
    assert min(world.lags) == 0
    assert {1, 2, 3} <= set(world.lags)
    assert max(world.lags) <= planted.MAX_LATE_DAYS + 2  # a copy, and the repeat of its line


def test_the_report_counts_what_the_files_hold(world: World) -> None:
    report, faults = world.report, world.report.faults
    copies = sum(file.duplicates for file in report.files)
    assert world.unreadable == faults["malformed_lines"]
    assert world.without_time == faults["records_without_time"]
    assert sum(world.copies.values()) == copies
    assert copies == faults["duplicate_records"] + faults["records_in_duplicate_lines"]
    accepted = len(world.logs) + len(world.spans) + len(world.internal)
    rejected = sum(file.rejected for file in report.files)
    assert rejected == world.unreadable + world.without_time
    assert sum(file.records_in for file in report.files) == accepted + copies + rejected
    assert len(world.internal) == faults["internal_records"]
    assert len(world.events("assistant.panel.resized")) == faults["undeclared_events"]
    bots = [r for r in world.logs if "user.agent.synthetic_type" in r["attributes"]]
    assert len(bots) == faults["bot_records"]
    late = sum(
        int(record["observedTimeUnixNano"]) // DAY_NS > int(record["timeUnixNano"]) // DAY_NS
        for record in world.logs
    )
    assert late == sum(file.late for file in report.files if "logs" in file.name)
    for file in report.files:
        assert file.lines == (world.inbox / file.name).read_bytes().count(b"\n")


def test_every_kind_of_fault_occurs_at_about_its_rate(world: World) -> None:
    faults = world.report.faults
    assert all(count > 0 for count in faults.values()), faults
    size = len(world.logs) + len(world.spans)
    # the last days cannot be late: nothing is written after them
    assert 0.6 * planted.LATE_SHARE < faults["late"] / size < 1.1 * planted.LATE_SHARE
    repeated = (faults["duplicate_records"] - faults["resent_by_uid"]) / size
    assert repeated == pytest.approx(planted.DUPLICATE_RECORD_SHARE, rel=0.25)
    resent = faults["resent_by_uid"] / len(world.events("assistant.feedback"))
    assert resent == pytest.approx(planted.RESENT_UID_SHARE, abs=0.035)


def test_without_faults_everything_arrives_once_and_in_time(tmp_path: Path) -> None:
    report = simulate(tmp_path, users=100, days=8, faults=False)
    world = read(report, tmp_path, tmp_path)
    assert not any(report.faults.values())
    assert not world.copies
    assert not world.unreadable
    assert report.records == len(world.logs) + len(world.spans)


def test_reported_variants_are_the_assigned_ones_and_faults_are_where_they_were_planted(
    world: World, person: dict[str, str]
) -> None:
    served = exposures(world, person)
    unlinked = {row["user_id"] for row in world.truth_rows("truth_users") if row["unlinked_date"]}
    switched: Counter[bool] = Counter()
    for row in world.truth_rows("truth_assignments"):
        if row["user_id"] in unlinked:
            continue
        variants = served[row["experiment_name"]].get(row["user_id"], set())
        if row["is_unreported"]:
            assert not variants
        elif variants:
            assert row["variant"] in variants
            assert len(variants) == 1 or row["is_reported_twice"]
            switched[len(variants) > 1] += 1
    assert 0 < switched[True] / switched.total() < 2 * planted.TWO_VARIANT_SHARE


def test_quick_actions_misses_treatment_units_and_the_others_do_not(
    world: World, person: dict[str, str]
) -> None:
    for experiment in planted.EXPERIMENTS:
        counts = Counter(
            next(iter(variants))
            for variants in exposures(world, person)[experiment.name].values()
            if len(variants) == 1
        )
        total = counts.total()
        chi_square = sum(
            (counts[name] - share * total) ** 2 / (share * total)
            for name, share in zip(experiment.variants, experiment.allocation, strict=True)
        )
        if experiment.name == planted.UNREPORTED_EXPERIMENT:
            assert chi_square > 10.8  # p < 0.001
        else:
            assert chi_square < 10.8


def test_failed_evaluations_report_the_control(world: World) -> None:
    failed = [
        record["attributes"]
        for record in world.events("feature_flag.evaluation")
        if record["attributes"]["feature_flag.result.reason"] == "error"
    ]
    controls = {experiment.name: experiment.variants[0] for experiment in planted.EXPERIMENTS}
    assert failed
    for attributes in failed:
        control = controls[attributes["feature_flag.key"]]
        assert attributes["feature_flag.result.variant"] == control


def test_every_span_event_repeats_a_log_event(world: World) -> None:
    keys = ("feature_flag.key", "feature_flag.result.variant", "feature_flag.context.id")
    logged = {
        (record["traceId"], *(record["attributes"][key] for key in keys))
        for record in world.events("feature_flag.evaluation")
    }
    twins = [
        (span["traceId"], *(attributes_of(event)[key] for key in keys))
        for span in world.spans
        for event in span.get("events", [])
    ]
    assert twins
    assert set(twins) <= logged


def ratio_effect(
    top: Counter[str], bottom: Counter[str], variant_of: dict[str, str], names: tuple[str, ...]
) -> tuple[float, float]:
    """Relative effect of the second name on a ratio, with its standard error over units."""
    ratios, variances = [], []
    for name in names:
        units = [unit for unit, variant in variant_of.items() if variant == name]
        numerator = np.array([top[unit] for unit in units], dtype=np.float64)
        denominator = np.array([bottom[unit] for unit in units], dtype=np.float64)
        ratio = numerator.sum() / denominator.sum()
        residual = (numerator - ratio * denominator) / denominator.mean()
        ratios.append(ratio)
        variances.append(np.var(residual, ddof=1) / len(units) / ratio**2)
    relative = ratios[1] / ratios[0]
    return relative - 1, relative * float(np.sqrt(sum(variances)))


@pytest.mark.parametrize(
    ("experiment", "happened", "among", "planted_effect"),
    [
        ("concise-answers", ("assistant.response.regenerated",), "response", -0.15),
        ("concise-answers", ("assistant.response.copied",), "response", 0.08),
        ("inline-ranking", ("assistant.suggestion.accepted",), "suggestion", 0.08),
        ("sidebar-layout", ("assistant.suggestion.accepted",), "suggestion", 0.0),
    ],
)
def test_counting_events_of_the_stream_finds_the_planted_effect(
    world: World,
    person: dict[str, str],
    experiment: str,
    happened: tuple[str, ...],
    among: str,
    planted_effect: float,
) -> None:
    decided = {
        "response": ("assistant.response.shown",),
        "suggestion": ("assistant.suggestion.accepted", "assistant.suggestion.rejected"),
    }[among]
    variant_of = {
        unit: next(iter(variants))
        for unit, variants in exposures(world, person)[experiment].items()
        if len(variants) == 1
    }
    counts = [
        Counter(unit_of(record, person) for name in names for record in world.events(name))
        for names in (happened, decided)
    ]
    estimate, error = ratio_effect(counts[0], counts[1], variant_of, ("control", "treatment"))
    assert abs(estimate - planted_effect) < 3 * error
    assert error < 0.05


def test_spans_show_the_planted_latency_and_the_served_model(
    world: World, person: dict[str, str]
) -> None:
    served = exposures(world, person)["chat-model"]
    durations: dict[str, list[float]] = defaultdict(list)
    model_of = dict(zip(planted.EXPERIMENTS[1].variants, planted.MODELS, strict=True))
    for span in world.spans:
        variants = served.get(unit_of(span, person), set())
        if len(variants) != 1:
            continue
        (variant,) = variants
        operation = span["attributes"]["gen_ai.operation.name"]
        if operation == "chat":
            assert span["attributes"]["gen_ai.request.model"] == model_of[variant]
            failed = "error.type" in span["attributes"]
            assert failed == (span["status"].get("code") == 2)
            assert failed == ("gen_ai.usage.input_tokens" not in span["attributes"])
        if operation == "invoke_agent":
            milliseconds = (int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"])) / 1e6
            durations[variant].append(milliseconds)
    large = np.mean(durations["large"])
    assert np.mean(durations["small"]) / large == pytest.approx(0.55, abs=0.06)
    assert np.mean(durations["fast"]) / large == pytest.approx(0.70, abs=0.07)


def test_logged_decisions_carry_their_propensity_and_earn_the_true_reward(world: World) -> None:
    copied = {record["traceId"] for record in world.events("assistant.response.copied")}
    rewards: dict[tuple[str, str], list[bool]] = defaultdict(list)
    propensities: dict[tuple[str, str], set[float]] = defaultdict(set)
    for record in world.events("feature_flag.evaluation"):
        attributes = record["attributes"]
        if attributes["feature_flag.key"] == planted.DECISION_POINT:
            key = (attributes["task.kind"], attributes["feature_flag.result.variant"])
            rewards[key].append(record["traceId"] in copied)
            propensities[key].add(attributes["decision.propensity"])
            assert attributes["decision.position"] == 0
    contexts = Counter(dict.fromkeys(planted.TASKS, 0))
    for (task, _), earned in rewards.items():
        contexts[task] += len(earned)
    truth = world.truth_rows("truth_decisions")
    assert len(truth) == len(rewards) == 9
    for row in truth:
        key = (row["context"], row["action"])
        earned, probability = rewards[key], row["logged_probability"]
        assert propensities[key] == {probability}
        size = contexts[row["context"]]
        spread = np.sqrt(probability * (1 - probability) / size)
        assert abs(len(earned) / size - probability) < 4 * spread
        mean = row["true_reward_mean"]
        # rewards of one user belong together: half as wide again as a binomial
        assert abs(np.mean(earned) - mean) < 4 * 1.5 * np.sqrt(mean * (1 - mean) / len(earned))


def test_consents_in_the_stream_are_the_planted_ones(world: World, person: dict[str, str]) -> None:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    heard = Counter(
        (
            unit_of(record, person),
            record["attributes"]["consent.purpose"],
            record["attributes"]["consent.granted"],
            (epoch + timedelta(microseconds=int(record["timeUnixNano"]) // 1000)).replace(
                tzinfo=None
            ),
        )
        for record in world.events("user.consent.changed")
    )
    hidden = {row["anonymous_id"]: row["user_id"] for row in world.truth_rows("truth_users")}
    heard = Counter({(hidden.get(key[0], key[0]), *key[1:]): n for key, n in heard.items()})
    true = Counter(
        (row["user_id"], row["purpose"], row["granted"], row["changed_at"])
        for row in world.truth_rows("truth_consents")
    )
    assert heard == true
    granted = {user for user, purpose, yes, _ in true if purpose == "personalization" and yes}
    assert len(granted) / 1500 == pytest.approx(planted.PERSONALIZATION_GRANT_SHARE, abs=0.06)


def test_anonymous_days_come_before_the_sign_in_and_share_the_users_variants(
    world: World, person: dict[str, str]
) -> None:
    users = {row["user_id"]: row for row in world.truth_rows("truth_users")}
    assert 0.06 < len(person) / len(users) < 0.13
    signed_in = {
        record["attributes"]["user.id"]: int(record["timeUnixNano"])
        for record in world.events("user.identified")
        if "identity.action" not in record["attributes"]
    }
    for record in world.logs + world.spans:
        attributes = record["attributes"]
        time = int(record.get("timeUnixNano") or record["startTimeUnixNano"])
        if "enduser.pseudo.id" in attributes:
            assert "user.id" not in attributes
            user = person.get(attributes["enduser.pseudo.id"])
            assert user is None or time < signed_in[user]
        elif attributes.get("user.id") in signed_in:
            assert time >= signed_in[attributes["user.id"]]


def test_nobody_acts_after_an_erasure_request(world: World, person: dict[str, str]) -> None:
    asked = {
        unit_of(record, person): int(record["timeUnixNano"])
        for record in world.events("user.erasure.requested")
    }
    assert asked
    for record in world.logs:
        unit = unit_of(record, person)
        if unit in asked:
            assert int(record["timeUnixNano"]) <= asked[unit]


@pytest.mark.parametrize(
    ("event_name", "low", "high"),
    [
        ("assistant.response.copied", 1.6, 2.6),  # planted 1.35 / 0.65 = 2.08
        ("assistant.response.regenerated", 0.36, 0.62),  # planted 0.65 / 1.35 = 0.48
    ],
)
def test_liked_formats_are_copied_more_and_regenerated_less(
    world: World, person: dict[str, str], event_name: str, low: float, high: float
) -> None:
    liked = {
        (row["user_id"], row["context"]): row["value"]
        for row in world.truth_rows("truth_preferences")
        if row["dimension"] == "answer_format"
    }
    counts: dict[bool, Counter[bool]] = {True: Counter(), False: Counter()}
    happened = {record["attributes"]["response.id"] for record in world.events(event_name)}
    for record in world.events("assistant.response.shown"):
        attributes = record["attributes"]
        # the first task is left out: a taste that ignored the task would pass there
        key = (unit_of(record, person), attributes["task.kind"])
        if key in liked and attributes["task.kind"] != planted.TASKS[0]:
            is_match = liked[key] == attributes["response.format"]
            counts[is_match][attributes["response.id"] in happened] += 1
    match, mismatch = (counts[key][True] / counts[key].total() for key in (True, False))
    assert low < match / mismatch < high


def content_of(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


def test_the_same_arguments_give_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        simulate(tmp_path / name, truth_dir=tmp_path / f"{name}-truth", users=60, days=5, seed=seed)
    assert content_of(tmp_path / "a") == content_of(tmp_path / "b")
    assert content_of(tmp_path / "a-truth") == content_of(tmp_path / "b-truth")
    assert content_of(tmp_path / "a") != content_of(tmp_path / "c")
    assert sorted(content_of(tmp_path / "a"))[:2] == [
        "2026-03-02-logs.jsonl",
        "2026-03-02-spans.jsonl",
    ]


@pytest.mark.parametrize("cut", [1, 3, 7, 9])
def test_days_emitted_in_parts_are_the_bytes_of_the_whole_run(tmp_path: Path, cut: int) -> None:
    whole = simulate(tmp_path / "whole", users=150, days=10, seed=5)
    first = simulate(tmp_path / "parts", users=150, days=10, seed=5, last_day=cut - 1)
    second = simulate(tmp_path / "parts", users=150, days=10, seed=5, first_day=cut)
    assert content_of(tmp_path / "whole") == content_of(tmp_path / "parts")
    assert whole.files == first.files + second.files
    summed = Counter(first.faults) + Counter(second.faults)
    assert summed == Counter(whole.faults)


def test_records_grow_with_users_and_days(tmp_path: Path) -> None:
    records = {
        (users, days): simulate(tmp_path / f"{users}-{days}", users=users, days=days).records
        for users, days in ((300, 7), (900, 7), (300, 21))
    }
    assert records[900, 7] / records[300, 7] == pytest.approx(3, rel=0.2)
    assert records[300, 21] / records[300, 7] == pytest.approx(3, rel=0.3)


def test_blocks_of_users_make_one_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("behaviour", "encoding"):
        monkeypatch.setattr(f"simulator.{module}.USERS_PER_BLOCK", 40)
    inbox, truth = tmp_path / "inbox", tmp_path / "truth"
    world = read(simulate(inbox, truth_dir=truth, users=100, days=6, seed=2), inbox, truth)
    units = {record["attributes"].get("user.id") for record in world.logs}
    assert {"user-0000001", "user-0000100"} <= units
    assert len(world.internal) == world.report.faults["internal_records"] == 6 * 50
    assert len(world.events("user.consent.changed")) == len(world.truth_rows("truth_consents"))


def test_compressed_files_hold_the_same_lines(tmp_path: Path) -> None:
    simulate(tmp_path / "plain", users=30, days=2)
    for name in ("once", "twice"):
        simulate(tmp_path / name, users=30, days=2, compress=True)
    plain, once = content_of(tmp_path / "plain"), content_of(tmp_path / "once")
    assert once == content_of(tmp_path / "twice")
    assert {content[4:8] for content in once.values()} == {bytes(4)}, "a time in the header"
    assert {f"{name}.gz": content for name, content in plain.items()} == {
        name: gzip.decompress(content) for name, content in once.items()
    }


@pytest.mark.parametrize(
    "wrong",
    [{"users": 0}, {"days": 0}, {"seed": -1}, {"first_day": 5, "last_day": 4}, {"last_day": 28}],
)
def test_wrong_arguments_are_refused_by_name(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        simulate(tmp_path, **wrong)  # type: ignore[arg-type]


def test_the_truth_never_goes_into_the_inbox(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="raw user ids"):
        simulate(tmp_path, truth_dir=tmp_path, users=1, days=1)
    assert not list(tmp_path.iterdir())


def test_progress_is_told_after_every_day(tmp_path: Path) -> None:
    told: list[tuple[int, int, int]] = []
    report = simulate(
        tmp_path, users=20, days=3, progress=lambda done, total, n: told.append((done, total, n))
    )
    assert [(done, total) for done, total, _ in told] == [(1, 3), (2, 3), (3, 3)]
    assert told[-1][2] == sum(file.records_in for file in report.files)


def test_the_command_writes_files_and_reports_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "inbox"
    arguments = ["--users", "20", "--days", "2", "--out", str(out), "--json"]
    assert main([*arguments, "--truth", str(tmp_path / "truth")]) == 0
    report = orjson.loads(capsys.readouterr().out)
    assert report["records"] > 0
    assert {file["name"] for file in report["files"]} == {path.name for path in out.iterdir()}
    assert len(list((tmp_path / "truth").glob("truth_*.parquet"))) == 6


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--out", str(tmp_path), "--users", "0"]) == 2
    assert "users (0)" in capsys.readouterr().err


def test_the_help_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "examples:" in capsys.readouterr().out
