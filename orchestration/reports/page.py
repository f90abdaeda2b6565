"""A scorecard as a page: what is said where, in which words, under which figure."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

from orchestration.reports import making, words
from orchestration.reports.figures import FARTHEST, Bar, Course, Picture, Tone, courses, forest
from orchestration.reports.read import TABLES, Estimate, Metric, Scorecard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import date, datetime

    from jinja2 import Template

    from orchestration.reports.read import Age, Check, Day, Decision, Experiment, Heterogeneity

DECIDING_ROLES = ("success", "guardrail", "deterioration")
WATCHED_ROLES = ("guardrail", "deterioration")
LEGEND: dict[Tone, str] = {
    "better": "better",
    "worse": "worse",
    "unclear": "no clear difference",
    "unjudged": "not judged",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One metric of one treatment as it is judged, ready to be shown."""

    metric: Metric
    estimate: Estimate
    raw: Estimate | None
    tone: Tone
    verdict: str
    control: str
    treatment: str
    change: str
    absolute: str
    interval: str
    goal: str
    notes: Sequence[str]
    steps: Sequence[str]


@dataclass(frozen=True, slots=True)
class Arm:
    """One treatment: its decision, findings and figures; a figure without content is None.

    reason is the decision's, with the labels of metrics; differences says of each metric and segment
    in words whether the effect differs, those that do first.
    """

    anchor: str
    decision: Decision
    reason: str
    findings: Sequence[Finding]
    effects: Picture | None
    over_time: Picture | None
    days: Sequence[tuple[str, Sequence[Sequence[str]]]]
    segments: Picture | None
    differences: Sequence[tuple[str, bool]]
    by_age: Picture | None
    alternatives: Sequence[Sequence[str]]
    plans: Sequence[Sequence[str]]

    @property
    def tones(self) -> list[Tone]:
        """What the figure's legend has to explain."""
        return [tone for tone in LEGEND if any(each.tone == tone for each in self.findings)]

    @property
    def has_limits(self) -> bool:
        return any(_limit(each.estimate) is not None for each in self.findings)

    @property
    def is_adjusted(self) -> bool:
        return any(each.raw is not None for each in self.findings)

    @property
    def headlines(self) -> Sequence[Finding]:
        """The findings that the experiment was made for."""
        return [each for each in self.findings if each.estimate.role == "success"]


@dataclass(frozen=True, slots=True)
class CheckGroup:
    """One health check overall, and in segments."""

    title: str
    status: str
    detail: str
    segments: Sequence[Check]


@dataclass(frozen=True, slots=True)
class Entry:
    """One experiment in the index; decisions are (treatment, decision, reason)."""

    file_name: str
    name: str
    hypothesis: str | None
    decisions: Sequence[tuple[str, str, str]]


def file_name(experiment_name: str) -> str:
    """Return the file that an experiment's page lies in, whatever its name holds.

    Names that are no plain file name on every system carry a digest, so that no two share a file.
    """
    plain = re.sub(r"[^a-z0-9_-]+", "-", experiment_name.lower()).strip("-")[:80]
    if plain == experiment_name and plain not in ("index", "policies"):
        return f"{plain}.html"
    digest = hashlib.sha256(experiment_name.encode()).hexdigest()[:10]
    return f"{plain or 'experiment'}-{digest}.html"


def experiment_page(scorecard: Scorecard, metrics: Mapping[str, Metric]) -> str:
    """Return the HTML page of one experiment."""
    experiment = scorecard.experiment
    arms = [
        _arm(number, decision, scorecard, metrics)
        for number, decision in enumerate(scorecard.decisions)
    ]
    health = _health(scorecard.checks)
    failed = [each for each in scorecard.checks if each.status == "fail"]
    # the segments of a failed check say the same in smaller numbers
    overall = [each for each in failed if each.segment_name == "all"] or failed
    return (
        _environment()
        .get_template("experiment.html.j2")
        .render(
            experiment=experiment,
            arms=arms,
            health=health,
            counts={
                status: sum(group.status == status for group in health) for status in words.STATUSES
            },
            look_at=list(dict.fromkeys(each.detail for each in overall)),
            interactions=_interactions(scorecard, metrics),
            left_out=_left_out(scorecard),
            late_events=scorecard.exclusions.late_events if scorecard.exclusions else None,
            inference=words.INFERENCE[experiment.inference],
            confidence=words.plain_percent(1 - experiment.alpha),
            legend=LEGEND,
            tables=TABLES,
            words=words,
        )
    )


