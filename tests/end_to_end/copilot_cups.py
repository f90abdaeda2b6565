"""Copilot decisions as telemetry that carries, on each decision, what was shown.

The editor's records say, on a decision, what is left of the suggestion by then; a decision can only
be predicted from the shown record, so its confidence and lines replace those of the decision.
"""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DECISIONS = {"assistant.suggestion.accepted": 1, "assistant.suggestion.rejected": 0}
SHOWN = ("suggestion.confidence", "suggestion.line_count")


def declarations() -> dict[str, str]:
    """Return the declarations to lay over those of the folder."""
    return {
        "preferences/preference_dimensions.csv": (
            "dimension,default_value,context_attributes,half_life_days,serve_threshold,"
            "is_user_controllable,description\n"
            "suggestions,python,suggestion.confidence;suggestion.line_count,,0,true,"
            "Whether suggestions are wanted\n"
        ),
        "preferences/preference_values.csv": "dimension,value,label\nsuggestions,python,Python\n",
        "preferences/preference_signals.csv": (
            "signal_name,dimension,event_name,value_attribute,outcome,weight\n"
            "accepted,suggestions,assistant.suggestion.accepted,code.language,1,1\n"
            "rejected,suggestions,assistant.suggestion.rejected,code.language,0,1\n"
        ),
        "preferences/context_bins.csv": (
            "attribute,bin,lower,upper\n"
            "suggestion.confidence,up to 0.3,,0.3\n"
            "suggestion.confidence,up to 0.5,0.3,0.5\n"
            "suggestion.confidence,up to 0.7,0.5,0.7\n"
            "suggestion.confidence,above,0.7,\n"
            "suggestion.line_count,single,,2\n"
            "suggestion.line_count,multi,2,\n"
        ),
    }


def requests_of(path: Path) -> Iterator[Any]:
    """Yield the export requests of a file."""
    with gzip.open(path, "rt") as file:
        for line in file:
            yield json.loads(line)


def records_of(request: Any) -> Iterator[Any]:
    """Yield the log records of a request."""
    for resource in request["resourceLogs"]:
        for scope in resource["scopeLogs"]:
            yield from scope["logRecords"]


def attributes_of(record: Any) -> dict[str, Any]:
    """Return the attributes of a record with their OTLP values."""
    return {item["key"]: item["value"] for item in record["attributes"]}


def telemetry(path: Path) -> bytes:
    """Return the file's lines with the features of the shown record on every decision."""
    requests = list(requests_of(path))
    shown = {
        attributes["suggestion.id"]["stringValue"]: attributes
        for request in requests
        for record in records_of(request)
        if record["eventName"] == "assistant.suggestion.shown"
        for attributes in [attributes_of(record)]
    }
    for request in requests:
        for record in records_of(request):
            attributes = attributes_of(record)
            # one log opens with a decision about what was shown before it
            source = shown.get(attributes["suggestion.id"]["stringValue"])
            if record["eventName"] in DECISIONS and source is not None:
                attributes = {k: v for k, v in attributes.items() if k not in SHOWN}
                attributes |= {key: source[key] for key in SHOWN if key in source}
                record["attributes"] = [{"key": k, "value": v} for k, v in attributes.items()]
    return b"".join(json.dumps(request).encode() + b"\n" for request in requests)


def decisions(content: bytes) -> list[tuple[int, str, str, int]]:
    """Return time, user, context and outcome of every decision, in order of time."""
    found = []
    for line in content.splitlines():
        for record in records_of(json.loads(line)):
            if record["eventName"] not in DECISIONS:
                continue
            attributes = attributes_of(record)
            confidence = attributes.get("suggestion.confidence", {}).get("doubleValue")
            lines = int(attributes["suggestion.line_count"]["intValue"])
            bounds = (0.3, 0.5, 0.7)
            place = "missing" if confidence is None else sum(confidence >= b for b in bounds)
            found.append(
                (
                    int(record["timeUnixNano"]),
                    attributes["user.id"]["stringValue"],
                    f"{place} {'multi' if lines > 1 else 'single'}",
                    DECISIONS[record["eventName"]],
                )
            )
    return sorted(found)
