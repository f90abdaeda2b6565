"""What requests say, checked: parts of paths, parameters, JSON bodies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

import orjson

from serving.api.errors import bad_request

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.requests import Request


def path_text(request: Request, name: str) -> str:
    """Return a part of the path, which arrives as it was sent.

    Raises:
        ApiError: 400, not UTF-8.
    """
    return unquoted(request.path_params[name])


def unquoted(part: str) -> str:
    """Decode a part of a path.

    Raises:
        ApiError: 400, not UTF-8.
    """
    if "%" not in part:
        return part
    try:
        return unquote_to_bytes(part).decode()
    except UnicodeDecodeError as error:
        raise bad_request("invalid_path", "the path is not UTF-8") from error


def json_object(body: bytes, *, required: Collection[str], optional: Collection[str] = ()) -> Any:
    """Read a JSON object with these fields and no others.

    Raises:
        ApiError: 400, not JSON, not an object, or other fields.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise bad_request("invalid_json", "the body is not JSON") from error
    if not isinstance(value, dict):
        raise bad_request("invalid_body", "the body is not a JSON object")
    unknown = sorted(value.keys() - {*required, *optional})
    missing = sorted(set(required) - value.keys())
    if unknown or missing:
        wanted = ", ".join([*required, *(f"{name} (optional)" for name in optional)])
        raise bad_request("invalid_body", f"the body has the fields {wanted} and no others")
    return value


def text_field(fields: Any, name: str, default: str | None = None) -> str:
    """Return a text of a body.

    Raises:
        ApiError: 400, it is something else.
    """
    value = fields.get(name, default)
    if not isinstance(value, str) or not value:
        raise bad_request("invalid_body", f"{name} is not a text")
    return value
