"""What the API is given from outside: addresses, limits, and the two doors to the rest of attune."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from serving.overlay import Declared

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType
    from typing import Self

KIBIBYTE = 1 << 10


class EventSink(Protocol):
    """Where events go; entered when the server starts, left when it ends."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    async def append(self, line: bytes) -> None:
        """Return when the line, one OTLP/JSON export request, is durable.

        Raises:
            EventSinkError: it is not; the client may try again.
        """
        ...

    @property
    def is_running(self) -> bool:
        """Whether lines are taken."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """What the API needs of the rest of attune.

    Attributes:
        pseudonyms: A raw identifier's pseudonyms under every key of the ring, newest first; the
            last one, under the oldest key, never changes.
        events: Where control and decision events go.
        now: The present, naive UTC.
        declared: What is served by default until a cache says what is declared.
    """

    pseudonyms: Callable[[str], list[str]]
    events: EventSink
    now: Callable[[], datetime]
    declared: Declared = field(default_factory=lambda: Declared({}, {}))


@dataclass(frozen=True, slots=True)
class ApiLimits:
    """What clients may take.

    Attributes:
        body_bytes: Largest body of a request.
        body_seconds: Time for a body to arrive.
        profiles: Most users of one POST /v1/profiles.
        user_requests: Requests per second of a user's token, sustained; twice as many at once.
        service_requests: The same of a service's token.
        failures: Refused tokens per second and client address, sustained.
    """

    body_bytes: int = 512 * KIBIBYTE
    body_seconds: float = 10.0
    profiles: int = 1000
    user_requests: float = 20.0
    service_requests: float = 50_000.0
    failures: float = 10.0


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """The settings of one API process.

    Attributes:
        cache_url: The serving cache, ATTUNE_CACHE_URL.
        token_file: Hashes of the tokens, made by `attune tokens create`.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        limits: See `ApiLimits`.
        refresh_seconds: How often declarations, freshness and tokens are looked at anew.
        catalog_file: Where declarations and policies read last are kept for a start without cache.
    """

    cache_url: str
    token_file: Path
    host: str = "127.0.0.1"
    port: int = 8040
    limits: ApiLimits = field(default_factory=ApiLimits)
    refresh_seconds: float = 1.0
    catalog_file: Path | None = None
