"""Reading the cache from a process that serves: values as bytes, and the words behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from serving.clock import naive_utc, utc_now
from serving.errors import StoreError
from serving.overlay import Declared, overlaid
from serving.store import open_store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from types import TracebackType
    from typing import Self

    from serving.store import Read, Store, ViewMeta

PROFILE_VIEW = "hot_user_profiles"
DIMENSIONS_VIEW = "hot_preference_dimensions"
PURPOSES_VIEW = "hot_consent_purposes"


@dataclass(frozen=True, slots=True)
class Freshness:
    """How old a view is; times are naive UTC, ages in hours since as_of."""

    as_of: datetime
    synced_at: datetime
    generation: int
    run_id: str
    age_hours: float
    max_age_hours: float

    @property
    def is_stale(self) -> bool:
        """Older than its declaration allows."""
        return self.age_hours > self.max_age_hours


class Client:
    """Read-only access to the cache that a URL names. Open one per thread.

    Raises:
        StoreUrlError: unknown scheme.
        StoreError: there is no cache yet, or it cannot be read.
    """

    def __init__(self, url: str) -> None:
        self._store = open_store(url, read_only=True)
        # what is declared changes with a deployment, and matters only where a control waits
        self._declared: Declared | None = None

    def get(self, view: str, key: str) -> bytes | None:
        """Return the payload of one key, undecoded, or None; of the profiles' view, as `profile` does.

        The key of a view with several key columns is made by `serving.hot_marts.encode_key`.
        """
        if view == PROFILE_VIEW:
            return self.profile(key)
        entry = self._store.get(view, key)
        return None if entry is None else entry.payload

    def get_many(self, view: str, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the payloads of those keys that exist, each whole; of the profiles as `profile` does.

        SQLite gives all of one generation; in Redis a sync may come between two keys.
        """
        if view == PROFILE_VIEW:
            reads = self._store.read_many(view, keys)
            found = {key: self._as_said(read) for key, read in reads.items()}
            return {key: payload for key, payload in found.items() if payload is not None}
        return {key: entry.payload for key, entry in self._store.get_many(view, keys).items()}

    def profile(self, user_id: str) -> bytes | None:
        """Return a user's profile as the user's own word leaves it, as JSON, or None.

        Without a pending control these are the stored bytes. A user of whom nothing is stored and
        who has said nothing, or who was erased, has none.

        Args:
            user_id: The user's pseudonym, as the marts hold it.
        """
        return self._as_said(self._store.read(PROFILE_VIEW, user_id))

    def freshness(self, view: str) -> Freshness:
        """Say how old a view is now.

        Raises:
            StoreError: the view was never synced.
        """
        return view_freshness(self._store, view)

    def explain_user(self, user_id: str) -> dict[str, Any]:
        """Say what is believed of a user and why, see `explain_user`."""
        return explain_user(self._store, user_id)

    def _as_said(self, read: Read) -> bytes | None:
        if not read.controls:
            return None if read.entry is None or read.is_erased else read.entry.payload
        if self._declared is None:
            self._declared = read_declared(self._store)
        return overlaid_payload(read, self._declared)

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def view_freshness(store: Store, view: str, *, now: datetime | None = None) -> Freshness:
    """Say how old a view is, by its meta.

    Args:
        store: The cache.
        view: The hot mart's name.
        now: The moment to judge at; without a zone it is UTC. Default: the present.

    Raises:
        StoreError: the view was never synced.
    """
    meta = store.meta(view)
    if meta is None:
        raise StoreError(f"{store.url} holds no {view}: run `attune sync` first")
    return freshness_of(meta, utc_now() if now is None else naive_utc(now))


def freshness_of(meta: ViewMeta, now: datetime) -> Freshness:
    """Say how old a view is at a moment, naive UTC."""
    age = now - meta.as_of
    return Freshness(
        as_of=meta.as_of,
        synced_at=meta.synced_at,
        generation=meta.generation,
        run_id=meta.run_id,
        age_hours=age.total_seconds() / 3600,
        max_age_hours=meta.max_age_hours,
    )


