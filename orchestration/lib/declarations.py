"""Checks the declarations before dbt starts: a mistake costs a second, not a build.

Every problem names its file, its row as a spreadsheet counts (the header is row 1) and what is
wrong; all problems are found in one pass. The rules are a table, so that a new declaration is a
line here.
"""

from __future__ import annotations

import csv
import math
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import yaml

from orchestration.lib.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

Row = dict[str, str]
SUM_TOLERANCE = 1e-6
CURRENT_TABLE = "current_table"
HOLDOUT_EXPERIMENT = "personalization-holdout"
METRIC_KINDS = ("mean", "proportion", "ratio", "retention", "quantile", "funnel")
# option of config.meta.experiment -> kinds that it is of use to
METRIC_OPTIONS: Mapping[str, Sequence[str]] = {
    "kind": METRIC_KINDS,
    "better": METRIC_KINDS,
    "window_days": METRIC_KINDS,
    "delay_days": METRIC_KINDS,
    "covariate_days": ("mean", "proportion", "ratio", "retention"),
    "cap_quantile": ("mean", "ratio"),
    "quantile": ("quantile",),
    "steps": ("funnel",),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake; row is None where the whole file is meant."""

    file: str
    row: int | None
    message: str

    def __str__(self) -> str:
        place = self.file if self.row is None else f"{self.file}, row {self.row}"
        return f"{place}: {self.message}"


@dataclass(frozen=True, slots=True)
class Column:
    """What a column may hold.

    Attributes:
        rule: Checks a value that is there.
        is_required: The column must exist and hold a value in every row.
        may_be_empty: For a required column: it must exist, a row may leave it empty.
    """

    rule: Callable[[str], str | None]
    is_required: bool = False
    may_be_empty: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """One declaration file: its columns, and the columns no two rows may share."""

    columns: Mapping[str, Column]
    key: Sequence[str]


def text(_value: str) -> None:
    """Anything goes."""


def number(lower: float = -math.inf, upper: float = math.inf) -> Callable[[str], str | None]:
    """A finite number within bounds, both included."""

    def check(value: str) -> str | None:
        try:
            parsed = float(value)
        except ValueError:
            return f"{value!r} is not a number"
        if not math.isfinite(parsed):
            return f"{value!r} is not a finite number"
        if not lower <= parsed <= upper:
            return f"{value} is not between {lower:g} and {upper:g}"
        return None

    return check


def integer(lower: int = 0) -> Callable[[str], str | None]:
    def check(value: str) -> str | None:
        if not re.fullmatch(r"-?\d+", value):
            return f"{value!r} is not a whole number"
        return None if int(value) >= lower else f"{value} is below {lower}"

    return check


def one_of(*choices: str) -> Callable[[str], str | None]:
    def check(value: str) -> str | None:
        return None if value in choices else f"{value!r} is none of {', '.join(choices)}"

    return check


def policy_name(value: str) -> str | None:
    """Any name but the one that attune gives to what it serves."""
    if value == CURRENT_TABLE:
        return (
            f"{value!r} is attune's own name for the probabilities that it serves: choose another"
        )
    return None


def moment(value: str) -> str | None:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return f"{value!r} is not a time: write 2026-03-02 or 2026-03-02T09:00:00 (UTC)"
    return None


def pattern(value: str) -> str | None:
    try:
        re.compile(value)
    except re.error as error:
        return f"{value!r} is not a regular expression: {error}"
    return None


def outcome(value: str) -> str | None:
    """A number from 0 to 1, or the name of an attribute."""
    return number(0, 1)(value) if re.match(r"[-+.\d]", value) else None


boolean = one_of("true", "false")
share = number(0, 1)


def _required(rule: Callable[[str], str | None] = text) -> Column:
    return Column(rule, is_required=True)


def _optional(rule: Callable[[str], str | None] = text) -> Column:
    return Column(rule)


TABLES: Mapping[str, Table] = {
    "catalog/tracking_plan.csv": Table(
        {
            "event_name": _required(),
            "attribute": Column(text, is_required=True, may_be_empty=True),
            "data_type": _optional(one_of("string", "integer", "double", "boolean", "array")),
            "is_required": _optional(boolean),
            "privacy": _optional(one_of("none", "personal", "content")),
            "purpose": _optional(one_of("operations", "measurement", "personalization")),
            "description": _optional(),
        },
        key=("event_name", "attribute"),
    ),
    "catalog/consent_purposes.csv": Table(
        {
            "purpose": _required(),
            "granted_by_default": _required(boolean),
            "description": _optional(),
        },
        key=("purpose",),
    ),
    "catalog/excluded_units.csv": Table(
        {"rule_name": _required(), "attribute": _required(), "pattern": _required(pattern)},
        key=("rule_name",),
    ),
    "catalog/segments.csv": Table(
        {"segment_name": _required(), "source_attribute": _required()}, key=("segment_name",)
    ),
    "catalog/model_prices.csv": Table(
        {
            "model": _required(),
            "input_usd_per_million_tokens": _required(number(0)),
            "output_usd_per_million_tokens": _required(number(0)),
        },
        key=("model",),
    ),
    "experiments/experiments.csv": Table(
        {
            "experiment_name": _required(),
            "unit": _optional(one_of("user", "session", "organization")),
            "control_variant": _optional(),
            "started_at": Column(moment, is_required=True),
            "ended_at": _optional(moment),
            "inference": _optional(one_of("sequential", "fixed", "group_sequential")),
            "bounds": _optional(),
            "alpha": _optional(number(1e-6, 0.5)),
            "power": _optional(number(0.01, 0.9999)),
            "planned_units": _optional(integer(1)),
            "layer": _optional(),
            "holdout_share": _optional(share),
            "stratify_by": _optional(),
            "trigger_event": _optional(),
            "owner": _optional(),
            "hypothesis": _optional(),
        },
        key=("experiment_name",),
    ),
    "experiments/sequential_bounds.csv": Table(
        {
            "bounds": _required(),
            "alpha": _required(number(1e-9, 0.5)),
            "look": _required(integer(1)),
            "information_fraction": _required(number(1e-6, 1)),
            "critical_value": _required(number(0)),
        },
        key=("bounds", "alpha", "look"),
    ),
    "experiments/experiment_variants.csv": Table(
        {
            "experiment_name": _required(),
            "variant": _required(),
            "allocation": _required(number(0, 1)),
        },
        key=("experiment_name", "variant"),
    ),
    "experiments/experiment_metrics.csv": Table(
        {
            "experiment_name": _required(),
            "metric_name": _required(),
            "role": _optional(one_of("success", "guardrail", "deterioration", "exploratory")),
            "minimum_effect": _optional(number(0)),
            "prior_mean": _optional(number()),
            "prior_std_dev": _optional(number(1e-9)),
        },
        key=("experiment_name", "metric_name"),
    ),
    "preferences/preference_dimensions.csv": Table(
        {
            "dimension": _required(),
            "default_value": _required(),
            "context_attributes": _optional(),
            "half_life_days": _optional(number(0.001)),
            "serve_threshold": _optional(share),
            "is_user_controllable": _optional(boolean),
            "description": _optional(),
        },
        key=("dimension",),
    ),
    "preferences/preference_values.csv": Table(
        {"dimension": _required(), "value": _required(), "label": _optional()},
        key=("dimension", "value"),
    ),
    "preferences/preference_signals.csv": Table(
        {
            "signal_name": _required(),
            "dimension": _required(),
            "event_name": _required(),
            "value_attribute": _required(),
            "outcome": _required(outcome),
            "weight": _optional(number(0)),
        },
        key=("signal_name",),
    ),
    "preferences/context_bins.csv": Table(
        {
            "attribute": _required(),
            "bin": _required(),
            "lower": _optional(number()),
            "upper": _optional(number()),
        },
        key=("attribute", "bin"),
    ),
    "preferences/personalization_holdout.csv": Table(
        {"share": _required(share), "salt": _required()}, key=()
    ),
    "preferences/decision_points.csv": Table(
        {
            "decision_point": _required(),
            "reward_event": _required(),
            "reward_attribute": _optional(),
            "reward_join": _optional(one_of("trace", "user")),
            "reward_window_minutes": _optional(number(0)),
            "reward_prior_strength": _optional(number(0)),
            "reward_model_folds": _optional(integer(1)),
            "context_attribute": _optional(),
            "arm_model": _optional(one_of("cells", "linear")),
            "exploration_floor": _optional(share),
        },
        key=("decision_point",),
    ),
    "preferences/target_policies.csv": Table(
        {
            "policy_name": _required(policy_name),
            "decision_point": _required(),
            "context": _optional(),
            "position": _optional(integer()),
            "action": _required(),
            "probability": _required(share),
        },
        key=("policy_name", "decision_point", "context", "position", "action"),
    ),
}

# column -> (column it must be found in): what a row may refer to
REFERENCES: Sequence[tuple[str, str, str, str]] = (
    (
        "experiments/experiment_variants.csv",
        "experiment_name",
        "experiments/experiments.csv",
        "experiment_name",
    ),
    (
        "experiments/experiment_metrics.csv",
        "experiment_name",
        "experiments/experiments.csv",
        "experiment_name",
    ),
    (
        "preferences/preference_values.csv",
        "dimension",
        "preferences/preference_dimensions.csv",
        "dimension",
    ),
    (
        "preferences/preference_signals.csv",
        "dimension",
        "preferences/preference_dimensions.csv",
        "dimension",
    ),
    (
        "preferences/preference_signals.csv",
        "event_name",
        "catalog/tracking_plan.csv",
        "event_name",
    ),
    (
        "preferences/target_policies.csv",
        "decision_point",
        "preferences/decision_points.csv",
        "decision_point",
    ),
)

# file -> (columns of the group, column that adds up to one)
SUMS: Mapping[str, tuple[Sequence[str], str]] = {
    "experiments/experiment_variants.csv": (("experiment_name",), "allocation"),
    "preferences/target_policies.csv": (
        ("policy_name", "decision_point", "context", "position"),
        "probability",
    ),
}


def check_declarations(declarations: Path, project_dir: Path) -> list[Problem]:
    """Find every mistake of a folder of declarations.

    Args:
        declarations: Folder with `catalog`, `experiments`, `preferences` and `metrics`.
        project_dir: The dbt project, whose models declare the built-in metrics.
    """
    problems: list[Problem] = []
    tables: dict[str, list[tuple[int, Row]]] = {}
    for name, table in TABLES.items():
        rows, found = _read(declarations, name, table)
        tables[name] = rows
        problems += found
    problems += _reference_problems(tables)
    problems += _sum_problems(tables)
    problems += _control_problems(tables)
    problems += _layer_problems(tables)
    problems += _bounds_problems(tables)
    problems += _default_value_problems(tables)
    problems += _holdout_problems(tables)
    problems += _metric_problems(tables, declarations, project_dir)
    return problems


def read_declaration(declarations: Path, name: str) -> tuple[list[Row], list[Problem]]:
    """Read one file of the declarations as text, with its own mistakes.

    Args:
        declarations: Folder with `catalog`, `experiments`, `preferences` and `metrics`.
        name: The file's path in it.
    """
    rows, problems = _read(declarations, name, TABLES[name])
    return [row for _, row in rows], problems


def require_declarations(declarations: Path, project_dir: Path) -> None:
    """Raise if the declarations hold a mistake.

    Raises:
        DeclarationError: naming every file and row.
    """
    problems = check_declarations(declarations, project_dir)
    if problems:
        count = len(problems)
        raise DeclarationError(
            f"{count} mistake{'' if count == 1 else 's'} in the declarations in {declarations}",
            where="\n".join(str(problem) for problem in problems),
            next_step="correct them and run again; nothing was built",
        )


def _read(
    declarations: Path, name: str, table: Table
) -> tuple[list[tuple[int, Row]], list[Problem]]:
    path = declarations / name
    if not path.is_file():
        return [], [
            Problem(name, None, "is missing; `attune init DIR` copies a starter with every file")
        ]
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file, strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        return [], [Problem(name, None, f"is not a CSV file in UTF-8: {error}")]
    if not lines:
        return [], [Problem(name, None, "is empty; it needs at least its header")]
    header = lines[0]
    problems = _header_problems(name, header, table)
    rows: list[tuple[int, Row]] = []
    seen: dict[tuple[str, ...], int] = {}
    for number_, values in enumerate(lines[1:], start=2):
        if not values:
            continue
        if len(values) != len(header):
            problems.append(
                Problem(name, number_, f"has {len(values)} values, the header {len(header)}")
            )
            continue
        row = {column: value.strip() for column, value in zip(header, values, strict=True)}
        problems += _value_problems(name, number_, row, table)
        key = tuple(row.get(column, "") for column in table.key)
        if table.key and key in seen:
            shown = ", ".join(f"{c} {v!r}" for c, v in zip(table.key, key, strict=True))
            problems.append(Problem(name, number_, f"repeats row {seen[key]}: {shown}"))
        seen.setdefault(key, number_)
        rows.append((number_, row))
    return rows, problems


def _header_problems(name: str, header: list[str], table: Table) -> list[Problem]:
    problems = [
        Problem(name, 1, f"the column {column!r} is missing")
        for column, rule in table.columns.items()
        if rule.is_required and column not in header
    ]
    problems += [
        Problem(name, 1, f"unknown column {column!r}; there are {', '.join(table.columns)}")
        for column in header
        if column not in table.columns
    ]
    problems += [
        Problem(name, 1, f"the column {column!r} stands twice")
        for column in dict.fromkeys(header)
        if header.count(column) > 1
    ]
    return problems


def _value_problems(name: str, number_: int, row: Row, table: Table) -> Iterator[Problem]:
    for column, rule in table.columns.items():
        value = row.get(column)
        if value is None:
            continue
        if value == "":
            if rule.is_required and not rule.may_be_empty:
                yield Problem(name, number_, f"{column} is empty")
            continue
        reason = rule.rule(value)
        if reason:
            yield Problem(name, number_, f"{column}: {reason}")


def _reference_problems(tables: Mapping[str, list[tuple[int, Row]]]) -> Iterator[Problem]:
    for name, column, other, other_column in REFERENCES:
        known = {row.get(other_column, "") for _, row in tables[other]}
        for number_, row in tables[name]:
            value = row.get(column, "")
            if value and value not in known:
                yield Problem(name, number_, f"{column} {value!r} does not stand in {other}")


def _sum_problems(tables: Mapping[str, list[tuple[int, Row]]]) -> Iterator[Problem]:
    for name, (group, column) in SUMS.items():
        sums: dict[tuple[str, ...], list[float]] = defaultdict(list)
        first_rows: dict[tuple[str, ...], int] = {}
        for number_, row in tables[name]:
            key = tuple(row.get(part, "") for part in group)
            first_rows.setdefault(key, number_)
            if share(row.get(column, "")) is None:
                sums[key].append(float(row[column]))
        for key, values in sums.items():
            total = math.fsum(values)
            if abs(total - 1) > SUM_TOLERANCE:
                label = ", ".join(part for part in key if part)
                yield Problem(
                    name,
                    first_rows[key],
                    f"{column} of {label} adds up to {total:g}, not 1",
                )


def _control_problems(tables: Mapping[str, list[tuple[int, Row]]]) -> Iterator[Problem]:
    """Every experiment has variants, its control among them, and ends after it starts."""
    name = "experiments/experiments.csv"
    variants: dict[str, set[str]] = defaultdict(set)
    for _, row in tables["experiments/experiment_variants.csv"]:
        variants[row.get("experiment_name", "")].add(row.get("variant", ""))
    for number_, row in tables[name]:
        experiment = row.get("experiment_name", "")
        control = row.get("control_variant") or "control"
        own = variants.get(experiment, set())
        if len(own) < 2:
            yield Problem(
                name,
                number_,
                f"{experiment!r} needs two or more rows in experiments/experiment_variants.csv",
            )
        elif control not in own:
            yield Problem(
                name,
                number_,
                f"control_variant {control!r} is no variant of {experiment!r}; "
                f"there are {', '.join(sorted(own))}",
            )
        started, ended = row.get("started_at", ""), row.get("ended_at", "")
        if started and ended and not moment(started) and not moment(ended) and ended <= started:
            yield Problem(name, number_, f"ended_at {ended} is not after started_at {started}")


def _layer_problems(tables: Mapping[str, list[tuple[int, Row]]]) -> Iterator[Problem]:
    """Experiments of one layer assign the same unit, or nobody could say whether they overlap."""
    name = "experiments/experiments.csv"
    units: dict[str, str] = {}
    for number_, row in tables[name]:
        layer, unit = row.get("layer", ""), row.get("unit") or "user"
        if layer and units.setdefault(layer, unit) != unit:
            yield Problem(
                name,
                number_,
                f"layer {layer!r} assigns {units[layer]}s in another row and {unit}s here; "
                "use one unit per layer",
            )


def _holdout_problems(tables: Mapping[str, list[tuple[int, Row]]]) -> Iterator[Problem]:
    """There is one holdout, and its experiment expects the share that is held out."""
    name = "preferences/personalization_holdout.csv"
    variants = "experiments/experiment_variants.csv"
    rows = tables[name]
    for number_, _ in rows[1:]:
        yield Problem(name, number_, "is a second holdout; keep one row")
    held_out = float(rows[0][1]["share"]) if rows and not share(rows[0][1].get("share", "")) else 0
    allocations = {"held_out": held_out, "personalized": 1 - held_out}
    for number_, row in tables[variants]:
        if row.get("experiment_name") != HOLDOUT_EXPERIMENT:
            continue
        wanted, allocation = allocations.get(row.get("variant", "")), row.get("allocation", "")
        if wanted is None:
            yield Problem(
                variants,
                number_,
                f"variant {row.get('variant')!r} of {HOLDOUT_EXPERIMENT} is none of "
                f"{', '.join(allocations)}",
            )
        elif share(allocation) is None and abs(float(allocation) - wanted) > SUM_TOLERANCE:
            yield Problem(
                variants,
                number_,
                f"allocation {allocation} is not the {wanted:g} that {name} leaves to it",
            )


def _bounds_problems(tables: Mapping[str, list[tuple[int, Row]]]) -> Iterator[Problem]:
    """A group-sequential experiment has a plan, and bounds at every level that it tests at."""
    name = "experiments/experiments.csv"
    levels: dict[str, list[float]] = defaultdict(list)
    for _, row in tables["experiments/sequential_bounds.csv"]:
        if number()(row.get("alpha", "")) is None:
            levels[row.get("bounds", "")].append(float(row["alpha"]))
    treatments = Counter(
        row.get("experiment_name", "") for _, row in tables["experiments/experiment_variants.csv"]
    )
    roles: dict[str, list[str]] = defaultdict(list)
    for _, row in tables["experiments/experiment_metrics.csv"]:
        roles[row.get("experiment_name", "")].append(row.get("role") or "exploratory")
    for number_, row in tables[name]:
        experiment, bounds = row.get("experiment_name", ""), row.get("bounds", "")
        if row.get("inference") != "group_sequential":
            if bounds:
                yield Problem(
                    name, number_, "bounds are of use only with group_sequential inference"
                )
            continue
        if not row.get("planned_units") or not row.get("ended_at"):
            yield Problem(
                name, number_, "group_sequential inference needs planned_units and ended_at"
            )
        if bounds not in levels:
            yield Problem(
                name,
                number_,
                f"bounds {bounds!r} do not stand in experiments/sequential_bounds.csv; "
                f"there are {', '.join(sorted(levels))}",
            )
            continue
        alpha = row.get("alpha") or "0.05"
        deciding = [role for role in roles[experiment] if role != "exploratory"]
        successes = (treatments[experiment] - 1) * deciding.count("success")
        for comparisons in sorted({1, max(successes, 1), max(len(deciding), 1)}):
            if number()(alpha) is None and not any(
                math.isclose(float(alpha) / comparisons, level, rel_tol=1e-6)
                for level in levels[bounds]
            ):
                yield Problem(
                    name,
                    number_,
                    f"bounds {bounds!r} have no rows at alpha {float(alpha) / comparisons:.9g} "
                    f"({alpha} over {comparisons} comparisons) in "
                    "experiments/sequential_bounds.csv",
                )


def _default_value_problems(tables: Mapping[str, list[tuple[int, Row]]]) -> Iterator[Problem]:
    name = "preferences/preference_dimensions.csv"
    values: dict[str, set[str]] = defaultdict(set)
    for _, row in tables["preferences/preference_values.csv"]:
        values[row.get("dimension", "")].add(row.get("value", ""))
    for number_, row in tables[name]:
        dimension, default = row.get("dimension", ""), row.get("default_value", "")
        if default and default not in values[dimension]:
            yield Problem(
                name,
                number_,
                f"default_value {default!r} is no value of {dimension!r} in "
                "preferences/preference_values.csv",
            )


def _metric_problems(
    tables: Mapping[str, list[tuple[int, Row]]], declarations: Path, project_dir: Path
) -> Iterator[Problem]:
    """Every metric of an experiment exists and says how a scorecard treats it."""
    metrics: dict[str, bool] = {}
    for folder, pattern_ in ((project_dir / "models", "**/*.yml"), (declarations, "metrics/*.yml")):
        for path in sorted(folder.glob(pattern_)):
            try:
                loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
            except yaml.YAMLError as error:
                if folder == declarations:
                    place = path.relative_to(declarations).as_posix()
                    yield Problem(place, None, f"is not YAML: {error}")
                continue
            options = _metrics_of(loaded)
            metrics.update({metric: bool(said) for metric, said in options.items()})
            if folder == declarations:
                place = path.relative_to(declarations).as_posix()
                for metric, said in options.items():
                    for problem in _option_problems(said) if said else ():
                        yield Problem(place, None, f"metric {metric!r}: {problem}")
    name = "experiments/experiment_metrics.csv"
    for number_, row in tables[name]:
        metric = row.get("metric_name", "")
        if not metric:
            continue
        if metric not in metrics:
            yield Problem(
                name,
                number_,
                f"metric_name {metric!r} is declared nowhere: add it to metrics/*.yml, or use one "
                f"of {', '.join(sorted(m for m, usable in metrics.items() if usable))}",
            )
        elif not metrics[metric]:
            yield Problem(
                name,
                number_,
                f"metric_name {metric!r} has no config.meta.experiment, which says how a "
                "scorecard treats it",
            )


def _metrics_of(loaded: Any) -> dict[str, Any]:
    """Return the metrics of a YAML file, and what each says of its use in scorecards."""
    found: dict[str, Any] = {}
    declared = loaded.get("metrics") if isinstance(loaded, dict) else None
    for metric in declared or []:
        if isinstance(metric, dict) and "name" in metric:
            meta = (metric.get("config") or {}).get("meta") or {}
            found[str(metric["name"])] = meta.get("experiment")
    return found


def _option_problems(options: Any) -> Iterator[str]:
    """Say what is wrong with a metric's config.meta.experiment, as check_metric_options does."""
    where = "config.meta.experiment"
    if not isinstance(options, dict):
        yield f"{where} is {options!r}; use options such as {{kind: mean, better: up}}"
        return
    kind = options.get("kind")
    if kind not in METRIC_KINDS:
        yield f"{where}.kind is {kind!r}; use {', '.join(METRIC_KINDS)}"
        return
    for option, value in options.items():
        kinds = METRIC_OPTIONS.get(option)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if kinds is None:
            yield f"{where}.{option} is unknown; there are {', '.join(METRIC_OPTIONS)}"
        elif kind not in kinds:
            yield (
                f"{where}.{option} is of no use to kind {kind}; leave it out, or use kind "
                f"{' or '.join(kinds)}"
            )
        elif option == "better" and value not in {"up", "down"}:
            yield f"{where}.better is {value!r}; use up or down"
        elif option in {"cap_quantile", "quantile"} and not (is_number and 0 < value < 1):
            yield f"{where}.{option} is {value!r}; use a share between 0 and 1, such as 0.99"
        elif option in {"window_days", "covariate_days"} and not (is_number and value > 0):
            yield f"{where}.{option} is {value!r}; use a number of days above 0, or leave it out"
        elif option == "delay_days" and not (is_number and value >= 0):
            yield f"{where}.delay_days is {value!r}; use a number of days, 0 or more"
    if kind == "retention" and "window_days" not in options:
        yield f"retention needs {where}.window_days: the days in which a unit must come back"
