"""Settings are read once, and an unknown one raises."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.lib.errors import SettingError
from orchestration.lib.home import SETTINGS, workspace_from


def test_defaults_lie_in_the_project(project_dir: Path) -> None:
    found = workspace_from({}, project_dir=project_dir)
    assert found.home == project_dir / ".attune"
    assert found.declarations == project_dir / "seeds" / "declarations"
    assert found.cache_url == f"sqlite:///{project_dir / '.attune' / 'cache.sqlite'}"
    assert found.key_file == project_dir / ".attune" / "key.json"
    assert found.manifest == project_dir / "target" / "manifest.json"
    assert found.target == "duckdb"


def test_relative_settings_are_relative_to_the_caller(project_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    found = workspace_from(
        {"ATTUNE_HOME": "there", "ATTUNE_DECLARATIONS": "mine"},
        project_dir=project_dir,
        base=tmp_path,
    )
    assert found.home == tmp_path / "there"
    assert found.declarations == tmp_path / "mine"


def test_another_workspace_has_a_manifest_of_its_own(project_dir: Path, tmp_path: Path) -> None:
    found = workspace_from({"ATTUNE_HOME": str(tmp_path)}, project_dir=project_dir)
    assert found.manifest == tmp_path / "target" / "manifest.json"


def test_the_environment_names_the_same_workspace_again(project_dir: Path, tmp_path: Path) -> None:
    found = workspace_from({"ATTUNE_HOME": str(tmp_path / "home")}, project_dir=project_dir)
    assert workspace_from(found.environment(), project_dir=project_dir) == found
    assert {name for name in found.environment() if name.startswith("ATTUNE_")} <= set(SETTINGS)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"ATTUNE_DECLARATION": "mine"}, "unknown setting ATTUNE_DECLARATION"),
        ({"ATTUNE_RAW_DAYS": "-1"}, "'-1' is not a number of days"),
        ({"ATTUNE_TARGET": "snowflake"}, "unknown engine 'snowflake'"),
        ({"ATTUNE_DECLARATIONS": "nowhere"}, "there is no folder"),
    ],
)
def test_what_cannot_be_used_raises_and_says_what_to_set(
    environment: dict[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingError, match=message) as caught:
        workspace_from(environment, base=tmp_path)
    assert caught.value.where
    assert caught.value.next_step