def index_page(scorecards: Iterable[Scorecard], as_of: datetime | None) -> str:
    """Return the HTML page that links every experiment."""
    entries = [
        Entry(
            file_name(each.experiment.name),
            each.experiment.name,
            each.experiment.hypothesis,
            [(made.treatment, made.decision, made.reason) for made in each.decisions],
        )
        for each in scorecards
    ]
    return (
        _environment()
        .get_template("index.html.j2")
        .render(entries=entries, as_of=as_of, words=words)
    )


def template(name: str) -> Template:
    """Return a template of the reports; texts in it are escaped."""
    return _environment().get_template(name)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("orchestration.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _arm(
    number: int, decision: Decision, scorecard: Scorecard, metrics: Mapping[str, Metric]
) -> Arm:
    experiment = scorecard.experiment
    anchor = f"arm-{number}"
    estimates = [each for each in scorecard.estimates if each.treatment == decision.treatment]
    overall = [each for each in estimates if each.segment_name == "all"]
    findings = [
        _finding(chosen, raw, decision, experiment, metrics) for chosen, raw in _chosen(overall)
    ]
    title = f"{decision.treatment} against {experiment.control}"
    return Arm(
        anchor=anchor,
        decision=decision,
        reason=words.labelled(
            decision.reason, {each.metric.name: each.metric.label for each in findings}
        ),
        findings=findings,
        effects=_effects(anchor, title, findings),
        over_time=_over_time(anchor, title, findings, scorecard.days),
        days=_day_tables(findings, scorecard.days),
        segments=_segments(anchor, title, findings, estimates, decision, experiment),
        differences=sorted(
            (
                (_difference(each, metrics, decision), bool(each.is_heterogeneous))
                for each in scorecard.heterogeneity
                if each.treatment == decision.treatment
            ),
            key=lambda difference: not difference[1],
        ),
        by_age=_by_age(anchor, title, findings, scorecard.ages),
        alternatives=_alternatives(overall, scorecard, metrics),
        plans=_plans(scorecard, decision.treatment, metrics),
    )


def _chosen(estimates: Sequence[Estimate]) -> list[tuple[Estimate, Estimate | None]]:
    """Return what decides for each metric, with the raw beside it where that is another."""
    raw = {each.metric: each for each in estimates if each.adjustment == "none"}
    return [
        (each, None if each.adjustment == "none" else raw.get(each.metric))
        for each in estimates
        if each.is_deciding
    ]


def _finding(
    chosen: Estimate,
    raw: Estimate | None,
    decision: Decision,
    experiment: Experiment,
    metrics: Mapping[str, Metric],
) -> Finding:
    metric = metrics.get(chosen.metric) or Metric(chosen.metric, chosen.metric, "", None)
    tone, verdict = _verdict(chosen, decision, experiment)
    is_missing = chosen.status != "ok"
    return Finding(
        metric=metric,
        estimate=chosen,
        raw=raw,
        tone=tone,
        verdict=verdict,
        control=words.amount(chosen.control_value, metric.unit),
        treatment=words.amount(chosen.treatment_value, metric.unit),
        change=words.percent(chosen.relative_effect),
        absolute=words.amount(chosen.absolute_effect, metric.unit, is_signed=True),
        interval=words.NOTHING if is_missing else words.interval(chosen.lower, chosen.upper),
        goal=_goal(chosen),
        notes=_notes(chosen, decision, experiment, tone),
        steps=making.steps(chosen, metric, experiment),
    )


def _verdict(estimate: Estimate, decision: Decision, experiment: Experiment) -> tuple[Tone, str]:
    """Say what the marts decided on a metric; the rules stand in rpt_experiment_decisions."""
    if decision.decision == "invalid":
        return "unjudged", "Not judged"
    if estimate.status != "ok":
        return "unjudged", "No estimate"
    if not _is_due(decision, experiment):
        return "unjudged", "Not tested yet"
    if estimate.metric in decision.deteriorated:
        return "worse", "Worse"
    if estimate.metric in decision.winning:
        return "better", "Better"
    if estimate.role == "guardrail" and estimate.minimum_effect is not None:
        is_failed = estimate.metric in decision.failed_guardrails
        return "unclear", "Harm not ruled out" if is_failed else "Within its limit"
    if estimate.metric in decision.unjudged:
        return "unjudged", "Not judged"
    if estimate.role in WATCHED_ROLES:
        # not tested for getting better
        return "unclear", "No clear harm"
    if estimate.role in DECIDING_ROLES:
        return "unclear", "No clear difference"
    return _side(estimate)


