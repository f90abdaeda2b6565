"""The errors that a person reads: what happened, where, and what to do next."""

from __future__ import annotations


class AttuneError(Exception):
    """Base of the errors that the command line and Dagster show without a traceback.

    Attributes:
        what: What is wrong, one sentence.
        where: File, model or setting it is wrong in; may hold several lines.
        next_step: What to do about it.
    """

    def __init__(self, what: str, *, where: str = "", next_step: str = "") -> None:
        self.what = what
        self.where = where
        self.next_step = next_step
        super().__init__(": ".join(part for part in (what, where, next_step) if part))

    def as_dict(self) -> dict[str, str]:
        """Return the error for `--json`."""
        return {"error": self.what, "where": self.where, "next": self.next_step}


class SettingError(AttuneError):
    """An environment variable or option that attune does not understand."""


class DeclarationError(AttuneError):
    """Declarations that contradict themselves; found before dbt starts."""


class BuildError(AttuneError):
    """dbt could not build, or a test on what it built failed."""


class WarehouseBusyError(AttuneError):
    """The warehouse's file cannot be replaced now; it is as it was."""


class EmptyError(AttuneError):
    """There is nothing to work on, and a silent success would hide that."""