def freshness_fields(freshness: Freshness) -> dict[str, Any]:
    """Write freshness as JSON has it: as_of and synced_at as ISO text, UTC."""
    return {
        "as_of": f"{freshness.as_of.isoformat()}Z",
        "synced_at": f"{freshness.synced_at.isoformat()}Z",
        "generation": freshness.generation,
        "run_id": freshness.run_id,
        "age_hours": round(freshness.age_hours, 3),
        "max_age_hours": freshness.max_age_hours,
        "is_stale": freshness.is_stale,
    }


def read_declared(store: Store) -> Declared:
    """Read what can be preferred and consented to.

    Raises:
        StoreError: the cache cannot be read.
    """
    return Declared(
        {row["dimension"]: row for row in view_rows(store, DIMENSIONS_VIEW)},
        {row["purpose"]: row for row in view_rows(store, PURPOSES_VIEW)},
    )


def view_rows(store: Store, view: str) -> list[dict[str, Any]]:
    """Read a small view whole, decoded.

    Raises:
        StoreError: the cache cannot be read.
    """
    payloads = {entry.key: entry.payload for block in store.scan(view) for entry in block}
    return [orjson.loads(payload) for payload in payloads.values()]


def overlaid_payload(read: Read, declared: Declared) -> bytes:
    """Lay a user's pending controls over what is stored, and encode the profile again."""
    stored = None if read.entry is None else orjson.loads(read.entry.payload)
    return orjson.dumps(overlaid(stored, read.controls, declared))


def explain_user(
    store: Store, user_id: str, *, view: str = PROFILE_VIEW, now: datetime | None = None
) -> dict[str, Any]:
    """Say what is served for a user, each preference with its reason in words, and how fresh it is.

    Args:
        store: The cache.
        user_id: The user's pseudonym, as the marts hold it.
        view: The hot mart of user profiles.
        now: The moment to judge freshness at. Default: the present.

    Returns:
        user_id, is_known, preferences (each as served, pending controls included, plus
        `reason_lines`), segments, consent, freshness (as_of, synced_at, value_as_of, generation,
        run_id, age_hours, max_age_hours, is_stale). JSON-ready: times are ISO text, UTC.

    Raises:
        StoreError: the view was never synced, or a stored profile is not a JSON object.
    """
    freshness = view_freshness(store, view, now=now)
    read = store.read(view, user_id)
    profile: dict[str, Any] = {}
    if read.entry is not None:
        try:
            profile = orjson.loads(read.entry.payload)
        except orjson.JSONDecodeError as error:
            raise StoreError(
                f"{store.url}: the profile under {user_id} in {view} is not JSON ({error}): run "
                "`attune verify` to see whether warehouse or cache is wrong"
            ) from error
    if read.controls:
        profile = overlaid(profile or None, read.controls, read_declared(store))
    return {
        "user_id": user_id,
        "is_known": bool(profile),
        **explained_profile(profile),
        "freshness": freshness_fields(freshness)
        | {"value_as_of": None if read.entry is None else f"{read.entry.as_of.isoformat()}Z"},
    }


def explained_profile(profile: Mapping[str, Any]) -> dict[str, Any]:
    """Add to each preference of a profile its reason in words, line by line."""
    return {
        "preferences": [
            {**preference, "reason_lines": reason_lines(preference)}
            for preference in profile.get("preferences") or []
        ],
        "segments": profile.get("segments") or {},
        "consent": profile.get("consent") or {},
    }


def reason_lines(preference: dict[str, Any]) -> list[str]:
    """Write a served preference as lines: what is believed and how surely, then its reason."""
    context = preference.get("context")
    where = f" when {context}" if context and context != "all" else ""
    line = f"{preference['dimension']} is {preference['value']}{where}: {preference['kind']}"
    score, lower, upper = (preference.get(name) for name in ("score", "score_lower", "score_upper"))
    if score is not None:
        line += f", score {score:.2f}"
        if lower is not None and upper is not None:
            line += f" ({lower:.2f} to {upper:.2f})"
    evidence = preference.get("evidence_count")
    if evidence is not None:
        line += f", from {evidence} signal{'' if evidence == 1 else 's'}"
    return [line, *(preference.get("reason") or "").splitlines()]
