"""Writes the reports beside the published file: each page is the old one or the new one, whole."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestration.reports.page import experiment_page, file_name, index_page
from orchestration.reports.read import metrics_of, read_scorecards

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
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
    pages: Sequence[Page]
    bytes: int


def write_reports(published: Path, folder: Path, manifest: Mapping[str, Any]) -> ReportsWritten:
    """Write a page per experiment and the index that links them, and remove pages of others.

    Args:
        published: The published DuckDB file.
        folder: Where the pages go; made if missing. Only its HTML files are touched.
        manifest: dbt's, which names the metrics.

    Raises:
        EmptyError: nothing is published, or by a version that did not publish experiments.
    """
    scorecards = read_scorecards(published)
    metrics = metrics_of(manifest)
    texts = {file_name(each.experiment.name): experiment_page(each, metrics) for each in scorecards}
    as_of = max(
        (each.experiment.as_of for each in scorecards if each.experiment.as_of), default=None
    )
    # last: it links what is there by then
    texts["index.html"] = index_page(scorecards, as_of)
    folder.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(folder / ".reports.lock"):
        for name, text in texts.items():
            partial = folder / f".{name}.partial"
            partial.write_text(text, encoding="utf-8")
            os.replace(partial, folder / name)
        for path in folder.glob("*.html"):
            if path.name not in texts:
                path.unlink()
    return ReportsWritten(
        index=folder / "index.html",
        pages=[
            Page(
                each.experiment.name,
                folder / file_name(each.experiment.name),
                [(made.treatment, made.decision) for made in each.decisions],
            )
            for each in scorecards
        ],
        bytes=sum(len(text.encode()) for text in texts.values()),
    )


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Hold a lock that the system releases when its holder dies."""
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
