"""Reports say what the marts say, to anybody, on any screen, whatever the experiments are called."""

from __future__ import annotations

import dataclasses
import inspect
import re
import shutil
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
import yaml
from playwright.sync_api import sync_playwright

from orchestration.lib import steps
from orchestration.lib.errors import EmptyError
from orchestration.lib.render import INTERVALS
from orchestration.reports import (
    Page,
    ReportsWritten,
    figures,
    making,
    policies,
    read,
    words,
    write_reports,
)
from orchestration.reports.page import file_name
from tests.workspaces import ManifestCache, WorkspaceUnderTest, make_workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from playwright.sync_api import Browser

pytestmark = pytest.mark.xdist_group("reports")

HOSTILE = '"><script>alert(1)</script> $\\frac{ & ../x label0 #010101 漢字 😀 \u202e'
HOSTILE_VARIANT = "<img src=x onerror=alert(2)>'"
CHROMIUM_ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
VOID = {"meta", "link", "br"}


@dataclass
class Parsed(HTMLParser):
    """What a browser would make of a page, as far as the tests ask."""

    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    text: str = ""
    rows: dict[str, list[str]] = field(default_factory=dict)
    open_tags: list[str] = field(default_factory=list)
    row: list[str] | None = None

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        if tag not in VOID:
            self.open_tags.append(tag)
        if tag == "tr":
            self.row = None
            if found.get("data-metric"):
                self.row = self.rows.setdefault(str(found["data-metric"]), [])
        if tag in ("td", "th") and self.row is not None:
            self.row.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open_tags.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self.open_tags[-1:]:
            return
        self.text += f" {data}"
        if self.row:
            self.row[-1] += f" {data.strip()}"


def parsed(path: Path) -> Parsed:
    parser = Parsed()
    parser.feed(path.read_text(encoding="utf-8"))
    parser.close()
    assert parser.open_tags == []
    parser.text = " ".join(parser.text.split())
    for cells in parser.rows.values():
        cells[:] = [" ".join(cell.split()) for cell in cells]
    return parser


@dataclass(frozen=True)
class Reported:
    """A workspace with published marts and their reports."""

    under_test: WorkspaceUnderTest
    written: ReportsWritten

    @property
    def manifest(self) -> Path:
        return self.under_test.workspace.manifest

    def query(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.under_test.workspace.published), read_only=True) as connection:
            return connection.execute(sql, list(parameters)).fetchall()


@pytest.fixture(scope="module")
def reported(
    tmp_path_factory: pytest.TempPathFactory, project_dir: Path, manifests: ManifestCache
) -> Reported:
    found = make_workspace(tmp_path_factory.mktemp("reports"), project_dir, manifests)
    found.simulate(users=60, days=5)
    found.ingest()
    found.build()
    steps.publish(found.workspace)
    return Reported(found, steps.report(found.workspace))


@pytest.fixture
def altered(reported: Reported, tmp_path: Path) -> Callable[..., Sequence[Page]]:
    """Report on a copy of the published file that was changed by statements."""

    def make(*statements: str) -> Sequence[Page]:
        copy = tmp_path / "altered.duckdb"
        shutil.copy(reported.under_test.workspace.published, copy)
        with duckdb.connect(str(copy)) as connection:
            for statement in statements:
                connection.execute(statement)
        return write_reports(copy, tmp_path / "altered", reported.manifest).pages

    return make


def page_of(pages: Sequence[Page], name: str) -> Path:
    return next(page.path for page in pages if page.experiment_name == name)


def test_every_experiment_has_a_page_that_the_index_links(reported: Reported) -> None:
    names = [
        name for (name,) in reported.query("select experiment_name from marts.dim_experiments")
    ]
    assert sorted(names) == [page.experiment_name for page in reported.written.pages]
    folder = reported.under_test.workspace.reports
    assert reported.written.index == folder / "index.html"
    files = {path.name for path in folder.iterdir()} - {".reports.lock"}
    assert files == {
        "index.html",
        "policies.html",
        *(page.path.name for page in reported.written.pages),
    }
    linked = {found.get("href") for tag, found in parsed(reported.written.index).tags if tag == "a"}
    assert {page.path.name for page in reported.written.pages} <= linked
    for page in reported.written.pages:
        assert page.experiment_name in parsed(page.path).text


