"""How an estimate was made, step by step, for somebody who has to rest a decision on it.

The steps are those of the mart's `adjustment_chain`; a step that has no words here is shown as the
mart writes it, so that nothing that was done stays unsaid.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

from orchestration.reports import words

if TYPE_CHECKING:
    from orchestration.reports.read import Estimate, Experiment, Metric


def steps(estimate: Estimate, metric: Metric, experiment: Experiment) -> list[str]:
    """Say what an estimate compares, what was done to it, and what its interval holds for.

    Empty where there is no estimate: then the reason stands in its place.
    """
    if estimate.status != "ok" or estimate.adjustment_chain is None:
        return []
    treated = words.units(experiment.unit, estimate.treatment_units)
    controls = words.count(estimate.control_units)
    said = [f"Compares {treated} in {estimate.treatment} with {controls} in {experiment.control}."]
    said += [
        _step(link, estimate, metric, experiment.unit)
        for link in estimate.adjustment_chain.split(" > ")
    ]
    has_interval = estimate.lower is not None and estimate.upper is not None
    if has_interval and estimate.interval_kind is not None:
        said.append(words.INTERVALS[estimate.interval_kind])
    return said


def _step(link: str, estimate: Estimate, metric: Metric, unit: str) -> str:
    if link == "none":
        return "The plain difference: nothing was adjusted, and no test was corrected."
    if link == "cuped":
        removed = ""
        if estimate.variance_removed is not None:
            share = words.plain_percent(estimate.variance_removed)
            removed = f"; this takes away {share} of the noise"
        return f"Adjusted for what each {unit} did before it entered (CUPED){removed}."
    if link == "lin":
        return f"Adjusted for what each {unit} did before it entered, in each variant apart (Lin)."
    if link.startswith("post_stratified by "):
        segment = link.removeprefix("post_stratified by ")
        return f"Re-weighted as if both variants held the same mix of {segment}."
    if link == "declared_bounds":
        return "Tested at planned looks only, each against a bound that was set before the start."
    if link in words.METHODS:
        return _corrected(words.METHODS[link], estimate.family_size)
    capped = re.fullmatch(r"capped at p(\d+(?:\.\d+)?)", link)
    if capped is not None:
        return _capped(Decimal(100) - Decimal(capped[1]), estimate, metric, unit)
    return f"Also done: {link}."


def _corrected(method: str, family_size: int | None) -> str:
    if family_size is not None and family_size < 2:
        return f"The only comparison of its kind: there is nothing to correct for ({method})."
    number = "" if family_size is None else f" {words.count(family_size)}"
    return (
        f"The test is corrected for{number} comparisons: the more are made, the more look different "
        f"by chance ({method})."
    )


def _capped(share: Decimal, estimate: Estimate, metric: Metric, unit: str) -> str:
    highest = f"the {share.normalize():f}% of {unit}s with the highest values"
    reason = "so that a few cannot sway the result"
    if estimate.denominator_cap is not None:
        # the caps are of the two parts, in their own units
        return f"Both parts of the ratio are capped for {highest}, {reason}."
    limit = ""
    if estimate.numerator_cap is not None:
        limit = f", at {words.amount(estimate.numerator_cap, metric.unit)} each"
    return f"Capped for {highest}{limit}, {reason}."
