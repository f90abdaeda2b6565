"""The OpenAPI document: what there is to ask, and every answer that may come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from serving.api.access import ID_CHARACTERS, ID_PATTERN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from serving.api.settings import ApiLimits

JSON = "application/json"
PROBLEM = "application/problem+json"
Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
ID: Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": ID_CHARACTERS,
    "pattern": ID_PATTERN,
}
TIME: Schema = {"type": ["string", "null"]}
NUMBER: Schema = {"type": ["number", "null"]}
FLAG: Schema = {"type": "boolean"}
TRUTHS: Schema = {"type": "object", "additionalProperties": FLAG}
TEXTS: Schema = {"type": "object", "additionalProperties": TEXT}
STATUS_TEXTS = {
    400: "The request makes no sense as it stands",
    401: "The token is missing, wrong or revoked",
    403: "The token lacks the role, or users may not decide this",
    404: "There is no such thing, or nothing is known of this user",
    408: "The body came too slowly",
    409: "Without consent, or after an erasure, nothing is stored",
    413: "The body is too large",
    422: "Not one of the declared values or contexts",
    429: "Too many requests; Retry-After says when to come back",
    503: "The cache or the inbox does not take it now; Retry-After says when to come back",
}
ALWAYS = (400, 401, 403, 429)


def document(limits: ApiLimits) -> Schema:
    """Write the document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "attune",
            "version": "1",
            "description": (
                "What an adaptive assistant may know of its users, the decisions it takes, and the "
                "users' own controls. Every answer says how old it is; defaults say that they are."
            ),
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": _profiles(limits) | _controls() | _decisions() | _operations(),
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": _schemas(),
        },
    }


def _profiles(limits: ApiLimits) -> Schema:
    user = [_path("user_id", ID)]
    wanted = {"type": "array", "items": ID, "maxItems": limits.profiles}
    return {
        "/v1/users/{user_id}/profile": {
            "parameters": user,
            "get": _operation("getProfile", "Profile of a user", _ok("Served"), (404,)),
        },
        "/v1/profiles": {
            "post": _operation(
                "getProfiles",
                "Profiles of many users; null for whom nothing may be told",
                _ok("ManyServed"),
                (408, 413),
                body=_object({"user_ids": wanted}),
            )
        },
        "/v1/users/{user_id}/why": {
            "parameters": user,
            "get": _operation("getWhy", "What is believed, and why", _ok("Why"), (404,)),
        },
        "/v1/users/{user_id}/export": {
            "parameters": user,
            "get": _operation(
                "exportUser",
                "All that is served of a user; not the history behind it",
                _ok("Why"),
                (404, 503),
            ),
        },
    }


def _controls() -> Schema:
    user = _path("user_id", ID)
    accepted = {
        202: _answer(
            "Recorded; the cache holds nothing of the user any more",
            _object(
                {"status": {"const": "accepted"}, "event_id": TEXT, "freshness": _ref("Freshness")}
            ),
        )
    }
    preference = _object({"value": {**TEXT, "minLength": 1}}, {"context": {**TEXT, "minLength": 1}})
    errors = (404, 409, 503)
    return {
        "/v1/users/{user_id}/preferences/{dimension}": {
            "parameters": [user, _path("dimension", {**TEXT, "minLength": 1})],
            "put": _operation(
                "setPreference",
                "Set what a user prefers",
                _ok("Stated"),
                (*errors, 408, 413, 422),
                body=preference,
            ),
            "delete": _operation("clearPreference", "Forget a dimension", _ok("Stated"), errors),
        },
        "/v1/users/{user_id}/consents/{purpose}": {
            "parameters": [user, _path("purpose", {**TEXT, "minLength": 1})],
            "put": _operation(
                "setConsent",
                "Grant or withdraw a purpose",
                _ok("Stated"),
                (*errors, 408, 413),
                body=_object({"granted": FLAG}),
            ),
        },
        "/v1/users/{user_id}/erasure": {
            "parameters": [user],
            "post": _operation("eraseUser", "Forget a user, for good", accepted, (404, 503)),
        },
    }


def _decisions() -> Schema:
    context = {
        "type": "object",
        "properties": {"targetingKey": ID},
        "required": ["targetingKey"],
        "additionalProperties": True,
    }
    asked = {**_object({"context": context}), "additionalProperties": True}
    trace = {"name": "traceparent", "in": "header", "schema": TEXT, "description": "W3C trace"}
    matches = {"name": "If-None-Match", "in": "header", "schema": TEXT}
    etag = {"ETag": {"schema": TEXT}}
    all_flags = {
        200: _answer("Every flag", _ref("Flags"), headers=etag),
        304: {"description": "As the ETag says", "headers": etag},
    }
    return {
        "/v1/decisions/{decision_point}": {
            "parameters": [_path("decision_point", {**TEXT, "minLength": 1}), trace],
            "get": _operation(
                "decide",
                "Draw an action; it is recorded with its propensity",
                _ok("Decision"),
                (404, 422, 503),
                parameters=[
                    {"name": "user_id", "in": "query", "required": True, "schema": ID},
                    {"name": "context", "in": "query", "schema": TEXT},
                ],
            ),
        },
        "/ofrep/v1/evaluate/flags": {
            "parameters": [trace, matches],
            "post": _operation(
                "evaluateFlags",
                "OFREP: every flag; nothing is recorded",
                all_flags,
                (408, 413, 503),
                body=asked,
                error="FlagError",
            ),
        },
        "/ofrep/v1/evaluate/flags/{key}": {
            "parameters": [_path("key", {**TEXT, "minLength": 1}), trace],
            "post": _operation(
                "evaluateFlag",
                "OFREP: one flag",
                _ok("Flag"),
                (404, 408, 413, 503),
                body=asked,
                error="FlagError",
            ),
        },
    }


