"""Who may ask what: tokens, of which only hashes are kept.

A token is `attune_ID_SECRET`. The id is public and finds the record; the secret, 256 random bits, is
compared by its SHA-256 in constant time. A user's token is bound to one subject, a pseudonym.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import secrets
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from serving.clock import utc_now
from serving.errors import ServingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PREFIX = "attune"
READ, DECIDE, CONTROL = "read", "decide", "control"
ROLES = (READ, DECIDE, CONTROL)
PRIVATE = 0o600
JUDGED_KEPT = 10_000


class TokenError(ServingError):
    """The token file, or what is asked of it, cannot be used."""


@dataclass(frozen=True, slots=True)
class Token:
    """What is kept of a token.

    Attributes:
        token_id: Its public part.
        name: What it is for, said by whoever made it.
        roles: Some of read, decide, control.
        subject: The one user it is for, as stable pseudonym; None: a service, for all users.
        created_at: ISO text, UTC.
        secret_hash: SHA-256 of the secret, hex.
    """

    token_id: str
    name: str
    roles: tuple[str, ...]
    subject: str | None
    created_at: str
    secret_hash: str = field(repr=False)


class TokenBook:
    """The tokens of a file, read anew when it changes."""

    def __init__(self, file: Path) -> None:
        """Read the file; one that is not there holds no tokens.

        Raises:
            TokenError: others may read it, or it is not a token file.
        """
        self._file = file
        self._read_at: tuple[int, int] | None = None
        self._tokens: dict[str, Token] = {}
        # SHA-256 of a header that was judged -> its token: what is looked up is no secret
        self._judged: dict[bytes, Token] = {}
        self.refresh()

    def refresh(self) -> None:
        """Read the file again if it has changed.

        Raises:
            TokenError: as on opening; the tokens read before still hold.
        """
        try:
            status = self._file.stat()
        except FileNotFoundError:
            self._tokens, self._judged, self._read_at = {}, {}, None
            return
        except OSError as error:
            raise TokenError(f"{self._file} cannot be read: {error.strerror}") from error
        stamp = status.st_mtime_ns, status.st_ino
        if stamp != self._read_at:
            self._tokens = {token.token_id: token for token in list_tokens(self._file)}
            self._judged, self._read_at = {}, stamp

    def find(self, authorization: bytes) -> Token | None:
        """Return the token that an Authorization header carries, or None if it carries none."""
        digest = hashlib.sha256(authorization).digest()
        token = self._judged.get(digest)
        if token is None:
            token = self._judge(authorization)
            if token is not None and len(self._judged) < JUDGED_KEPT:
                self._judged[digest] = token
        return token

    def _judge(self, authorization: bytes) -> Token | None:
        scheme, _, text = authorization.partition(b" ")
        prefix, _, rest = text.strip().partition(b"_")
        token_id, _, secret = rest.partition(b"_")
        token = self._tokens.get(token_id.decode("latin-1"))
        expected = "" if token is None else token.secret_hash
        is_it = hmac.compare_digest(hashlib.sha256(secret).hexdigest(), expected)
        if not is_it or prefix != PREFIX.encode() or scheme.lower() != b"bearer":
            return None
        return token


def list_tokens(file: Path) -> list[Token]:
    """Return the tokens of a file, oldest first; none where there is no file.

    Raises:
        TokenError: others may read it, or it is not a token file.
    """
    try:
        mode = file.stat().st_mode & 0o777
        content = file.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise TokenError(f"{file} cannot be read: {error.strerror}") from error
    if mode & 0o077:
        raise TokenError(f"{file} has mode {mode:04o}: others may read it; run chmod 600 {file}")
    try:
        return [
            Token(**(fields | {"roles": tuple(fields["roles"])}))
            for fields in orjson.loads(content)
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise TokenError(
            f"{file} is not a token file: restore it, or remove it and make new tokens with "
            "`attune tokens create`"
        ) from error


def create_token(
    file: Path, *, name: str, roles: Sequence[str], subject: str | None = None
) -> tuple[Token, str]:
    """Add a token to the file.

    Returns:
        What is kept, and the token itself, which nobody can show again.

    Raises:
        TokenError: no or an unknown role, or the file cannot be used.
    """
    unknown = sorted(set(roles) - set(ROLES))
    if unknown or not roles:
        raise TokenError(
            f"{'unknown role ' + unknown[0] if unknown else 'a token without a role is of no use'}: "
            f"choose of {', '.join(ROLES)}"
        )
    secret = secrets.token_urlsafe(32)
    token = Token(
        token_id=secrets.token_hex(6),
        name=name,
        roles=tuple(role for role in ROLES if role in roles),
        subject=subject,
        created_at=f"{utc_now().isoformat(timespec='seconds')}Z",
        secret_hash=hashlib.sha256(secret.encode()).hexdigest(),
    )
    with _changing(file) as tokens:
        tokens.append(token)
    return token, f"{PREFIX}_{token.token_id}_{secret}"


def revoke_token(file: Path, token_id: str) -> Token:
    """Remove a token; a running API refuses it within a second or two.

    Raises:
        TokenError: there is no such token, or the file cannot be used.
    """
    with _changing(file) as tokens:
        found = next((token for token in tokens if token.token_id == token_id), None)
        if found is None:
            raise TokenError(f"there is no token {token_id}: `attune tokens list` names them")
        tokens.remove(found)
    return found


@contextmanager
def _changing(file: Path) -> Iterator[list[Token]]:
    """One writer at a time; the file is replaced as a whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(file.with_name(f".{file.name}.lock"), os.O_RDWR | os.O_CREAT, PRIVATE)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        tokens = list_tokens(file)
        yield tokens
        partial = file.with_name(f".{file.name}.partial")
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(
                orjson.dumps([asdict(token) for token in tokens], option=orjson.OPT_INDENT_2)
            )
            opened.flush()
            os.fsync(opened.fileno())
        partial.replace(file)
    finally:
        os.close(lock)
