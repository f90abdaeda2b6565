"""Progress that is visible everywhere: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# how often a log that is no terminal gets a line
LINE_EVERY_SECONDS = 5.0


@dataclass(slots=True)
class Stages:
    """Shows the stages of a command on standard error, and keeps how long each took (seconds)."""

    console: Console = field(default_factory=lambda: Console(stderr=True))
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str, unit: str) -> Iterator[Callable[[int, int, str], None]]:
        """Show one stage; yields a function to call with done, total and what is being done."""
        began = time.perf_counter()
        if self.console.is_terminal:
            with Progress(
                TextColumn("{task.description:<10}"),
                BarColumn(bar_width=28),
                MofNCompleteColumn(),
                TextColumn("{task.fields[unit]}"),
                TimeElapsedColumn(),
                TextColumn("[dim]{task.fields[detail]}"),
                console=self.console,
            ) as bars:
                task = bars.add_task(name, total=None, unit=unit, detail="")

                def update(done: int, total: int, detail: str) -> None:
                    bars.update(task, completed=done, total=total, detail=detail)

                yield update
                bars.update(task, detail="")
        else:
            self.console.print(f"{name} ...")
            yield self._lines(name, unit)
        self.seconds[name] = time.perf_counter() - began

    def say(self, sentence: str) -> None:
        """Print a sentence between stages."""
        self.console.print(sentence, highlight=False)

    def _lines(self, name: str, unit: str) -> Callable[[int, int, str], None]:
        last = time.perf_counter()

        def update(done: int, total: int, detail: str) -> None:
            nonlocal last
            if time.perf_counter() - last >= LINE_EVERY_SECONDS:
                last = time.perf_counter()
                self.console.print(
                    f"{name}: {done} of {total} {unit} {detail}", highlight=False, soft_wrap=True
                )

        return update