def test_pages_hold_everything_they_need(reported: Reported) -> None:
    neighbours = {
        "index.html",
        "policies.html",
        *(page.path.name for page in reported.written.pages),
    }
    written = reported.written
    for path in (written.index, written.policies, *(page.path for page in reported.written.pages)):
        text = path.read_text()
        ids = [str(found["id"]) for _, found in parsed(path).tags if "id" in found]
        assert len(ids) == len(set(ids))
        for tag, found in parsed(path).tags:
            assert tag not in ("script", "iframe", "object", "embed", "img", "base", "form")
            assert not any(name.startswith("on") for name in found)
            assert not {"src", "srcset", "xlink:href", "action"} & set(found)
            href = found.get("href")
            if href is not None and href.startswith("#"):
                assert href[1:] in ids
            else:
                assert href is None or href == "data:," or href in neighbours
        assert "@import" not in text
        assert all(found in ids for found in re.findall(r"url\(#([^)]*)\)", text))
        assert not re.search(r"url\((?!#)", text)


def number(text: str) -> float:
    """Read a percentage as a share."""
    return float(text.replace(words.MINUS, "-").replace("%", "")) / 100


def test_numbers_are_those_of_the_marts(reported: Reported) -> None:
    compared = 0
    for page in reported.written.pages:
        rows = parsed(page.path).rows
        found = reported.query(
            """
            select
                metric_name, relative_effect, deciding_ci_lower, deciding_ci_upper
            from marts.rpt_experiment_results as results
            inner join marts.rpt_experiment_decisions using (experiment_name, treatment_variant)
            where
                experiment_name = ? and segment_name = 'all' and status = 'ok'
                and is_complete
            qualify
                treatment_variant = min(treatment_variant) over ()
                and row_number() over (
                    partition by metric_name, treatment_variant
                    order by case adjustment when 'cuped' then 0 when 'none' then 1 else 2 end
                ) = 1
            """,
            page.experiment_name,
        )
        for metric, effect, lower, upper in found:
            cells = rows[metric]
            if effect is None:
                assert words.NOTHING in cells[3]
                continue
            assert number(cells[3].split()[0]) == pytest.approx(effect, abs=5.1e-4)
            if lower is None or upper is None:
                assert "no bounded interval" in cells[4]
                continue
            shown = [number(end) for end in cells[4].split(" to ")]
            assert shown == pytest.approx([lower, upper], abs=5.1e-4)
            compared += 1
    assert compared > 5


def test_the_decision_and_its_reason_stand_on_the_page(reported: Reported) -> None:
    for name, treatment, decision, reason in reported.query(
        "select experiment_name, treatment_variant, decision, reason "
        "from marts.rpt_experiment_decisions"
    ):
        text = parsed(page_of(reported.written.pages, name)).text
        assert f"{words.DECISIONS[decision][0]} {treatment}" in text
        labels = {
            metric.name: metric.label for metric in read.read_metrics(reported.manifest).values()
        }
        said = words.labelled(reason, labels)
        assert decision == "invalid" or " ".join(said.split()) in text


def test_every_health_check_stands_on_the_page_in_words(reported: Reported) -> None:
    for name, check, status, detail in reported.query(
        "select experiment_name, check_name, status, detail from marts.rpt_experiment_health "
        "where segment_name = 'all'"
    ):
        text = parsed(page_of(reported.written.pages, name)).text
        assert check in words.CHECKS
        assert " ".join(f"{words.CHECKS[check]} {words.STATUSES[status]} {detail}".split()) in text


def test_a_hostile_name_is_only_text(altered: Callable[..., Sequence[Page]]) -> None:
    name, variant = HOSTILE.replace("'", "''"), HOSTILE_VARIANT.replace("'", "''")
    pages = altered(
        *(
            f"update marts.{table} set experiment_name = '{name}' "
            "where experiment_name = 'inline-ranking'"
            for table in read.TABLES
        ),
        *(
            f"update marts.{table} set treatment_variant = '{variant}' "
            f"where experiment_name = '{name}'"
            for table in read.TABLES
            if table not in ("dim_experiments", "rpt_experiment_health")
        ),
        f"update marts.dim_experiments set hypothesis = '{name}', owner = '{variant}'",
        f"update marts.rpt_experiment_decisions set reason = '{name}'",
        f"update marts.rpt_experiment_health set detail = '{name}'",
        f"update marts.rpt_experiment_results set segment_value = '{name}' "
        "where segment_value = 'free'",
    )
    path = page_of(pages, HOSTILE)
    assert path.parent == pages[0].path.parent
    assert re.fullmatch(r"[a-z0-9_-]+\.html", path.name)
    for each in (path, path.with_name("index.html")):
        page = parsed(each)
        assert " ".join(HOSTILE.split()) in page.text
        assert not {"script", "img"} & {tag for tag, _ in page.tags}
        assert not any(key.startswith("on") for _, found in page.tags for key in found)
    # the stand-in of figures for what cannot be printed
    assert "plan: " + HOSTILE[:10] in parsed(path).text


