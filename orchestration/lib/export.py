"""Everything that is held about one user, to hand to them: the lake's records and every mart's rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import orjson

from orchestration.lib.errors import EmptyError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import duckdb

BATCH_ROWS = 1000
# the person behind an id, and every id that was linked to theirs
PERSON = """
select coalesce(max(user_id), $id) from intermediate.int_identities_linked where pseudonym = $id
"""
LINKED = "select pseudonym from intermediate.int_identities_linked where user_id = ? order by all"
# a table tells of a user by `user_id`; where it has none, by the unit that metrics count
TABLES = """
select
    table_schema, table_name,
    case when bool_or(column_name = 'user_id') then 'user_id' else 'unit_id' end as named_by
from information_schema.columns
where table_schema in ('marts', 'serving') and column_name in ('user_id', 'unit_id')
group by all
order by all
"""
RECORDS = "select * from staging.stg_telemetry__records where list_contains($ids, user_id)"


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was exported: the user's pseudonym, and rows by table."""

    user_id: str
    rows: dict[str, int]


def export_user(
    connection: duckdb.DuckDBPyConnection,
    pseudonyms: Sequence[str],
    write: Callable[[bytes], object],
) -> ExportReport:
    """Write all that is held about a user as JSON lines, each with its `table`.

    The first line says whose it is and of when; `lake` is the telemetry as it is kept, copies
    included; the others are the marts and what is served.

    Args:
        connection: The warehouse.
        pseudonyms: What the user may be called, the likeliest first.
        write: Takes one line at a time.

    Raises:
        EmptyError: nothing is held about any of them.
    """
    for pseudonym in pseudonyms:
        (user_id,) = connection.execute(PERSON, {"id": pseudonym}).fetchall()[0]
        linked = [name for (name,) in connection.execute(LINKED, [user_id]).fetchall()]
        queries = _queries(connection, user_id, [user_id, *linked])
        if any(
            connection.execute(f"{query} limit 1", named).fetchall() for _, query, named in queries
        ):
            break
    else:
        raise EmptyError(
            "nothing is held about this user",
            where="the warehouse",
            next_step="check the id; a user appears after their first event was built, and is gone "
            "after an erasure",
        )
    (as_of,) = connection.execute("select max(as_of) from intermediate.int_as_of").fetchall()[0]
    about = {"table": "about", "user_id": user_id, "linked_ids": linked}
    times = {"as_of": as_of, "exported_at": datetime.now(UTC)}
    write(orjson.dumps(about | times) + b"\n")
    rows = {}
    for table, query, named in queries:
        found = connection.execute(f"select to_json(found)::varchar from ({query}) as found", named)
        rows[table] = 0
        while batch := found.fetchmany(BATCH_ROWS):
            rows[table] += len(batch)
            for (row,) in batch:
                write(b'{"table":' + orjson.dumps(table) + b"," + row.encode()[1:] + b"\n")
    return ExportReport(user_id, {table: count for table, count in rows.items() if count})


def _queries(
    connection: duckdb.DuckDBPyConnection, user_id: str, ids: list[str]
) -> list[tuple[str, str, dict[str, object]]]:
    """Each table's name, its query and what the query's names stand for."""
    tables: list[tuple[str, str, str]] = connection.execute(TABLES).fetchall()
    queries: list[tuple[str, str, dict[str, object]]] = [("lake", RECORDS, {"ids": ids})]
    for schema, name, named_by in tables:
        query = f'select * from {schema}."{name}" where {named_by} = $user_id'
        queries.append((name, query, {"user_id": user_id}))
    return queries
