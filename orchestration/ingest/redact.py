"""Values as they may enter the lake: identifiers and personal values hashed, content gone."""

from __future__ import annotations

import json
import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orchestration.ingest import detect
from orchestration.ingest.canonical import KeyOrder, text_buffer, values_by_owner
from orchestration.ingest.flat import Array, Integers, Kind, Kinds
from orchestration.ingest.inherit import OWN, Merged
from orchestration.ingest.keys import Keys
from orchestration.ingest.privacy import Privacy, PrivacyPolicy

SHORTEST_SEARCHED = 3
# Numbers and truth values are searched for no identifier: a user called 100 would spoil them.
SEARCHED_KINDS = (Kind.STRING, Kind.ARRAY, Kind.KVLIST, Kind.BYTES)
UID_KEY = "log.record.uid"
REMEMBERED = 200_000
# Keys are the emitter's words, which a short identifier may be as well.
SHORTEST_IN_KEY = 6
KEY_SUFFIX = 16
DIGIT = re.compile("[0-9]")
ESCAPED_IN_JSON = re.compile(r'["\\\x00-\x1f]')


Finder = Callable[[str, detect.Identifiers], str]
# Where to look for what no declaration names: types, places to look at, text without the finds.
FINDERS: tuple[tuple[tuple[Kind, ...], Callable[[Array], Integers], Finder], ...] = (
    ((Kind.STRING,), detect.suspects, detect.redacted),
    ((Kind.ARRAY, Kind.KVLIST), detect.suspects_in_json, detect.redacted_json),
    ((Kind.INT, Kind.DOUBLE), detect.long_numbers, detect.redacted_number),
    ((Kind.BYTES,), detect.everywhere, detect.redacted_base64),
)


@dataclass(frozen=True)
class Clean:
    """Attributes fit for the lake, the texts of their keys, and the records' names."""

    keys: Array
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


class Pseudonyms:
    """Pseudonyms, remembered within bounds: most identifiers come again and again."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._known: dict[str, str] = {}
        self._is_rotated = keys.active != keys.oldest
        self._links: dict[str, str] = {}

    def of(self, raw: str) -> str:
        """The pseudonym of a raw identifier under the active key."""
        known = self._known.get(raw)
        if known is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            known = self._known[raw] = self._keys.pseudonymize(raw)
            if self._is_rotated:
                self._links[known] = self.stable(raw)
        return known

    def stable(self, raw: str) -> str:
        """The pseudonym that no rotation changes, that of the oldest key, for ids of things."""
        return self._keys.pseudonymize(raw, self._keys.oldest)

    def of_column(self, raw: Array) -> Array:
        """The pseudonym of each text; null and empty stay what they are."""
        return _each(raw, self.of)

    def stable_column(self, raw: Array) -> Array:
        """The stable pseudonym of each text; null and empty stay what they are."""
        return _each(raw, self.stable)

    def links(self) -> dict[str, str]:
        """Pseudonym -> that of the oldest key, for all first seen since links were forgotten."""
        return self._links

    def forget_links(self) -> None:
        """Start anew: the links are in the lake."""
        self._links = {}


def _each(raw: Array, pseudonym: Callable[[str], str]) -> Array:
    encoded = pc.dictionary_encode(raw)
    known = [pseudonym(text) if text else text for text in encoded.dictionary.to_pylist()]
    return pa.array(known, pa.string()).take(encoded.indices)


def redact(
    merged: Merged,
    keys: KeyOrder,
    policy: PrivacyPolicy,
    secret: Pseudonyms,
    names: Array,
    planned_event: Array,
) -> Clean:
    """Hash, drop and search as the declarations say.

    Args:
        merged: the attributes.
        keys: the keys' numbers.
        policy: the declarations.
        secret: the pseudonyms.
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
        text = pc.replace_with_mask(text, mask, secret.of_column(text.filter(mask)))
        kind = np.where(is_hashed, np.int8(Kind.STRING), kind)
    is_searched = ~is_hashed & np.isin(kind, SEARCHED_KINDS)
    search = _Search(merged, secret, names)
    is_uid = (codes == keys.code(UID_KEY)) & ~is_hashed
    text = search.cleaned(owner, text, is_searched, is_uid)
    text, kind = search.without_finds(owner, text, kind, is_hashed, is_uid)
    codes, key_texts = search.cleaned_keys(owner, codes, keys)
    names = detect.redacted_names(search.cleaned_names())
    return Clean(key_texts, owner, codes, level, kind, text, names)


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


