"""The document says everything: requests made from it get answers that are in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from serving.api.app import Api
from serving.api.openapi import document
from serving.api.settings import ApiLimits, ApiSettings, Ports
from tests.serving.api.served import NOW, Served, Sink, pseudonyms

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = 25

schema = schemathesis.openapi.from_dict(document(ApiLimits()))


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
