"""Who may do what: every route with every kind of token, for one's own and for somebody else."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from serving.api.errors import ApiError
from serving.api.limits import RateLimiter
from serving.api.settings import ApiLimits
from serving.api.tokens import (
    TokenBook,
    TokenError,
    create_token,
    list_tokens,
    revoke_token,
)
from tests.serving.api.served import ANNA, BERT, UNKNOWN, Served, serving

# route: method, path, role, body
ROUTES: dict[str, tuple[str, str, str, Any]] = {
    "profile": ("GET", "/v1/users/{user}/profile", "read", None),
    "many": ("POST", "/v1/profiles", "read", "user_ids"),
    "why": ("GET", "/v1/users/{user}/why", "read", None),
    "export": ("GET", "/v1/users/{user}/export", "control", None),
    "set": ("PUT", "/v1/users/{user}/preferences/style", "control", {"value": "concise"}),
    "clear": ("DELETE", "/v1/users/{user}/preferences/style", "control", None),
    "consent": ("PUT", "/v1/users/{user}/consents/personalization", "control", {"granted": True}),
    "decide": ("GET", "/v1/decisions/reply-format?user_id={user}", "decide", None),
    "flag": ("POST", "/ofrep/v1/evaluate/flags/style", "decide", "context"),
    "flags": ("POST", "/ofrep/v1/evaluate/flags", "decide", "context"),
    "erasure": ("POST", "/v1/users/{user}/erasure", "control", None),
}
TOKENS = {
    "none": None,
    "wrong": None,
    "read": ("read",),
    "decide": ("decide",),
    "control": ("control",),
    "user": ("read", "decide", "control"),
    "user_read": ("read",),
    "user_decide": ("decide",),
    "user_control": ("control",),
}
MATRIX = list(itertools.product(ROUTES, TOKENS, ("own", "foreign", "unknown")))


def ask(served: Served, route: str, token: str, user: str) -> httpx.Response:
    method, path, _, body = ROUTES[route]
    bodies = {"context": {"context": {"targetingKey": user}}, "user_ids": {"user_ids": [user]}}
    content = bodies[body] if isinstance(body, str) else body
    with served.client(token) as client:
        return client.request(method, path.format(user=quote(user, safe="")), json=content)


def expected(route: str, token: str, whose: str) -> int:
    if token in ("none", "wrong"):
        return 401
    if ROUTES[route][2] not in (TOKENS[token] or ()):
        return 403
    if token.startswith("user") and whose != "own":
        # among many, somebody else is null
        return 200 if route == "many" else 403 if route.startswith("flag") else 404
    if route == "set" and whose != "own":
        return 409  # neither has consented to personalization
    return 202 if route == "erasure" else 200


def test_every_route_with_every_token_for_everybody(tmp_path: Path) -> None:
    found, wanted = {}, {}
    # the erasure last: after it the user's word is refused
    with serving(tmp_path) as served:
        held = {
            "none": "",
            "wrong": f"attune_{'0' * 12}_{'x' * 43}",
            **{
                name: served.token(*roles, user=ANNA if name.startswith("user") else None)
                for name, roles in TOKENS.items()
                if roles is not None
            },
        }
        for route, token, whose in MATRIX:
            user = {"own": ANNA, "foreign": BERT, "unknown": UNKNOWN}[whose]
            answer = ask(served, route, held[token], user)
            found[route, token, whose] = answer.status_code
            if route == "many" and answer.status_code == 200:
                is_hidden = answer.json()["profiles"][user] is None
                assert is_hidden == (token.startswith("user") and whose != "own")
            wanted[route, token, whose] = expected(route, token, whose)
    assert found == wanted


def test_somebody_else_is_nobody(shared: Served) -> None:
    token = shared.token(user=ANNA)
    for route in ROUTES:
        foreign, nobody = (ask(shared, route, token, user) for user in (BERT, UNKNOWN))
        assert foreign.status_code == nobody.status_code
        named = [quote(user, safe="").encode() for user in (BERT, UNKNOWN)]
        assert foreign.content.replace(named[0], b"") == nobody.content.replace(named[1], b"")
        hidden = {"date", "content-length"}
        assert {n: v for n, v in foreign.headers.items() if n not in hidden} == {
            n: v for n, v in nobody.headers.items() if n not in hidden
        }


def test_many_profiles_hide_everybody_else(shared: Served) -> None:
    with shared.client(shared.token("read", user=ANNA)) as client:
        answer = client.post("/v1/profiles", json={"user_ids": [ANNA, BERT, UNKNOWN]}).json()
    assert answer["profiles"][ANNA]["is_default"] is False
    assert answer["profiles"][BERT] is None
    assert answer["profiles"][UNKNOWN] is None


def test_a_foreign_decision_leaves_no_event(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        token = served.token(user=ANNA)
        for route in ("decide", "flag", "flags", "consent", "erasure"):
            ask(served, route, token, BERT)
        assert served.sink.lines == []


def test_a_revoked_token_is_refused(shared: Served) -> None:
    token = shared.token("read")
    assert ask(shared, "profile", token, ANNA).status_code == 200
    revoke_token(shared.settings.token_file, token.split("_")[1])
    shared.settle()
    assert ask(shared, "profile", token, ANNA).status_code == 401


def test_nothing_of_a_token_is_kept_but_its_hash(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    token, text = create_token(file, name="a", roles=["read", "control"])
    secret = text.split("_", 2)[2]
    assert secret not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert list_tokens(file) == [token]
    book = TokenBook(file)
    assert book.find(f"Bearer {text}".encode()) == token
    assert book.find(f"bearer {text}".encode()) == token
    for wrong in (text[:-1], text + "x", secret, f"attune__{secret}", f"other_{text[7:]}", ""):
        assert book.find(f"Bearer {wrong}".encode()) is None
    assert book.find(f"Basic {text}".encode()) is None
    assert book.find("Bearer ä_ö_ü".encode("latin-1")) is None


def test_a_token_file_that_others_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    create_token(file, name="a", roles=["read"])
    file.chmod(0o644)
    with pytest.raises(TokenError, match="chmod 600"):
        TokenBook(file)


def test_a_token_file_out_of_reach_leaves_the_tokens_read_before(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "tokens.json"
    _, text = create_token(file, name="a", roles=["read"])
    book = TokenBook(file)
    (tmp_path / "folder").rename(tmp_path / "away")
    (tmp_path / "folder").write_text("not a folder")
    with pytest.raises(TokenError, match="cannot be read"):
        book.refresh()
    assert book.find(f"Bearer {text}".encode()) is not None


@pytest.mark.parametrize("roles", [[], ["admin"], ["read", "admin"]])
def test_tokens_have_known_roles(tmp_path: Path, roles: list[str]) -> None:
    with pytest.raises(TokenError, match="read, decide, control"):
        create_token(tmp_path / "tokens.json", name="a", roles=roles)


def test_a_bucket_empties_and_fills() -> None:
    now = [0.0]
    limiter = RateLimiter(lambda: now[0])
    for _ in range(20):
        limiter.take("a", 10.0)
    with pytest.raises(ApiError) as refused:
        limiter.take("a", 10.0)
    assert refused.value.retry_after == 1
    limiter.take("b", 10.0)
    now[0] = 0.1
    limiter.take("a", 10.0)
    with pytest.raises(ApiError):
        limiter.take("a", 10.0)


def test_too_many_requests_say_when_to_come_back(tmp_path: Path) -> None:
    limits = ApiLimits(user_requests=0.01, failures=0.01)
    with serving(tmp_path, limits=limits) as served:
        token = served.token("read", user=ANNA)
        assert ask(served, "profile", token, ANNA).status_code == 200
        for route in ("profile", "why"):
            answer = ask(served, route, token, ANNA)
            assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
            assert 1 <= int(answer.headers["retry-after"]) <= 100
        assert ask(served, "profile", "", ANNA).status_code == 401
        assert ask(served, "profile", "", ANNA).status_code == 429


def test_large_bodies_are_refused(tmp_path: Path) -> None:
    with serving(tmp_path, limits=ApiLimits(body_bytes=100)) as served, served.client() as client:
        body = b'{"user_ids":["' + b"x" * 100 + b'"]}'
        assert client.post("/v1/profiles", content=body).status_code == 413
        chunks = client.post("/v1/profiles", content=iter([body[:60], body[60:]]))
        assert chunks.status_code == 413
