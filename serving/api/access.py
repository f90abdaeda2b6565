"""Who asks, and whether they may: tokens, rates, roles, subjects, in this order."""

from __future__ import annotations

import hmac
import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from serving.api.errors import ApiError, bad_request, unknown_user

if TYPE_CHECKING:
    from collections.abc import Callable

    from serving.api.limits import RateLimiter
    from serving.api.settings import ApiLimits
    from serving.api.tokens import Token, TokenBook

ID_CHARACTERS = 256
ID_PATTERN = r"^[^\u0000-\u001f\u007f]+$"
# half a surrogate pair, which JSON can carry, is no text
_OTHER = re.compile(r"[\u0000-\u001f\u007f\ud800-\udfff]")


class Access:
    """Judges requests."""

    def __init__(
        self,
        tokens: TokenBook,
        limiter: RateLimiter,
        limits: ApiLimits,
        pseudonyms: Callable[[str], list[str]],
    ) -> None:
        self._tokens = tokens
        self._limiter = limiter
        self._limits = limits
        self._pseudonyms = pseudonyms

    def require(self, authorization: bytes, peer: str, role: str) -> Token:
        """Return the token, once it has shown that it is one, in time, and for this.

        Args:
            authorization: The header, empty if there is none.
            peer: The client's address.
            role: What the request needs.

        Raises:
            ApiError: 401 no token, 403 without the role, 429 too often.
        """
        token = self._tokens.find(authorization)
        if token is None:
            self._limiter.take(f"peer {peer}", self._limits.failures)
            raise ApiError(
                HTTPStatus.UNAUTHORIZED,
                "unauthorized",
                "the bearer token is missing, wrong or revoked; `attune tokens create` makes one",
            )
        is_service = token.subject is None
        rate = self._limits.service_requests if is_service else self._limits.user_requests
        self._limiter.take(token.token_id, rate)
        if role not in token.roles:
            raise ApiError(HTTPStatus.FORBIDDEN, "forbidden", f"the token lacks the role {role}")
        return token

    def keys_of(self, token: Token, user_id: str) -> list[str]:
        """Return a user's pseudonyms, newest key first, if the token is for that user.

        Raises:
            ApiError: 400 not an id, 404 somebody else's.
        """
        keys = self._pseudonyms(valid_id(user_id))
        if token.subject is not None and not hmac.compare_digest(token.subject, keys[-1]):
            raise unknown_user()
        return keys


def valid_id(text: str) -> str:
    """Return a raw identifier as it is.

    Raises:
        ApiError: 400, empty, too long, or with what no identifier holds.
    """
    if not 0 < len(text) <= ID_CHARACTERS or _OTHER.search(text):
        raise bad_request(
            "invalid_user_id",
            f"an id has 1 to {ID_CHARACTERS} characters, none of them a control character",
        )
    return text
