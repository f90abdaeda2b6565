"""Which marts are served: read from dbt's manifest, never named in Python."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from serving.errors import HotMartError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

REQUIRED_FIELDS = ("key_columns", "payload", "max_age_hours")
FIELDS = (*REQUIRED_FIELDS, "controls", "hot_path", "row_hash")


@dataclass(frozen=True, slots=True)
class HotMart:
    """A model with `config.meta.serving`.

    Attributes:
        view: The model's name, and the name it is served under.
        schema: The warehouse schema it lies in.
        relation_name: The relation as dbt writes it, quoted.
        key_columns: What identifies a row.
        payload: The column that is served.
        max_age_hours: How old the view may be before it counts as stale.
        schema_version: Changes with the declaration or the model's text.
        controls: The relation whose column event_id holds the user controls that the mart agrees
            with, built after it; None if users cannot control what it serves.
        hot_path: Whether it follows the inbox between builds, see `attune follow`.
        row_hash: The column with a number for key and content hash together; None if there is
            none, and texts must be compared.
    """

    view: str
    schema: str
    relation_name: str
    key_columns: tuple[str, ...]
    payload: str
    max_age_hours: float
    schema_version: str
    controls: str | None = None
    hot_path: bool = False
    row_hash: str | None = None

    @property
    def key_sql(self) -> str:
        """SQL for the key as the store holds it: one column as text, several as a JSON array."""
        columns = [f"cast({quoted(column)} as varchar)" for column in self.key_columns]
        if len(columns) == 1:
            return columns[0]
        return f"cast(json_array({', '.join(columns)}) as varchar)"


def encode_key(parts: Sequence[str]) -> str:
    """Return the store's key for the values of the key columns, equal to `HotMart.key_sql`."""
    if len(parts) == 1:
        return parts[0]
    text = orjson.dumps(list(parts)).decode()
    # DuckDB writes the hexadecimal digits of control characters in upper case
    return re.sub(
        r"\\(u[0-9a-f]{4}|.)",
        lambda escape: "\\" + escape[1][0] + escape[1][1:].upper(),
        text,
    )


def quoted(name: str) -> str:
    """Quote an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def quoted_text(text: str) -> str:
    """Quote an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def load_manifest(manifest: Mapping[str, Any] | Path) -> Mapping[str, Any]:
    """Return a manifest, read from its file if a path is given.

    Raises:
        HotMartError: no such file, or not a manifest.
    """
    if not isinstance(manifest, Path):
        return manifest
    try:
        loaded = orjson.loads(manifest.read_bytes())
    except FileNotFoundError as error:
        raise HotMartError(
            f"there is no dbt manifest at {manifest}: run `dbt parse` or `dbt build` first"
        ) from error
    except orjson.JSONDecodeError as error:
        raise HotMartError(f"{manifest} is not JSON ({error}): run `dbt parse` again") from error
    if not isinstance(loaded, dict):
        raise HotMartError(f"{manifest} is not a dbt manifest: run `dbt parse` again")
    return loaded


def hot_marts(manifest: Mapping[str, Any] | Path) -> list[HotMart]:
    """Find the hot marts of a dbt manifest, in the order of their names.

    Raises:
        HotMartError: a malformed declaration (all of them are listed), or no hot mart at all.
    """
    loaded = load_manifest(manifest)
    nodes = loaded.get("nodes")
    if not isinstance(nodes, dict):
        raise HotMartError("the dbt manifest has no `nodes`: run `dbt parse` again")
    relations = {
        node["name"]: node["relation_name"]
        for node in nodes.values()
        if node.get("resource_type") == "model" and node.get("relation_name")
    }
    found: list[HotMart] = []
    problems: list[str] = []
    for unique_id, node in nodes.items():
        if node.get("resource_type") != "model":
            continue
        serving = (node.get("config") or {}).get("meta", {}).get("serving")
        if serving is None:
            continue
        later = {
            each["name"]
            for each in nodes.values()
            if unique_id in (each.get("depends_on") or {}).get("nodes", [])
        }
        own_problems = _problems(node, serving, later & relations.keys())
        problems += own_problems
        if not own_problems:
            found.append(_hot_mart(node, serving, relations))
    if problems:
        raise HotMartError(
            "malformed config.meta.serving; correct it where the model is configured and run "
            "`dbt parse`:\n" + "\n".join(f"- {problem}" for problem in problems)
        )
    if not found:
        raise HotMartError(
            "no model of the dbt manifest has config.meta.serving, so there is nothing to serve: "
            "is it the right project's manifest, and parsed with its hot marts enabled?"
        )
    return sorted(found, key=lambda mart: mart.view)


def _problems(node: Mapping[str, Any], serving: Any, later: Collection[str]) -> list[str]:
    """What is wrong with a declaration; `later` are the models that are built after this one."""
    name = node["name"]
    if not isinstance(serving, dict):
        return [f"{name}: must be a mapping with {', '.join(REQUIRED_FIELDS)}, is {serving!r}"]
    problems = [f"{name}: {field} is missing" for field in REQUIRED_FIELDS if field not in serving]
    problems += [
        f"{name}: unknown field {field!r}; known are {', '.join(FIELDS)}"
        for field in serving
        if field not in FIELDS
    ]
    keys = serving.get("key_columns", ["-"])
    if not (isinstance(keys, list) and keys and all(_is_name(key) for key in keys)):
        problems.append(f"{name}: key_columns must be a list of column names, is {keys!r}")
    elif len(set(keys)) < len(keys):
        problems.append(f"{name}: key_columns names a column twice: {keys!r}")
    payload = serving.get("payload", "-")
    if not _is_name(payload):
        problems.append(f"{name}: payload must be a column name, is {payload!r}")
    elif payload != "-" and isinstance(keys, list) and payload in keys:
        problems.append(f"{name}: payload {payload!r} is also a key column")
    age = serving.get("max_age_hours", 1)
    if isinstance(age, bool) or not isinstance(age, int | float) or not 0 < age < float("inf"):
        problems.append(f"{name}: max_age_hours must be a number above 0, is {age!r}")
    controls = serving.get("controls")
    if controls is not None and controls not in later:
        # else a build that ends between the two would hold a control that the mart does not
        problems.append(f"{name}: controls must name a model that depends on it, is {controls!r}")
    if not isinstance(serving.get("hot_path", False), bool):
        problems.append(f"{name}: hot_path must be true or false, is {serving['hot_path']!r}")
    if not _is_name(serving.get("row_hash", "-")):
        problems.append(f"{name}: row_hash must be a column name, is {serving['row_hash']!r}")
    if not node.get("relation_name"):
        problems.append(f"{name}: has no relation in the warehouse (ephemeral?); make it a table")
    return problems


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _hot_mart(
    node: Mapping[str, Any], serving: Mapping[str, Any], relations: Mapping[str, str]
) -> HotMart:
    controls = serving.get("controls")
    row_hash = serving.get("row_hash")
    version = [serving["key_columns"], serving["payload"], node["checksum"]["checksum"], row_hash]
    return HotMart(
        view=node["name"],
        schema=node["schema"],
        relation_name=node["relation_name"],
        key_columns=tuple(serving["key_columns"]),
        payload=serving["payload"],
        max_age_hours=float(serving["max_age_hours"]),
        schema_version=hashlib.sha256(orjson.dumps(version)).hexdigest()[:12],
        controls=None if controls is None else relations[controls],
        hot_path=serving.get("hot_path", False),
        row_hash=row_hash,
    )
