"""The folders of the receiver are checked before anything is taken."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestration.lib.errors import SettingError
from orchestration.receiver.inbox import folder_bytes, prepared_folders


def test_folders_on_two_file_systems_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stat = Path.stat

    def on_another_disk(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        found = stat(path, follow_symlinks=follow_symlinks)
        device = found.st_dev + (path.name == "inbox")
        return os.stat_result((*found[:2], device, *found[3:10]))

    monkeypatch.setattr(Path, "stat", on_another_disk)
    with (
        pytest.raises(SettingError, match="not on the file system of the inbox") as refused,
        prepared_folders(tmp_path / "inbox", tmp_path / "receiving"),
    ):
        pass
    assert refused.value.where == str(tmp_path / "inbox")


def test_a_home_that_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with (
        pytest.raises(SettingError, match="cannot be written") as refused,
        prepared_folders(tmp_path / "home" / "inbox", tmp_path / "home" / "receiving"),
    ):
        pass
    assert refused.value.where == str(tmp_path / "home" / "inbox")
    assert "ATTUNE_HOME" in refused.value.next_step


def test_the_folders_are_free_again_afterwards(tmp_path: Path) -> None:
    for _ in range(2):
        with prepared_folders(tmp_path / "inbox", tmp_path / "receiving"):
            assert (tmp_path / "inbox").is_dir()


def test_files_that_vanish_are_not_counted(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"1234567")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    assert folder_bytes(tmp_path) == 7 + (tmp_path / "dangling").lstat().st_size