def _side(estimate: Estimate) -> tuple[Tone, str]:
    if not estimate.is_significant or not estimate.absolute_effect:
        return "unclear", "No clear difference"
    is_better = (estimate.absolute_effect > 0) == (estimate.better != "down")
    return ("better", "Better") if is_better else ("worse", "Worse")


def _limit(estimate: Estimate) -> float | None:
    """Return the margin of a guardrail on the side of harm."""
    if estimate.role != "guardrail" or estimate.minimum_effect is None:
        return None
    return estimate.minimum_effect if estimate.better == "down" else -estimate.minimum_effect


def _goal(estimate: Estimate) -> str:
    if estimate.role == "success":
        return "should fall" if estimate.better == "down" else "should rise"
    limit = _limit(estimate)
    if limit is not None:
        return f"must stay {'below' if limit > 0 else 'above'} {words.percent(limit)}"
    return words.ROLES.get(estimate.role, estimate.role)


def _notes(estimate: Estimate, decision: Decision, experiment: Experiment, tone: Tone) -> list[str]:
    codes = (
        None if estimate.status == "ok" else estimate.status,
        estimate.relative_reason,
        estimate.interval_reason,
    )
    notes = [words.reason(code) for code in dict.fromkeys(codes) if code is not None]
    # before it is due, a test that is made once has no p-value
    if estimate.p_value is not None and _is_due(decision, experiment):
        notes.append(f"p {_equals(estimate.p_value)}.")
    if tone == "unclear":
        notes += _near_miss(estimate, decision)
    if estimate.role == "success" and estimate.minimum_effect is not None:
        notes.append(f"A change of {words.plain_percent(estimate.minimum_effect)} matters.")
    if experiment.inference == "fixed" and _limit(estimate) is not None:
        level = words.plain_percent(experiment.alpha)
        notes.append(f"Its limit is tested one-sided at {level}; the interval has two sides.")
    if estimate.immature_units:
        notes.append(f"{words.count(estimate.immature_units)} too recent to count.")
    if estimate.out_of_time_units:
        notes.append(f"{words.count(estimate.out_of_time_units)} exposed too late to count.")
    return notes


def _near_miss(estimate: Estimate, decision: Decision) -> list[str]:
    """Say why an interval that leaves zero out proves nothing."""
    lower, upper = estimate.lower, estimate.upper
    if lower is None or upper is None or lower <= 0 <= upper:
        return []
    if estimate.role not in WATCHED_ROLES:
        return ["The interval is of this metric alone; after correction, chance may explain it."]
    is_harm = (lower > 0) == (estimate.better == "down")
    # a guardrail with a limit has its own test, which the notes name
    if not is_harm or decision.deterioration_alpha is None:
        return []
    level = words.plain_percent(decision.deterioration_alpha)
    return [f"Harm is tested one-sided at {level}, a level that the metrics share."]


def _is_due(decision: Decision, experiment: Experiment) -> bool:
    return experiment.inference != "fixed" or decision.is_complete


def _bar(finding: Finding) -> Bar:
    estimate, raw = finding.estimate, finding.raw
    beside = None
    if raw is not None and raw.relative_effect is not None:
        beside = (raw.relative_effect, raw.lower, raw.upper)
    return Bar(
        label=finding.metric.label,
        note=finding.goal,
        effect=estimate.relative_effect,
        lower=estimate.lower,
        upper=estimate.upper,
        tone=finding.tone,
        text=_spoken(estimate),
        beside=beside,
        limit=_limit(estimate),
    )


def _spoken(estimate: Estimate) -> str:
    if estimate.status != "ok" or estimate.relative_effect is None:
        return "no estimate"
    effect = words.percent(estimate.relative_effect)
    return f"{effect}  ({words.interval(estimate.lower, estimate.upper)})"


def _effects(anchor: str, title: str, findings: Sequence[Finding]) -> Picture | None:
    if not findings:
        return None
    said = " ".join(
        f"{each.metric.label}: {_spoken(each.estimate)}, {each.verdict.lower()}."
        for each in findings
    )
    return forest(
        f"{anchor}-effects", f"Change per metric, {title}", said, [_bar(each) for each in findings]
    )


def _of_finding(finding: Finding, days: Sequence[Day]) -> list[Day]:
    return [
        each
        for each in days
        if each.metric == finding.metric.name
        and each.treatment == finding.estimate.treatment
        and each.adjustment == finding.estimate.adjustment
        and each.relative_effect is not None
    ]


