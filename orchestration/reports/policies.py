"""What each candidate policy would have earned: the page of the decision points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb

from orchestration.lib.errors import EmptyError
from orchestration.reports import words
from orchestration.reports.figures import Bar, Picture, Tone, forest
from orchestration.reports.page import template

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FILE_NAME = "policies.html"
# the one that is drawn: unbiased where either the propensities or the reward model are right
DRAWN = "dr"
ESTIMATORS = {
    "ips": "weighted (IPS)",
    "snips": "weighted, weights adding up to one (SNIPS)",
    "dm": "reward model alone (DM)",
    "dr": "doubly robust (DR)",
    "switch_dr": "doubly robust, large weights left out (switch-DR)",
}


@dataclass(frozen=True, slots=True)
class Value:
    """One estimate of what a policy earns per decision, in the unit of the reward.

    value and its interval are None where the log cannot speak of the policy: reason says why.
    """

    decision_point: str
    policy: str
    estimator: str
    value: float | None
    lower: float | None
    upper: float | None
    logged: float | None
    effective_sample_size: float | None
    maximum_weight: float | None
    decisions: int
    support: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Point:
    """One decision point; verdicts are (policy, support, reason) where there is something to say."""

    anchor: str
    name: str
    decisions: str
    logged: str
    picture: Picture | None
    rows: Sequence[Sequence[str]]
    verdicts: Sequence[tuple[str, str, str]]


def read_values(published: Path) -> list[Value]:
    """Read every estimate of the published file.

    Raises:
        EmptyError: the file was published by a version that did not value policies.
    """
    with duckdb.connect(str(published), read_only=True) as connection:
        try:
            return [Value(*row) for row in connection.execute(_VALUES).fetchall()]
        except duckdb.CatalogException as error:
            raise EmptyError(
                f"the published file lacks what reports show: {error}",
                where=str(published),
                next_step="run `attune build`, then `attune publish`",
            ) from error


def policies_page(values: Sequence[Value]) -> str:
    """Return the HTML page of all decision points."""
    names = list(dict.fromkeys(each.decision_point for each in values))
    points = [
        _point(number, [each for each in values if each.decision_point == name])
        for number, name in enumerate(names)
    ]
    return template("policies.html.j2").render(points=points, words=words)


def _point(number: int, values: Sequence[Value]) -> Point:
    first = values[0]
    anchor = f"point-{number}"
    bars = [_bar(each) for each in values if each.estimator == DRAWN]
    is_drawn = bool(first.logged) and any(each.effect is not None for each in bars)
    verdicts = {
        each.policy: (each.policy, each.support, each.reason) for each in values if each.reason
    }
    return Point(
        anchor=anchor,
        name=first.decision_point,
        decisions=words.count(first.decisions),
        logged=_number(first.logged),
        picture=forest(
            anchor,
            f"Policies at {first.decision_point}",
            "What each policy would have earned against what was earned, with 95% intervals.",
            bars,
        )
        if is_drawn
        else None,
        rows=[
            (
                each.policy,
                ESTIMATORS[each.estimator],
                "refused" if each.value is None else _number(each.value),
                words.NOTHING
                if each.lower is None or each.upper is None
                else f"{_number(each.lower)} to {_number(each.upper)}",
                words.NOTHING
                if each.effective_sample_size is None
                else f"{each.effective_sample_size:,.0f}",
                _number(each.maximum_weight),
            )
            for each in values
        ],
        verdicts=list(verdicts.values()),
    )


def _bar(each: Value) -> Bar:
    """The value in percent of what was earned."""
    effect, lower, upper = (
        _change(end, each.logged) for end in (each.value, each.lower, each.upper)
    )
    tone: Tone = "unclear"
    if effect is None or each.support == "warn":
        tone = "unjudged"
    elif lower is not None and lower > 0:
        tone = "better"
    elif upper is not None and upper < 0:
        tone = "worse"
    return Bar(
        label=each.policy,
        note=each.support,
        effect=effect,
        lower=lower,
        upper=upper,
        tone=tone,
        text="refused" if effect is None else words.percent(effect),
    )


def _change(value: float | None, logged: float | None) -> float | None:
    return None if value is None or not logged else value / logged - 1


def _number(value: float | None) -> str:
    return words.NOTHING if value is None else f"{value:.4g}"


_VALUES = """
    select
        decision_point, policy_name, estimator, value, ci_lower, ci_upper, logged_value,
        effective_sample_size, maximum_weight, rows, support, reason
    from marts.rpt_policy_values
    order by
        decision_point, policy_name,
        list_position(['dr', 'switch_dr', 'snips', 'ips', 'dm'], estimator)
"""
