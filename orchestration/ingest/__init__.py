"""The front door: OTLP/JSON lines in the inbox become typed, pseudonymous Parquet in the lake."""

from __future__ import annotations

from orchestration.ingest.errors import IngestError, IngestLockedError, KeyFileError
from orchestration.ingest.keys import pseudonymize
from orchestration.ingest.lake import ensure_lake
from orchestration.ingest.load import (
    FileReport,
    IngestReport,
    Progress,
    load_inbox,
    replay,
)
from orchestration.ingest.retention import delete_raw

__all__ = [
    "FileReport",
    "IngestError",
    "IngestLockedError",
    "IngestReport",
    "KeyFileError",
    "Progress",
    "delete_raw",
    "ensure_lake",
    "load_inbox",
    "pseudonymize",
    "replay",
]
