"""The catalog read last, kept as a file: an API that starts without its cache still knows it.

It holds declarations and policies, nothing of any user.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

import orjson

from serving.api.catalog import Catalog, catalog_of
from serving.store import ViewMeta

if TYPE_CHECKING:
    from pathlib import Path

PRIVATE = 0o600

log = logging.getLogger(__name__)


def keep_catalog(file: Path, catalog: Catalog) -> None:
    """Write the catalog, as a whole; a folder that cannot be written is logged."""
    metas = {view: asdict(meta) for view, meta in catalog.metas.items()}
    content = orjson.dumps({"metas": metas, "rows": catalog.rows})
    partial = file.with_name(f".{file.name}.partial")
    try:
        partial.unlink(missing_ok=True)
        with os.fdopen(
            os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE), "wb"
        ) as new:
            new.write(content)
        partial.replace(file)
    except OSError as error:
        log.warning("a restart without the cache will know no flags, %s: %s", file, error.strerror)


def kept_catalog(file: Path) -> Catalog | None:
    """Read the catalog; None where there is none, or it cannot be read."""
    with suppress(FileNotFoundError):
        try:
            kept = orjson.loads(file.read_bytes())
            metas = {view: _meta(fields) for view, fields in kept["metas"].items()}
            return catalog_of(kept["rows"], metas)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("%s is no catalog (%s) and is written anew", file, type(error).__name__)
        except PermissionError as error:
            log.warning("%s cannot be read: %s", file, error.strerror)
    return None


def _meta(fields: dict[str, str]) -> ViewMeta:
    times = {name: datetime.fromisoformat(fields[name]) for name in ("as_of", "synced_at")}
    return ViewMeta(**(fields | times))  # type: ignore[arg-type]
