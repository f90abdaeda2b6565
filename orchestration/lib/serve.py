"""What `attune serve` gives the read API: the key ring's pseudonyms, and the inbox for its events."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from orchestration.ingest.errors import KeyFileError
from orchestration.ingest.keys import load_keys
from orchestration.lib.declarations import read_declaration
from orchestration.lib.steps import EVENTS_PREFIX, loaded_batches
from orchestration.receiver.config import Limits
from orchestration.receiver.errors import RefusedError
from orchestration.receiver.inbox import InboxFiles, InboxWriter, prepared_folders
from serving.api.errors import EventSinkError
from serving.api.server import serve as serve_api
from serving.api.settings import ApiSettings, Ports
from serving.clock import utc_now
from serving.overlay import Declared

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from orchestration.ingest.keys import Keys
    from orchestration.lib.home import Workspace

log = logging.getLogger(__name__)

TOKEN_FILE = "serve.tokens.json"  # noqa: S105 (a name, not a token)
CATALOG_FILE = "serve.catalog.json"
STAGING = "serving"
LOOK_SECONDS = 1.0


class KeyRing:
    """Pseudonyms under every key of the ring; a rotation is noticed within a second."""

    def __init__(self, file: Path, *, create: bool, look_seconds: float = LOOK_SECONDS) -> None:
        """Read the key file.

        Args:
            file: The key file.
            create: Make it where it is missing and nothing was loaded yet.
            look_seconds: How long a rotation may go unnoticed.

        Raises:
            KeyFileError: the key file is missing or unusable.
        """
        self._file = file
        self._look_seconds = look_seconds
        self._keys: Keys = load_keys(file, create=create)
        self._read_at = file.stat().st_mtime_ns
        self._looked_at = time.monotonic()
        self._trouble = ""

    def pseudonyms(self, raw: str) -> list[str]:
        """The pseudonyms of a raw identifier, the newest key's first."""
        now = time.monotonic()
        if now - self._looked_at >= self._look_seconds:
            self._looked_at = now
            self._look()
        return self._keys.pseudonyms(raw)

    def _look(self) -> None:
        """Read the ring again if it has changed; one that is away or half-written leaves the last."""
        try:
            changed_at = self._file.stat().st_mtime_ns
            if changed_at != self._read_at:
                self._keys = load_keys(self._file, create=False)
                self._read_at = changed_at
        except (OSError, KeyFileError) as error:
            if str(error) != self._trouble:
                log.error("the key ring read before still holds: %s", error)  # noqa: TRY400
            self._trouble = str(error)
        else:
            self._trouble = ""


class InboxSink:
    """Events of the API as lines of the inbox; many that arrive together share a file."""

    def __init__(self, inbox: Path, staging: Path, limits: Limits) -> None:
        files = InboxFiles(inbox, staging, limits, prefix=EVENTS_PREFIX)
        self._writer = InboxWriter(files, lambda _lines, _size: None)

    async def __aenter__(self) -> Self:
        await self._writer.__aenter__()
        return self

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._writer.__aexit__(exception_type, exception, traceback)

    @property
    def is_running(self) -> bool:
        """Whether lines are taken."""
        return self._writer.is_running

    async def append(self, line: bytes) -> None:
        """Return when the line is durable in the inbox.

        Raises:
            EventSinkError: it is not.
        """
        try:
            await self._writer.append(line)
        except RefusedError as error:
            raise EventSinkError(error.message) from error


def token_file(workspace: Workspace) -> Path:
    """Where the hashes of the API's tokens are."""
    return workspace.home / TOKEN_FILE


def declared_in(declarations: Path) -> Declared:
    """Read what can be preferred and consented to from the declarations themselves.

    Mistakes do not keep the API from serving what the cache holds: they are logged, and nothing is
    known by default.
    """
    dimensions, mistakes = read_declaration(declarations, "preferences/preference_dimensions.csv")
    values, more = read_declaration(declarations, "preferences/preference_values.csv")
    purposes, most = read_declaration(declarations, "catalog/consent_purposes.csv")
    if problems := mistakes + more + most:
        log.warning(
            "no defaults until the cache can be read, the declarations have mistakes: %s",
            "; ".join(map(str, problems)),
        )
        return Declared({}, {})
    return Declared(
        dimensions={row["dimension"]: _dimension(row, values) for row in dimensions},
        purposes={
            row["purpose"]: {
                "purpose": row["purpose"],
                "description": row.get("description") or None,
                "granted_by_default": row["granted_by_default"] == "true",
            }
            for row in purposes
        },
    )


def ports(workspace: Workspace, limits: Limits | None = None) -> Ports:
    """Connect the API with a workspace's key ring and inbox.

    Raises:
        KeyFileError: the key file is missing or unusable.
    """
    ring = KeyRing(workspace.key_file, create=not loaded_batches(workspace))
    sink = InboxSink(workspace.inbox, workspace.home / STAGING, limits or Limits())
    return Ports(
        pseudonyms=ring.pseudonyms,
        events=sink,
        now=utc_now,
        declared=declared_in(workspace.declarations),
    )


def serve(workspace: Workspace, *, host: str, port: int) -> None:
    """Serve a workspace until SIGTERM or Ctrl-C.

    Raises:
        SettingError: another API serves this workspace, or its folders cannot be used.
        ServingError: the address or the token file cannot be used.
        KeyFileError: the key file is missing or unusable.
    """
    settings = ApiSettings(
        cache_url=workspace.cache_url,
        token_file=token_file(workspace),
        host=host,
        port=port,
        catalog_file=workspace.home / CATALOG_FILE,
    )
    with prepared_folders(workspace.inbox, workspace.home / STAGING):
        serve_api(settings, ports(workspace))


def _dimension(row: Mapping[str, str], values: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """The payload of hot_preference_dimensions."""
    own = [each for each in values if each["dimension"] == row["dimension"]]
    return {
        "dimension": row["dimension"],
        "description": row.get("description") or None,
        "default_value": row["default_value"],
        "values": [
            {"value": each["value"], "label": each.get("label") or None}
            for each in sorted(own, key=lambda value: value["value"])
        ],
        "context_attributes": row.get("context_attributes") or None,
        "is_user_controllable": row.get("is_user_controllable") != "false",
    }
