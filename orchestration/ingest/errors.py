"""Errors of the front door: each says what is wrong, where, and what to do next; none quotes telemetry."""

from __future__ import annotations


class IngestError(Exception):
    """Ingest cannot go on; the message names the file and the next step."""


class IngestLockedError(IngestError):
    """Another process is loading the same home."""


class KeyFileError(IngestError):
    """The key file cannot be used."""
