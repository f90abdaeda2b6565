"""A warehouse of an earlier version: a table of which no state is kept is built whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb

from orchestration.lib import dbt_runner

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.workspaces import WorkspaceUnderTest

MODEL = "int_records_read"


def build(under_test: WorkspaceUnderTest) -> None:
    """Build the model and what it is made of."""
    dbt_runner.build(
        under_test.workspace,
        select=f"+{MODEL}",
        only_selected_tests=True,
        manifest=under_test.manifests.manifest_for(under_test.workspace),
    )


def test_what_was_built_whole_before_is_built_whole_once_more(
    workspace: Callable[..., WorkspaceUnderTest],
) -> None:
    under_test = workspace()
    under_test.simulate(users=6, days=2)
    under_test.ingest()
    build(under_test)
    query = f"select * from intermediate.{MODEL} order by all"
    built = under_test.query(query)
    with duckdb.connect(str(under_test.workspace.warehouse)) as connection:
        connection.execute(f"drop table incremental_state.{MODEL}")
        # of a batch that no version knows
        connection.execute(
            f"insert into intermediate.{MODEL} by name "
            f"select * replace ('unknown' as batch_id) from intermediate.{MODEL} limit 1"
        )

    build(under_test)

    assert built
    assert under_test.query(query) == built
