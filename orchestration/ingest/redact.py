"""Values as they may enter the lake: identifiers and personal values hashed, content gone."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orchestration.ingest.canonical import KeyOrder, text_buffer, values_by_owner
from orchestration.ingest.flat import Array, Integers, Kind, Kinds
from orchestration.ingest.inherit import OWN, Merged
from orchestration.ingest.keys import Keys
from orchestration.ingest.privacy import Privacy, PrivacyPolicy

SHORTEST_SEARCHED = 3
# Numbers and truth values are searched for no identifier: a user called 100 would spoil them.
SEARCHED_KINDS = (Kind.STRING, Kind.ARRAY, Kind.KVLIST, Kind.BYTES)
UID_KEY = "log.record.uid"


@dataclass(frozen=True)
class Clean:
    """Attributes without raw identifiers, and the records' names."""

    owner: Integers
    codes: Integers
    level: Integers
    kind: Kinds
    text: Array
    names: Array

    def value_of(self, code: int, count: int, *, own_only: bool = False) -> Array:
        """The value of one key for each record; null where absent or empty."""
        is_wanted = self.codes == code
        if own_only:
            is_wanted &= self.level == OWN
        return values_by_owner(self.owner, self.text, np.flatnonzero(is_wanted), count)


def pseudonyms(raw: Array, keys: Keys) -> Array:
    """The pseudonym of each text; null and empty stay what they are."""
    encoded = pc.dictionary_encode(raw)
    known = pa.array(
        [keys.pseudonymize(text) if text else text for text in encoded.dictionary.to_pylist()],
        pa.string(),
    )
    return known.take(encoded.indices)


def redact(
    merged: Merged,
    keys: KeyOrder,
    policy: PrivacyPolicy,
    secret: Keys,
    names: Array,
    planned_event: Array,
) -> Clean:
    """Hash, drop and search as the declarations say.

    Args:
        merged: the attributes.
        keys: the keys' numbers.
        policy: the declarations.
        secret: the key of pseudonyms.
        names: the records' names, free text that is searched for identifiers too.
        planned_event: the event under which the tracking plan knows each record.
    """
    privacy = _privacy(merged, keys, policy, planned_event)
    kept = privacy != Privacy.CONTENT
    owner, codes, level = merged.owner[kept], merged.codes[kept], merged.level[kept]
    kind, privacy = merged.kind[kept], privacy[kept]
    text = merged.text if kept.all() else merged.text.filter(pa.array(kept))

    is_hashed = (privacy != Privacy.NONE) & (kind != Kind.EMPTY)
    if is_hashed.any():
        mask = pa.array(is_hashed)
        text = pc.replace_with_mask(text, mask, pseudonyms(text.filter(mask), secret))
        kind = np.where(is_hashed, np.int8(Kind.STRING), kind)
    is_searched = ~is_hashed & np.isin(kind, SEARCHED_KINDS)
    search = _Search(merged, secret, names)
    uid = keys.code(UID_KEY)
    text = search.cleaned(owner, text, is_searched, (codes == uid) & ~is_hashed)
    return Clean(owner, codes, level, kind, text, search.cleaned_names())


