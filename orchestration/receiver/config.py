"""What a receiver needs to know: where to listen, where to write, how much, and the token."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestration.lib.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orchestration.lib.home import Workspace

TOKEN_VARIABLE = "ATTUNE_RECEIVE_TOKEN"  # noqa: S105 (a name, not a token)
TOKEN_FILE = "receive.token"  # noqa: S105 (a name, not a token)
TOKEN_CHARACTERS = 16
MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request, all requests at once, and the inbox may take.

    Attributes:
        sent_bytes: A body as it is sent, packed or not.
        unpacked_bytes: A body after gzip.
        body_seconds: Time for a body to arrive.
        requests: Requests that are read, decoded or written at the same time.
        bytes_in_flight: Bytes of their bodies, as sent and unpacked.
        inbox_bytes: Bytes that may wait in the inbox.
        free_bytes: Bytes that stay free on the disk of the inbox.
    """

    sent_bytes: int = 16 * MEBIBYTE
    unpacked_bytes: int = 32 * MEBIBYTE
    body_seconds: float = 30.0
    requests: int = 256
    bytes_in_flight: int = 128 * MEBIBYTE
    inbox_bytes: int = 4096 * MEBIBYTE
    free_bytes: int = 512 * MEBIBYTE


@dataclass(frozen=True, slots=True)
class ReceiverConfig:
    """The settings of one receiver.

    Attributes:
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        token: What clients send as bearer token.
        token_source: Where a person finds the token: a file's path or a variable's name.
        inbox: Where finished files appear.
        staging: Where files are written first; on the file system of the inbox.
        limits: See `Limits`.
    """

    host: str
    port: int
    token: str = field(repr=False)
    token_source: str
    inbox: Path
    staging: Path
    limits: Limits


def receiver_config(
    workspace: Workspace,
    environment: Mapping[str, str],
    *,
    host: str,
    port: int,
    token_file: Path | None = None,
    limits: Limits | None = None,
) -> ReceiverConfig:
    """Settings of a receiver that writes into the workspace's inbox.

    Args:
        workspace: Whose inbox it is.
        environment: Usually `os.environ`; ATTUNE_RECEIVE_TOKEN goes before any file.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        token_file: Default `receive.token` in the workspace; made if missing.
        limits: Default `Limits()`.

    Raises:
        SettingError: a token that cannot be used, or a token file that others may read.
    """
    file = token_file or workspace.home / TOKEN_FILE
    given = environment.get(TOKEN_VARIABLE)
    token = read_token(file) if given is None else usable_token(given, TOKEN_VARIABLE)
    return ReceiverConfig(
        host=host,
        port=port,
        token=token,
        token_source=TOKEN_VARIABLE if given is not None else str(file),
        inbox=workspace.inbox,
        staging=workspace.home / "receiving",
        limits=limits or Limits(),
    )


def read_token(file: Path) -> str:
    """Read the token, or make a file with a new one that only its owner can read.

    Raises:
        SettingError: others may read the file, it cannot be read, or it holds no usable token.
    """
    try:
        if not file.exists():
            _create(file)
        mode = file.stat().st_mode & 0o777
        if mode & 0o077:
            raise SettingError(
                f"others may read the token: mode {mode:04o}",
                where=str(file),
                next_step=f"chmod 600 {file}, or remove it and a new one is made",
            )
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(
            "the token file cannot be read",
            where=str(file),
            next_step=f"name another with --token-file, or set {TOKEN_VARIABLE}",
        ) from error
    return usable_token(text, str(file))


def usable_token(text: str, where: str) -> str:
    """The token without white space around it.

    Raises:
        SettingError: too short to be safe, or with characters that no HTTP header can carry.
    """
    token = text.strip()
    if len(token) < TOKEN_CHARACTERS or not (token.isascii() and token.isprintable()):
        raise SettingError(
            f"a token has at least {TOKEN_CHARACTERS} printable ASCII characters",
            where=where,
            next_step="python3 -c 'import secrets; print(secrets.token_urlsafe(32))' makes one",
        )
    if " " in token:
        raise SettingError(
            "a token holds no spaces", where=where, next_step='leave out the word "Bearer"'
        )
    return token


def _create(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as opened:
            opened.write(secrets.token_urlsafe(32) + "\n")
            opened.flush()
            os.fsync(opened.fileno())
        # a link, unlike a rename, leaves a token that another process made in the meantime
        os.link(temporary, file)
    except FileExistsError:
        return
    finally:
        temporary.unlink()
