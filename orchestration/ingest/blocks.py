"""A block of lines through the fast reader, and through the strict one only where that is needed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from orchestration.ingest.fast import NotPlainError, flatten, parse_lines
from orchestration.ingest.flat import Flat
from orchestration.ingest.lines import Line
from orchestration.ingest.sdk_objects import starts_like_sdk_object
from orchestration.ingest.strict import Refusal, StrictReader, check_request, read_line

# Lines that Arrow names are isolated one at a time, each at the price of another parse; in a block
# with more of them halving is cheaper, down to pieces that the strict reader may as well take.
HINTS_TAKEN = 16
SMALL_PIECE = 8


@dataclass(frozen=True)
class Parsed:
    """What a block holds, and the lines refused as a whole."""

    flats: list[Flat]
    refused: list[tuple[Line, Refusal]]


def parse_block(lines: list[Line], schema: pa.Schema) -> Parsed:
    """Read a block.

    Args:
        lines: the lines that are not blank.
        schema: the Arrow schema of an export request.
    """
    tables: list[pa.Table] = []
    plain: list[Line] = []
    odd = [line for line in lines if starts_like_sdk_object(line.raw)]
    # The line that Arrow names, or else halving, isolates the few lines that it refuses without a
    # parse for every line. A wrong hint costs time and nothing else.
    tried = [line for line in lines if not starts_like_sdk_object(line.raw)] if odd else lines
    waiting = [tried] if tried else []
    hints = 0
    while waiting:
        part = waiting.pop()
        try:
            table = parse_lines([line.raw for line in part], schema)
            flat = flatten(table, np.array([line.number for line in part], dtype=np.int64))
        except NotPlainError as error:
            is_hinted = error.row is not None and error.row < len(part) and hints < HINTS_TAKEN
            if len(part) == 1 or (hints == HINTS_TAKEN and len(part) <= SMALL_PIECE):
                odd += part
            elif error.row is not None and is_hinted:
                hints += 1
                pieces = (part[error.row + 1 :], [part[error.row]], part[: error.row])
                waiting += [piece for piece in pieces if piece]
            else:
                middle = len(part) // 2
                waiting += [part[middle:], part[:middle]]
            continue
        if len(part) == len(lines):
            return Parsed([flat], [])
        tables.append(table)
        plain += part
    flats = []
    if plain:
        numbers = np.array([line.number for line in plain], dtype=np.int64)
        flats.append(flatten(pa.concat_tables(tables).combine_chunks(), numbers))
    reader = StrictReader()
    refused: list[tuple[Line, Refusal]] = []
    for line in odd:
        request = read_line(line.raw, is_unended=line.is_unended)
        refusal = request if isinstance(request, Refusal) else check_request(request)
        if refusal is not None:
            refused.append((line, refusal))
        elif isinstance(request, dict):
            reader.add(line.number, request)
    if len(refused) < len(odd):
        flats.append(reader.build())
    return Parsed(flats, refused)
