"""The one error of a request: everything that is answered with another status than 200."""

from __future__ import annotations

from http import HTTPStatus


class RefusedError(Exception):
    """A request that is not kept.

    Attributes:
        status: What the client is told; an SDK sends again only after 503.
        message: Why, and what to do; never quotes the body or the token.
        retry_after: Seconds after which the client may send again; None means never.
    """

    def __init__(self, status: HTTPStatus, message: str, *, retry_after: int | None = None) -> None:
        self.status = status
        self.message = message
        self.retry_after = retry_after
        super().__init__(f"{status.value} {message}")