def test_markdown_takes_no_meaning_from_a_name(tmp_path: Path) -> None:
    page = Page("a|b](x) <i>\n# c", tmp_path / "a.html", [("t|u", "do_not_ship")])
    table = (
        ReportsWritten(tmp_path / "index.html", tmp_path / "policies.html", [page], 1)
        .as_markdown()
        .splitlines()
    )
    assert len(table) == 3
    assert table[2].startswith(r"| a\|b\]\(x\) \<i\> \# c | t\|u | do not ship | [page](file://")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("new-ranking", "new-ranking.html"),
        ("index", r"index-[0-9a-f]{10}\.html"),
        ("New Ranking", r"new-ranking-[0-9a-f]{10}\.html"),
        ("../../etc/passwd", r"etc-passwd-[0-9a-f]{10}\.html"),
        ("..", r"experiment-[0-9a-f]{10}\.html"),
        ("漢字", r"experiment-[0-9a-f]{10}\.html"),
        ("a" * 500, rf"{'a' * 80}-[0-9a-f]{{10}}\.html"),
    ],
)
def test_a_file_name_is_plain_whatever_the_experiment_is_called(name: str, expected: str) -> None:
    assert re.fullmatch(expected, file_name(name))
    assert file_name(name) != file_name(name + "!")


def test_an_invalid_experiment_says_what_to_look_at_and_judges_nothing(
    altered: Callable[..., Sequence[Page]],
) -> None:
    pages = altered(
        "update marts.rpt_experiment_decisions set decision = 'invalid', "
        "winning_metrics = 'acceptance_rate' where experiment_name = 'inline-ranking'",
        "update marts.rpt_experiment_health set status = 'fail', detail = 'Look at the proxy.' "
        "where experiment_name = 'inline-ranking' and check_name = 'sample_ratio'",
    )
    page = parsed(page_of(pages, "inline-ranking"))
    assert "Do not trust treatment" in page.text
    assert "Look at: Look at the proxy. " in page.text
    assert "do not act on these numbers" in page.text
    assert "Failed Look at the proxy." in page.text
    assert {cells[-1].split(maxsplit=1)[-1] for cells in page.rows.values()} == {"Not judged"}
    assert not any("tiles" in str(found.get("class")) for _, found in page.tags)


def test_metrics_are_judged_as_the_decision_says(altered: Callable[..., Sequence[Page]]) -> None:
    pages = altered(
        "update marts.rpt_experiment_decisions set decision = 'do_not_ship', is_complete = true, "
        "winning_metrics = 'acceptance_rate', deteriorated_metrics = null, "
        "failed_guardrails = 'active_days_per_user, edit_survival' "
        "where experiment_name = 'inline-ranking'",
        "update marts.rpt_experiment_results set status = 'ok' "
        "where experiment_name = 'inline-ranking' and adjustment = 'none'",
        # significant alone, but no win in the experiment's family
        "update marts.rpt_experiment_decisions set winning_metrics = null, is_complete = true, "
        "deteriorated_metrics = null, decision = 'do_not_ship', "
        "missing_metrics = 'retention_day_7 (no look yet)' "
        "where experiment_name = 'sidebar-layout'",
        "update marts.rpt_experiment_results set status = 'ok', is_significant = true, "
        "absolute_effect = 1, relative_effect = 0.1 where experiment_name = 'sidebar-layout'",
        "update marts.rpt_experiment_decisions set is_complete = false, decision = 'keep_running' "
        "where experiment_name = 'concise-answers'",
    )
    rows = parsed(page_of(pages, "inline-ranking")).rows
    assert rows["acceptance_rate"][-1].endswith("Better")
    assert rows["edit_survival"][-1].endswith("Harm not ruled out")
    sidebar = parsed(page_of(pages, "sidebar-layout")).rows
    assert sidebar["turns_per_user"][-1].endswith("No clear difference")
    assert sidebar["retention_day_7"][-1].endswith("Not judged")
    assert sidebar["acceptance_rate"][-1].endswith("Better")
    early_page = parsed(page_of(pages, "concise-answers"))
    assert "the effect differs" not in early_page.text
    assert "Its limit is tested one-sided at 5%" in early_page.text
    early = early_page.rows
    assert {cells[-1].split(maxsplit=1)[-1] for cells in early.values()} <= {
        "Not tested yet",
        "No estimate",
    }


