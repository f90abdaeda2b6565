"""The routes: each checks who asks, reads the request, asks one part of the API, and answers."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson
from starlette.responses import Response
from starlette.routing import Route

from serving.api import controls, events, tokens
from serving.api.errors import ApiError, bad_request, unavailable
from serving.api.flags import FlagError, Subject, etag_of, flag_body
from serving.api.flags import Request as FlagRequest
from serving.api.limits import read_body
from serving.api.requests import json_object, path_text, text_field
from serving.client import PROFILE_VIEW
from serving.overlay import EVERYWHERE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from serving.api.access import Access
    from serving.api.cache import Cache
    from serving.api.controls import Controls, Statement
    from serving.api.flags import Flags
    from serving.api.profiles import Current, Profiles
    from serving.api.settings import ApiSettings, Ports
    from serving.api.tokens import Token

JSON = "application/json"
PROBLEM = "application/problem+json"
NO_STORE = {"cache-control": "no-store"}


class Routes:
    """The routes that need more than the fast path."""

    def __init__(
        self,
        settings: ApiSettings,
        ports: Ports,
        access: Access,
        cache: Cache,
        profiles: Profiles,
        controls: Controls,
        flags: Flags,
    ) -> None:
        self._limits = settings.limits
        self._ports = ports
        self._access = access
        self._cache = cache
        self._profiles = profiles
        self._controls = controls
        self._flags = flags

    def routes(self) -> list[Route]:
        """All of them."""
        user = "/v1/users/{user_id}"
        return [
            Route(f"{user}/profile", self.profile, methods=["GET"]),
            Route("/v1/profiles", self.many_profiles, methods=["POST"]),
            Route(f"{user}/why", self.why, methods=["GET"]),
            Route(f"{user}/export", self.export, methods=["GET"]),
            Route(f"{user}/erasure", self.erasure, methods=["POST"]),
            Route(f"{user}/preferences/{{dimension}}", self.preference, methods=["PUT", "DELETE"]),
            Route(f"{user}/consents/{{purpose}}", self.consent, methods=["PUT"]),
            Route("/v1/decisions/{decision_point}", self.decision, methods=["GET"]),
            Route("/ofrep/v1/evaluate/flags", self.all_flags, methods=["POST"]),
            Route("/ofrep/v1/evaluate/flags/{key}", self.flag, methods=["POST"]),
        ]

    async def profile(self, request: Request) -> Response:
        """What is believed of a user (the fast path answers GET; this one the rest)."""
        served = await self._profiles.read_together(self._keys(request, tokens.READ))
        return Response(self._profiles.body(served), media_type=JSON, headers=NO_STORE)

    async def many_profiles(self, request: Request) -> Response:
        """What is believed of many users; null for whom nothing may be told."""
        token = self._token(request, tokens.READ)
        fields = json_object(await read_body(request, self._limits), required=["user_ids"])
        wanted = fields["user_ids"]
        if not isinstance(wanted, list) or not all(isinstance(each, str) for each in wanted):
            raise bad_request("invalid_body", "user_ids is not a list of texts")
        if len(wanted) > self._limits.profiles:
            raise bad_request("too_many", f"at most {self._limits.profiles} users at once")
        users: dict[str, list[str]] = {}
        for user_id in wanted:
            try:
                users[user_id] = self._access.keys_of(token, user_id)
            except ApiError as error:
                if error.status is not HTTPStatus.NOT_FOUND:
                    raise
        served = await self._profiles.read_many(users)
        entries = [
            b"%b:%b" % (orjson.dumps(user_id), self._entry(user_id, served))
            for user_id in dict.fromkeys(wanted)
        ]
        body = b'{"profiles":{%b},"freshness":%b}' % (
            b",".join(entries),
            self._profiles.freshness(),
        )
        return Response(body, media_type=JSON, headers=NO_STORE)

    async def why(self, request: Request) -> Response:
        """What is believed of a user, of what kind, from how much evidence, in words."""
        served = await self._profiles.read_together(self._keys(request, tokens.READ))
        return _json(self._profiles.why(served))

    async def export(self, request: Request) -> Response:
        """Everything that is served of a user, to take away; not the warehouse's history."""
        keys = self._keys(request, tokens.CONTROL)
        await self._current(keys)
        body = self._profiles.why(await self._profiles.read_together(keys)) | {
            "pseudonym": keys[-1],
            "exported_at": f"{self._ports.now().isoformat()}Z",
        }
        disposition = {"content-disposition": 'attachment; filename="attune-export.json"'}
        return _json(body, headers=disposition)

    async def erasure(self, request: Request) -> Response:
        """Forget a user: at once in the cache, in the marts by the next build."""
        keys = self._keys(request, tokens.CONTROL)
        event_id = await self._controls.erase(path_text(request, "user_id"), keys)
        body = {
            "status": "accepted",
            "event_id": event_id,
            "freshness": self._cache.age_fields(PROFILE_VIEW),
        }
        return _json(body, status=HTTPStatus.ACCEPTED)

    async def preference(self, request: Request) -> Response:
        """Set or clear what a user prefers."""
        keys = self._keys(request, tokens.CONTROL)
        declared = self._cache.catalog.declared
        dimension = path_text(request, "dimension")
        if request.method == "DELETE":
            return await self._stated(
                request, keys, controls.preference_cleared(declared, dimension)
            )
        body = await read_body(request, self._limits)
        fields = json_object(body, required=["value"], optional=["context"])
        statement = controls.preference_set(
            declared,
            dimension,
            text_field(fields, "value"),
            text_field(fields, "context", EVERYWHERE),
        )
        controls.require_consent((await self._current(keys)).profile["consent"])
        return await self._stated(request, keys, statement)

    async def consent(self, request: Request) -> Response:
        """Grant or withdraw a purpose."""
        keys = self._keys(request, tokens.CONTROL)
        body = await read_body(request, self._limits)
        granted = json_object(body, required=["granted"])["granted"]
        if not isinstance(granted, bool):
            raise bad_request("invalid_body", "granted is true or false")
        statement = controls.consent_changed(
            self._cache.catalog.declared, path_text(request, "purpose"), is_granted=granted
        )
        return await self._stated(request, keys, statement)

    async def decision(self, request: Request) -> Response:
        """Draw an action at a decision point, and record it."""
        token = self._token(request, tokens.DECIDE)
        user_ids = request.query_params.getlist("user_id")
        contexts = request.query_params.getlist("context")
        if len(user_ids) != 1 or len(contexts) > 1:
            raise bad_request("invalid_query", "say user_id once, and context at most once")
        keys = self._access.keys_of(token, user_ids[0])
        subject = Subject(user_ids[0], keys, is_own=token.subject is not None)
        trace = events.trace_of(request.headers.get("traceparent", ""))
        decided = await self._flags.decide(
            path_text(request, "decision_point"),
            contexts[0] if contexts else None,
            subject,
            trace if trace.trace_id else events.new_trace(),
        )
        return _json(decided)

    async def flag(self, request: Request) -> Response:
        """OFREP: one flag."""
        key = path_text(request, "key")
        try:
            evaluation = await self._flags.evaluate(key, await self._flag_request(request))
        except FlagError as error:
            return _json(
                {"key": key, "errorCode": error.code, "errorDetails": error.detail},
                status=error.status,
                headers=error.headers,
            )
        return _json(flag_body(evaluation))

    async def all_flags(self, request: Request) -> Response:
        """OFREP: every flag, with an ETag; what the client acts on, it reports itself."""
        try:
            asked = await self._flag_request(request)
            evaluations, failures = await self._flags.evaluate_all(asked)
        except FlagError as error:
            return _json(
                {"errorCode": error.code, "errorDetails": error.detail},
                status=error.status,
                headers=error.headers,
            )
        flags = [*map(flag_body, evaluations), *failures]
        body = orjson.dumps({"flags": flags})
        headers = {"etag": etag_of(flags), "cache-control": "no-cache"}
        if headers["etag"].removeprefix("W/") in request.headers.get("if-none-match", ""):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return Response(body, media_type=JSON, headers=headers)

    async def _flag_request(self, request: Request) -> FlagRequest:
        token = self._token(request, tokens.DECIDE)
        try:
            fields = orjson.loads(await read_body(request, self._limits))
        except orjson.JSONDecodeError as error:
            raise _flag_error("PARSE_ERROR", "the body is not JSON") from error
        context = fields.get("context", {}) if isinstance(fields, dict) else None
        if not isinstance(context, dict):
            raise _flag_error("INVALID_CONTEXT", "the context is not an object")
        attributes = {name: value for name, value in context.items() if name != "targetingKey"}
        targeting_key = context.get("targetingKey")
        if not targeting_key or not isinstance(targeting_key, str):
            raise _flag_error("TARGETING_KEY_MISSING", "context.targetingKey says for whom")
        try:
            keys = self._access.keys_of(token, targeting_key)
        except ApiError as error:
            if error.status is HTTPStatus.NOT_FOUND:
                raise ApiError(
                    HTTPStatus.FORBIDDEN, "forbidden", "the token is for one user alone"
                ) from error
            raise _flag_error("INVALID_CONTEXT", error.detail) from error
        trace = events.trace_of(request.headers.get("traceparent", ""))
        subject = Subject(targeting_key, keys, is_own=token.subject is not None)
        return FlagRequest(subject, attributes, trace)

    async def _stated(self, request: Request, keys: list[str], statement: Statement) -> Response:
        """Put a statement into force, and answer with what is served from now on.

        Whatever the cache's state: who takes something back is heard without it.
        """
        current = await self._profiles.current(keys)
        if current is not None and current.is_erased:
            raise controls.erased()
        user_id = path_text(request, "user_id")
        event_id = await self._controls.state(user_id, keys, statement)
        body = orjson.loads(self._profiles.body(await self._profiles.read_together(keys)))
        return _json(body | {"event_id": event_id})

    async def _current(self, keys: list[str]) -> Current:
        """What is stored of the user now.

        Raises:
            ApiError: 503, the cache cannot be read.
        """
        current = await self._profiles.current(keys)
        if current is None:
            raise unavailable("cache_unavailable", "the cache cannot be read now")
        return current

    def _entry(self, user_id: str, served: Mapping[str, Any]) -> bytes:
        found = served.get(user_id)
        return b"null" if found is None else self._profiles.entry(found)

    def _token(self, request: Request, role: str) -> Token:
        authorization = request.headers.get("authorization", "").encode("latin-1")
        peer = request.client.host if request.client else ""
        return self._access.require(authorization, peer, role)

    def _keys(self, request: Request, role: str) -> list[str]:
        return self._access.keys_of(self._token(request, role), path_text(request, "user_id"))


def problem(error: ApiError) -> Response:
    """Answer with a problem (RFC 9457)."""
    headers = dict(NO_STORE)
    if error.retry_after is not None:
        headers["retry-after"] = str(error.retry_after)
    if error.status is HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    body = {
        "type": "about:blank",
        "title": error.status.phrase,
        "status": error.status.value,
        "code": error.code,
        "detail": error.detail,
    }
    return Response(orjson.dumps(body), error.status, headers=headers, media_type=PROBLEM)


def _flag_error(code: str, detail: str) -> FlagError:
    return FlagError(HTTPStatus.BAD_REQUEST, code, detail)


def _json(
    value: Any, *, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(
        orjson.dumps(value), status, headers=NO_STORE | dict(headers or {}), media_type=JSON
    )