def _privacy(
    merged: Merged, keys: KeyOrder, policy: PrivacyPolicy, planned_event: Array
) -> npt.NDArray[np.int8]:
    encoded = pc.dictionary_encode(planned_event)
    events = encoded.dictionary.to_pylist()
    event_of = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    width = max(len(keys.names), 1)
    pairs, place = np.unique(event_of[merged.owner] * width + merged.codes, return_inverse=True)
    treatments = np.array(
        [policy.of(events[pair // width], keys.names[pair % width]) for pair in pairs.tolist()],
        dtype=np.int8,
    )
    return treatments[place] if len(pairs) else np.empty(0, dtype=np.int8)


class _Search:
    """Looks for the records' raw identifiers in their other texts."""

    def __init__(self, merged: Merged, secret: Keys, names: Array) -> None:
        encoded = pc.dictionary_encode(merged.searched)
        is_valid = pc.is_valid(encoded.indices).to_numpy(zero_copy_only=False)
        self.owners = merged.searched_owner[is_valid].tolist()
        self.which = encoded.indices.drop_null().to_pylist()
        self.raw: list[bytes] = [text.encode() for text in encoded.dictionary.to_pylist()]
        self.escaped = [
            json.dumps(text, ensure_ascii=False)[1:-1].encode()
            for text in encoded.dictionary.to_pylist()
        ]
        self.names = names
        self.name_list = [name.encode() for name in names.to_pylist()]
        self.secret = secret

    def cleaned(
        self,
        owner: Integers,
        text: Array,
        is_searched: npt.NDArray[np.bool_],
        is_uid: npt.NDArray[np.bool_],
    ) -> Array:
        """The texts with every identifier of their record replaced by its pseudonym."""
        rows = np.flatnonzero(is_searched)
        data, offsets = text_buffer(pc.fill_null(text.take(pa.array(rows)), ""))
        starts = np.searchsorted(owner[rows], np.arange(len(self.name_list) + 1))
        first, bounds = starts.tolist(), offsets[starts].tolist()
        hits: defaultdict[int, set[int]] = defaultdict(set)
        for record, which in zip(self.owners, self.which, strict=True):
            raw, escaped = self.raw[which], self.escaped[which]
            if len(raw) >= SHORTEST_SEARCHED and (
                data.find(raw, bounds[record], bounds[record + 1]) >= 0
                or data.find(escaped, bounds[record], bounds[record + 1]) >= 0
            ):
                hits[record].add(which)
        ends = offsets.tolist()
        changed: dict[int, str] = {}
        for record, found in hits.items():
            replace = self._replacer(found)
            for place in range(first[record], first[record + 1]):
                before = data[ends[place] : ends[place + 1]]
                after = replace(before)
                if after != before:
                    changed[int(rows[place])] = after.decode()
        changed |= self._uids(owner, text, np.flatnonzero(is_uid))
        if not changed:
            return text
        mask = np.zeros(len(text), dtype=bool)
        mask[list(changed)] = True
        values = pa.array([changed[row] for row in sorted(changed)], pa.string())
        return pc.replace_with_mask(text, pa.array(mask), values)

    def cleaned_names(self) -> Array:
        """The records' names with every identifier of their record replaced."""
        changed: dict[int, bytes] = {}
        for record, which in zip(self.owners, self.which, strict=True):
            raw = self.raw[which]
            if len(raw) >= SHORTEST_SEARCHED and raw in self.name_list[record]:
                before = changed.get(record, self.name_list[record])
                changed[record] = self._replacer({which})(before)
        if not changed:
            return self.names
        return pa.array(
            [changed.get(row, name).decode() for row, name in enumerate(self.name_list)],
            pa.string(),
        )

    def _replacer(self, found: set[int]) -> _Replacer:
        pairs = {}
        for which in found:
            pseudonym = self.secret.pseudonymize(self.raw[which].decode()).encode()
            pairs[self.raw[which]] = pairs[self.escaped[which]] = pseudonym
        return _Replacer(pairs)

    def _uids(self, owner: Integers, text: Array, rows: Integers) -> dict[int, str]:
        """A record's own id that is one of its identifiers, however short, is hashed as well."""
        if not len(rows):
            return {}
        identifiers: defaultdict[int, set[bytes]] = defaultdict(set)
        for record, which in zip(self.owners, self.which, strict=True):
            identifiers[record].add(self.raw[which])
        result = {}
        for row in rows.tolist():
            uid = text[row].as_py()
            if uid and uid.encode() in identifiers[int(owner[row])]:
                result[row] = self.secret.pseudonymize(uid)
        return result


class _Replacer:
    """Replaces texts in one pass, the longest first, so that no pseudonym is searched again."""

    def __init__(self, pairs: dict[bytes, bytes]) -> None:
        self.pairs = pairs
        self.single = next(iter(pairs.items())) if len(pairs) == 1 else None
        if self.single is None:
            ordered = sorted(pairs, key=lambda text: (-len(text), text))
            self.pattern = re.compile(b"|".join(re.escape(text) for text in ordered))

    def __call__(self, text: bytes) -> bytes:
        if self.single is not None:
            return text.replace(*self.single)
        return self.pattern.sub(lambda match: self.pairs[match[0]], text)