def test_every_deciding_estimate_says_how_it_was_made(
    altered: Callable[..., Sequence[Page]],
) -> None:
    pages = altered(
        "update marts.rpt_experiment_results set status = 'ok', is_deciding = true, "
        "adjustment_chain = 'capped at p99.5 > cuped > holm', variance_removed = 0.25, "
        "family_size = 3, numerator_cap = 17.8187, denominator_cap = null, "
        "control_units = 1200, treatment_units = 1, deciding_interval = 'always_valid', "
        "deciding_ci_lower = -0.1, deciding_ci_upper = 0.2 "
        "where experiment_name = 'sidebar-layout' and metric_name = 'turns_per_user' "
        "and adjustment = 'none'",
        "update marts.rpt_experiment_results set status = 'no_units', adjustment_chain = null "
        "where experiment_name = 'sidebar-layout' and metric_name != 'turns_per_user'",
        # before a fixed test is due, another interval is shown than the one that will decide
        "update marts.rpt_experiment_decisions set is_complete = false "
        "where experiment_name = 'concise-answers'",
        "update marts.rpt_experiment_results set status = 'ok', adjustment_chain = 'none', "
        "deciding_interval = 'fixed_horizon', sequential_ci_lower = -0.1, "
        "sequential_ci_upper = 0.2, p_value_adjusted = 0.0123 "
        "where experiment_name = 'concise-answers'",
    )
    sidebar = parsed(page_of(pages, "sidebar-layout"))
    assert sidebar.text.count("How this number was made") == 1
    assert (
        "How this number was made Compares 1 user in treatment with 1,200 in control. "
        "Capped for the 0.5% of users with the highest values, at 17.8 each, so that a few cannot "
        "sway the result. Adjusted for what each user did before it entered (CUPED); this takes "
        "away 25% of the noise. The test is corrected for 3 comparisons: the more are made, the "
        f"more look different by chance (Holm). {words.INTERVALS['always_valid']}"
    ) in sidebar.text
    early = parsed(page_of(pages, "concise-answers")).text
    assert "The plain difference: nothing was adjusted, and no test was corrected." in early
    assert words.INTERVALS["always_valid"] in early
    assert words.INTERVALS["fixed_horizon"] not in early
    assert "0.012" not in early


ESTIMATE = read.Estimate(
    **dict.fromkeys(each.name for each in dataclasses.fields(read.Estimate)),  # type: ignore[arg-type]
)


@pytest.mark.parametrize(
    ("chain", "known", "expected"),
    [
        ("lin", {}, "before it entered, in each variant apart (Lin)."),
        ("post_stratified by plan", {}, "the same mix of plan."),
        ("cuped", {"variance_removed": None}, "before it entered (CUPED)."),
        ("declared_bounds", {}, "each against a bound that was set before the start."),
        ("holm", {"family_size": 1}, "there is nothing to correct for (Holm)."),
        ("e_bh", {"family_size": 19}, "corrected for 19 comparisons"),
        ("capped at p99", {"numerator_cap": None}, "1% of users with the highest values, so that"),
        (
            "capped at p90",
            {"numerator_cap": 5.0, "denominator_cap": 2.0},
            "Both parts of the ratio are capped for the 10% of users",
        ),
        ("winsorized", {}, "Also done: winsorized."),
    ],
)
def test_every_step_has_words(
    reported: Reported, chain: str, known: dict[str, Any], expected: str
) -> None:
    experiment = read.read_scorecards(reported.under_test.workspace.published)[0].experiment
    estimate = dataclasses.replace(
        ESTIMATE,
        treatment="treatment",
        status="ok",
        control_units=10,
        treatment_units=10,
        adjustment_chain=chain,
        **known,
    )
    metric = read.Metric("spend", "Spend", "", "usd")
    compared, step = making.steps(estimate, metric, experiment)
    assert compared.startswith("Compares 10 users in treatment with 10 in ")
    assert expected in step
    for status, none in (("zero_variance", chain), ("ok", None)):
        missing = dataclasses.replace(estimate, status=status, adjustment_chain=none)
        assert making.steps(missing, metric, experiment) == []


