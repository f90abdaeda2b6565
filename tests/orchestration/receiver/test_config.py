"""The token is private, durable and never guessed."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from orchestration.lib.errors import SettingError
from orchestration.lib.home import Workspace, workspace_from
from orchestration.receiver.config import read_token, receiver_config, usable_token


def workspace(tmp_path: Path) -> Workspace:
    return workspace_from({"ATTUNE_HOME": str(tmp_path / "home")})


def test_the_token_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    first = receiver_config(workspace(tmp_path), {}, host="127.0.0.1", port=0)
    again = receiver_config(workspace(tmp_path), {}, host="127.0.0.1", port=0)
    other = receiver_config(
        workspace(tmp_path), {}, host="127.0.0.1", port=0, token_file=tmp_path / "other"
    )
    assert first.token == again.token != other.token
    assert len(first.token) >= 43
    file = Path(first.token_source)
    assert file == tmp_path / "home" / "receive.token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in file.parent.iterdir()] == [file.name]


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    settings = {"ATTUNE_RECEIVE_TOKEN": " given-by-the-environment\n"}
    config = receiver_config(workspace(tmp_path), settings, host="127.0.0.1", port=0)
    assert config.token == "given-by-the-environment"
    assert config.token_source == "ATTUNE_RECEIVE_TOKEN"
    assert config.token not in repr(config)
    assert not (tmp_path / "home").exists()


def test_a_token_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "token"
    token = read_token(file)
    file.chmod(0o640)
    with pytest.raises(SettingError, match="others may read") as refused:
        read_token(file)
    assert "chmod 600" in refused.value.next_step
    assert token not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    ["", "short", "fifteen-charact", "Bearer 0123456789abcdef", "0123456789abcdefü", "0\n" * 16],
)
def test_a_token_that_no_header_carries_or_anybody_guesses_is_refused(text: str) -> None:
    with pytest.raises(SettingError) as refused:
        usable_token(text, "here")
    assert refused.value.where == "here"
    assert refused.value.next_step


def test_a_token_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir(mode=0o700)
    with pytest.raises(SettingError, match="cannot be read") as refused:
        read_token(tmp_path / "folder")
    assert refused.value.where == str(tmp_path / "folder")
