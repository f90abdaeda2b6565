"""What every asset shares: who may touch the warehouse file, and what is tried again."""

from __future__ import annotations

import dagster as dg

# one slot (dagster.yaml): the warehouse file has one writer, and it locks readers out
WAREHOUSE_POOL = "warehouse"
# locks and full disks pass; a failing test does not, and is not tried again
RETRY = dg.RetryPolicy(max_retries=2, delay=20, backoff=dg.Backoff.EXPONENTIAL)
