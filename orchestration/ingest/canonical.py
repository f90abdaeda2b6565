"""Canonical bytes of records: what an event id is the keyed hash of.

Two records have the same bytes exactly if they are equal in everything: fields, attributes whatever
their order, and the resource's attributes. Fields are separated by control characters, which are
escaped where a text holds them, so that no two different records share their bytes.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orchestration.ingest.flat import Array, Attributes, Integers, no_indices

ESCAPE, PART_END, PAIR_START, FIELD_END = "\x1b", "\x1d", "\x1e", "\x1f"
_ESCAPES = ((ESCAPE, "\x1b0"), (PART_END, "\x1b1"), (PAIR_START, "\x1b2"), (FIELD_END, "\x1b3"))
_LOWEST_TEXT = 0x20
KINDS = 8


class KeyOrder:
    """Attribute keys as numbers that sort like the keys."""

    def __init__(self, *columns: Array) -> None:
        encoded = [pc.dictionary_encode(column) for column in columns]
        names = sorted({name for part in encoded for name in part.dictionary.to_pylist()})
        self.names: list[str] = names
        self.array = pa.array(names, pa.string())
        place = {name: number for number, name in enumerate(names)}
        self.codes: list[Integers] = []
        for part in encoded:
            ranks = np.array([place[name] for name in part.dictionary.to_pylist()], dtype=np.int64)
            indices = part.indices.to_numpy(zero_copy_only=False).astype(np.int64)
            self.codes.append(ranks[indices] if len(indices) else no_indices())

    def code(self, name: str) -> int:
        """The number of a key, or -1 if no attribute has it."""
        index = int(np.searchsorted(np.array(self.names, dtype=object), name)) if self.names else 0
        return index if index < len(self.names) and self.names[index] == name else -1


class SortedAttributes:
    """Attributes by owner and key, each key once; owners whose key clashes with itself are named."""

    def __init__(self, attributes: Attributes, codes: Integers, key_count: int) -> None:
        place = attributes.owner * max(key_count, 1) + codes
        owner, kind, text = attributes.owner, attributes.kind, attributes.text
        if len(place) > 1 and not np.all(place[1:] > place[:-1]):
            order = np.argsort(place, kind="stable")
            owner, codes, kind, place = owner[order], codes[order], kind[order], place[order]
            text = text.take(pa.array(order))
        self.clashing = no_indices()
        again = np.flatnonzero(place[1:] == place[:-1]) + 1
        if len(again):
            same_text = pc.fill_null(
                pc.equal(
                    pc.fill_null(text.take(pa.array(again)), ""),
                    pc.fill_null(text.take(pa.array(again - 1)), ""),
                ),
                fill_value=False,
            ).to_numpy(zero_copy_only=False)
            clashes = ~(same_text & (kind[again] == kind[again - 1]))
            self.clashing = np.unique(owner[again[clashes]])
            keep = np.ones(len(place), dtype=bool)
            keep[again] = False
            owner, codes, kind = owner[keep], codes[keep], kind[keep]
            text = text.filter(pa.array(keep))
        self.owner, self.codes, self.kind, self.text = owner, codes, kind, text

    def starts(self, owners: int) -> Integers:
        """For each owner where its attributes start, and at last where all end."""
        return np.searchsorted(self.owner, np.arange(owners + 1)).astype(np.int64)

    def value_of(self, code: int, owners: int) -> Array:
        """The value of one key for each owner; null where absent or empty."""
        return values_by_owner(self.owner, self.text, np.flatnonzero(self.codes == code), owners)

    def canonical(self, keys: KeyOrder, owners: int) -> list[bytes]:
        """The canonical bytes of each owner's attributes."""
        prefixes = pa.array(
            [
                f"{PAIR_START}{escaped_name}{FIELD_END}{kind}"
                for escaped_name in _escaped(keys.array).to_pylist()
                for kind in range(KINDS)
            ],
            pa.string(),
        )
        pieces = pc.binary_join_element_wise(
            prefixes.take(pa.array(self.codes * KINDS + self.kind)),
            _escaped(pc.fill_null(self.text, "")),
            FIELD_END,
        )
        return slices(pieces, self.starts(owners))


def header_bytes(fields: dict[str, Array], marker: str) -> Array:
    """The canonical text of each record's own fields; `marker` tells log, span and event apart."""
    return pc.binary_join_element_wise(
        pa.scalar(marker), *(_escaped(field) for field in fields.values()), FIELD_END
    )


def slices(pieces: Array, starts: Integers) -> list[bytes]:
    """The concatenation of each run of texts; `starts` holds the runs' starts and the last end."""
    data, offsets = text_buffer(pieces)
    bounds = offsets[starts].tolist()
    return [data[start:end] for start, end in pairwise(bounds)]


def text_buffer(texts: Array) -> tuple[bytes, Integers]:
    """All texts of a column as one run of bytes, and where each starts and the last ends."""
    if not len(texts):
        return b"", np.zeros(1, dtype=np.int64)
    if texts.offset:
        texts = pa.concat_arrays([texts, texts.slice(0, 0)])
    _, offset_buffer, data_buffer = texts.buffers()
    offsets = np.frombuffer(offset_buffer, dtype=np.int32)[
        texts.offset : texts.offset + len(texts) + 1
    ].astype(np.int64)
    data = b"" if data_buffer is None else data_buffer.to_pybytes()
    return data, offsets


def _escaped(texts: Array) -> Array:
    data_buffer = texts.buffers()[2]
    if data_buffer is None:
        return texts
    data = np.frombuffer(data_buffer, dtype=np.uint8)
    if not len(data) or data.min() >= _LOWEST_TEXT:
        return texts
    low = set(np.unique(data[data < _LOWEST_TEXT]).tolist())
    for plain, escaped in _ESCAPES:
        if ord(plain) in low:
            texts = pc.replace_substring(texts, plain, escaped)
    return texts


def values_by_owner(owner: Integers, text: Array, rows: Integers, count: int) -> Array:
    """A column with the texts of some rows at their owners; null where absent or empty."""
    row = np.zeros(count, dtype=np.int64)
    is_absent = np.ones(count, dtype=bool)
    row[owner[rows]] = rows
    is_absent[owner[rows]] = False
    values = text.take(pa.array(row, mask=is_absent))
    return pc.if_else(pc.equal(values, ""), None, values)