def test_no_step_of_the_marts_is_without_words(reported: Reported) -> None:
    chains = reported.query(
        "select distinct adjustment_chain from marts.rpt_experiment_results "
        "where adjustment_chain is not null"
    )
    assert len(chains) > 3
    scorecards = read.read_scorecards(reported.under_test.workspace.published)
    metric = read.Metric("spend", "Spend", "", None)
    for scorecard in scorecards:
        for estimate in scorecard.estimates:
            said = making.steps(estimate, metric, scorecard.experiment)
            assert not any(step.startswith("Also done") for step in said)


def test_who_does_not_count_stands_with_the_reason(
    altered: Callable[..., Sequence[Page]],
) -> None:
    pages = altered(
        "update marts.rpt_experiment_results set several_variants_units = 1, excluded_units = 5, "
        "not_triggered_units = 1200, late_events = 3456, immature_units = 0 "
        "where experiment_name in ('inline-ranking', 'sidebar-layout')",
        "update marts.rpt_experiment_results set immature_units = 7, out_of_time_units = 9 "
        "where experiment_name = 'inline-ranking' and metric_name = 'acceptance_rate'",
        "update marts.dim_experiments set trigger_event = 'assistant.opened' "
        "where experiment_name = 'inline-ranking'",
        "update marts.rpt_experiment_results set late_events = 0 "
        "where experiment_name = 'sidebar-layout'",
    )
    text = parsed(page_of(pages, "inline-ranking")).text
    assert (
        "Left out of the numbers above, and why: "
        "1 user : saw several variants, so that nobody knows which one worked "
        "5 users : internal or a bot, by declaration "
        "1,200 users : never reached the point where the change shows "
        "7 users : too recent for at least one metric; left out of that one until its window closes "
        "9 users : exposed too late for at least one metric, whose delay outlasts the experiment"
    ) in text
    assert "3,456 events of those who count came late. The numbers above hold them;" in text
    other = parsed(page_of(pages, "sidebar-layout")).text
    assert "0 users : too recent" in other
    assert "exposed too late" not in other
    assert "never reached the point" not in other
    assert "No event of those who count came late." in other


def test_an_interval_without_zero_that_proves_nothing_says_why(
    altered: Callable[..., Sequence[Page]],
) -> None:
    pages = altered(
        "update marts.rpt_experiment_decisions set decision = 'do_not_ship', is_complete = true, "
        "winning_metrics = null, deteriorated_metrics = null, failed_guardrails = null, "
        "missing_metrics = null, deterioration_alpha = 0.01 where experiment_name in ('chat-model', 'inline-ranking')",
        "update marts.rpt_experiment_results set status = 'ok', deciding_ci_lower = 0.07, "
        "deciding_ci_upper = 2.7, relative_effect = 0.8 where experiment_name = 'chat-model' "
        "and metric_name = 'turn_error_rate' and treatment_variant = 'fast'",
        "update marts.rpt_experiment_results set status = 'ok', deciding_ci_lower = -0.5, "
        "deciding_ci_upper = -0.1, relative_effect = -0.3 where experiment_name = 'chat-model' "
        "and metric_name = 'turn_error_rate' and treatment_variant = 'small'",
        "update marts.rpt_experiment_results set status = 'ok', deciding_ci_lower = 0.01, "
        "deciding_ci_upper = 0.2, relative_effect = 0.1 where experiment_name = 'inline-ranking' "
        "and metric_name = 'acceptance_rate' and adjustment = 'none'",
    )
    page = parsed(page_of(pages, "chat-model"))
    assert "No clear harm" in page.rows["turn_error_rate"][-1]
    assert page.text.count("Harm is tested one-sided at 1%") == 1
    success = parsed(page_of(pages, "inline-ranking"))
    assert success.rows["acceptance_rate"][-1].endswith("No clear difference")
    assert success.text.count("after correction, chance may explain it") == 1


def test_a_group_where_the_effect_differs_stands_first(
    altered: Callable[..., Sequence[Page]],
) -> None:
    pages = altered(
        "update marts.rpt_experiment_decisions set is_complete = true",
        # a small world has too few units in a segment value
        *(
            "insert into marts.rpt_experiment_heterogeneity by name select 'chat-model' "
            f"as experiment_name, '{metric}' as metric_name, 'fast' as treatment_variant, "
            f"'role' as segment_name, {found} as is_heterogeneous, 0.01 as p_value_adjusted"
            for metric, found in (("cost_per_turn", False), ("turn_latency", True))
        ),
    )
    text = page_of(pages, "chat-model").read_text()
    listed = text.split("Does the effect differ between groups?</summary>")[1]
    assert listed.strip().startswith("<ul><li><strong>Turn latency by role: the effect differs")


