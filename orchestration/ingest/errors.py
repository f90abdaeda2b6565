"""Errors of the front door: each says what is wrong, where, and what to do next; none quotes telemetry."""

from __future__ import annotations


class IngestError(Exception):
    """Ingest cannot go on; the message names the file and the next step."""


class IngestLockedError(IngestError):
    """Another process is loading the same home."""


class DiskFullError(IngestError):
    """There is no room for a batch; nothing of it is left behind."""


class SwitchError(IngestError):
    """Files of the lake cannot be replaced now; they are as they were."""


class HelperError(IngestError):
    """A process that helped to load ended by itself; nothing of the file is left behind."""


class KeyFileError(IngestError):
    """The key file cannot be used."""


class RefusedFileError(Exception):
    """One inbox file cannot be taken and stays where it is; the others are loaded.

    Attributes:
        reason: a code, see `inbox.NEXT_STEPS`.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
