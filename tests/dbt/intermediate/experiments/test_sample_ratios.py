"""The sample-ratio tests on counts, through the models: published vectors, scipy, and no split at all.

Counts of units stand where the warehouse would count them; everything after that is the models'.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from scipy import special

from tests.dbt.statistics.macro_sql import render

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PROJECT_DIR = Path(__file__).resolve().parents[4]
MODELS = PROJECT_DIR / "models" / "intermediate" / "experiments"
TOLERANCE = 1e-9

# experiment, day, variant, allocation, units so far
Count = tuple[str, int, str, float, int]


def model_sql(name: str, concentration: float) -> str:
    """A model as SQL on tables of the same names."""
    macros = "".join(
        (PROJECT_DIR / "macros" / "cross_db" / f"{macro}.sql").read_text()
        for macro in ("count_text", "sorted_list_text")
    )
    dbt = (
        "{% macro ref(name) %}{{ name }}{% endmacro %}"
        f"{{% macro var(name) %}}{concentration!r}{{% endmacro %}}"
    )
    return render(dbt + macros + (MODELS / f"{name}.sql").read_text())


def checks(counts: Iterable[Count], concentration: float = 100.0) -> list[dict[str, Any]]:
    """Run the models on cumulative counts; the rows of both checks, all experiments ended."""
    names = ["experiment_name", "day", "variant", "allocation", "units"]
    with duckdb.connect() as connection:
        connection.register("counts", pa.table(list(zip(*counts, strict=True)), names=names))
        connection.execute(
            """
            create table int_experiment_arm_counts as
            select
                experiment_name,
                'all' as segment_name,
                'all' as segment_value,
                date '2026-03-01' + cast(day as integer) as as_of_date,
                variant,
                allocation,
                units
            from counts
            """
        )
        connection.execute(
            "create table stg_declarations__experiments as select distinct experiment_name, "
            "timestamp '2026-03-30' as ended_at from int_experiment_arm_counts"
        )
        connection.execute("create table int_as_of as select timestamp '2026-03-31' as as_of")
        connection.execute(
            "create table int_experiment_sample_ratios as "
            + model_sql("int_experiment_sample_ratios", concentration)
        )
        result = connection.sql(model_sql("int_experiment_checks_sample_ratio", concentration))
        return [dict(zip(result.columns, row, strict=True)) for row in result.fetchall()]


def one_look(name: str, users: Sequence[int], weights: Sequence[float]) -> list[Count]:
    """All units of an experiment entered on one day."""
    return [
        (name, 0, f"arm {place}", weight, count)
        for place, (count, weight) in enumerate(zip(users, weights, strict=True))
    ]


def vectors(shared_dir: Path, family: str) -> list[dict[str, Any]]:
    """The vectors of a family."""
    path = shared_dir / "reference" / "experiment_vectors.json"
    return [
        vector
        for vector in json.loads(path.read_text(encoding="utf-8"))["vectors"]
        if vector["family"] == family
    ]


def is_close(value: float, expected: float) -> bool:
    """Within the tolerance, relative or near 0 absolute."""
    return math.isclose(value, expected, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def test_the_fixed_test_meets_every_published_vector(shared_dir: Path) -> None:
    """All but the exact binomial test: Pearson's is attune's at every sample size."""
    chosen = [v for v in vectors(shared_dir, "srm") if v["settings"]["test"] != "binom"]
    assert len(chosen) == 8
    for vector in chosen:
        counts = one_look(vector["id"], vector["input"]["users"], vector["input"]["weights"])
        (row,) = [row for row in checks(counts) if row["check_name"] == "sample_ratio"]
        expected = vector["expected"]
        assert is_close(row["p_value"], expected["p_value"]), vector["id"]
        if "chi2" in expected:
            assert is_close(row["statistic"], expected["chi2"]), vector["id"]


def test_the_sequential_test_meets_every_published_vector(shared_dir: Path) -> None:
    chosen = vectors(shared_dir, "srm_sequential")
    assert len(chosen) == 3
    for vector in chosen:
        counts = one_look(vector["id"], vector["input"]["users"], vector["input"]["weights"])
        rows = checks(counts, vector["settings"]["prior_concentration"])
        (row,) = [row for row in rows if row["check_name"] == "sample_ratio_sequential"]
        assert is_close(row["log_e_value"], vector["expected"]["log_e_value"]), vector["id"]
        assert is_close(row["p_value"], vector["expected"]["p_value"]), vector["id"]


@pytest.mark.parametrize("concentration", [1.0, 100.0, 10_000.0])
def test_the_e_value_is_the_dirichlet_multinomial_bayes_factor(concentration: float) -> None:
    """Against log-gamma of scipy, where that keeps its digits: few units, uneven shares."""
    rng = np.random.default_rng(1)
    truth = {}
    counts: list[Count] = []
    for case in range(200):
        shares = rng.dirichlet(np.full(rng.integers(2, 6), 0.5)).clip(1e-3)
        shares /= shares.sum()
        users = rng.multinomial(int(rng.integers(1, 3000)), rng.dirichlet(100 * shares))
        prior = concentration * shares
        truth[f"e{case}"] = float(
            special.gammaln(concentration)
            - special.gammaln(concentration + users.sum())
            + np.sum(special.gammaln(prior + users) - special.gammaln(prior))
            - np.sum(users * np.log(shares))
        )
        counts += one_look(f"e{case}", users.tolist(), shares.tolist())
    found = {
        row["experiment_name"]: row["log_e_value"]
        for row in checks(counts, concentration)
        if row["check_name"] == "sample_ratio_sequential"
    }
    assert max(abs(found[name] - value) for name, value in truth.items()) < 1e-9


def test_daily_looks_at_fair_splits_stay_under_the_nominal_rate() -> None:
    """2,000 fair experiments of 28 looks each: an e-value of 20 is reached by fewer than 5%."""
    rng = np.random.default_rng(2)
    entering = rng.multinomial(300, [0.5, 0.25, 0.25], size=(2000, 28)).cumsum(axis=1)
    counts = [
        (f"e{experiment}", day, f"arm {arm}", [0.5, 0.25, 0.25][arm], int(units))
        for (experiment, day, arm), units in np.ndenumerate(entering)
    ]
    rows = [row for row in checks(counts) if row["check_name"] == "sample_ratio_sequential"]
    assert len(rows) == 2000
    reached = sum(row["p_value"] <= 0.05 for row in rows) / len(rows)
    assert 0 < reached < 0.05