def test_a_missing_number_is_a_reason_in_words(altered: Callable[..., Sequence[Page]]) -> None:
    numbers = (
        "control_value = null, treatment_value = null, absolute_effect = null, "
        "relative_effect = null, relative_ci_lower = null, relative_ci_upper = null, "
        "sequential_ci_lower = null, sequential_ci_upper = null, p_value_adjusted = null"
    )
    pages = altered(
        f"update marts.rpt_experiment_results set {numbers}, status = 'zero_variance' "
        "where experiment_name = 'inline-ranking' and metric_name = 'acceptance_rate'",
        "update marts.rpt_experiment_results set status = 'ok', relative_effect = 0.2, "
        "sequential_ci_lower = null, relative_effect_missing_reason = 'weak_denominator' "
        "where experiment_name = 'inline-ranking' and metric_name = 'edit_survival'",
        "update marts.rpt_experiment_results set status = 'something_new' "
        "where experiment_name = 'sidebar-layout' and metric_name = 'turns_per_user'",
    )
    page = parsed(page_of(pages, "inline-ranking"))
    assert page.rows["acceptance_rate"][-1].endswith("No estimate")
    assert words.REASONS["zero_variance"] in page.text
    assert "no bounded interval" in page.rows["edit_survival"][4]
    assert words.REASONS["weak_denominator"] in page.text
    assert "No number: something_new." in parsed(page_of(pages, "sidebar-layout")).text
    for each in pages:
        assert not re.search(r"\b(nan|NaN|None|inf|null)\b", parsed(each.path).text)


def test_a_page_without_anything_to_show_still_says_so(
    altered: Callable[..., Sequence[Page]],
) -> None:
    pages = altered(*(f"delete from marts.{table}" for table in read.TABLES[1:]))
    page = parsed(pages[0].path)
    assert "No unit can be analysed yet." in page.text
    assert parsed(pages[0].path.with_name("index.html")).text.count("chat-model") == 1
    assert altered("delete from marts.dim_experiments") == []


def test_a_second_writing_changes_nothing_and_forgets_what_is_gone(
    reported: Reported, tmp_path: Path
) -> None:
    published, folder = reported.under_test.workspace.published, tmp_path / "reports"
    folder.mkdir()
    (folder / "gone.html").write_text("of an experiment that is no longer declared")
    (folder / "notes.txt").write_text("mine")
    first = write_reports(published, folder, reported.manifest)
    texts = {page.path: page.path.read_bytes() for page in first.pages}
    assert first == write_reports(published, folder, reported.manifest)
    assert {path: path.read_bytes() for path in texts} == texts
    assert not (folder / "gone.html").exists()
    assert (folder / "notes.txt").read_text() == "mine"
    assert first.bytes == sum(path.stat().st_size for path in folder.glob("*.html"))


def test_nothing_to_report_on_says_what_to_do(reported: Reported, tmp_path: Path) -> None:
    with pytest.raises(EmptyError, match="nothing is published yet"):
        write_reports(tmp_path / "none.duckdb", tmp_path / "reports", reported.manifest)
    old = tmp_path / "old.duckdb"
    with duckdb.connect(str(old)) as connection:
        connection.execute("create schema marts")
    with pytest.raises(EmptyError, match="lacks what reports show"):
        write_reports(old, tmp_path / "reports", reported.manifest)
    published = reported.under_test.workspace.published
    with pytest.raises(EmptyError, match="no dbt manifest"):
        write_reports(published, tmp_path / "reports", tmp_path / "manifest.json")
    assert not (tmp_path / "reports").exists()


