from __future__ import annotations

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving import warehouse

NUMBERS = st.sets(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 20))


@settings(deadline=None)
@given(one=NUMBERS, other=NUMBERS)
def test_numbers_that_only_one_side_has_are_found_whatever_is_compared_at_a_time(
    one: set[int], other: set[int]
) -> None:
    for at_once in (3, 1_000):
        with pytest.MonkeyPatch.context() as patched, duckdb.connect() as connection:
            patched.setattr(warehouse, "NUMBERS_AT_ONCE", at_once)
            for name, numbers in (("one", one), ("other", other)):
                table = pa.table({"row_hash": pa.array(sorted(numbers), pa.int64())})
                warehouse.load_arrow(connection, table, name)
            warehouse.load_differing(connection, "(from one)", "(from other)", len(one))
            found = connection.execute("from differing").fetchall()
        assert len(found) == len(one ^ other)
        assert {number for (number,) in found} == one ^ other
