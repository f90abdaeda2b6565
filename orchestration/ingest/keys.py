"""The secret keys behind pseudonyms and event ids; they never leave this file's objects."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from orchestration.ingest.errors import KeyFileError
from orchestration.ingest.home import PRIVATE_FILE, Home, one_ingest_at_a_time, write_atomically

KEY_BYTES = 32
BLOCK_BYTES = 64


@dataclass(frozen=True)
class KeyInfo:
    """What may be said of a key of pseudonyms.

    Attributes:
        key_id: its name in the key file.
        created_at: UTC time as ISO text; None for a key made before times were kept.
        is_active: whether new pseudonyms are made with it.
    """

    key_id: str
    created_at: str | None
    is_active: bool


class KeyedHash:
    """HMAC-SHA256 of many messages under one key (Krawczyk, Bellare and Canetti 1997).

    The key's part is hashed once. `hmac.digest` does it anew, and looks the algorithm up, for each
    message: more than twice the time for one of some hundred bytes.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        block = key if len(key) <= BLOCK_BYTES else hashlib.sha256(key).digest()
        padded = block.ljust(BLOCK_BYTES, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))

    def __reduce__(self) -> tuple[type[KeyedHash], tuple[bytes]]:
        """A process that makes rows gets the key; hashes cannot travel."""
        return KeyedHash, (self._key,)

    def hex(self, message: bytes) -> str:
        """64 hex digits."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.hexdigest()


@dataclass(frozen=True)
class Keys:
    """The ring of pseudonym keys, oldest first, and the key of event ids.

    They are two kinds, so that neither tells the other. Event ids must not change when a pseudonym
    key does, or an event sent twice would count twice: their key never rotates.
    """

    active: str
    ring: dict[str, bytes] = field(repr=False)
    event_id_key: bytes = field(repr=False)
    created_at: Mapping[str, str] = field(default_factory=dict)

    @property
    def oldest(self) -> str:
        """The id of the oldest key: its pseudonyms are the ones that tables know."""
        return next(iter(self.ring))

    def pseudonymize(self, raw: str, key_id: str | None = None) -> str:
        """The pseudonym of a raw identifier: 64 hex digits of its HMAC-SHA256.

        Args:
            raw: the identifier.
            key_id: the key; the active one if absent.
        """
        return self._hashes[key_id or self.active].hex(raw.encode())

    def pseudonyms(self, raw: str) -> list[str]:
        """The pseudonyms of a raw identifier, the active key's first, then from new to old."""
        message = raw.encode()
        return [keyed.hex(message) for keyed in self._newest_first]

    def event_ids(self, canonical: list[bytes]) -> list[str]:
        """The ids of records whose emitters gave none, from their canonical bytes."""
        event_id = KeyedHash(self.event_id_key).hex
        return [event_id(record) for record in canonical]

    def infos(self) -> list[KeyInfo]:
        """The keys of the ring, oldest first, without their bytes."""
        return [
            KeyInfo(key_id, self.created_at.get(key_id), key_id == self.active)
            for key_id in self.ring
        ]

    @cached_property
    def _hashes(self) -> dict[str, KeyedHash]:
        return {key_id: KeyedHash(key) for key_id, key in self.ring.items()}

    @cached_property
    def _newest_first(self) -> list[KeyedHash]:
        older = [key_id for key_id in reversed(self.ring) if key_id != self.active]
        return [self._hashes[key_id] for key_id in (self.active, *older)]


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
    if create:
        for leftover in path.parent.glob(f"{glob.escape(path.name)}.*.tmp"):
            leftover.unlink(missing_ok=True)
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise KeyFileError(f"{path} has mode {mode:04o}: others may read it; run chmod 600 {path}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        ring = {str(key_id): _key(key) for key_id, key in content["keys"].items()}
        active = next(key_id for key_id in ring if key_id == content["active"])
        return Keys(
            active=active,
            ring=ring,
            event_id_key=_key(content["event_id_key"]),
            created_at=dict(content.get("created_at", {})),
        )
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise KeyFileError(
            f'{path} is not a key file: expected {{"active": ID, "keys": {{ID: HEX}}, '
            f'"event_id_key": HEX}} with keys of at least {KEY_BYTES} bytes; restore it from its '
            "backup"
        ) from error


def rotate_keys(home: Path, *, now: datetime | None = None) -> Keys:
    """Add a fresh key to the ring and make it the active one; the older ones stay.

    Args:
        home: ATTUNE_HOME.
        now: the present, with zone; the clock's if absent.

    Raises:
        IngestLockedError: another process loads this home.
        KeyFileError: the key file is missing or unusable.
    """
    paths = Home(home)
    path = paths.key_file()
    with one_ingest_at_a_time(paths):
        keys = load_keys(path, create=False)
        # the name of a retired key is never given again: the active one's number is the highest
        numbers = [int(name[1:]) for name in keys.ring if re.fullmatch(r"k\d+", name)]
        key_id = f"k{max(numbers, default=0) + 1}"
        rotated = Keys(
            active=key_id,
            ring={**keys.ring, key_id: secrets.token_bytes(KEY_BYTES)},
            event_id_key=keys.event_id_key,
            created_at={**keys.created_at, key_id: _moment(now)},
        )
        write_atomically(path.resolve(), _text(rotated), PRIVATE_FILE)
    return rotated


def retire_key(home: Path, key_id: str) -> Keys:
    """Take a key out of the ring under which nothing is served any more.

    That is any key but the active one, which makes pseudonyms, and the oldest one, whose pseudonyms
    tables and cache hold. The lake keeps the links from the retired key's pseudonyms.

    Args:
        home: ATTUNE_HOME.
        key_id: the key's name in the ring.

    Raises:
        IngestLockedError: another process loads this home.
        KeyFileError: the key file is missing or unusable, or the key is unknown or still in use.
    """
    paths = Home(home)
    path = paths.key_file()
    with one_ingest_at_a_time(paths):
        keys = load_keys(path, create=False)
        if key_id not in keys.ring:
            raise KeyFileError(f"{path} has no key {key_id}; it has {', '.join(keys.ring)}")
        if key_id == keys.oldest:
            raise KeyFileError(
                f"{key_id} is the oldest key: tables, cache and published file know every user by "
                "its pseudonyms, so it never retires"
            )
        if key_id == keys.active:
            raise KeyFileError(
                f"{key_id} makes the pseudonyms of what is loaded now: run `attune keys rotate` "
                "first"
            )
        retired = Keys(
            active=keys.active,
            ring={name: key for name, key in keys.ring.items() if name != key_id},
            event_id_key=keys.event_id_key,
            created_at={name: at for name, at in keys.created_at.items() if name != key_id},
        )
        write_atomically(path.resolve(), _text(retired), PRIVATE_FILE)
    return retired


def list_keys(home: Path) -> list[KeyInfo]:
    """The keys of a home, oldest first.

    Raises:
        KeyFileError: the key file is missing or unusable.
    """
    path = Home(home).key_file()
    if not path.exists():
        raise KeyFileError(f"{path} does not exist yet: `attune ingest` makes it")
    return load_keys(path, create=False).infos()


def pseudonymize(home: Path, raw: str) -> str:
    """The pseudonym of a raw identifier under the active key (`user_id` of what is loaded now)."""
    return load_keys(Home(home).key_file(), create=False).pseudonymize(raw)


def pseudonyms(home: Path, raw: str) -> list[str]:
    """The pseudonyms of a raw identifier under every key, the active one's first.

    Tables, cache and published file know the last of them, that of the oldest key.
    """
    return load_keys(Home(home).key_file(), create=False).pseudonyms(raw)


def _key(text: str) -> bytes:
    key = bytes.fromhex(text)
    if len(key) < KEY_BYTES:
        raise ValueError("the key is too short")
    return key


def _moment(now: datetime | None) -> str:
    return (now or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds")


def _text(keys: Keys) -> bytes:
    content: dict[str, Any] = {
        "active": keys.active,
        "keys": {key_id: key.hex() for key_id, key in keys.ring.items()},
        "event_id_key": keys.event_id_key.hex(),
        "created_at": dict(keys.created_at),
    }
    return json.dumps(content, indent=1).encode() + b"\n"


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    keys = Keys(
        active="k1",
        ring={"k1": secrets.token_bytes(KEY_BYTES)},
        event_id_key=secrets.token_bytes(KEY_BYTES),
        created_at={"k1": _moment(None)},
    )
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        write_atomically(temporary, _text(keys), PRIVATE_FILE)
        # A link fails where another process was first, whose key then holds.
        os.link(temporary, path)
    except FileExistsError:
        return
    except FileNotFoundError:
        # It was first, and took this for what a kill had left.
        if not path.exists():
            raise
    finally:
        temporary.unlink(missing_ok=True)
