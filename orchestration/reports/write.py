"""Writes the reports beside the published file: each page is the old one or the new one, whole."""

from __future__ import annotations

import fcntl
import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestration.reports.page import experiment_page, file_name, index_page
from orchestration.reports.policies import FILE_NAME, policies_page, read_values
from orchestration.reports.read import read_metrics, read_scorecards

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Page:
    """One written page; decisions are (treatment, decision) pairs."""

    experiment_name: str
    path: Path
    decisions: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class ReportsWritten:
    """What was written where."""

    index: Path
    policies: Path
    pages: Sequence[Page]
    bytes: int

    def as_markdown(self) -> str:
        """Return a table of experiments, decisions and pages; names are shown as they are."""
        rows = [
            f"| {_literal(page.experiment_name)} | {_literal(treatment)} | "
            f"{decision.replace('_', ' ')} | [page]({page.path.as_uri()}) |"
            for page in self.pages
            for treatment, decision in page.decisions
        ]
        return "\n".join(("| experiment | treatment | decision | |", "|---|---|---|---|", *rows))


def write_reports(published: Path, folder: Path, manifest: Path) -> ReportsWritten:
    """Write a page per experiment, one of the policies and the index, and remove pages of others.

    Args:
        published: The published DuckDB file.
        folder: Where the pages go; made if missing. Only its HTML files are touched.
        manifest: dbt's manifest, which names the metrics.

    Raises:
        EmptyError: nothing is published, or by a version that did not publish experiments, or the
            manifest is missing.
    """
    scorecards = read_scorecards(published)
    values = read_values(published)
    metrics = read_metrics(manifest)
    as_of = max(
        (each.experiment.as_of for each in scorecards if each.experiment.as_of), default=None
    )
    index = folder / "index.html"
    policies = folder / FILE_NAME
    pages = [
        Page(
            each.experiment.name,
            folder / file_name(each.experiment.name),
            [(made.treatment, made.decision) for made in each.decisions],
        )
        for each in scorecards
    ]
    folder.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(folder / ".reports.lock"):
        size = sum(
            _replace(page.path, experiment_page(scorecard, metrics))
            for page, scorecard in zip(pages, scorecards, strict=True)
        )
        size += _replace(policies, policies_page(values))
        # last, because it links what is there by then
        size += _replace(index, index_page(scorecards, as_of))
        for path in set(folder.glob("*.html")) - {index, policies, *(page.path for page in pages)}:
            path.unlink()
    return ReportsWritten(index=index, policies=policies, pages=pages, bytes=size)


def _replace(path: Path, text: str) -> int:
    """Put a file in place when it is complete; return its bytes."""
    partial = path.with_name(f".{path.name}.partial")
    size = partial.write_bytes(text.encode())
    os.replace(partial, path)
    return size


def _literal(text: str) -> str:
    """Take the meaning from every character that Markdown or HTML gives one."""
    return re.sub(r"([\\`*_{}\[\]()<>#+.!|~&-])", r"\\\1", " ".join(text.split()))


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Hold a lock that the system releases when its holder dies."""
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
