"""A record's event name: its field, else its attribute, with the prefix that only the body has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from orchestration.ingest import load_inbox
from tests.orchestration.ingest.otlp import lines, log, request

if TYPE_CHECKING:
    from pathlib import Path

    from tests.orchestration.ingest.otlp import Query


@pytest.mark.parametrize(
    ("field", "attribute", "body", "name"),
    [
        ("field", "attribute", "app.attribute", "field"),
        ("", "attribute", "", "attribute"),
        ("", "tool_result", "claude_code.tool_result", "claude_code.tool_result"),
        ("", "tool_result", "claude_code.api_error", "tool_result"),
        ("", "tool_result", "The file is called claude_code.tool_result", "tool_result"),
        ("", "app.login", "app.login: ada", "app.login"),
        ("", "", "claude_code.tool_result", ""),
    ],
)
def test_an_event_is_named_by_what_its_emitter_says(
    home: Path,
    declarations: Path,
    query: Query,
    field: str,
    attribute: str,
    body: str,
    name: str,
) -> None:
    attributes: dict[str, Any] = {"event.name": attribute} if attribute else {}
    record = log(field, attributes=attributes, body={"stringValue": body})
    (home / "inbox" / "1.jsonl").write_bytes(lines(request(record)))
    load_inbox(home, declarations)
    assert query("select coalesce(event_name, '') from log_records") == [(name,)]
