"""Finds what no declaration names: e-mail addresses, card numbers and keys, wherever they stand.

Declarations say what an attribute is meant to hold; this is for what it was not meant to hold. Each
find is replaced by a marker, such as `[redacted:email]`. Almost no text holds any, so a whole block
is ruled out in one pass, and only texts that might hold one are read one by one.
"""

from __future__ import annotations

import base64
import binascii
import re

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orchestration.ingest.canonical import text_buffer
from orchestration.ingest.flat import Array, Integers, no_indices

# Raw identifiers of the record that a value stands in.
Identifiers = frozenset[bytes]

_WORD = r"(?<![0-9A-Za-z])"
_AT = re.compile("@|%40")
_LOCAL_PART = re.compile(r"[\w!#$&'*+/=?^`{|}~.-]{1,64}\Z")
_DOMAIN = re.compile(r"(?:[^\W_][\w-]{0,62}\.){1,8}[^\W\d_]{2,24}")
LONGEST_LOCAL_PART = 64
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[0-9A-Za-z+/=\s\\]*"
    r"(?:-----END [A-Z ]{0,40}PRIVATE KEY-----)?"
)
_API_KEY = re.compile(
    _WORD + r"(?:"
    r"sk-[0-9A-Za-z_-]{16,}|[rs]k_(?:live|test)_[0-9A-Za-z]{10,}"
    r"|gh[oprsu]_[0-9A-Za-z]{20,}|github_pat_[0-9A-Za-z_]{20,}|glpat-[0-9A-Za-z_-]{16,}"
    r"|A[KS]IA[0-9A-Z]{12,}|xox[abeoprs]-[0-9A-Za-z-]{8,}|AIza[0-9A-Za-z_-]{30,}"
    r"|hf_[0-9A-Za-z]{20,}|npm_[0-9A-Za-z]{30,}"
    # a JSON web token, or any other JSON object in base64
    r"|eyJ[0-9A-Za-z_-]{16,}(?:\.[0-9A-Za-z_-]*){0,4}"
    r")"
)
# Lengths and first digits as the card networks assign them. A number within a word, a decimal or a
# longer number is none, and the check digit must fit: of other numbers one in ten passes it.
_CARD = re.compile(
    _WORD + r"(?<![0-9][.-])(?:"
    r"(?:4[0-9]{3}|5[1-5][0-9]{2}|2[2-7][0-9]{2}|35[2-8][0-9]"
    r"|6(?:011|2[0-9]{2}|4[4-9][0-9]|5[0-9]{2}))"
    r"(?P<a>[ -]?)[0-9]{4}(?P=a)[0-9]{4}(?P=a)[0-9]{4}(?:(?P=a)[0-9]{3})?"
    r"|3[47][0-9]{2}(?P<b>[ -]?)[0-9]{6}(?P=b)[0-9]{5}"
    r")(?![0-9A-Za-z]|[.-][0-9])"
)
# What a text must hold to be looked at; RE2, so it takes the same time whatever the text.
_TOKENS = (
    "@|%40|PRIVATE KEY|sk-|[rs]k_(?:live|test)_|gh[oprsu]_|github_pat_|glpat-|A[KS]IA"
    "|xox[abeoprs]-|AIza|hf_|npm_|eyJ"
)
_CARDLIKE = (
    "[2-6][0-9]{3}[ -]?[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{4}|3[47][0-9]{2}[ -]?[0-9]{6}[ -]?[0-9]{5}"
)
_STANDARD_BASE64 = str.maketrans("-_", "+/")
_BASE64_STRING = '"[0-9A-Za-z+/_-]{8,}={0,2}"'
_BASE64_IN_JSON = re.compile(r'(?<=")[0-9A-Za-z+/_-]{8,}={0,2}(?=")')
# A card number as the shortest text of a double.
_LARGE_DOUBLE = re.compile(r"[0-9](?:\.[0-9]{1,17})?e\+?1[4-8]|[0-9]{15,19}\.0")
_IN_CARD = np.zeros(256, dtype=bool)
_IN_CARD[list(b"0123456789 -")] = True
SHORTEST_CARD = 15


def redacted(text: str, _: Identifiers = frozenset()) -> str:
    """The text with a marker in place of each find."""
    text = _PRIVATE_KEY.sub("[redacted:private_key]", text)
    text = _API_KEY.sub("[redacted:api_key]", text)
    return _CARD.sub(_card, _without_emails(text))


