"""How much clients may take: requests per second, and bytes of a body."""

from __future__ import annotations

import asyncio
import math
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from serving.api.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from serving.api.settings import ApiLimits

CALLERS_KEPT = 10_000


class RateLimiter:
    """A bucket of requests per caller, refilled at a rate, that holds two seconds' worth.

    Only callers that asked lately are remembered: a full bucket is as good as none.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # caller -> requests left, and when that was
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, caller: str, rate: float) -> None:
        """Count a request.

        Args:
            caller: Whose bucket.
            rate: Requests per second.

        Raises:
            ApiError: 429, the bucket is empty.
        """
        now = self._clock()
        size = max(2.0 * rate, 1.0)
        left, since = self._left.get(caller, (size, now))
        left = min(size, left + (now - since) * rate)
        if left < 1.0:
            raise ApiError(
                HTTPStatus.TOO_MANY_REQUESTS,
                "rate_limited",
                f"more than {rate:g} requests per second",
                retry_after=math.ceil((1.0 - left) / rate),
            )
        self._left[caller] = left - 1.0, now
        if len(self._left) > CALLERS_KEPT:
            self._forget()

    def _forget(self) -> None:
        """Forget the half that asked longest ago."""
        kept = sorted(self._left.items(), key=lambda item: item[1][1])[CALLERS_KEPT // 2 :]
        self._left = dict(kept)


async def read_body(request: Request, limits: ApiLimits) -> bytes:
    """Return the body.

    Raises:
        ApiError: 413 too large, 408 too slow.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limits.body_bytes:
        raise _too_large(limits)
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limits.body_bytes:
                    raise _too_large(limits)
    except TimeoutError as error:
        raise ApiError(
            HTTPStatus.REQUEST_TIMEOUT,
            "slow_body",
            f"the body did not arrive within {limits.body_seconds:g} seconds",
        ) from error
    return bytes(body)


def _too_large(limits: ApiLimits) -> ApiError:
    return ApiError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "body_too_large",
        f"a body has at most {limits.body_bytes} bytes",
    )
