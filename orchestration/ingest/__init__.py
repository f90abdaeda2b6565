"""The front door: OTLP/JSON lines in the inbox become typed, pseudonymous Parquet in the lake."""

from __future__ import annotations

from orchestration.ingest.compact import Compacted, compact
from orchestration.ingest.erase import Erased, erase
from orchestration.ingest.errors import (
    DiskFullError,
    IngestError,
    IngestLockedError,
    KeyFileError,
)
from orchestration.ingest.inbox import RefusedFile
from orchestration.ingest.keys import (
    KeyInfo,
    list_keys,
    pseudonymize,
    pseudonyms,
    retire_key,
    rotate_keys,
)
from orchestration.ingest.lake import ensure_lake, stable_pseudonym
from orchestration.ingest.load import (
    FileReport,
    IngestReport,
    Progress,
    load_inbox,
    replay,
)
from orchestration.ingest.retention import delete_raw

__all__ = [
    "Compacted",
    "DiskFullError",
    "Erased",
    "FileReport",
    "IngestError",
    "IngestLockedError",
    "IngestReport",
    "KeyFileError",
    "KeyInfo",
    "Progress",
    "RefusedFile",
    "compact",
    "delete_raw",
    "ensure_lake",
    "erase",
    "list_keys",
    "load_inbox",
    "pseudonymize",
    "pseudonyms",
    "replay",
    "retire_key",
    "rotate_keys",
    "stable_pseudonym",
]
