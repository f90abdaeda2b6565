"""The secret keys behind pseudonyms and event ids; they never leave this file's objects."""

from __future__ import annotations

import hmac
import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from orchestration.ingest.errors import KeyFileError
from orchestration.ingest.home import PRIVATE_FILE, Home

KEY_BYTES = 32


@dataclass(frozen=True)
class Keys:
    """The key of pseudonyms in force and the key of event ids (two, so that neither tells the other)."""

    active: str
    pseudonym_key: bytes = field(repr=False)
    event_id_key: bytes = field(repr=False)

    def pseudonymize(self, raw: str) -> str:
        """The pseudonym of a raw identifier: 64 hex digits of its HMAC-SHA256."""
        return hmac.digest(self.pseudonym_key, raw.encode(), "sha256").hex()

    def event_ids(self, canonical: list[bytes]) -> list[str]:
        """The ids of records whose emitters gave none, from their canonical bytes."""
        key, digest = self.event_id_key, hmac.digest
        return [digest(key, record, "sha256").hex() for record in canonical]


def load_keys(path: Path, *, create: bool = True) -> Keys:
    """Read the key file, or make it with fresh keys.

    Args:
        path: the key file.
        create: make the file if it is missing. Pass False where data under an older key exists:
            a new key would silently cut every user off from their past.

    Raises:
        KeyFileError: missing (and `create` is False), readable by others, or not of the right shape.
    """
    if not path.exists():
        if not create:
            raise KeyFileError(
                f"{path} is missing, but the lake holds pseudonyms made with it: restore the file "
                "from its backup or point ATTUNE_KEY_FILE to it (a new key would make every user "
                "a stranger)"
            )
        _create(path)
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise KeyFileError(f"{path} has mode {mode:04o}: others may read it; run chmod 600 {path}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        active = content["active"]
        return Keys(
            active=active,
            pseudonym_key=_key(content["keys"][active]),
            event_id_key=_key(content["event_id_key"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise KeyFileError(
            f'{path} is not a key file: expected {{"active": ID, "keys": {{ID: HEX}}, '
            f'"event_id_key": HEX}} with keys of at least {KEY_BYTES} bytes; restore it from its '
            "backup"
        ) from error


def pseudonymize(home: Path, raw: str) -> str:
    """The pseudonym of a raw identifier under the key in force of a home (`user_id` in the lake)."""
    return load_keys(Home(home).key_file(), create=False).pseudonymize(raw)


def _key(text: str) -> bytes:
    key = bytes.fromhex(text)
    if len(key) < KEY_BYTES:
        raise ValueError("the key is too short")
    return key


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "active": "k1",
        "keys": {"k1": secrets.token_hex(KEY_BYTES)},
        "event_id_key": secrets.token_hex(KEY_BYTES),
    }
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        # A link fails where another process was first, whose key then holds.
        os.link(temporary, path)
    except FileExistsError:
        return
    finally:
        temporary.unlink()
