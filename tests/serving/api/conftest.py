"""One API per module, for tests that leave no trace in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.serving.api.served import Served, serving

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("api")) as served:
        yield served
