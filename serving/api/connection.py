"""A connection of the API: profiles are answered where they are asked for, without a task."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

# for the whole header of a connection's first request
HEADER_SECONDS = 10.0
# a request with one of these is more than its line and its token
MORE_TO_IT = frozenset(
    (b"content-length", b"expect", b"transfer-encoding", b"x-forwarded-for", b"x-forwarded-proto")
)

log = logging.getLogger(__name__)


class Connection(HttpToolsProtocol):
    """A connection that gives way, while it has nothing in progress, to one that may have.

    Who opens many and asks for nothing then closes their own, and keeps nobody out.
    """

    def __init__(
        self, *, answer: Callable[[bytes, bytes, str], bytes | None] | None = None, **more: Any
    ) -> None:
        """Take what answers at once.

        Args:
            answer: From path, Authorization header and the peer's address to a whole response, or
                None where the application has to be asked.
            more: uvicorn's.
        """
        super().__init__(**more)
        self._answer = answer
        self._response: bytes | None = None
        self._answered_at: float | None = None
        self._idle_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.made_at = self.loop.time()
        self.loop.call_later(HEADER_SECONDS, self._give_up)
        if self._is_full:
            idle = [
                each
                for each in self.connections
                if isinstance(each, Connection) and each is not self and each.is_idle
            ]
            if idle:
                # first those that never asked for anything, and of them who is here longest
                min(idle, key=lambda each: (each.has_asked, each.made_at)).close()

    def on_headers_complete(self) -> None:
        self._response = self._answered()
        if self._response is None:
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        if self._response is None:
            super().on_message_complete()
            return
        self.transport.write(self._response)
        self.server_state.total_requests += 1
        # one timer for all such answers: to set and unset one for each would cost as much as parsing
        self._answered_at = self.loop.time()
        if self._idle_timer is None:
            self._wait_for_more(self.timeout_keep_alive)

    @property
    def has_asked(self) -> bool:
        """Whether a whole header has come."""
        return self._answered_at is not None or self._cycle is not None

    @property
    def is_idle(self) -> bool:
        """Whether nothing was asked, or everything that was is answered."""
        cycle = self._cycle
        return cycle is None or cycle.response_complete

    def close(self) -> None:
        """Close it at once, and count it no more."""
        self.connections.discard(self)
        self.transport.abort()

    @property
    def _is_full(self) -> bool:
        limit = self.limit_concurrency
        return limit is not None and len(self.connections) >= limit

    @property
    def _cycle(self) -> Any:
        """The last request that the application was asked; uvicorn hides that there is none at first."""
        return cast("object | None", self.cycle)

    def _answered(self) -> bytes | None:
        """The response to a plain request while no other is in progress, if it can be had at once."""
        parser = self.parser
        if (
            self._answer is None
            or parser.get_method() != b"GET"
            or parser.get_http_version() != "1.1"
            or parser.should_upgrade()
            or not parser.should_keep_alive()
            or not self.is_idle
            or self.flow.write_paused
            or self._is_full
        ):
            return None
        authorization = b""
        for name, value in self.headers:
            if name == b"authorization":
                authorization = value
            elif name in MORE_TO_IT:
                return None
        try:
            return self._answer(self.url, authorization, self.client[0] if self.client else "")
        except Exception:
            # the parser would hide it, and say that the request was bad
            log.exception("a request could not be answered at once; the application is asked")
            return None

    def _wait_for_more(self, seconds: float) -> None:
        self._idle_timer = self.loop.call_later(seconds, self._end_if_idle)

    def _end_if_idle(self) -> None:
        """Close it if nothing came since the last answer; uvicorn waits for what it answered itself."""
        self._idle_timer = None
        if (
            self._answered_at is None
            or not self.is_idle
            or self.timeout_keep_alive_task is not None
        ):
            return
        left = self._answered_at + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._wait_for_more(left)
        else:
            self.timeout_keep_alive_handler()

    def _give_up(self) -> None:
        if not self.has_asked:
            self.close()