def _operations() -> Schema:
    health = {"type": "object", "properties": {"status": TEXT}, "required": ["status"]}
    fine = {200: _answer("Fine", health), 503: _answer("Ending", health)}

    def public(name: str, summary: str, answers: Mapping[int, Schema]) -> Schema:
        operation: Schema = {
            "operationId": name,
            "summary": summary,
            "security": [],
            "responses": {str(status): answer for status, answer in answers.items()},
        }
        return {"get": operation}

    def text(media_type: str) -> Mapping[int, Schema]:
        return {200: {"description": "The text", "content": {media_type: {"schema": TEXT}}}}

    return {
        "/": public("page", "The page for the user", text("text/html")),
        "/metrics": public("metrics", "For Prometheus", text("text/plain")),
        "/healthz": public("health", "Whether the process works", fine),
        "/readyz": public("ready", "Whether requests may come", fine),
        "/openapi.json": public(
            "openapi", "This document", {200: _answer("The document", {"type": "object"})}
        ),
    }


def _schemas() -> Schema:
    preference = _object(
        {
            "dimension": TEXT,
            "context": TEXT,
            "value": {"type": ["string", "null"]},
            "kind": {"enum": ["stated", "inferred", "default"]},
        },
        {
            "score": NUMBER,
            "score_lower": NUMBER,
            "score_upper": NUMBER,
            "evidence_count": {"type": ["integer", "null"]},
            "reason": {"type": ["string", "null"]},
        },
    ) | {"additionalProperties": True}
    profile = _object(
        {
            "preferences": {"type": ["array", "null"], "items": preference},
            "segments": {"anyOf": [TEXTS, {"type": "null"}]},
            "consent": {"anyOf": [TRUTHS, {"type": "null"}]},
        }
    ) | {"additionalProperties": True}
    freshness = _object(
        {"as_of": TIME, "synced_at": TIME, "is_stale": FLAG},
        {
            "generation": {"type": "integer"},
            "run_id": TEXT,
            "age_hours": {"type": "number"},
            "max_age_hours": {"type": "number"},
        },
    )
    reasons = [None, "unknown_user", "stale", "cache_unavailable"]
    mark = {
        "is_default": FLAG,
        "default_reason": {"enum": reasons},
        "generation": {"type": "integer"},
    }
    entry = {"profile": _ref("Profile"), **mark}
    served = entry | {"freshness": _ref("Freshness")}
    listed = {"type": "array", "items": {"type": "object"}}
    evaluated = _object(
        {
            "key": TEXT,
            "reason": TEXT,
            "variant": TEXT,
            "metadata": {"type": "object"},
        },
        {"value": TEXT},
    )
    failed = _object({"errorCode": TEXT, "errorDetails": TEXT}, {"key": TEXT})
    return {
        "Profile": profile,
        "Freshness": freshness,
        "Served": _object(served),
        "Stated": _object(served | {"event_id": TEXT}),
        "ManyServed": _object(
            {
                "profiles": {
                    "type": "object",
                    "additionalProperties": {"anyOf": [_object(entry), {"type": "null"}]},
                },
                "freshness": _ref("Freshness"),
            }
        ),
        "Why": _object(
            {
                "preferences": listed,
                "segments": TEXTS,
                "consent": TRUTHS,
                "dimensions": listed,
                "purposes": listed,
                "freshness": _ref("Freshness"),
                **mark,
            },
            {"pseudonym": TEXT, "exported_at": TEXT},
        ),
        "Decision": _object(
            {
                "decision_point": TEXT,
                "context": TEXT,
                "action": TEXT,
                "propensity": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
                "position": {"type": "integer"},
                "trace_id": TEXT,
                "event_id": TEXT,
                "event": _object({"name": TEXT, "attributes": {"type": "object"}}),
                "freshness": _ref("Freshness"),
            }
        ),
        "Flag": evaluated,
        "Flags": _object({"flags": {"type": "array", "items": {"anyOf": [evaluated, failed]}}}),
        "FlagError": failed,
        "Problem": _object(
            {
                "type": TEXT,
                "title": TEXT,
                "status": {"type": "integer"},
                "code": TEXT,
                "detail": TEXT,
            }
        ),
    }


def _operation(
    name: str,
    summary: str,
    answers: Mapping[int, Schema],
    errors: Sequence[int],
    *,
    body: Schema | None = None,
    parameters: Sequence[Schema] = (),
    error: str = "Problem",
) -> Schema:
    media_type = PROBLEM if error == "Problem" else JSON
    responses = dict(answers)
    for status in sorted({*ALWAYS, *errors}):
        responses[status] = _answer(STATUS_TEXTS[status], _ref(error), media_type=media_type)
        if status in (429, 503):
            responses[status]["headers"] = {"Retry-After": {"schema": TEXT}}
    operation: Schema = {
        "operationId": name,
        "summary": summary,
        "responses": {str(status): answer for status, answer in responses.items()},
    }
    if parameters:
        operation["parameters"] = list(parameters)
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": body}}}
    return operation


def _ok(schema: str) -> dict[int, Schema]:
    return {200: _answer("Served", _ref(schema))}


def _answer(
    description: str,
    schema: Schema,
    *,
    media_type: str = JSON,
    headers: Schema | None = None,
) -> Schema:
    answer: Schema = {"description": description, "content": {media_type: {"schema": schema}}}
    return answer if headers is None else answer | {"headers": headers}


def _object(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }


def _path(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}
