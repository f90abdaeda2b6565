"""The HTTP side of the receiver: OTLP's paths, content types, and status codes."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus

import orjson
from google.rpc.code_pb2 import Code
from google.rpc.status_pb2 import Status
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from orchestration.receiver.body import InFlight, read_body
from orchestration.receiver.config import ReceiverConfig
from orchestration.receiver.decode import LOGS, TRACES, Signal, line_of_json, line_of_protobuf
from orchestration.receiver.errors import RefusedError
from orchestration.receiver.inbox import InboxFiles, InboxWriter

JSON = "application/json"
PROTOBUF = "application/x-protobuf"
LINES = {JSON: line_of_json, PROTOBUF: line_of_protobuf}
# an export response without partial_success: everything was taken
EVERYTHING = {JSON: b"{}", PROTOBUF: b""}
CODES = {
    HTTPStatus.UNAUTHORIZED: Code.UNAUTHENTICATED,
    HTTPStatus.NOT_FOUND: Code.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED: Code.UNIMPLEMENTED,
    HTTPStatus.REQUEST_TIMEOUT: Code.DEADLINE_EXCEEDED,
    HTTPStatus.INTERNAL_SERVER_ERROR: Code.INTERNAL,
    HTTPStatus.SERVICE_UNAVAILABLE: Code.UNAVAILABLE,
}
INLINE_BYTES = 1 << 18
REPORT_SECONDS = 60.0

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Counts:
    """What a receiver did since it started; never what it received."""

    requests: int = 0
    line_bytes: int = 0
    files: int = 0
    refused: Counter[int] = field(default_factory=Counter)

    def add_file(self, lines: int, size: int) -> None:
        """Count a durable file with its number of lines and bytes."""
        self.requests += lines
        self.line_bytes += size
        self.files += 1

    def __str__(self) -> str:
        refused = ", ".join(f"{status}: {count}" for status, count in sorted(self.refused.items()))
        return (
            f"{self.requests} requests kept, {self.line_bytes} bytes in {self.files} files; "
            f"refused {refused or 'none'}"
        )


class Receiver:
    """Answers requests; one per process."""

    def __init__(self, config: ReceiverConfig) -> None:
        self._limits = config.limits
        self._authorization = f"Bearer {config.token}".encode()
        self._in_flight = InFlight(config.limits)
        self._decoder = ThreadPoolExecutor(1, thread_name_prefix="decode")
        self.counts = Counts()
        files = InboxFiles(config.inbox, config.staging, config.limits)
        self._writer = InboxWriter(files, self.counts.add_file)

    def app(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route(LOGS.path, self._logs, methods=["POST"]),
                Route(TRACES.path, self._traces, methods=["POST"]),
                Route("/v1/metrics", self._metrics, methods=["POST"]),
                Route("/healthz", self._health),
            ],
            lifespan=self._lifespan,
            exception_handlers={HTTPException: self._http_error, Exception: self._bug},
        )

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        async with self._writer:
            reporting = asyncio.create_task(self._report())
            yield
            reporting.cancel()
            with suppress(asyncio.CancelledError):
                await reporting
        self._decoder.shutdown()
        log.info("%s", self.counts)

    async def _logs(self, request: Request) -> Response:
        return await self._export(request, LOGS)

    async def _traces(self, request: Request) -> Response:
        return await self._export(request, TRACES)

    async def _metrics(self, request: Request) -> Response:
        return self._refuse(
            request,
            RefusedError(
                HTTPStatus.NOT_FOUND,
                "attune keeps logs and traces; set OTEL_METRICS_EXPORTER=none where this is sent",
            ),
        )

    async def _health(self, _: Request) -> Response:
        is_running = self._writer.is_running
        return Response(
            orjson.dumps({"status": "ok" if is_running else "ending"}),
            HTTPStatus.OK if is_running else HTTPStatus.SERVICE_UNAVAILABLE,
            media_type=JSON,
        )

    async def _export(self, request: Request, signal: Signal) -> Response:
        try:
            self._authorize(request)
            content_type = required_content_type(request)
            is_gzip = required_encoding(request)
            with self._in_flight.admit() as ticket:
                body = await read_body(
                    request.stream(),
                    ticket,
                    self._limits,
                    declared_bytes=declared_bytes(request),
                    is_gzip=is_gzip,
                )
                line = await self._decode(body, content_type, signal)
                del body
                if line:
                    await self._writer.append(line)
        except RefusedError as refusal:
            return self._refuse(request, refusal)
        except ClientDisconnect:
            return Response(status_code=HTTPStatus.BAD_REQUEST)
        return Response(EVERYTHING[content_type], media_type=content_type)

    def _authorize(self, request: Request) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        given = f"{scheme.title()} {token.strip()}".encode()
        if not hmac.compare_digest(given, self._authorization):
            raise RefusedError(
                HTTPStatus.UNAUTHORIZED,
                "the bearer token is missing or wrong; "
                'set OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20TOKEN"',
            )

    async def _decode(self, body: bytes, content_type: str, signal: Signal) -> bytes:
        """Small bodies here, large ones beside the event loop, one at a time."""
        if len(body) <= INLINE_BYTES:
            return LINES[content_type](body, signal)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._decoder, LINES[content_type], body, signal)

    def _refuse(self, request: Request, refusal: RefusedError) -> Response:
        self.counts.refused[refusal.status] += 1
        headers = {}
        if refusal.retry_after is not None:
            headers["retry-after"] = str(refusal.retry_after)
        if refusal.status is HTTPStatus.UNAUTHORIZED:
            headers["www-authenticate"] = "Bearer"
        if refusal.status is HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
            headers["accept-encoding"] = "gzip"
        return status_response(request, refusal.status, refusal.message, headers)

    async def _http_error(self, request: Request, error: Exception) -> Response:
        status = HTTPStatus(error.status_code if isinstance(error, HTTPException) else 500)
        self.counts.refused[status] += 1
        message = f"{status.phrase}: POST to {LOGS.path} or {TRACES.path}, or GET /healthz"
        headers = error.headers if isinstance(error, HTTPException) else None
        return status_response(request, status, message, dict(headers or {}))

    async def _bug(self, request: Request, _: Exception) -> Response:
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        self.counts.refused[status] += 1
        return status_response(request, status, "the receiver failed; its log says where", {})

    async def _report(self) -> None:
        said = str(self.counts)
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            if str(self.counts) != said:
                said = str(self.counts)
                log.info("%s", said)


def required_content_type(request: Request) -> str:
    """The request's content type, without parameters.

    Raises:
        RefusedError: 415, neither JSON nor protobuf.
    """
    content_type = media_type(request)
    if content_type not in LINES:
        raise RefusedError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"Content-Type must be {JSON} or {PROTOBUF}; "
            "set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
        )
    return content_type


def required_encoding(request: Request) -> bool:
    """Whether the body is packed with gzip.

    Raises:
        RefusedError: 415, packed with anything else.
    """
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip"):
        raise RefusedError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "Content-Encoding must be gzip or absent; set OTEL_EXPORTER_OTLP_COMPRESSION=gzip",
        )
    return encoding == "gzip"


def media_type(request: Request) -> str:
    """Content-Type without parameters; empty if absent."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def declared_bytes(request: Request) -> int | None:
    """Content-Length; None where the body comes in chunks."""
    length = request.headers.get("content-length", "")
    return int(length) if length.isdecimal() else None


def status_response(
    request: Request, status: HTTPStatus, message: str, headers: dict[str, str]
) -> Response:
    """An error as OTLP wants it: google.rpc.Status in the request's own content type."""
    code = CODES.get(status, Code.INVALID_ARGUMENT)
    if media_type(request) == PROTOBUF:
        content, content_type = Status(code=code, message=message).SerializeToString(), PROTOBUF
    else:
        content, content_type = orjson.dumps({"code": code, "message": message}), JSON
    return Response(content, status, headers=headers, media_type=content_type)
