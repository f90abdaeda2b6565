"""The one shape that both readers produce: columns of records and of attributes, all values as text.

The fast reader (Arrow, whole blocks) and the strict reader (line by line) meet here, so that
everything after it, ids included, cannot depend on which of them read a record.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Array = Any
Integers = npt.NDArray[np.int64]
Kinds = npt.NDArray[np.int8]

LOG_FIELDS = (
    "time",
    "observed",
    "severity_number",
    "severity_text",
    "name",
    "body_kind",
    "body",
    "flags",
    "trace_id",
    "span_id",
    "dropped_attributes",
    "extra",
)
SPAN_FIELDS = (
    "trace_id",
    "span_id",
    "parent_span_id",
    "trace_state",
    "flags",
    "name",
    "span_kind",
    "time",
    "end",
    "status_code",
    "status_message",
    "links",
    "dropped_attributes",
    "dropped_events",
    "dropped_links",
    "extra",
)
EVENT_FIELDS = ("time", "name", "dropped_attributes", "extra")


class Kind(IntEnum):
    """The type of an OTLP value."""

    STRING = 0
    INT = 1
    DOUBLE = 2
    BOOL = 3
    ARRAY = 4
    KVLIST = 5
    BYTES = 6
    EMPTY = 7


# Standard or URL-safe, with or without padding: readers of protobuf JSON take all of them.
BASE64 = re.compile(r"\A[A-Za-z0-9+/_-]*={0,2}\Z")

VALUE_KINDS = {
    "stringValue": Kind.STRING,
    "intValue": Kind.INT,
    "doubleValue": Kind.DOUBLE,
    "boolValue": Kind.BOOL,
    "arrayValue": Kind.ARRAY,
    "kvlistValue": Kind.KVLIST,
    "bytesValue": Kind.BYTES,
}


class MalformedError(Exception):
    """JSON that is no export request; the message names the place and never quotes the value."""


class RepeatedKeyError(Exception):
    """A key stands twice with different values inside a key-value list."""


@dataclass(frozen=True)
class Attributes:
    """Key-value pairs of many owners, in the owners' order."""

    owner: Integers
    key: Array
    kind: Kinds
    text: Array


@dataclass(frozen=True)
class Records:
    """Log records, spans, or events of spans."""

    line: Integers
    number: Integers
    position: Integers
    resource: Integers
    parent: Integers
    text: dict[str, Array]
    attributes: Attributes
    clashing: Integers

    def __len__(self) -> int:
        return len(self.line)


@dataclass(frozen=True)
class Flat:
    """Everything read from a block; `resource` counts over resources of logs, then of spans."""

    resource_count: int
    resources: Attributes
    resources_clashing: Integers
    logs: Records
    spans: Records
    events: Records


def no_indices() -> Integers:
    """An empty column of positions."""
    return np.empty(0, dtype=np.int64)


def double_texts(values: Array) -> Array:
    """Doubles as their shortest text that reads back the same; minus zero is zero."""
    texts = pc.cast(pc.add(values, 0.0), pa.string())
    if pc.all(pc.is_finite(values)).as_py() is False:
        for written, spelled in (("nan", "NaN"), ("inf", "Infinity"), ("-inf", "-Infinity")):
            texts = pc.if_else(pc.equal(texts, written), spelled, texts)
    return texts


def compact_json(value: Any) -> str:
    """JSON text that is the same for equal values: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def complex_value(value: Mapping[str, Any], where: str) -> tuple[Kind, str | None]:
    """Kind and text of an array, key-value list or any other OTLP value, absent members being None.

    Raises:
        MalformedError: not an OTLP value.
        RepeatedKeyError: a key-value list names a key twice with different values.
    """
    kind, content = _plain(value, where)
    if kind is Kind.EMPTY:
        return kind, None
    return kind, content if isinstance(content, str) else compact_json(content)


def members(value: Any, where: str) -> Mapping[str, Any]:
    """An object's members; absent is empty."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise MalformedError(f"{where} is not an object")
    return value


def items(value: Any, where: str) -> list[Any]:
    """An array's items; absent is empty."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise MalformedError(f"{where} is not an array")
    return value


def string(value: Any, where: str) -> str:
    """A text; absent is empty."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise MalformedError(f"{where} is not a string")
    return value


def whole_number(value: Any, where: str) -> int:
    """A 64-bit integer, written as text or as a number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and len(value) <= 20 and value.isascii():
        digits = value.removeprefix("-")
        if digits.isdigit():
            return int(value)
    raise MalformedError(f"{where} is not an integer")


def double(value: Any, where: str) -> float:
    """A double, written as a number or as text (NaN and the infinities can only be text)."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        if value in ("NaN", "Infinity", "-Infinity"):
            return float(value)
        try:
            return float(json.loads(value))
        except (ValueError, TypeError):
            pass
    raise MalformedError(f"{where} is not a number")


def single_member(value: Mapping[str, Any], where: str) -> str | None:
    """The name of the one member that says what an OTLP value is; None for the empty value.

    Raises:
        MalformedError: two of them: nobody may guess which one holds.
    """
    present = [name for name in VALUE_KINDS if value.get(name) is not None]
    if len(present) > 1:
        raise MalformedError(f"{where} has both {present[0]} and {present[1]}")
    return present[0] if present else None


def _plain(value: Mapping[str, Any], where: str) -> tuple[Kind, Any]:
    name = single_member(value, where)
    if name is None:
        return Kind.EMPTY, None
    content = value[name]
    where = f"{where}.{name}"
    if name in ("arrayValue", "kvlistValue"):
        parts = items(members(content, where).get("values"), f"{where}.values")
        if name == "arrayValue":
            return Kind.ARRAY, [_plain(members(part, where), where)[1] for part in parts]
        return Kind.KVLIST, _object(parts, where)
    return VALUE_KINDS[name], scalar(name, content, where)


def scalar(name: str, content: Any, where: str) -> str | int | float | bool:
    """The content of a value that is neither array nor key-value list, checked."""
    if name == "intValue":
        return whole_number(content, where)
    if name == "doubleValue":
        number = double(content, where) + 0.0
        if np.isfinite(number):
            return number
        return "NaN" if np.isnan(number) else "Infinity" if number > 0 else "-Infinity"
    if name == "boolValue":
        if not isinstance(content, bool):
            raise MalformedError(f"{where} is not true or false")
        return content
    text = string(content, where)
    if name == "bytesValue" and not BASE64.match(text):
        raise MalformedError(f"{where} is not base64")
    return text


def _object(pairs: list[Any], where: str) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for pair in pairs:
        content = members(pair, where)
        key = string(content.get("key"), f"{where}.key")
        plain = _plain(members(content.get("value"), where), where)[1]
        if key in result and compact_json(result[key]) != compact_json(plain):
            raise RepeatedKeyError
        result[key] = plain
    return result
