"""Errors of the serving package: each message says what happened, where, and what to do next."""

from __future__ import annotations


class ServingError(Exception):
    """Base of every error that this package raises on purpose."""


class StoreUrlError(ServingError):
    """The cache URL names no store that exists here."""


class StoreError(ServingError):
    """The store could not do what was asked; what it held before is still readable."""


class StaleChangeSetError(StoreError):
    """The store moved on since the change set was computed; nothing was written."""


class ErasedError(StoreError):
    """The user was erased: nothing is stored of them any more."""


class IncompleteErasureError(StoreError):
    """The value is no longer served, but its bytes may still lie in the store's files."""


class HotMartError(ServingError):
    """A hot mart's declaration, or its relation in the warehouse, cannot be synced."""


class RemovalRefusedError(ServingError):
    """A sync would remove more of a view than its caller allowed; nothing was moved."""


class LostControlsError(ServingError):
    """The store may have lost what users said, and the build does not hold it yet; nothing was moved."""


class VerificationError(ServingError):
    """After a sync the store does not hold what the warehouse holds."""


class PublishError(ServingError):
    """The published file could not be made; the one published before is untouched."""
