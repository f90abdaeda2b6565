from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import HotMartError
from serving.hot_marts import HotMart, encode_key, hot_marts

if TYPE_CHECKING:
    from pathlib import Path


def manifest(serving: Any, **changes: Any) -> dict[str, Any]:
    model = {
        "resource_type": "model",
        "name": "hot_arms",
        "schema": "serving",
        "relation_name": '"warehouse"."serving"."hot_arms"',
        "config": {"meta": {"serving": serving}},
        "checksum": {"name": "sha256", "checksum": "abc"},
    }
    other = {"resource_type": "model", "name": "dim_users", "config": {"meta": {}}}
    test = {"resource_type": "test", "name": "t", "config": {"meta": {"serving": {}}}}
    return {"nodes": {"a": model | changes, "b": other, "c": test}}


DECLARED = {"key_columns": ["point", "context"], "payload": "payload", "max_age_hours": 2}


def test_a_declared_model_is_found_and_nothing_else() -> None:
    (mart,) = hot_marts(manifest(DECLARED))
    assert (mart.view, mart.schema, mart.key_columns) == (
        "hot_arms",
        "serving",
        ("point", "context"),
    )
    assert (mart.payload, mart.max_age_hours) == ("payload", 2.0)
    assert mart.relation_name == '"warehouse"."serving"."hot_arms"'


def test_the_manifest_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(manifest(DECLARED)))
    assert hot_marts(path) == hot_marts(manifest(DECLARED))
    with pytest.raises(HotMartError, match="dbt parse"):
        hot_marts(tmp_path / "absent.json")
    path.write_text("{")
    with pytest.raises(HotMartError, match="not JSON"):
        hot_marts(path)


def test_the_schema_version_follows_declaration_and_model_text() -> None:
    def version(serving: dict[str, Any], checksum: str = "abc") -> str:
        changed = manifest(serving, checksum={"name": "sha256", "checksum": checksum})
        return hot_marts(changed)[0].schema_version

    assert version(DECLARED) == version(DECLARED | {"max_age_hours": 9})
    assert (
        len(
            {
                version(DECLARED),
                version(DECLARED, "x"),
                version(DECLARED | {"payload": "p"}),
                version(DECLARED | {"row_hash": "row_hash"}),
            }
        )
        == 4
    )


@pytest.mark.parametrize(
    ("serving", "message"),
    [
        ("yes", "must be a mapping"),
        ({}, "key_columns is missing"),
        (DECLARED | {"ttl": 3}, "unknown field 'ttl'"),
        (DECLARED | {"key_columns": []}, "list of column names"),
        (DECLARED | {"key_columns": "user_id"}, "list of column names"),
        (DECLARED | {"key_columns": ["a", "a"]}, "names a column twice"),
        (DECLARED | {"payload": 3}, "payload must be a column name"),
        (DECLARED | {"payload": "point"}, "also a key column"),
        (DECLARED | {"row_hash": 1}, "row_hash must be a column name"),
        (DECLARED | {"max_age_hours": 0}, "above 0"),
        (DECLARED | {"max_age_hours": True}, "above 0"),
        (DECLARED | {"max_age_hours": "26"}, "above 0"),
    ],
)
def test_a_malformed_declaration_is_named(serving: Any, message: str) -> None:
    with pytest.raises(HotMartError, match=message) as caught:
        hot_marts(manifest(serving))
    assert "hot_arms" in str(caught.value)


def test_controls_must_be_listed_by_a_model_that_is_built_after_the_mart() -> None:
    declared = manifest(DECLARED | {"controls": "fct_controls"})
    listing = {
        "resource_type": "model",
        "name": "fct_controls",
        "relation_name": '"warehouse"."marts"."fct_controls"',
        "config": {"meta": {}},
        "depends_on": {"nodes": ["b"]},
    }
    declared["nodes"]["d"] = listing
    with pytest.raises(HotMartError, match="depends on it, is 'fct_controls'"):
        hot_marts(declared)
    listing["depends_on"] = {"nodes": ["a", "b"]}
    (mart,) = hot_marts(declared)
    assert mart.controls == listing["relation_name"]


def test_a_model_without_relation_is_refused() -> None:
    with pytest.raises(HotMartError, match="ephemeral"):
        hot_marts(manifest(DECLARED, relation_name=None))


def test_a_manifest_without_hot_marts_is_refused() -> None:
    with pytest.raises(HotMartError, match="nothing to serve"):
        hot_marts(manifest(None))


@given(parts=st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=4))
def test_a_key_is_encoded_as_the_warehouse_encodes_it(parts: list[str]) -> None:
    names = tuple(f"k{number}" for number in range(len(parts)))
    mart = HotMart("v", "s", "r", names, "payload", 1.0, "1")
    columns = ", ".join(f"cast(? as varchar) as {name}" for name in names)
    with duckdb.connect() as connection:
        row = connection.execute(f"select {mart.key_sql} from (select {columns})", parts).fetchone()
    assert row == (encode_key(parts),)
