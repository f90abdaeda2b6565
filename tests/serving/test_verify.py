from __future__ import annotations

from typing import TYPE_CHECKING

import apsw
import pytest

if TYPE_CHECKING:
    from tests.serving.conftest import Workspace


@pytest.mark.parametrize(
    ("damage", "kinds"),
    [
        ("update entries set payload = x'00' where key = 'a'", {"payload"}),
        ("update entries set content_hash = '0' where key = 'a'", {"content_hash", "meta"}),
        ("delete from entries where key = 'a'", {"missing", "meta"}),
        (
            "insert into entries select view, 'z', content_hash, 1, '', 0, payload from entries",
            {"unexpected", "meta"},
        ),
        ("update views set row_count = 9", {"meta"}),
    ],
)
def test_verify_finds_every_kind_of_difference(
    workspace: Workspace, damage: str, kinds: set[str]
) -> None:
    workspace.build({"a": "1"})
    workspace.sync()
    with apsw.Connection(str(workspace.cache_path)) as connection:
        connection.execute(damage)
    report = workspace.verify()
    assert {difference.kind for difference in report.differences} == kinds
    assert report.difference_count == len(kinds)
    if kinds != {"payload"}:
        workspace.sync(recheck=True)
        assert workspace.verify().ok


def test_verify_finds_a_mart_whose_hash_is_not_of_its_payload(workspace: Workspace) -> None:
    workspace.build({"a": "1"})
    workspace.sync()
    workspace.execute("update serving.hot_user_profiles set payload = '2'")
    assert [each.kind for each in workspace.verify().differences] == ["mart_hash"]


def test_verify_says_that_a_view_was_never_synced(workspace: Workspace) -> None:
    workspace.build({"a": "1"})
    assert {each.kind for each in workspace.verify().differences} == {"meta", "missing"}