def _over_time(
    anchor: str, title: str, findings: Sequence[Finding], days: Sequence[Day]
) -> Picture | None:
    shown, said = [], []
    for finding in findings:
        course = _of_finding(finding, days)
        if finding.estimate.role not in DECIDING_ROLES or not course:
            continue
        start, last = course[0].day, course[-1]
        text = f"{words.percent(last.relative_effect)}  ({words.interval(last.lower, last.upper)})"
        shown.append(
            Course(
                label=finding.metric.label,
                text=text,
                x=[(each.day - start).days for each in course],
                effect=[each.relative_effect or 0.0 for each in course],
                lower=[each.lower for each in course],
                upper=[each.upper for each in course],
                tone=finding.tone,
                x_text=_date_text(start),
                y_text=words.percent_tick,
                limit=_limit(finding.estimate),
                farthest=FARTHEST,
            )
        )
        said.append(f"{finding.metric.label} on {words.day(last.day)}: {text}.")
    if not shown:
        return None
    return courses(f"{anchor}-time", f"Change day by day, {title}", " ".join(said), shown)


def _date_text(start: date) -> Callable[[int], str]:
    return lambda days: words.short_day(start + timedelta(days=days))


def _day_tables(
    findings: Sequence[Finding], days: Sequence[Day]
) -> list[tuple[str, list[list[str]]]]:
    tables = []
    for finding in findings:
        rows = [
            [
                words.short_day(each.day),
                words.percent(each.relative_effect),
                words.interval(each.lower, each.upper),
            ]
            for each in _of_finding(finding, days)
        ]
        if rows and finding.estimate.role in DECIDING_ROLES:
            tables.append((finding.metric.label, rows))
    return tables


def _segments(
    anchor: str,
    title: str,
    findings: Sequence[Finding],
    estimates: Sequence[Estimate],
    decision: Decision,
    experiment: Experiment,
) -> Picture | None:
    bars, said = [], []
    is_judged = decision.decision != "invalid" and _is_due(decision, experiment)
    for finding in findings:
        if finding.estimate.role != "success":
            continue
        values = [
            each
            for each in estimates
            if each.metric == finding.metric.name
            and each.segment_name != "all"
            and each.adjustment == finding.estimate.adjustment
        ]
        for number, each in enumerate(values):
            tone: Tone = _side(each)[0] if is_judged else "unjudged"
            count = each.control_units + each.treatment_units
            bars.append(
                Bar(
                    label=f"{each.segment_name}: {each.segment_value}",
                    note=words.units(experiment.unit, count),
                    effect=each.relative_effect,
                    lower=each.lower,
                    upper=each.upper,
                    tone=tone,
                    text=_spoken(each),
                    heading=finding.metric.label if number == 0 else None,
                )
            )
            said.append(
                f"{finding.metric.label}, {each.segment_name} {each.segment_value}: "
                f"{_spoken(each)}."
            )
    if not bars:
        return None
    return forest(f"{anchor}-segments", f"Change per segment, {title}", " ".join(said), bars)


def _by_age(
    anchor: str, title: str, findings: Sequence[Finding], ages: Sequence[Age]
) -> Picture | None:
    shown, said = [], []
    for finding in findings:
        course = [
            each
            for each in ages
            if each.metric == finding.metric.name
            and each.treatment == finding.estimate.treatment
            and each.absolute_effect is not None
        ]
        if finding.estimate.role != "success" or not course:
            continue
        unit = finding.metric.unit
        first, last = course[0], course[-1]
        shown.append(
            Course(
                label=finding.metric.label,
                text=f"day 1: {words.amount(first.absolute_effect, unit, is_signed=True)}, day "
                f"{last.days_since_exposure + 1}: "
                f"{words.amount(last.absolute_effect, unit, is_signed=True)}",
                x=[each.days_since_exposure for each in course],
                effect=[each.absolute_effect or 0.0 for each in course],
                lower=[each.lower for each in course],
                upper=[each.upper for each in course],
                tone="unjudged" if finding.tone == "unjudged" else "unclear",
                x_text=lambda days: f"day {days + 1}",
                y_text=lambda value, unit=unit: words.amount(value, unit, is_signed=True),  # type: ignore[misc]
            )
        )
        said.append(f"{finding.metric.label}, {shown[-1].text}.")
    if not shown:
        return None
    return courses(f"{anchor}-age", f"Change by days of use, {title}", " ".join(said), shown)


