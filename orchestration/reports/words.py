"""Numbers and codes of the marts in the words of somebody who is no statistician."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime

MINUS = "\N{MINUS SIGN}"
NOTHING = "\N{EN DASH}"

DECISIONS = {
    "ship": ("Ship", "A metric that it was made for got better, and nothing is shown to break."),
    "do_not_ship": (
        "Do not ship",
        "What it was made for did not come true, or something got worse.",
    ),
    "keep_running": ("Keep running", "It is too early to say."),
    "invalid": ("Do not trust", "The data is broken. Find the cause before you read any effect."),
}

ROLES = {
    "success": "should get better",
    "guardrail": "must not get worse",
    "deterioration": "watched for getting worse",
    "exploratory": "for interest only",
}

ADJUSTMENTS = {
    "none": "as measured",
    "cuped": "adjusted for what units did before (CUPED)",
    "lin": "adjusted per arm (Lin)",
    "post_stratified": "re-weighted by segment",
}

METHODS = {
    "holm": "Holm",
    "benjamini_hochberg": "Benjamini-Hochberg",
    "e_bh": "e-BH",
}

INTERVALS = {
    "fixed_horizon": "The interval is meant for one look, at the end.",
    "always_valid": "The interval holds however often you look, and is wider for it.",
    "repeated": "The interval holds at all planned looks together, and is wider for it.",
}

INFERENCE = {
    "fixed": "Tested once, at the end",
    "sequential": "May be read any day",
    "group_sequential": "Tested at planned looks",
}

REASONS = {
    "no_units": "No unit can be analysed yet.",
    "one_unit": "An arm has only one unit, so that nothing can be said about chance.",
    "one_arm": "Only one arm has units.",
    "missing_arm": "An arm has no units.",
    "too_few_units": "Too few units yet for an interval that holds whenever it is looked at.",
    "too_few_events": "Too few events for an estimate.",
    "tied_values": "Too many events have the same value: a quantile of them is not known well enough.",
    "thin_stratum": "A segment has too few units to re-weight by.",
    "zero_variance": "Every unit has the same value, so that nothing can be said about chance.",
    "zero_baseline": "Control is 0: a change in percent of it does not exist.",
    "zero_denominator": "There is nothing to divide by: the denominator is 0.",
    "weak_denominator": "Control is too uncertain: a change in percent of it has no bounded interval.",
    "infeasible_moments": "The sums contradict each other; look at the data behind the metric.",
    "immature_window": "The metric's window is still open for every unit.",
    "out_of_time": "The experiment ended before the metric's delay had passed for any unit.",
    "no_history": "No unit has history before exposure to adjust by.",
    "no_covariate": "The metric has no value before exposure to adjust by.",
    "partial_history": "The telemetry does not reach back far enough.",
    "no_minimum_effect": "No effect that matters is declared.",
    "no_bounds": "sequential_bounds.csv has no bounds at the level of this test.",
    "no_tuning_sample": "No interval that holds at any time: declare planned_units.",
    "sparse_denominator": "Too few units did what the ratio is of: no interval that may be read yet.",
    "metric_not_for_scorecards": "The metric does not say how a scorecard treats it.",
}

CHECKS = {
    "sample_ratio": "Units split as planned (final test)",
    "sample_ratio_sequential": "Units split as planned (any-day test)",
    "several_variants_bias": "Setting switchers apart favours no variant",
    "units_set_apart": "Few units switch variants",
    "missing_arms": "Every variant has units",
    "exposure_outside_dates": "Exposures lie within the dates",
    "unexpected_variants": "Only declared variants appear",
    "covariate_imbalance": "Variants were alike before",
    "late_data_share": "Data comes in time",
    "instrumentation_gaps": "No day is missing",
    "layer_overlap": "No overlap with experiments of its layer",
    "holdout": "The holdout is kept",
}

STATUSES = {"pass": "Passed", "fail": "Failed", "not_applicable": "Does not apply"}


def reason(code: str) -> str:
    """Say a reason code in a sentence; an unknown one is shown as it is."""
    return REASONS.get(code, f"No number: {code}.")


def labelled(text: str, labels: Mapping[str, str]) -> str:
    """Put the labels of metrics for their names in a sentence of a mart, and a minus for its hyphen."""
    if labels:
        longest_first = sorted(labels, key=len, reverse=True)
        names = "|".join(re.escape(name) for name in longest_first)
        text = re.sub(rf"(?<![\w-])(?:{names})(?![\w-])", lambda found: labels[found[0]], text)
    return re.sub(r"(?<![\w-])-(?=\d)", MINUS, text)


def check(name: str) -> str:
    """Say what a health check claims."""
    return CHECKS.get(name, name.replace("_", " ").capitalize())


def percent(share: float | None, *, digits: int = 1) -> str:
    """Write a relative effect as a signed percentage."""
    if share is None:
        return NOTHING
    text = f"{share:+.{digits}%}"
    # -0.0% says a direction that the digits do not show
    if text.strip("+-0.%") == "":
        text = text.lstrip("+-")
    return text.replace("-", MINUS)


def plain_percent(share: float | None) -> str:
    """Write a share without a sign, whole where it is whole: 95%, 99.5%."""
    if share is None:
        return NOTHING
    return f"{round(100 * share, 6):.1f}".removesuffix(".0").replace("-", MINUS) + "%"


def interval(lower: float | None, upper: float | None) -> str:
    """Write the interval of a relative effect."""
    if lower is None or upper is None:
        return "no bounded interval"
    return f"{percent(lower)} to {percent(upper)}"


def amount(value: float | None, unit: str | None, *, is_signed: bool = False) -> str:
    """Write a value in its metric's unit: 14.2%, 4.61 s, $0.0072, 17.8.

    A signed value is a difference: of shares in percentage points.
    """
    if value is None:
        return NOTHING
    size = abs(value)
    sign = MINUS if value < 0 else "+" if is_signed and value > 0 else ""
    if unit == "share":
        return f"{sign}{100 * size:.1f}{' points' if is_signed else '%'}"
    if unit == "ms":
        return f"{sign}{size / 1000:.2f} s" if size >= 1000 else f"{sign}{_digits(size)} ms"
    if unit == "usd":
        return f"{sign}${size:,.2f}" if size >= 1 else f"{sign}${_digits(size)}"
    return f"{sign}{_digits(size)}{f' {unit}' if unit else ''}"


def _digits(size: float) -> str:
    """Write three significant digits without an exponent; whole numbers in full."""
    if size >= 1000:
        return f"{size:,.0f}"
    if size == 0:
        return "0"
    text = f"{float(f'{size:.3g}'):.12f}".rstrip("0").rstrip(".")
    return text if text != "0" else f"{size:.2g}"


def count(number: int | None) -> str:
    """Write a number of units."""
    return NOTHING if number is None else f"{number:,}"


def p_value(value: float | None) -> str:
    """Write a p-value as far as it matters."""
    if value is None:
        return NOTHING
    if value < 0.001:
        return "< 0.001"
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def day(moment: date | datetime | None) -> str:
    """Write a date: 2 March 2026."""
    return NOTHING if moment is None else f"{moment.day} {moment:%B %Y}"


def short_day(moment: date) -> str:
    """Write a date without its year: 2 Mar."""
    return f"{moment.day} {moment:%b}"


def percent_tick(share: float) -> str:
    """Write a relative effect on an axis, with a decimal only where it has one."""
    return percent(share, digits=0 if abs(100 * share - round(100 * share)) < 1e-6 else 1)


def units(unit: str, number: int) -> str:
    """Write a number of units with their name."""
    return f"{number:,} {unit}{'' if number == 1 else 's'}"
