"""Other processes that turn blocks of a large file into rows, while this one reads and writes.

Rows need nothing but their block, the keys and the declarations; what needs an order (parts,
numbers, the ledger, the commit) stays with the process that loads. So the lake is the same however
many help.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait

from orchestration.ingest.blocks import parse_block
from orchestration.ingest.errors import HelperError
from orchestration.ingest.fast import request_schema
from orchestration.ingest.keys import Keys
from orchestration.ingest.lines import Block, Line
from orchestration.ingest.privacy import PrivacyPolicy
from orchestration.ingest.redact import REMEMBERED, Pseudonyms
from orchestration.ingest.rows import Rows, Stamp, build_rows
from orchestration.ingest.strict import Refusal

MOST_HELPERS = 4
# A helper that starts costs as much as the work on a few megabytes.
LARGE_FILE = 24 << 20
# Blocks read before the one that is written next: with their rows they are what memory goes to.
MOST_WAITING = 3
# A process of its own, which does not import what started this one; the keys come through the pipe.
SERVE = "import sys; from orchestration.ingest.helpers import serve; serve(int(sys.argv[1]))"


@dataclass(frozen=True)
class Made:
    """What became of a block.

    Attributes:
        rows: its rows, in one or two pieces.
        refused: its lines that were refused as a whole.
        links: pseudonym -> stable pseudonym of those first seen in it.
    """

    rows: list[Rows]
    refused: list[tuple[Line, Refusal]]
    links: dict[str, str]


class RowMaker:
    """Makes rows in this process, and remembers pseudonyms from block to block."""

    def __init__(self, keys: Keys, policy: PrivacyPolicy) -> None:
        self._keys, self._policy = keys, policy
        self._pseudonyms = Pseudonyms(keys)
        self._schema = request_schema()

    def make(self, lines: list[Line], stamp: Stamp) -> Made:
        """The rows of a block's lines."""
        parsed = parse_block(lines, self._schema)
        rows = [
            build_rows(flat, stamp, self._keys, self._policy, self._pseudonyms)
            for flat in parsed.flats
        ]
        links = self._pseudonyms.links()
        self._pseudonyms.forget_links()
        return Made(rows, parsed.refused, links)


@dataclass
class _Task:
    """A block whose rows are made, or on their way."""

    block: Block
    made: Made | None = None


@dataclass
class _Helper:
    process: subprocess.Popen[bytes]
    connection: Connection
    links: dict[str, str]
    task: _Task | None = None
    is_ready: bool = False

    def give(self, task: _Task, stamp: Stamp) -> None:
        self.task = task
        self.send((task.block.lines, stamp))

    def send(self, content: object) -> None:
        try:
            self.connection.send(content)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise self._gone() from error

    def is_free(self) -> bool:
        """Whether it waits for a block; takes in what it has made."""
        while (self.task is not None or not self.is_ready) and self.connection.poll():
            self.take()
        return self.is_ready and self.task is None

    def take(self) -> None:
        """Wait for what comes next from it: that it is ready, or rows."""
        try:
            made = self.connection.recv()
        except (EOFError, ConnectionResetError) as error:
            raise self._gone() from error
        if self.task is not None and self.is_ready:
            # at once: a file that is given up takes its rows along, and no user is met twice
            self.links.update(made.links)
            self.task.made, self.task = made, None
        self.is_ready = True

    def _gone(self) -> HelperError:
        return HelperError(
            f"a process that helped to load ended by itself (exit code {self.process.wait()}; "
            "-9 is often a lack of memory); nothing of the file being loaded is in the lake, and "
            "it stays in the inbox; run ingest again"
        )


@dataclass
class Helpers:
    """Makes rows of blocks, in other processes too once a file is large.

    Attributes:
        keys: the secret keys.
        policy: the privacy of attributes.
        count: the most processes besides this one; 0: never any.
        large_file: the bytes from which on a file is worth starting them.
    """

    keys: Keys
    policy: PrivacyPolicy
    count: int
    large_file: int = LARGE_FILE
    links: dict[str, str] = field(default_factory=dict)
    _linked: set[str] = field(default_factory=set)
    _helpers: list[_Helper] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._here = RowMaker(self.keys, self.policy)

    def is_large(self, file_bytes: int) -> bool:
        """Whether other processes help with a file of this size."""
        return self.count > 0 and file_bytes >= self.large_file

    def each(
        self, blocks: Iterable[Block], stamp: Stamp, *, is_large: bool
    ) -> Iterator[tuple[Block, Made]]:
        """Each block and its rows, in the order of the blocks.

        Raises:
            HelperError: another process ended by itself.
        """
        helpers = self._started() if is_large else []
        waiting: deque[_Task] = deque()
        for block in blocks:
            task = _Task(block)
            waiting.append(task)
            helper = self._free(helpers)
            if helper is None:
                task.made = self._here.make(block.lines, stamp)
                self.links.update(task.made.links)
            else:
                helper.give(task, stamp)
            while waiting and (waiting[0].made is not None or len(waiting) > MOST_WAITING):
                yield self._finished(waiting.popleft())
        while waiting:
            yield self._finished(waiting.popleft())

    def new_links(self) -> dict[str, str]:
        """Pseudonym -> stable pseudonym of those met, by whomever, and not yet in the lake."""
        return {each: stable for each, stable in self.links.items() if each not in self._linked}

    def forget_links(self) -> None:
        """Start anew: the links are in the lake."""
        if len(self._linked) + len(self.links) > REMEMBERED:
            self._linked.clear()
        self._linked.update(self.links)
        self.links.clear()

    def close(self) -> None:
        """End the other processes."""
        for helper in self._helpers:
            helper.connection.close()
            helper.process.terminate()
        for helper in self._helpers:
            helper.process.wait()
        self._helpers.clear()

    @staticmethod
    def _free(helpers: list[_Helper]) -> _Helper | None:
        """One that can take a block, as soon as there is one; None while none has started."""
        while True:
            # all are asked, so that none keeps its rows to itself
            free = [helper for helper in helpers if helper.is_free()]
            if free or not any(helper.is_ready for helper in helpers):
                return free[0] if free else None
            wait([helper.connection for helper in helpers])

    def _finished(self, task: _Task) -> tuple[Block, Made]:
        while task.made is None:
            next(helper for helper in self._helpers if helper.task is task).take()
        return task.block, task.made

    def _started(self) -> list[_Helper]:
        while len(self._helpers) < self.count:
            ours, theirs = Pipe()
            with theirs:
                process = subprocess.Popen(
                    [sys.executable, "-c", SERVE, str(theirs.fileno())],
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                    pass_fds=[theirs.fileno()],
                )
            helper = _Helper(process, ours, self.links)
            self._helpers.append(helper)
            helper.send((self.keys, self.policy))
        for helper in self._helpers:
            # of a file that was given up
            while helper.task is not None:
                helper.take()
        return self._helpers


def default_count() -> int:
    """One for each core: this process has little to do besides; none on a single core."""
    has_affinity = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    return min(cores, MOST_HELPERS) if cores > 1 else 0


def serve(descriptor: int) -> None:
    """Make rows of what comes, until the other end is closed.

    Args:
        descriptor: the pipe, through which keys and declarations come first.
    """
    # an interrupt goes to the whole group; the process that loads closes the connection
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = Connection(descriptor)
    try:
        keys, policy = connection.recv()
        maker = RowMaker(keys, policy)
        connection.send(None)
        while True:
            lines, stamp = connection.recv()
            connection.send(maker.make(lines, stamp))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
