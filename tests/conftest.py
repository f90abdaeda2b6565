"""Fixtures of every test: the project, the real input, and temporary workspaces."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestration.lib.home import SETTINGS
from tests.workspaces import ManifestCache, WorkspaceUnderTest, make_workspace

if TYPE_CHECKING:
    from collections.abc import Callable

PROJECT_DIR = Path(__file__).resolve().parents[1]
# the tests' own settings stay
OWN_SETTINGS = ("ATTUNE_SHARED", "ATTUNE_PROPERTY_CASES", "ATTUNE_TRUTH_WORLDS")


@pytest.fixture(autouse=True)
def _no_user_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tests away from the workspace of whoever runs them."""
    for name in SETTINGS:
        if name not in OWN_SETTINGS:
            monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def project_dir() -> Path:
    """The dbt project under test."""
    return PROJECT_DIR


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Real input: ATTUNE_SHARED, or `shared` beside the repository.

    Its absence skips outside continuous integration and fails inside it, where a silent skip
    would turn the tests on real data off for good.
    """
    given = os.environ.get("ATTUNE_SHARED")
    folder = Path(given) if given else PROJECT_DIR.parent / "shared"
    if (folder / "real").is_dir():
        return folder
    message = f"no real input in {folder}: set ATTUNE_SHARED to the folder that holds real/"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def manifests() -> ManifestCache:
    """Manifests parsed in this process."""
    return ManifestCache()


@pytest.fixture
def workspace(
    tmp_path: Path, project_dir: Path, manifests: ManifestCache
) -> Callable[..., WorkspaceUnderTest]:
    """Make workspaces: `workspace("name", overrides={...})`; see `make_workspace`."""

    def make(name: str = "workspace", **options: object) -> WorkspaceUnderTest:
        build = partial(make_workspace, tmp_path / name, project_dir, manifests)
        return build(**options)  # type: ignore[arg-type]

    return make
