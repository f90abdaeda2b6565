"""What a record inherits: its resource's attributes, and a span event its span's identifiers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orchestration.ingest.canonical import KeyOrder, SortedAttributes
from orchestration.ingest.flat import Array, Integers, Kinds
from orchestration.ingest.privacy import SESSION_KEYS, USER_KEYS, PrivacyPolicy

OWN, SPAN, RESOURCE = range(3)
LEVELS = 3


@dataclass(frozen=True)
class Merged:
    """Attributes by owner and key, the nearest of each; raw text, not yet fit for the lake.

    Attributes:
        owner: the record of each attribute.
        codes: the number of its key.
        level: where it stands: on the record, its span or its resource.
        kind: type of the value.
        text: the value.
        user: the raw unit of each record, null if it has none.
        session: the raw session of each record, null if it has none.
        searched_owner: the record of each identifier that must not occur in another text.
        searched: these identifiers, with those that a nearer value hides.
    """

    owner: Integers
    codes: Integers
    level: Integers
    kind: Kinds
    text: Array
    user: Array
    session: Array
    searched_owner: Integers
    searched: Array


def merge(
    keys: KeyOrder,
    policy: PrivacyPolicy,
    own: SortedAttributes,
    resources: SortedAttributes,
    resource_of: Integers,
    spans: tuple[SortedAttributes, Integers, int] | None = None,
) -> Merged:
    """The attributes of records with what they inherit.

    Args:
        keys: the keys' numbers.
        policy: says which attributes identify.
        own: the records' own attributes.
        resources: the resources' attributes.
        resource_of: the resource of each record.
        spans: for span events: the spans' attributes, the span of each event, the number of spans.
    """
    count = len(resource_of)
    identifies = np.array([policy.is_identifier(name) for name in keys.names], dtype=bool)
    owner, row = expand(_resource_starts(resources, resource_of), resource_of)
    parts = [(own, own.owner, np.arange(len(own.owner)), OWN), (resources, owner, row, RESOURCE)]
    if spans is not None:
        span_attributes, span_of, span_count = spans
        chosen = np.flatnonzero(identifies[span_attributes.codes])
        starts = np.searchsorted(span_attributes.owner[chosen], np.arange(span_count + 1))
        owner, row = expand(starts.astype(np.int64), span_of)
        parts.insert(1, (span_attributes, owner, chosen[row], SPAN))

    owners = np.concatenate([part[1] for part in parts])
    codes = np.concatenate([part[0].codes[part[2]] for part in parts])
    kinds = np.concatenate([part[0].kind[part[2]] for part in parts])
    levels = np.concatenate([np.full(len(part[1]), part[3]) for part in parts])
    sizes = np.cumsum([0, *(len(part[0].codes) for part in parts)])
    rows = np.concatenate([part[2] + size for part, size in zip(parts, sizes, strict=False)])
    texts = pa.concat_arrays([part[0].text for part in parts])

    place = owners * max(len(keys.names), 1) + codes
    order = np.argsort(place * LEVELS + levels, kind="stable")
    owners, codes, kinds, levels, rows = (
        column[order] for column in (owners, codes, kinds, levels, rows)
    )
    user = _first(keys, USER_KEYS, owners, codes, levels, rows, texts, count)
    session = _first(keys, SESSION_KEYS, owners, codes, levels, rows, texts, count)
    searched = np.flatnonzero(identifies[codes])
    place = place[order]
    nearest = np.ones(len(place), dtype=bool)
    nearest[1:] = place[1:] != place[:-1]
    return Merged(
        owner=owners[nearest],
        codes=codes[nearest],
        level=levels[nearest],
        kind=kinds[nearest],
        text=texts.take(pa.array(rows[nearest])),
        user=user,
        session=session,
        searched_owner=owners[searched],
        searched=texts.take(pa.array(rows[searched])),
    )


def expand(starts: Integers, index: Integers) -> tuple[Integers, Integers]:
    """For each entry of `index`, the rows from its start to the next: owners and rows."""
    counts = starts[index + 1] - starts[index]
    owner = np.repeat(np.arange(len(index), dtype=np.int64), counts)
    first = starts[index] - (np.cumsum(counts) - counts)
    return owner, np.repeat(first, counts) + np.arange(len(owner))


def _resource_starts(resources: SortedAttributes, resource_of: Integers) -> Integers:
    return resources.starts(int(resource_of.max(initial=-1)) + 1)


def _first(
    keys: KeyOrder,
    names: tuple[str, ...],
    owners: Integers,
    codes: Integers,
    levels: Integers,
    rows: Integers,
    texts: Array,
    count: int,
) -> Array:
    """For each record the first value that is not empty, by the names' order, then the level's."""
    rank = np.full(len(keys.names) + 1, -1, dtype=np.int64)
    for number, name in enumerate(names):
        if (code := keys.code(name)) >= 0:
            rank[code] = number
    chosen = np.flatnonzero(rank[codes] >= 0)
    lengths = pc.fill_null(pc.binary_length(texts.take(pa.array(rows[chosen]))), 0)
    chosen = chosen[lengths.to_numpy(zero_copy_only=False) > 0]
    urgency = (owners[chosen] * len(names) + rank[codes[chosen]]) * LEVELS + levels[chosen]
    chosen = chosen[np.argsort(urgency, kind="stable")]
    owner, first = np.unique(owners[chosen], return_index=True)
    row = np.zeros(count, dtype=np.int64)
    is_absent = np.ones(count, dtype=bool)
    row[owner] = rows[chosen[first]]
    is_absent[owner] = False
    return texts.take(pa.array(row, mask=is_absent))