def _alternatives(
    overall: Sequence[Estimate], scorecard: Scorecard, metrics: Mapping[str, Metric]
) -> list[list[str]]:
    shrunk = {
        (each.metric, each.treatment, each.adjustment): each.relative_effect
        for each in scorecard.shrunk
    }
    return [
        [
            _label(metrics, each.metric),
            words.ADJUSTMENTS.get(each.adjustment, each.adjustment),
            words.percent(each.relative_effect),
            words.interval(each.lower, each.upper)
            if each.status == "ok"
            else words.reason(each.status),
            words.percent(shrunk.get((each.metric, each.treatment, each.adjustment))),
            words.plain_percent(each.probability_of_improvement),
        ]
        for each in overall
    ]


def _plans(scorecard: Scorecard, treatment: str, metrics: Mapping[str, Metric]) -> list[list[str]]:
    return [
        [
            _label(metrics, each.metric),
            words.ADJUSTMENTS.get(each.adjustment, each.adjustment),
            words.plain_percent(each.minimum_effect),
            words.count(each.required_units)
            if each.required_units is not None
            else words.reason(each.status),
            words.count(each.required_days),
            words.plain_percent(each.detectable_effect),
        ]
        for each in scorecard.plans
        if each.treatment == treatment and (each.adjustment == "none" or each.status == "ok")
    ]


def _health(checks: Sequence[Check]) -> list[CheckGroup]:
    """Group checks by name, failures first; a failing segment fails its check."""
    groups = []
    for name in dict.fromkeys(each.name for each in checks):
        mine = [each for each in checks if each.name == name]
        overall = [each for each in mine if each.segment_name == "all"] or mine[:1]
        segments = [each for each in mine if each not in overall]
        has_failed = any(each.status == "fail" for each in mine)
        groups.append(
            CheckGroup(
                title=words.check(name),
                status="fail" if has_failed else overall[0].status,
                detail=overall[0].detail,
                segments=segments,
            )
        )
    order = list(words.STATUSES)
    return sorted(groups, key=lambda group: (group.status != "fail", order.index(group.status)))


def _interactions(
    scorecard: Scorecard, metrics: Mapping[str, Metric]
) -> tuple[int, list[list[str]]]:
    """Return how many pairs were screened, and those that were found."""
    found = [
        [
            each.other_experiment,
            each.other_treatment,
            each.treatment,
            _label(metrics, each.metric),
            words.amount(
                each.effect,
                metrics[each.metric].unit if each.metric in metrics else None,
                is_signed=True,
            ),
            words.p_value(each.p_value),
        ]
        for each in scorecard.interactions
        if each.is_interaction
    ]
    return sum(each.p_value is not None for each in scorecard.interactions), found


def _left_out(scorecard: Scorecard) -> list[tuple[str, str]]:
    """Return how many units do not count, and why; empty where there is nothing to count."""
    left_out, experiment = scorecard.exclusions, scorecard.experiment
    if left_out is None:
        return []
    overall = [each for each in scorecard.estimates if each.segment_name == "all"]
    immature = max((each.immature_units for each in overall), default=0)
    out_of_time = max((each.out_of_time_units for each in overall), default=0)
    found = [
        (left_out.several_variants, "saw several variants, so that nobody knows which one worked"),
        (left_out.declared, "internal or a bot, by declaration"),
        (
            immature,
            "too recent for at least one metric; left out of that one until its window closes",
        ),
    ]
    if out_of_time:
        found.append(
            (
                out_of_time,
                "exposed too late for at least one metric, whose delay outlasts the experiment",
            )
        )
    if experiment.trigger_event is not None:
        found.insert(2, (left_out.not_triggered, "never reached the point where the change shows"))
    return [(words.units(experiment.unit, number), reason) for number, reason in found]


def _difference(found: Heterogeneity, metrics: Mapping[str, Metric], decision: Decision) -> str:
    metric = _label(metrics, found.metric)
    if not decision.is_complete:
        return f"{metric} by {found.segment_name}: tested once, when the experiment is complete."
    verdict = "the effect differs" if found.is_heterogeneous else "no sign that the effect differs"
    return f"{metric} by {found.segment_name}: {verdict} (p {_equals(found.p_value)})."


def _label(metrics: Mapping[str, Metric], name: str) -> str:
    return metrics[name].label if name in metrics else name


def _equals(value: float | None) -> str:
    text = words.p_value(value)
    return text if text.startswith("<") else f"= {text}"