def test_policies_are_valued_or_refused_with_the_reason(
    reported: Reported, altered: Callable[..., Sequence[Page]]
) -> None:
    pages = altered(
        "update marts.rpt_policy_values set value = null, ci_lower = null, ci_upper = null, "
        "support = 'refused', reason = 'effective sample size 9.0 is below 100.0' "
        "where policy_name = 'by-task'",
        "update marts.rpt_policy_values set value = 0.25, ci_lower = 0.2, ci_upper = 0.3, "
        "logged_value = 0.2, support = 'ok', reason = null where policy_name = 'always-bullets'",
    )
    path = pages[0].path.with_name("policies.html")
    page = parsed(path)
    assert "by-task: refused. Effective sample size 9.0 is below 100.0." in page.text
    assert "always-bullets doubly robust (DR) 0.25 0.2 to 0.3" in page.text
    assert "+25.0%" in page.text
    for name in policies.ESTIMATORS.values():
        assert page.text.count(name) >= 3
    linked = {found.get("href") for tag, found in parsed(reported.written.index).tags if tag == "a"}
    assert "policies.html" in linked


def test_the_sources_that_a_page_names_are_those_it_was_read_from() -> None:
    queries = inspect.getsource(read)
    assert set(re.findall(r"\bmarts\.(\w+)", queries)) == set(read.TABLES)


def test_every_code_of_the_marts_has_words(project_dir: Path) -> None:
    models = yaml.safe_load(
        (project_dir / "models/marts/experiments/_experiments__models.yml").read_text()
    )["models"]
    accepted = {
        test["accepted_values"]["name"]: test["accepted_values"]["arguments"]["values"]
        for model in models
        for column in model["columns"]
        for test in column.get("data_tests", [])
        if "accepted_values" in test
    }
    assert set(accepted["deciding_intervals_are_known"]) == set(INTERVALS)
    assert set(accepted["deciding_intervals_are_known"]) == set(words.INTERVALS)
    assert set(accepted["health_checks_are_known"]) == set(words.CHECKS)
    assert set(accepted["decisions_are_known"]) == set(words.DECISIONS)
    assert set(accepted["checks_pass_or_fail_or_do_not_apply"]) == set(words.STATUSES)


def test_a_sentence_of_the_marts_names_metrics_by_their_labels() -> None:
    labels = {"clicks": "Clicks", "clicks_per_user": "Clicks, each", "a.b": "A"}
    said = words.labelled(
        "Better on clicks_per_user -7.1% (-9.0% to -5.2%), not on clicks; my-clicks, axb, "
        "2026-03-30.",
        labels,
    )
    minus = words.MINUS
    assert said == (
        f"Better on Clicks, each {minus}7.1% ({minus}9.0% to {minus}5.2%), not on Clicks; "
        "my-clicks, axb, 2026-03-30."
    )
    assert words.labelled("Better on clicks.", {}) == "Better on clicks."


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (words.percent(0.0867), "+8.7%"),
        (words.percent(-0.9077), f"{words.MINUS}90.8%"),
        (words.percent(-0.0001), "0.0%"),
        (words.percent(None), words.NOTHING),
        (words.plain_percent(0.95), "95%"),
        (words.plain_percent(0.995), "99.5%"),
        (words.interval(-0.1, 0.25), f"{words.MINUS}10.0% to +25.0%"),
        (words.interval(None, 0.25), "no bounded interval"),
        (words.amount(0.14249, "share"), "14.2%"),
        (words.amount(-0.0267, "share", is_signed=True), f"{words.MINUS}2.7 points"),
        (words.amount(4608.6, "ms"), "4.61 s"),
        (words.amount(83.2, "ms", is_signed=True), "+83.2 ms"),
        (words.amount(0.007227, "usd"), "$0.00723"),
        (words.amount(-12.5, "usd"), f"{words.MINUS}$12.50"),
        (words.amount(17.8187, None), "17.8"),
        (words.amount(1234567.8, None), "1,234,568"),
        (words.amount(250.0, "tokens"), "250 tokens"),
        (words.amount(1.5e-20, None), "1.5e-20"),
        (words.amount(0.0, None), "0"),
        (words.amount(None, "ms"), words.NOTHING),
        (words.p_value(7.7e-11), "< 0.001"),
        (words.p_value(0.0162), "0.016"),
        (words.p_value(0.481), "0.48"),
        (words.units("user", 1), "1 user"),
        (words.units("organization", 1200), "1,200 organizations"),
    ],
)
def test_numbers_are_written_for_people(shown: str, expected: str) -> None:
    assert shown == expected


