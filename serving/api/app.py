"""The ASGI application, and what it answers at once: Starlette for all but single profiles."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from importlib import resources
from typing import TYPE_CHECKING, Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route

from serving.api import tokens
from serving.api.access import Access
from serving.api.cache import Cache
from serving.api.controls import Controls
from serving.api.errors import ApiError
from serving.api.flags import Flags
from serving.api.limits import RateLimiter
from serving.api.metrics import CONTENT_TYPE, Metrics
from serving.api.openapi import document
from serving.api.page import page_headers
from serving.api.profiles import Profiles
from serving.api.requests import unquoted
from serving.api.routes import JSON, Routes, problem
from serving.api.tokens import TokenBook, TokenError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from starlette.requests import Request
    from starlette.types import Message, Receive, Scope, Send

    from serving.api.settings import ApiSettings, Ports

PROFILE_ROUTE = "profile"
USERS, PROFILE = b"/v1/users/", b"/profile"
PROFILE_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
    b"cache-control: no-store\r\n\r\n%b"
)
# young objects die with their request: few of them make a collection worth its pause
GC_THRESHOLDS = (50_000, 50, 100)

log = logging.getLogger(__name__)


class Api:
    """The read API of one process."""

    def __init__(self, settings: ApiSettings, ports: Ports) -> None:
        """Read the tokens; the cache is looked at when the server starts.

        Raises:
            TokenError: the token file cannot be used.
        """
        self._settings = settings
        self._metrics = Metrics()
        self._tokens = TokenBook(settings.token_file)
        self._cache = Cache(
            settings.cache_url,
            ports.now,
            self._metrics.cache_failures.inc,
            ports.declared,
            settings.catalog_file,
        )
        self._ports = ports
        self._profiles = Profiles(self._cache, self._metrics)
        self._access = Access(self._tokens, RateLimiter(), settings.limits, ports.pseudonyms)
        self._is_ending = False
        self._failures: dict[str, str] = {}
        self._token_trouble = ""
        self._document = orjson.dumps(document(settings.limits))
        self._page = resources.files("serving.api").joinpath("page.html").read_bytes()
        self._starlette = self._application()

    @property
    def routes(self) -> list[Route]:
        """Every route there is."""
        return [route for route in self._starlette.routes if isinstance(route, Route)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._starlette(scope, receive, send)
            return
        part = _asked_profile(scope["raw_path"]) if scope["method"] == "GET" else None
        if part is None:
            await self._measured(scope, receive, send)
        else:
            await self._profile(scope, receive, send, part)

    async def _profile(self, scope: Scope, receive: Receive, send: Send, part: str) -> None:
        """Answer with stored bytes and little else: from a server, or to a proxy's request."""
        started = time.perf_counter()
        authorization = b""
        for name, value in scope["headers"]:
            if name == b"authorization":
                authorization = value
        client = scope["client"]
        try:
            keys = self._keys(authorization, client[0] if client else "", part)
        except ApiError as error:
            await problem(error)(scope, receive, send)
            self._count(PROFILE_ROUTE, error.status, started)
            return
        body = self._profiles.body(await self._profiles.read_together(keys))
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        self._count(PROFILE_ROUTE, 200, started)

    def answer(self, target: bytes, authorization: bytes, peer: str) -> bytes | None:
        """Answer GET of a profile that a file holds, with stored bytes and little else.

        Args:
            target: Path and query as they were sent.
            authorization: The header, empty if there is none.
            peer: The client's address.

        Returns:
            A whole HTTP response, or None where the application itself has to be asked.
        """
        part = _asked_profile(target)
        if part is None or self._cache.is_remote:
            return None
        started = time.perf_counter()
        try:
            served = self._profiles.read(self._keys(authorization, peer, part))
        except ApiError as error:
            self._count(PROFILE_ROUTE, error.status, started)
            return _as_http(problem(error))
        body = self._profiles.body(served)
        self._count(PROFILE_ROUTE, 200, started)
        return PROFILE_HEAD % (len(body), body)

    def _keys(self, authorization: bytes, peer: str, part: str) -> list[str]:
        """The pseudonyms of the user whom a part of a path names, if the token may read of them.

        Raises:
            ApiError: see `Access`.
        """
        token = self._access.require(authorization, peer, tokens.READ)
        return self._access.keys_of(token, unquoted(part))

    async def _measured(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Route by the path as it was sent: an id may hold any character, a slash too."""
        started = time.perf_counter()
        status = HTTPStatus.INTERNAL_SERVER_ERROR.value

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        routed: Scope = {**scope, "path": scope["raw_path"].decode("latin-1")}
        try:
            await self._starlette(routed, receive, noting)
        finally:
            endpoint = routed.get("endpoint")
            self._count(getattr(endpoint, "__name__", "none"), status, started)

    def _count(self, route: str, status: int, started: float) -> None:
        self._metrics.answers.count(route, status, time.perf_counter() - started)

    def _application(self) -> Starlette:
        routes = Routes(
            self._settings,
            self._ports,
            self._access,
            self._cache,
            self._profiles,
            Controls(self._cache, self._ports, self._metrics),
            Flags(self._cache, self._profiles, self._ports, self._metrics),
        )
        return Starlette(
            routes=[
                *routes.routes(),
                Route("/", self._user_page),
                Route("/openapi.json", self._openapi),
                Route("/metrics", self._expose),
                Route("/healthz", self._health),
                Route("/readyz", self._ready),
            ],
            lifespan=self._lifespan,
            exception_handlers={
                ApiError: _refused,
                HTTPException: _no_route,
                ClientDisconnect: _gone,
                Exception: _bug,
            },
        )

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        for turn in (self._look, self._check):
            await self._guarded(turn)
        watching = asyncio.gather(self._repeat(self._look), self._repeat(self._check))
        thresholds = gc.get_threshold()
        # what is here now stays to the end: no collection needs to look at it again
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        try:
            async with self._ports.events:
                yield
        finally:
            self._is_ending = True
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
            await self._cache.close()
            gc.set_threshold(*thresholds)
            gc.unfreeze()

    async def _repeat(self, turn: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(self._settings.refresh_seconds)
            await self._guarded(turn)

    async def _guarded(self, turn: Callable[[], Awaitable[None]]) -> None:
        """Do something once; a failure that nobody foresaw is logged, when it is a new one."""
        (failure,) = await asyncio.gather(turn(), return_exceptions=True)
        before = self._failures.get(turn.__name__)
        self._failures[turn.__name__] = text = "" if failure is None else repr(failure)
        if failure is not None and text != before:
            log.error("%s failed; it is done again", turn.__name__, exc_info=failure)

    async def _look(self) -> None:
        await self._cache.look()
        self._metrics.cache_up.set(self._cache.is_available)
        self._metrics.looks.labels("cache").inc()

    async def _check(self) -> None:
        """What must go on whatever the cache does: which tokens hold, and how old everything is."""
        self._cache.judge()
        if self._cache.freshness is not None:
            self._metrics.age.set(self._cache.freshness.age_hours)
        try:
            self._tokens.refresh()
        except TokenError as error:
            if str(error) != self._token_trouble:
                log.error("the tokens read before still hold: %s", error)  # noqa: TRY400
            self._token_trouble = str(error)
        else:
            self._token_trouble = ""
        self._metrics.looks.labels("tokens").inc()

    async def _user_page(self, _: Request) -> Response:
        return Response(self._page, headers=page_headers(self._page), media_type="text/html")

    async def _openapi(self, _: Request) -> Response:
        return Response(self._document, media_type=JSON)

    async def _expose(self, _: Request) -> Response:
        return Response(self._metrics.text(), headers={"content-type": CONTENT_TYPE})

    async def _health(self, _: Request) -> Response:
        return _status(is_fine=not self._is_ending)

    async def _ready(self, _: Request) -> Response:
        """Ready without a cache too: defaults are an answer. Not ready without an inbox."""
        is_fine = not self._is_ending and self._ports.events.is_running
        return _status(
            is_fine=is_fine,
            cache="ok" if self._cache.is_available else "unavailable",
            is_stale=self._cache.is_stale,
        )


def _asked_profile(path: bytes) -> str | None:
    """Whose profile a path asks for, as it was sent; None for any other path."""
    if not (path.startswith(USERS) and path.endswith(PROFILE)):
        return None
    part = path[len(USERS) : -len(PROFILE)]
    return None if b"/" in part or b"?" in part else part.decode("latin-1")


def _as_http(response: Response) -> bytes:
    """The bytes of a response that is a whole one."""
    status = HTTPStatus(response.status_code)
    lines = b"".join(b"%b: %b\r\n" % header for header in response.raw_headers)
    line = f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode()
    return b"%b%b\r\n%b" % (line, lines, bytes(response.body))


def _status(*, is_fine: bool, **more: Any) -> Response:
    status = HTTPStatus.OK if is_fine else HTTPStatus.SERVICE_UNAVAILABLE
    body = {"status": "ok" if is_fine else "ending", **more}
    return Response(orjson.dumps(body), status, media_type=JSON)


async def _refused(request: Request, error: Exception) -> Response:
    if not isinstance(error, ApiError):
        raise TypeError(type(error))
    if not request.scope["path"].startswith("/ofrep/"):
        return problem(error)
    answer = problem(error)
    body = orjson.dumps({"errorCode": "GENERAL", "errorDetails": error.detail})
    kept = {name: answer.headers[name] for name in answer.headers if name != "content-length"}
    return Response(body, error.status, headers=kept | {"content-type": JSON})


async def _no_route(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise TypeError(type(error))
    status = HTTPStatus(error.status_code)
    code = status.phrase.lower().replace(" ", "_")
    answer = problem(ApiError(status, code, "GET /openapi.json says what there is"))
    answer.headers.update(error.headers or {})
    return answer


async def _gone(_: Request, __: Exception) -> Response:
    return Response(status_code=HTTPStatus.BAD_REQUEST)


async def _bug(_: Request, __: Exception) -> Response:
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    return problem(ApiError(status, "internal", "the API failed; its log says where"))
