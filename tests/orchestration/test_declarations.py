"""Each kind of mistake in a declaration is named with its file and row."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestration.lib.declarations import (
    TABLES,
    check_declarations,
    outcome,
    require_declarations,
)
from orchestration.lib.errors import DeclarationError

EXPERIMENTS = "experiments/experiments.csv"
VARIANTS = "experiments/experiment_variants.csv"
METRICS = "experiments/experiment_metrics.csv"
DIMENSIONS = "preferences/preference_dimensions.csv"
SIGNALS = "preferences/preference_signals.csv"
HOLDOUT = "preferences/personalization_holdout.csv"

Edit = Callable[[str], str]


@pytest.fixture
def declarations(tmp_path: Path, project_dir: Path) -> Path:
    return Path(shutil.copytree(project_dir / "seeds" / "declarations", tmp_path / "mine"))


def test_the_projects_own_declarations_hold_no_mistake(project_dir: Path) -> None:
    assert check_declarations(project_dir / "seeds" / "declarations", project_dir) == []


def test_every_declaration_file_of_the_project_has_rules(project_dir: Path) -> None:
    folder = project_dir / "seeds" / "declarations"
    assert {p.relative_to(folder).as_posix() for p in folder.glob("*/*.csv")} == set(TABLES)


def replaced(old: str, new: str) -> Edit:
    def edit(text: str) -> str:
        assert old in text, f"{old!r} does not stand in the file"
        return text.replace(old, new, 1)

    return edit


def appended(line: str) -> Edit:
    return lambda text: text + line + "\n"


@pytest.mark.parametrize(
    ("name", "edit", "expected"),
    [
        (VARIANTS, replaced("allocation", "share"), f"{VARIANTS}, row 1: the column 'allocation'"),
        (VARIANTS, replaced("allocation", "share"), "row 1: unknown column 'share'"),
        (VARIANTS, replaced("allocation", "variant"), "the column 'variant' stands twice"),
        (
            VARIANTS,
            replaced("treatment,0.5", "treatment,half"),
            f"{VARIANTS}, row 3: allocation: 'half' is not a number",
        ),
        (
            VARIANTS,
            replaced("treatment,0.5", "treatment,nan"),
            "row 3: allocation: 'nan' is not a finite number",
        ),
        (
            VARIANTS,
            replaced("treatment,0.5", "treatment,1.5"),
            "row 3: allocation: 1.5 is not between 0 and 1",
        ),
        (
            VARIANTS,
            replaced("treatment,0.5", "treatment,0.4"),
            f"{VARIANTS}, row 2: allocation of concise-answers adds up to 0.9, not 1",
        ),
        (
            VARIANTS,
            replaced("treatment,0.5", "control,0.5"),
            "row 3: repeats row 2: experiment_name 'concise-answers', variant 'control'",
        ),
        (VARIANTS, replaced("treatment,0.5", "treatment"), "row 3: has 2 values, the header 3"),
        (
            VARIANTS,
            appended("nowhere,control,1"),
            f"experiment_name 'nowhere' does not stand in {EXPERIMENTS}",
        ),
        (
            EXPERIMENTS,
            replaced("concise-answers,user,control", "concise-answers,user,old"),
            f"{EXPERIMENTS}, row 2: control_variant 'old' is no variant of 'concise-answers'",
        ),
        (
            EXPERIMENTS,
            replaced("concise-answers,user", "other,user"),
            f"'other' needs two or more rows in {VARIANTS}",
        ),
        (
            EXPERIMENTS,
            replaced("2026-03-02,2026-03-30", "2026-03-30,2026-03-02"),
            "row 2: ended_at 2026-03-02 is not after started_at 2026-03-30",
        ),
        (
            EXPERIMENTS,
            replaced("2026-03-02,2026-03-30", "March,2026-03-30"),
            "row 2: started_at: 'March' is not a time",
        ),
        (
            EXPERIMENTS,
            replaced("user,control,2026-03-02", "user,control,"),
            "row 2: started_at is empty",
        ),
        (
            EXPERIMENTS,
            replaced("concise-answers,user", "concise-answers,team"),
            "row 2: unit: 'team' is none of user, session, organization",
        ),
        (
            EXPERIMENTS,
            replaced("0.8,2000", "0.8,many"),
            "row 2: planned_units: 'many' is not a whole number",
        ),
        (
            EXPERIMENTS,
            appended("own,session,control,2026-03-02,,,,,,,answers,,,,,"),
            "row 8: layer 'answers' assigns users in another row and sessions here",
        ),
        (
            METRICS,
            replaced("regeneration_rate", "regenerations"),
            f"{METRICS}, row 2: metric_name 'regenerations' is declared nowhere",
        ),
        (
            METRICS,
            replaced("concise-answers,regeneration_rate", "sidebar,regeneration_rate"),
            "experiment_name 'sidebar' does not stand in",
        ),
        (
            DIMENSIONS,
            replaced("answer_style,detailed", "answer_style,long"),
            f"{DIMENSIONS}, row 2: default_value 'long' is no value of 'answer_style'",
        ),
        (
            SIGNALS,
            replaced("style_copied,answer_style", "style_copied,style"),
            f"{SIGNALS}, row 2: dimension 'style' does not stand in {DIMENSIONS}",
        ),
        (
            SIGNALS,
            replaced("assistant.response.copied", "assistant.copied"),
            "row 2: event_name 'assistant.copied' does not stand in catalog/tracking_plan.csv",
        ),
        (
            SIGNALS,
            replaced("response.style,1,1", "response.style,1.5,1"),
            "row 2: outcome: 1.5 is not between 0 and 1",
        ),
        (
            "catalog/excluded_units.csv",
            appended("broken,service.name,("),
            "pattern: '(' is not a regular expression",
        ),
        (
            "preferences/target_policies.csv",
            replaced("explain,0,bullets,1", "explain,0,bullets,0.7"),
            "row 2: probability of always-bullets, reply-format, explain, 0 adds up to 0.7",
        ),
        (
            HOLDOUT,
            replaced("0.05,", "1.5,"),
            f"{HOLDOUT}, row 2: share: 1.5 is not between 0 and 1",
        ),
        (HOLDOUT, replaced("personalization-2026", ""), f"{HOLDOUT}, row 2: salt is empty"),
        (HOLDOUT, appended("0.1,other"), f"{HOLDOUT}, row 3: is a second holdout; keep one row"),
        (
            HOLDOUT,
            replaced("0.05,", "0.1,"),
            f"allocation 0.05 is not the 0.1 that {HOLDOUT} leaves to it",
        ),
        (
            VARIANTS,
            replaced("personalization-holdout,held_out", "personalization-holdout,withheld"),
            "variant 'withheld' of personalization-holdout is none of held_out, personalized",
        ),
        (
            "preferences/decision_points.csv",
            replaced(",200,,", ",200,0,"),
            "row 2: reward_model_folds: 0 is below 1",
        ),
        (
            "preferences/decision_points.csv",
            replaced("task.kind,,", "task.kind,quadratic,"),
            "row 2: arm_model: ",
        ),
        ("catalog/segments.csv", lambda _text: "", "catalog/segments.csv: is empty"),
        ("catalog/segments.csv", appended('"open'), "catalog/segments.csv: is not a CSV file"),
    ],
)
def test_a_mistake_is_named_with_file_and_row(
    declarations: Path, project_dir: Path, name: str, edit: Edit, expected: str
) -> None:
    path = declarations / name
    path.write_text(edit(path.read_text()))
    problems = [str(problem) for problem in check_declarations(declarations, project_dir)]
    assert any(expected in problem for problem in problems), problems


def test_a_missing_file_is_named(declarations: Path, project_dir: Path) -> None:
    (declarations / EXPERIMENTS).unlink()
    with pytest.raises(DeclarationError, match="mistake") as caught:
        require_declarations(declarations, project_dir)
    assert f"{EXPERIMENTS}: is missing" in caught.value.where


def test_a_missing_optional_column_is_no_mistake(declarations: Path, project_dir: Path) -> None:
    path = declarations / VARIANTS
    signals = declarations / SIGNALS
    lines = [line.rsplit(",", 1)[0] for line in signals.read_text().splitlines()]
    signals.write_text("\n".join(lines) + "\n")
    assert check_declarations(declarations, project_dir) == []
    assert path.is_file()


def test_a_group_sequential_experiment_finds_its_bounds_at_every_level(
    declarations: Path, project_dir: Path
) -> None:
    def problems(bounds: str, alpha: str, ends: str = "2026-05-29", planned: str = "2000") -> str:
        row = f"looks,user,control,2026-05-01,{ends},group_sequential,{bounds},{alpha},{planned}"
        (declarations / EXPERIMENTS).write_text(
            "experiment_name,unit,control_variant,started_at,ended_at,inference,bounds,alpha,"
            f"planned_units\n{row}\n"
        )
        (declarations / VARIANTS).write_text(
            "experiment_name,variant,allocation\nlooks,control,0.4\nlooks,a,0.3\nlooks,b,0.3\n"
        )
        (declarations / METRICS).write_text(
            "experiment_name,metric_name,role\nlooks,acceptance_rate,success\n"
            "looks,turns_per_user,guardrail\nlooks,copy_rate,deterioration\n"
        )
        return "\n".join(map(str, check_declarations(declarations, project_dir)))

    assert problems("pocock_3", "0.05") == ""
    assert "bounds 'mine' do not stand in experiments/sequential_bounds.csv" in problems(
        "mine", "0.05"
    )
    missing = problems("pocock_3", "0.01")
    assert "no rows at alpha 0.00333333333 (0.01 over 3 comparisons)" in missing
    # 0.01 stands there as 0.05 over 5, and 0.005 as 0.05 over 10
    assert missing.count("no rows") == 1
    assert "needs planned_units and ended_at" in problems("pocock_3", "0.05", ends="")
    assert "needs planned_units and ended_at" in problems("pocock_3", "0.05", planned="")


def test_a_metric_of_the_users_own_yaml_is_known(declarations: Path, project_dir: Path) -> None:
    metrics = declarations / METRICS
    metrics.write_text(metrics.read_text() + "concise-answers,orders,exploratory,,,\n")
    folder = declarations / "metrics"
    folder.mkdir(exist_ok=True)
    yaml = folder / "orders.yml"
    yaml.write_text("metrics:\n  - name: orders\n    type: simple\n")
    problems = [str(problem) for problem in check_declarations(declarations, project_dir)]
    assert len(problems) == 1
    assert "metric_name 'orders' has no config.meta.experiment" in problems[0]
    yaml.write_text(
        "metrics:\n  - name: orders\n    config: {meta: {experiment: {kind: mean, better: up}}}\n"
    )
    assert check_declarations(declarations, project_dir) == []
    yaml.write_text("metrics: [\n")
    assert any(
        "metrics/orders.yml: is not YAML" in str(problem)
        for problem in check_declarations(declarations, project_dir)
    )


@pytest.mark.parametrize("value", ["0", "1", "0.25", "survival_rate", "gen_ai.evaluation.score"])
def test_an_outcome_is_a_share_or_an_attribute(value: str) -> None:
    assert outcome(value) is None


@pytest.mark.parametrize("value", ["-0.1", "1.01", "2", "0,5"])
def test_an_outcome_outside_zero_to_one_is_wrong(value: str) -> None:
    assert outcome(value) is not None
