"""Profiles as they are served: stored bytes as they are, or defaults marked as such."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from serving.api.cache import NEVER_SYNCED
from serving.client import PROFILE_VIEW, explained_profile, overlaid_payload
from serving.overlay import default_profile, overlaid
from serving.store import Read

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from serving.api.cache import Cache
    from serving.api.metrics import Metrics
    from serving.client import Freshness

UNKNOWN, STALE, GONE = "unknown_user", "stale", "cache_unavailable"
NOTHING = Read(None)


class Served(NamedTuple):
    """A profile and why it is a default.

    payload is the profile as JSON; default_reason is unknown_user, stale, cache_unavailable, or
    None for a profile of the user's own; generation is that of the stored value, 0 if there is
    none.
    """

    payload: bytes
    default_reason: str | None
    generation: int


class Current(NamedTuple):
    """What is stored of a user now; defaults where nothing is."""

    profile: dict[str, Any]
    is_erased: bool


class Profiles:
    """Reads profiles from a cache that may be gone."""

    def __init__(self, cache: Cache, metrics: Metrics) -> None:
        self._cache = cache
        self._metrics = metrics
        self._freshness: tuple[Freshness | None, bytes] = (None, orjson.dumps(NEVER_SYNCED))
        self._default: tuple[object, bytes] = (None, b"")

    def read(self, keys: Sequence[str]) -> Served:
        """Serve the user who has these keys from a file, the newest key's first."""
        for key in keys:
            read = self._cache.read(key)
            if read is None:
                return self._gone(keys)
            if read.entry is not None or read.controls:
                return self.serve(read)
        return self._served_default(UNKNOWN, NOTHING)

    async def read_together(self, keys: Sequence[str]) -> Served:
        """Serve the user who has these keys; a server is asked once for all who ask meanwhile."""
        found = await self._cache.read_together(keys)
        if found is None:
            return self._gone(keys)
        return self.serve(next((found[key] for key in keys if key in found), NOTHING))

    async def read_many(self, users: Mapping[str, Sequence[str]]) -> dict[str, Served]:
        """Serve many users, given as name -> keys; in one read of the cache."""
        found = await self._cache.read_together([key for keys in users.values() for key in keys])
        if found is None:
            return {name: self._gone(keys) for name, keys in users.items()}
        return {
            name: self.serve(next((found[key] for key in keys if key in found), NOTHING))
            for name, keys in users.items()
        }

    async def current(self, keys: Sequence[str]) -> Current | None:
        """Return what is stored and said of a user however old it is, or None if nobody can say."""
        found = await self._cache.read_together(keys)
        if found is None:
            return None
        key = next((key for key in keys if key in found), keys[-1])
        read = found.get(key, NOTHING)
        stored = None if read.entry is None else orjson.loads(read.entry.payload)
        return Current(
            profile=overlaid(stored, read.controls, self._cache.catalog.declared),
            is_erased=any(each.is_erased for each in found.values()),
        )

    def serve(self, read: Read) -> Served:
        """Serve what was read."""
        entry, controls, is_erased = read
        if is_erased or (entry is None and not controls):
            return self._served_default(UNKNOWN, NOTHING)
        if self._cache.is_stale:
            return self._served_default(STALE, read)
        if entry is None or controls:
            payload = overlaid_payload(read, self._cache.catalog.declared)
            return Served(payload, None, 0 if entry is None else entry.generation)
        return Served(entry.payload, None, entry.generation)

    def body(self, served: Served) -> bytes:
        """The answer about one user; the payload passes through as it is stored."""
        return self.entry(served, b',"freshness":' + self.freshness())

    def entry(self, served: Served, more: bytes = b"") -> bytes:
        """One user's part of an answer about many; or all of one, with more fields."""
        payload, reason, generation = served
        if reason is None:
            return b'{"profile":%b,"is_default":false,"default_reason":null,"generation":%d%b}' % (
                payload,
                generation,
                more,
            )
        return b'{"profile":%b,"is_default":true,"default_reason":"%b","generation":0%b}' % (
            payload,
            reason.encode(),
            more,
        )

    def freshness(self) -> bytes:
        """How old the profiles are, as JSON; written once for every look at the cache."""
        freshness = self._cache.freshness
        if freshness is not self._freshness[0]:
            self._freshness = freshness, orjson.dumps(self._cache.age_fields(PROFILE_VIEW))
        return self._freshness[1]

    def why(self, served: Served) -> dict[str, Any]:
        """What is believed and why, in words, with what can be chosen instead."""
        declared = self._cache.catalog.declared
        return {
            **explained_profile(orjson.loads(served.payload)),
            "dimensions": [declared.dimensions[name] for name in sorted(declared.dimensions)],
            "purposes": [declared.purposes[name] for name in sorted(declared.purposes)],
            "is_default": served.default_reason is not None,
            "default_reason": served.default_reason,
            "generation": served.generation,
            "freshness": orjson.loads(self.freshness()),
        }

    def _gone(self, keys: Sequence[str]) -> Served:
        """Defaults, under what the user said that the cache has not got yet."""
        return self._served_default(GONE, self._cache.outbox.laid_over(keys[-1], None) or NOTHING)

    def _served_default(self, reason: str, read: Read) -> Served:
        """Defaults; where the build is stale, the user's own word still holds over them."""
        self._metrics.defaults.labels(reason).inc()
        declared = self._cache.catalog.declared
        if read.controls:
            return Served(orjson.dumps(overlaid(None, read.controls, declared)), reason, 0)
        if self._default[0] is not declared:
            self._default = declared, orjson.dumps(default_profile(declared))
        return Served(self._default[1], reason, 0)