def redacted_base64(text: str, identifiers: Identifiers = frozenset()) -> str:
    """A marker in place of base64 whose bytes hold a find or an identifier; otherwise the text."""
    try:
        held = base64.b64decode(text.translate(_STANDARD_BASE64) + "===")
    except binascii.Error:
        return text
    if any(raw in held for raw in identifiers):
        return "[redacted:bytes]"
    plain = held.decode("latin-1")
    return text if redacted(plain) == plain else "[redacted:bytes]"


def redacted_json(text: str, identifiers: Identifiers = frozenset()) -> str:
    """The JSON text of an array or key-value list, base64 among its strings included."""
    return redacted(_BASE64_IN_JSON.sub(lambda match: redacted_base64(match[0], identifiers), text))


def redacted_number(text: str, _: Identifiers = frozenset()) -> str:
    """A marker in place of an integer or double that is a card number; otherwise the text."""
    digits = str(int(float(text))) if _LARGE_DOUBLE.fullmatch(text) else text
    found = redacted(digits)
    return text if found == digits else found


def redacted_names(names: Array) -> Array:
    """`redacted` for a column of names, of which few are distinct."""
    encoded = pc.dictionary_encode(names)
    places = suspects(encoded.dictionary)
    if not len(places):
        return names
    texts = encoded.dictionary.to_pylist()
    for place in places.tolist():
        texts[place] = redacted(texts[place])
    return pa.array(texts, pa.string()).take(encoded.indices)


def suspects(texts: Array) -> Integers:
    """The places of texts that may hold something; `texts` has no nulls."""
    data, offsets = text_buffer(texts)
    if not data:
        return no_indices()
    found = [_card_places(texts, data, offsets)]
    whole = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), 1, [None, pa.array([0, len(data)]).buffers()[1], pa.py_buffer(data)]
    )
    if pc.match_substring_regex(whole, _TOKENS)[0].as_py():
        found.append(_places(pc.match_substring_regex(texts, _TOKENS)))
    return np.unique(np.concatenate(found))


def suspects_in_json(texts: Array) -> Integers:
    """The places of JSON texts that may hold something, among their strings base64."""
    may_hold_bytes = _places(pc.match_substring_regex(texts, _BASE64_STRING))
    return np.union1d(suspects(texts), may_hold_bytes)


def everywhere(texts: Array) -> Integers:
    """All places: bytes are rare."""
    return np.arange(len(texts), dtype=np.int64)


def long_numbers(texts: Array) -> Integers:
    """The places of integers and doubles that are long enough for a card number."""
    return _places(pc.greater_equal(pc.binary_length(texts), SHORTEST_CARD))


def card_numbers(texts: Array) -> npt.NDArray[np.bool_]:
    """Which texts are card numbers and nothing else."""
    is_card = np.zeros(len(texts), dtype=bool)
    for place in _places(pc.ascii_is_decimal(texts)).tolist():
        text = texts[place].as_py()
        is_card[place] = redacted(text) != text
    return is_card


def _without_emails(text: str) -> str:
    """Looks around each @ only: searching from every character would take long in a long text."""
    pieces = []
    done = 0
    for at in _AT.finditer(text):
        domain = _DOMAIN.match(text, at.end())
        start = max(done, at.start() - LONGEST_LOCAL_PART)
        local_part = _LOCAL_PART.search(text[start : at.start()]) if domain else None
        if domain and local_part:
            pieces += [text[done : start + local_part.start()], "[redacted:email]"]
            done = domain.end()
    return "".join([*pieces, text[done:]])


def _card_places(texts: Array, data: bytes, offsets: Integers) -> Integers:
    # A run of 15 characters always holds eight that start at a multiple of eight.
    in_card = _IN_CARD[np.frombuffer(data, dtype=np.uint8)]
    eights = np.flatnonzero(np.packbits(in_card) == 0xFF) * 8
    places = np.unique(np.searchsorted(offsets, eights, side="right") - 1)
    is_like = pc.match_substring_regex(texts.take(pa.array(places)), _CARDLIKE)
    result: Integers = places[is_like.to_numpy(zero_copy_only=False)]
    return result


def _places(mask: Array) -> Integers:
    found: Integers = np.flatnonzero(mask.to_numpy(zero_copy_only=False))
    return found


def _card(match: re.Match[str]) -> str:
    digits = [int(character) for character in match[0] if character.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return match[0] if (sum(digits[::-2]) + sum(doubled)) % 10 else "[redacted:card]"