def _spellings(identifier: str) -> tuple[bytes, ...]:
    """How an identifier stands in texts, and inside the JSON text of an array or key-value list."""
    raw = identifier.encode()
    if len(raw) < SHORTEST_SEARCHED:
        return ()
    if ESCAPED_IN_JSON.search(identifier):
        return raw, json.dumps(identifier, ensure_ascii=False)[1:-1].encode()
    return (raw,)


class _Search:
    """Looks for the records' raw identifiers in their other texts."""

    def __init__(self, merged: Merged, secret: Pseudonyms, names: Array) -> None:
        encoded = pc.dictionary_encode(merged.searched)
        is_valid = pc.is_valid(encoded.indices).to_numpy(zero_copy_only=False)
        self.owners = merged.searched_owner[is_valid].tolist()
        self.which = encoded.indices.drop_null().to_pylist()
        raw = encoded.dictionary.to_pylist()
        self.raw: list[bytes] = [text.encode() for text in raw]
        self.spellings = [_spellings(text) for text in raw]
        self.names = names
        self.count = len(names)
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
        starts = np.searchsorted(owner[rows], np.arange(self.count + 1))
        first, bounds, ends = starts.tolist(), offsets[starts].tolist(), offsets.tolist()
        hits: defaultdict[int, set[int]] = defaultdict(set)
        for record, which in zip(self.owners, self.which, strict=True):
            for raw in self.spellings[which]:
                start, end = bounds[record], bounds[record + 1]
                while (start := data.find(raw, start, end)) >= 0:
                    place = bisect_right(ends, start, first[record], first[record + 1]) - 1
                    hits[place].add(which)
                    start = ends[place + 1]
        changed: dict[int, bytes] = {}
        for place, found in hits.items():
            changed[int(rows[place])] = self._replace(
                data[ends[place] : ends[place + 1]], tuple(sorted(found))
            )
        changed |= self._uids(owner, text, np.flatnonzero(is_uid))
        if not changed:
            return text
        mask = np.zeros(len(text), dtype=bool)
        mask[list(changed)] = True
        values = pa.array([changed[row] for row in sorted(changed)], pa.string())
        return pc.replace_with_mask(text, pa.array(mask), values)

    def without_finds(
        self,
        owner: Integers,
        text: Array,
        kind: Kinds,
        is_hashed: npt.NDArray[np.bool_],
        is_uid: npt.NDArray[np.bool_],
    ) -> tuple[Array, Kinds]:
        """The texts with markers for what no declaration names, and their types."""
        changed: dict[int, str] = {}
        for kinds, places_of, without in FINDERS:
            rows = np.flatnonzero(np.isin(kind, kinds) & ~is_hashed)
            part = pc.fill_null(text.take(pa.array(rows)), "")
            for place in places_of(part).tolist():
                row, before = int(rows[place]), part[place].as_py()
                after = without(before, self._searched_identifiers(int(owner[row])))
                if after != before:
                    # Ids of records must stay different from each other.
                    changed[row] = self.secret.stable(before) if is_uid[row] else after
        if not changed:
            return text, kind
        rows = np.array(sorted(changed))
        mask = np.zeros(len(text), dtype=bool)
        mask[rows] = True
        values = pa.array([changed[row] for row in rows.tolist()], pa.string())
        is_number = mask & np.isin(kind, (Kind.INT, Kind.DOUBLE))
        kind = np.where(is_number, np.int8(Kind.STRING), kind)
        return pc.replace_with_mask(text, pa.array(mask), values), kind

    def _identifiers(self, record: int) -> detect.Identifiers:
        """The raw identifiers of a record; `owners` is in ascending order."""
        start, end = bisect_left(self.owners, record), bisect_right(self.owners, record)
        return frozenset(self.raw[which] for which in self.which[start:end])

    def _searched_identifiers(self, record: int) -> detect.Identifiers:
        """Those that are long enough to be searched."""
        return frozenset(raw for raw in self._identifiers(record) if len(raw) >= SHORTEST_SEARCHED)

    def cleaned_names(self) -> Array:
        """The records' names with every identifier of their record replaced."""
        encoded = pc.dictionary_encode(self.names)
        names = [name.encode() for name in encoded.dictionary.to_pylist()]
        name_of = encoded.indices.to_pylist()
        hits: defaultdict[int, set[int]] = defaultdict(set)
        for record, which in zip(self.owners, self.which, strict=True):
            if self.raw[which] in names[name_of[record]] and self.spellings[which]:
                hits[record].add(which)
        if not hits:
            return self.names
        mask = np.zeros(self.count, dtype=bool)
        mask[list(hits)] = True
        values = [
            self._replace(names[name_of[record]], tuple(sorted(hits[record])))
            for record in sorted(hits)
        ]
        return pc.replace_with_mask(self.names, pa.array(mask), pa.array(values, pa.string()))

    def cleaned_keys(
        self, owner: Integers, codes: Integers, keys: KeyOrder
    ) -> tuple[Integers, Array]:
        """The keys' numbers and texts: no key holds a find or an identifier of its record.

        A new key is told apart by its own pseudonym, so that no record has it twice.
        """
        texts: list[str] = list(keys.names)
        for place in detect.suspects(keys.array).tolist():
            if (found := detect.redacted(texts[place])) != texts[place]:
                texts[place] = f"{found}#{self.secret.stable(texts[place])[:KEY_SUFFIX]}"
        named = [code for code, name in enumerate(keys.names) if DIGIT.search(name)]
        together = "\n".join(keys.names[code] for code in named).encode()
        present = {
            which
            for which, raw in enumerate(self.raw)
            if len(raw) >= SHORTEST_IN_KEY and raw in together and DIGIT.search(raw.decode())
        }
        if not present:
            return codes, pa.array(texts, pa.string())
        identifiers: defaultdict[int, set[int]] = defaultdict(set)
        for record, which in zip(self.owners, self.which, strict=True):
            if which in present:
                identifiers[record].add(which)
        codes = codes.copy()
        for row in np.flatnonzero(np.isin(codes, named)).tolist():
            raw_key = keys.names[codes[row]].encode()
            found_ids = tuple(sorted(identifiers.get(int(owner[row]), ())))
            new_key = self._replace(raw_key, found_ids) if found_ids else raw_key
            if new_key != raw_key:
                codes[row] = len(texts)
                texts.append(new_key.decode())
        return codes, pa.array(texts, pa.string())

    def _replace(self, text: bytes, found: tuple[int, ...]) -> bytes:
        """Replace in one pass, the longest first, so that no pseudonym is searched again.

        The pseudonym is the stable one: the text may be an id of a thing, such as a suggestion,
        whose later events come after a rotation.
        """
        pairs = {
            spelling: self.secret.stable(self.raw[which].decode()).encode()
            for which in found
            for spelling in self.spellings[which]
        }
        if len(pairs) == 1:
            return text.replace(*next(iter(pairs.items())))
        ordered = sorted(pairs, key=lambda spelling: (-len(spelling), spelling))
        pattern = re.compile(b"|".join(re.escape(spelling) for spelling in ordered))
        return pattern.sub(lambda match: pairs[match[0]], text)

    def _uids(self, owner: Integers, text: Array, rows: Integers) -> dict[int, bytes]:
        """A record's own id that is one of its identifiers, however short, is hashed as well."""
        result = {}
        for row in rows.tolist():
            uid = text[row].as_py()
            if uid and uid.encode() in self._identifiers(int(owner[row])):
                result[row] = self.secret.stable(uid).encode()
        return result
