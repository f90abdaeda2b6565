"""The one error of a request, and the one of the event sink."""

from __future__ import annotations

from http import HTTPStatus

from serving.errors import ServingError


class EventSinkError(ServingError):
    """An event could not be made durable; nothing of it was kept."""


class ApiError(Exception):
    """A request that is answered with a problem (RFC 9457).

    Attributes:
        status: HTTP status.
        code: Stable machine-readable word.
        detail: What is wrong and what to do; never holds a user's id or a token.
        retry_after: Seconds after which to try again; None: not worth it.
    """

    def __init__(
        self, status: HTTPStatus, code: str, detail: str, *, retry_after: int | None = None
    ) -> None:
        self.status = status
        self.code = code
        self.detail = detail
        self.retry_after = retry_after
        super().__init__(f"{status.value} {code}: {detail}")


def unknown_user() -> ApiError:
    """The one answer about anybody that a token is not for, existing or not."""
    return ApiError(HTTPStatus.NOT_FOUND, "unknown_user", "nothing is known of this user")


def bad_request(code: str, detail: str) -> ApiError:
    """A request that makes no sense as it stands."""
    return ApiError(HTTPStatus.BAD_REQUEST, code, detail)


def unavailable(code: str, detail: str, *, retry_after: int = 1) -> ApiError:
    """A request that may work later."""
    return ApiError(HTTPStatus.SERVICE_UNAVAILABLE, code, detail, retry_after=retry_after)