def luminance(colour: str) -> float:
    """Relative luminance of a colour, as WCAG 2 defines it."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_every_text_colour_stands_out_in_light_and_dark(project_dir: Path) -> None:
    style = (project_dir / "orchestration/reports/templates/style.css").read_text()
    themes = [
        dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]{6})", block))
        for block in re.findall(r":root \{([^}]*)\}", style)[:2]
    ]
    assert len(themes) == 2
    for theme in themes:
        pairs = [
            (text, ground)
            for text in ("ink", "muted", "better", "worse", "unclear")
            for ground in ("page", "surface", "tint")
        ]
        pairs += [("on-badge", ground) for ground in ("better", "worse", "unclear")]
        for text, ground in pairs:
            light, dark = sorted((luminance(theme[text]), luminance(theme[ground])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, ground)


def test_verdicts_differ_in_shape_and_not_only_in_colour() -> None:
    drawn = {(figures.MARKERS[tone], tone in ("better", "worse")) for tone in figures.MARKERS}
    assert len(drawn) == len(figures.MARKERS)


def test_an_interval_that_is_too_wide_leaves_the_course_to_be_seen() -> None:
    course = figures.Course(
        label="Errors",
        text="",
        x=range(8),
        effect=[0.1] * 8,
        lower=[-0.9] * 8,
        upper=[75.0] * 8,
        tone="unclear",
        x_text=str,
        y_text=words.percent_tick,
        farthest=figures.FARTHEST,
    )
    ticks = [
        number(each)
        for each in re.findall(
            rf">([+{words.MINUS}]?\d+%)<", figures.courses("a", "b", "c", [course]).wide
        )
    ]
    assert len(ticks) > 2
    assert max(ticks) <= 1.7


def test_a_narrow_figure_says_how_many_units_a_group_has() -> None:
    bars = [
        figures.Bar(f"plan: {plan}", "1,068 users", 0.1, 0.0, 0.2, "unclear", "")
        for plan in ("free", "team")
    ]
    assert "plan: free, 1,068 users" in figures.forest("a", "b", "c", bars).narrow
    long = dataclasses.replace(bars[1], label="plan: " + "long" * 6)
    drawn = figures.forest("a", "b", "c", [bars[0], long]).narrow
    assert "plan: free" in drawn
    assert "1,068 users" not in drawn


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.fail("no chromium on the PATH: scripts/setup-machine installs it")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=program, args=CHROMIUM_ARGUMENTS)
        try:
            yield launched
        finally:
            launched.close()


@pytest.mark.browser
@pytest.mark.parametrize(("width", "size"), [(1280, "wide"), (390, "narrow")])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_the_screen_and_ask_the_network_for_nothing(
    reported: Reported, browser: Browser, tmp_path: Path, width: int, size: str, scheme: Any
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    said: list[str] = []
    asked: set[str] = set()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.add(request.url))
    written = reported.written
    paths = [written.index, written.policies, *(each.path for each in reported.written.pages)]
    for path in paths:
        page.goto(path.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path.name
        shown = page.locator("svg:visible")
        assert page.locator(f".{size} svg").count() == shown.count()
        assert page.get_by_role("img").count() == shown.count()
        for number_ in range(shown.count()):
            # texts of a figure stay inside it
            assert shown.nth(number_).evaluate(
                "svg => [...svg.querySelectorAll('text')].every(text => {"
                "  const [a, b] = [text.getBoundingClientRect(), svg.getBoundingClientRect()];"
                "  return a.left >= b.left - 1 && a.right <= b.right + 1; })"
            ), path.name
        page.screenshot(path=tmp_path / f"{path.stem}.png", full_page=True)
    assert page.locator(f".{size} svg").count() > 0
    assert said == []
    assert {url for url in asked if not url.startswith("data:")} == {p.as_uri() for p in paths}
    context.close()


@pytest.mark.browser
def test_a_page_is_read_by_keyboard_and_by_name(reported: Reported, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 900})
    page = context.new_page()
    page.goto(page_of(reported.written.pages, "chat-model").as_uri())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.url.endswith("#content")
    assert page.get_by_role("heading", level=1).inner_text() == "chat-model"
    edge = "each => getComputedStyle(each).borderLeftWidth"
    assert page.locator("section.verdict").first.evaluate(edge) == "6px"
    made = page.get_by_text("How this number was made").first
    made.focus()
    page.keyboard.press("Enter")
    assert page.get_by_text("Compares ").first.is_visible()
    assert page.get_by_role("img", name="Change per metric, fast against large").count() == 1
    # stacked on a phone, a table is one to a screen reader still
    table = page.get_by_role("table", name="fast against large").first
    assert table.get_by_role("row").count() > 1
    assert table.get_by_role("columnheader").count() == 6
    context.close()
