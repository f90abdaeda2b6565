"""The document says everything: requests made from it get answers that are in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import (
    negative_data_rejection,
    positive_data_acceptance,
)

from serving.api.app import Api
from serving.api.openapi import document
from serving.api.settings import ApiLimits, ApiSettings, Ports
from tests.serving.api.served import BERT, NOW, UNKNOWN, Served, Sink, pseudonyms

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = 15


def filled_in() -> dict[str, Any]:
    """The document, with what this world holds among the values that are tried."""
    known = {
        "user_id": [BERT, UNKNOWN, "carl"],
        "dimension": ["style", "format", "nothing"],
        "purpose": ["personalization", "measurement", "nothing"],
        "decision_point": ["reply-format", "nothing"],
        "key": ["answers", "style", "reply-format", "held", "nothing"],
        "context": ["fix", "write"],
    }
    text = document(ApiLimits())
    for operations in text["paths"].values():
        listed = [operations, *(each for each in operations.values() if isinstance(each, dict))]
        parameters = [each for part in listed for each in part.get("parameters", [])]
        for each in parameters:
            if each["name"] in known:
                each["schema"] = {**each["schema"], "enum": known[each["name"]]}
    return text


schema = schemathesis.openapi.from_dict(document(ApiLimits()))
likely = schemathesis.openapi.from_dict(filled_in())


@pytest.fixture(scope="module")
def live(shared: Served) -> tuple[str, str]:
    """Where the API listens, and a token for everything."""
    return shared.base, shared.token()


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_answers_are_the_documented_ones(
    case: schemathesis.Case[Any], live: tuple[str, str]
) -> None:
    base, token = live
    case.call_and_validate(base_url=base, headers={"Authorization": f"Bearer {token}"})


@likely.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_answers_about_what_there_is_are_the_documented_ones(
    case: schemathesis.Case[Any], live: tuple[str, str]
) -> None:
    base, token = live
    case.call_and_validate(
        base_url=base,
        headers={"Authorization": f"Bearer {token}"},
        # other values than these are fine too, and a value belongs to one dimension
        excluded_checks=[negative_data_rejection, positive_data_acceptance],
    )


def test_every_route_is_documented(tmp_path: Path) -> None:
    settings = ApiSettings(cache_url="sqlite:///nowhere", token_file=tmp_path / "tokens.json")
    application = Api(settings, Ports(pseudonyms=pseudonyms, events=Sink(), now=lambda: NOW))
    routes = {
        (method.lower(), route.path)
        for route in application.routes
        for method in route.methods or ()
        if method != "HEAD"
    }
    documented = {
        (method, path)
        for path, operations in document(ApiLimits())["paths"].items()
        for method in operations
        if method != "parameters"
    }
    assert routes == documented
