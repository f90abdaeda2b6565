"""A store in Redis or Valkey: one key per entity and view, so that no reader sees half a value.

A fill goes under a prefix of its own (an epoch) and becomes visible by one write to the view's
meta; the epoch before is kept, so that the flip can be taken back. Later syncs change values in
place, but for a dirty view of a cluster, where what a dead run still writes cannot be refused: it
is filled anew. Every value carries the generation that wrote it, which is the sync's fencing token: a
stalled older sync cannot overwrite a newer value, nor bring back a removed one, whose tombstone
outlives any sync. A view whose meta is dirty, or whose server restarted or evicted keys, is not
trusted: the next sync reads it.

Keys, with the default prefix: `attune:meta:VIEW`, `attune:v:VIEW:EPOCH:{KEY}`,
`attune:c:{KEY}` (controls that wait), `attune:controls` (who has some), `attune:settled` (how many
were forgotten), `attune:controls_id` (gone in a flush, as they are), `attune:erased`, `attune:views`. No operation needs two slots of a cluster.
"""

from __future__ import annotations

import secrets
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl, urlencode

import orjson
import redis
from redis.backoff import ConstantBackoff
from redis.cluster import RedisCluster
from redis.retry import Retry

from serving import redis_scripts as scripts
from serving.clock import from_microseconds, to_microseconds
from serving.errors import (
    ErasedError,
    IncompleteErasureError,
    StoreError,
    StoreUrlError,
    VerificationError,
)
from serving.hot_marts import quoted_text as _sql_text
from serving.store import (
    Control,
    Entry,
    Read,
    ScannedEntry,
    ViewMeta,
    digest_of,
    erased_hash,
    redacted,
    require_rows,
    stale,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import TracebackType
    from typing import Self

    from serving.store import ChangeSet, Rows

PREFIX = "attune"
BLOCK_ROWS = 1_000
SCAN_COUNT = 5_000
HEADER_BYTES = 128
REPLIES_AWAITED = 16
# a write that takes longer than this is taken for dead; each block renews it
LEASE_MS = 60_000
# longer than any stalled sync can live: a lease is lost long before
TOMBSTONE_MS = 24 * 3600 * 1000
# how long a reader may use the epoch it knows
EPOCH_SECONDS = 1.0
READER_TIMEOUT_SECONDS = 1.0
WRITER_TIMEOUT_SECONDS = 30.0
CLEANING_SECONDS = 600.0
POLL_SECONDS = 0.05
# an index entry without controls is kept this long, for a control being written meanwhile
INDEX_GRACE_SECONDS = 600.0
TOMBSTONE_HASH = "-"
# beside the values a synced view has its meta, `views` and `controls_id`
OTHER_KEYS = 3
ERASED_GENERATION = "f" * 16


class RedisStore:
    """A `serving.store.Store` in a Redis or Valkey server or cluster.

    Args:
        url: `redis://`, `rediss://` or `unix://`, as redis-py reads it, and `prefix=` for the
            names of the keys.
        read_only: Refuse to write, and give up after a second instead of half a minute;
            `socket_timeout=` in the URL says otherwise.

    Raises:
        StoreUrlError: a URL that redis-py cannot read.
        StoreError: the server cannot be reached or refuses the user.
    """

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        self._read_only = read_only
        self._shown_url = redacted(url)
        self._prefix, plain_url = _without_prefix(url)
        self._epochs: dict[str, tuple[str | None, float]] = {}
        timeout = READER_TIMEOUT_SECONDS if read_only else WRITER_TIMEOUT_SECONDS
        timeouts = {"socket_timeout": timeout, "socket_connect_timeout": min(timeout, 5.0)}
        try:
            # a URL's own options win over these
            self._client = redis.Redis.from_url(
                plain_url, **timeouts, retry=Retry(ConstantBackoff(0.05), 1)
            )
        except (ValueError, TypeError) as error:
            raise StoreUrlError(
                f"the cache URL {self._shown_url!r} cannot be used: {error}; write "
                "redis://USER:PASSWORD@HOST:PORT/DB, rediss://... for TLS, or unix:///SOCKET"
            ) from error
        with self._explained("open"):
            is_cluster = self._client.info("cluster").get("cluster_enabled") == 1
            if is_cluster:
                self._client.close()
                self._client = cast("redis.Redis", RedisCluster.from_url(plain_url, **timeouts))
        self._is_cluster = is_cluster

    @property
    def url(self) -> str:
        return self._shown_url

    def get(self, view: str, key: str) -> Entry | None:
        return self.get_many(view, [key]).get(key)

    def get_many(self, view: str, keys: Sequence[str]) -> dict[str, Entry]:
        with self._explained("read"):
            values, _ = self._values(view, keys)
        return {key: entry for key, value in values.items() if (entry := _entry(value)) is not None}

    def read(self, view: str, key: str) -> Read:
        return self.read_many(view, [key]).get(key) or Read(None)

    def read_many(self, view: str, keys: Sequence[str]) -> dict[str, Read]:
        found: dict[str, Read] = {}
        names = [self._controls_name(key) for key in keys]
        with self._explained("read"):
            # in one go with the values, or before them: a settled control is in the value already,
            # because `settle` waits until nobody reads an earlier epoch
            values, lines = self._values(view, keys, first=names)
            for key, line in zip(keys, lines, strict=True):
                entry = _entry(values[key]) if key in values else None
                # nearly nobody has said anything since the last build
                controls = () if line is None else tuple(said for _, said in _controls(line))
                if entry is not None or controls:
                    found[key] = Read(entry, controls)
                elif self._is_erased(key):
                    found[key] = Read(None, is_erased=True)
        return found

    def hold(self) -> None:
        """A server has no snapshots, and each reading is whole by itself."""

    def release(self) -> None:
        """See `hold`."""

    def views(self) -> list[str]:
        with self._explained("read"):
            return sorted(_text(view) for view in self._members(self._name("views")))

    def meta(self, view: str) -> ViewMeta | None:
        with self._explained("read"):
            fields = self._meta_fields(view)
        return _view_meta(view, fields)

    def ledger(self, view: str) -> Iterator[list[tuple[str, str]]]:
        for block in self._scanned(view, headers_only=True):
            yield [(key, entry.content_hash) for key, entry in block]

    def scan(self, view: str) -> Iterator[list[ScannedEntry]]:
        for block in self._scanned(view, headers_only=False):
            yield [ScannedEntry(key, entry.content_hash, entry.payload) for key, entry in block]

    def is_as_left(self, view: str) -> bool:
        with self._explained("read"):
            fields = self._meta_fields(view)
            servers, keys = self._servers()
        return (
            "generation" in fields
            and "is_dirty" not in fields
            and fields.get("servers") == servers
            and keys >= int(fields["rows"]) + OTHER_KEYS
        )

    def take_over(self, view: str) -> None:
        self._require_writer()
        with self._explained("take over"):
            if "is_dirty" not in self._meta_fields(view):
                return
            answer = self._run(scripts.TAKE_OVER, [self._meta_name(view)], [])
            if isinstance(answer, list):
                raise self._busy(view, _text(answer[1]))

    def apply(self, change_set: ChangeSet) -> ViewMeta:
        view = change_set.view
        self._require_writer()
        with self._explained("apply a change set to"):
            fields = self._meta_fields(view)
            self._require_erasures(change_set)
            if change_set.is_settled and "is_dirty" not in fields:
                meta = self._renew_meta(change_set, fields)
            else:
                meta = self._write(change_set, fields)
        return meta

    def rollback(self, view: str) -> ViewMeta:
        self._require_writer()
        with self._explained("roll back"):
            fields = self._meta_fields(view)
            before = orjson.loads(fields.get("previous", "null"))
            # half of the changes of a run that died are in such a state
            if before is None or before["epoch"] == fields["epoch"] or "is_dirty" in before:
                raise StoreError(f"{self.url}: {view} has no earlier state that is kept")
            self._require_nothing_taken_back(view, fields)
            fence = self._begin(view, fields["generation"], "rollback")
            if fence is None:
                raise self._overtaken(view)
            try:
                # again: it may have come before the lease was taken
                self._require_nothing_taken_back(view, fields)
                after = {**before, "generation": str(fence), "previous": "null"}
                done = self._run(scripts.COMMIT, [self._meta_name(view)], [fence, *_flat(after)])
            except BaseException as error:
                self._release(view, fence, error)
                raise
            if not done:
                raise self._overtaken(view)
            self._epochs.pop(view, None)
        meta = self.meta(view)
        if meta is None:
            raise VerificationError(f"{self.url}: {view} lost its meta while it was rolled back")
        return meta

    def add_control(self, control: Control) -> None:
        self._require_writer()
        if b"\n" in control.payload or any(mark in control.event_id for mark in "\n\t"):
            raise ValueError("a control is one line of JSON, and its event id holds no tab")
        name = self._controls_name(control.user_id)
        with self._explained("write a control to"):
            # the index first: a control that nobody finds would never be settled
            self._client.zadd(self._name("controls"), {control.user_id: time.time()})
            self._run(scripts.ADD_CONTROL, [name], [control.event_id, control.payload])
            if self._is_erased(control.user_id):
                self._client.delete(name)
                raise ErasedError(f"{self.url}: the user was erased, nothing is kept of them")

    def controls(self) -> Iterator[list[Control]]:
        with self._explained("read"):
            users = [_text(user) for user in self._sorted_members(self._name("controls"))]
            for start in range(0, len(users), BLOCK_ROWS):
                block = users[start : start + BLOCK_ROWS]
                lines = self._get_all([self._controls_name(user) for user in block])
                yield [
                    Control(user, event_id, payload)
                    for user, line in zip(block, lines, strict=True)
                    for event_id, payload in _controls(line)
                ]

    def settle(self, controls: Iterable[tuple[str, str]]) -> None:
        self._require_writer()
        by_user: dict[str, list[str]] = {}
        for user, event_id in controls:
            by_user.setdefault(user, []).append(event_id)
        if not by_user:
            return
        with self._explained("settle controls in"):
            # counted first: what is forgotten afterwards is in no earlier epoch, and no rollback to
            # one comes between
            self._client.incrby(self._name("settled"), sum(map(len, by_user.values())))
            # whoever still reads an earlier epoch needs the controls
            time.sleep(min(max(0.0, EPOCH_SECONDS - self._seconds_since_flip()), EPOCH_SECONDS))
            for user, event_ids in by_user.items():
                if self._run(scripts.SETTLE, [self._controls_name(user)], event_ids) == 0:
                    before = time.time() - INDEX_GRACE_SECONDS
                    self._run(scripts.FORGET_USER, [self._name("controls")], [user, before])

    def controls_id(self) -> str:
        name = self._name("controls_id")
        with self._explained("read"):
            self._client.set(name, secrets.token_hex(16), nx=True)
            made = _text(cast("bytes", self._client.get(name)))
            # files may bring an older memory back under its name, and an eviction takes any part
            return f"{made} {self._servers()[0]}"

    def remember_erased(self, key_hashes: Iterable[str]) -> None:
        self._require_writer()
        with self._explained("write erasures to"):
            self._client.sadd(self._name("erased"), *key_hashes)

    def erasures(self) -> frozenset[str]:
        with self._explained("read"):
            return frozenset(_text(each) for each in self._members(self._name("erased")))

    def erase(self, keys: Sequence[str], *, clean: bool = True) -> int:
        self._require_writer()
        removed = 0
        with self._explained("erase from"):
            # a process that dies before the files are clean leaves this mark for the next writer
            self._client.set(self._name("unclean"), secrets.token_hex(8))
            # remembered first: whatever writes a value later looks here before it shows it
            if keys:
                self._client.sadd(self._name("erased"), *map(erased_hash, keys))
                self._client.zrem(self._name("controls"), *keys)
            for key in keys:
                self._client.delete(self._controls_name(key))
            for view in self.views():
                removed += self._erase_from(view, keys)
        if clean:
            self._clean()
        return removed

    def clean(self) -> None:
        self._require_writer()
        with self._explained("look at"):
            is_unclean = self._client.exists(self._name("unclean"))
        if is_unclean:
            self._clean()

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _name(self, name: str) -> str:
        return f"{self._prefix}:{name}"

    def _meta_name(self, view: str) -> str:
        return f"{self._prefix}:meta:{view}"

    def _controls_name(self, key: str) -> str:
        return f"{self._prefix}:c:{{{key}}}"

    def _value_prefix(self, view: str, epoch: str) -> str:
        return f"{self._prefix}:v:{view}:{epoch}:"

    def _value_name(self, view: str, epoch: str, key: str) -> str:
        return f"{self._value_prefix(view, epoch)}{{{key}}}"

    def _run(self, script: str, names: Sequence[str], arguments: Sequence[Any]) -> Any:
        return self._client.eval(script, len(names), *names, *arguments)

    def _members(self, name: str) -> set[bytes]:
        return cast("set[bytes]", self._client.smembers(name))

    def _sorted_members(self, name: str) -> list[bytes]:
        return cast("list[bytes]", self._client.zrange(name, 0, -1))

    def _meta_fields(self, view: str) -> dict[str, str]:
        fields = cast("dict[bytes, bytes]", self._client.hgetall(self._meta_name(view)))
        return {_text(name): _text(value) for name, value in fields.items()}

    def _is_erased(self, key: str) -> bool:
        return bool(self._client.sismember(self._name("erased"), erased_hash(key)))

    def _erasure_count(self) -> int:
        return self._client.scard(self._name("erased"))

    def _settled_count(self) -> str:
        """How many controls were ever settled, as text."""
        return _text(cast("bytes | None", self._client.get(self._name("settled"))) or b"0")

    def _seconds_since_flip(self) -> float:
        """How long every view has been serving the epoch that it serves."""
        ages = [self._run(scripts.SINCE_FLIP, [self._meta_name(view)], []) for view in self.views()]
        return min((int(age) / 1000 for age in ages if age is not None), default=EPOCH_SECONDS)

    def _nodes(self) -> list[redis.Redis]:
        """The servers that hold keys, one by one."""
        if not self._is_cluster:
            return [self._client]
        cluster = cast("Any", self._client)
        return [cluster.get_redis_connection(node) for node in cluster.get_primaries()]

    def _servers(self) -> tuple[str, int]:
        """Name the running servers and what they evicted, and count their keys."""
        states: list[str] = []
        keys = 0
        for node in self._nodes():
            server, stats = node.info("server"), node.info("stats")
            states.append(f"{server['run_id']}:{stats['evicted_keys']}")
            keys += node.dbsize()
        return ",".join(sorted(states)), keys

    def _epoch(self, view: str, *, newest: bool = False) -> str | None:
        """The epoch that is served; one that is known may be used for a second."""
        epoch, known_at = self._epochs.get(view, (None, -EPOCH_SECONDS))
        now = time.monotonic()
        if newest or epoch is None or now - known_at > EPOCH_SECONDS:
            found = cast("bytes | None", self._client.hget(self._meta_name(view), "epoch"))
            epoch = None if found is None else _text(found)
            self._epochs[view] = (epoch, now)
        return epoch

    def _values(
        self, view: str, keys: Sequence[str], *, first: Sequence[str] = ()
    ) -> tuple[dict[str, bytes], list[bytes | None]]:
        """Return the values of those keys that have one, and what stands under other names."""
        epoch = self._epoch(view)
        found, others = self._values_of(view, epoch, keys, first)
        # what is missing may have moved: a flip, or a server that was filled anew; and what came
        # late may be of an epoch whose controls are settled
        is_late = time.monotonic() - self._epochs[view][1] > EPOCH_SECONDS
        is_doubtful = is_late or len(found) < len(keys)
        if is_doubtful and epoch != (newest := self._epoch(view, newest=True)):
            found, others = self._values_of(view, newest, keys, first)
        return found, others

    def _values_of(
        self, view: str, epoch: str | None, keys: Sequence[str], first: Sequence[str] = ()
    ) -> tuple[dict[str, bytes], list[bytes | None]]:
        names = [] if epoch is None else [self._value_name(view, epoch, key) for key in keys]
        got = self._get_all([*first, *names])
        values = got[len(first) :] if names else [None] * len(keys)
        found = {key: value for key, value in zip(keys, values, strict=True) if value is not None}
        return found, got[: len(first)]

    def _get_all(self, names: Sequence[str]) -> list[bytes | None]:
        if not names:
            return []
        if len(names) == 1:
            return [cast("bytes | None", self._client.get(names[0]))]
        if not self._is_cluster:
            return cast("list[bytes | None]", self._client.mget(names))
        pipeline = self._client.pipeline(transaction=False)
        for name in names:
            pipeline.get(name)
        return cast("list[bytes | None]", pipeline.execute())

    def _scanned(self, view: str, *, headers_only: bool) -> Iterator[list[tuple[str, Entry]]]:
        with self._explained("read"):
            epoch = self._epoch(view, newest=True)
            if epoch is None:
                return
            start = len(self._value_prefix(view, epoch)) + 1
            for names in self._names(view, epoch):
                values = self._headers(names) if headers_only else self._get_all(names)
                yield [
                    (name[start:-1], entry)
                    for name, value in zip(names, values, strict=True)
                    if value and (entry := _entry(value)) is not None
                ]

    def _headers(self, names: Sequence[str]) -> list[bytes | None]:
        pipeline = self._client.pipeline(transaction=False)
        for name in names:
            pipeline.getrange(name, 0, HEADER_BYTES - 1)
        return cast("list[bytes | None]", pipeline.execute())

    def _names(self, view: str, epoch: str) -> Iterator[list[str]]:
        """The names of an epoch's values, in blocks; one may come twice from a server that grows."""
        pattern = _glob_escaped(self._value_prefix(view, epoch)) + "{*"
        block: list[str] = []
        for name in self._client.scan_iter(match=pattern, count=SCAN_COUNT):
            block.append(_text(name))
            if len(block) == SCAN_COUNT:
                yield block
                block = []
        if block:
            yield block

    def _require_writer(self) -> None:
        if self._read_only:
            raise StoreError(f"{self.url} was opened readonly")

    def _require_erasures(self, change_set: ChangeSet) -> None:
        count = self._erasure_count()
        if count != change_set.base_erasures:
            raise stale(self.url, change_set, "erasure", count)

    def _renew_meta(self, change_set: ChangeSet, fields: dict[str, str]) -> ViewMeta:
        """Say that the view was found to be as the warehouse has it."""
        view = change_set.view
        after = fields | self._described(change_set) | {"servers": self._servers()[0]}
        done = self._run(
            scripts.TOUCH,
            [self._meta_name(view)],
            [change_set.base_generation, fields.get("checksum", ""), *_flat(after)],
        )
        meta = _view_meta(view, after)
        if not done or meta is None:
            raise stale(self.url, change_set, "generation", "another one")
        return meta

    def _described(self, change_set: ChangeSet) -> dict[str, str]:
        return {
            "rows": str(change_set.expected.rows),
            "checksum": change_set.expected.checksum,
            "schema_version": change_set.schema_version,
            "as_of_us": str(to_microseconds(change_set.as_of)),
            "run_id": change_set.run_id,
            "synced_at_us": str(to_microseconds(change_set.synced_at)),
            "max_age_hours": repr(change_set.max_age_hours),
        }

    def _begin(self, view: str, generation: int | str, run_id: str) -> int | None:
        """Take the lease and return the fencing token; None if the generation is another."""
        self._client.sadd(self._name("views"), view)
        answer = self._run(scripts.BEGIN, [self._meta_name(view)], [generation, run_id, LEASE_MS])
        if isinstance(answer, list):
            what, who = (_text(each) for each in answer)
            if what == "stale":
                return None
            raise self._busy(view, who)
        return int(answer)

    def _require_nothing_taken_back(self, view: str, fields: dict[str, str]) -> None:
        """Refuse to roll a view back over an erasure or a settled control since it was filled."""
        if int(fields["filled_erasures"]) != self._erasure_count():
            raise StoreError(
                f"{self.url}: a user was erased since {view} was filled, which must not be "
                "taken back; build and sync again instead"
            )
        if fields.get("filled_settled", settled := self._settled_count()) != settled:
            raise StoreError(
                f"{self.url}: what users said since {view} was filled is in its values alone and "
                "must not be taken back; mend the model, build and sync again instead"
            )

    def _overtaken(self, view: str) -> StoreError:
        return StoreError(f"{self.url}: {view} was synced meanwhile; look again")

    def _busy(self, view: str, run_id: str) -> StoreError:
        return StoreError(
            f"{self.url}: run {run_id} is writing {view}; wait for it to end (a run that died is "
            f"taken over after {LEASE_MS // 1000} seconds) and sync again"
        )

    def _write(self, change_set: ChangeSet, fields: dict[str, str]) -> ViewMeta:
        view = change_set.view
        fence = self._begin(view, change_set.base_generation, change_set.run_id)
        if fence is None:
            now = fields.get("generation", "0")
            raise stale(self.url, change_set, "generation", now)
        try:
            is_fill = self._is_fill(change_set, fields)
            if is_fill:
                self._drop_old_epochs(view, fields)
                self._client.hset(self._meta_name(view), "filling_epoch", fence)
                self._fill(change_set, fence)
            else:
                self._change_in_place(change_set, fence, fields["epoch"])
            # an erasure that came meanwhile must not be undone by the flip
            self._require_erasures(change_set)
            after = self._described(change_set) | {
                "generation": str(fence),
                "servers": self._servers()[0],
            }
            if is_fill:
                after |= {
                    "epoch": str(fence),
                    "previous": orjson.dumps(_previous(fields)).decode(),
                    "filled_erasures": str(change_set.base_erasures),
                }
                if change_set.has_controls:
                    after["filled_settled"] = self._settled_count()
            done = self._run(scripts.COMMIT, [self._meta_name(view)], [fence, *_flat(after)])
        except BaseException as error:
            self._release(view, fence, error)
            raise
        if not done:
            raise stale(self.url, change_set, "generation", "a later one")
        self._epochs.pop(view, None)
        meta = _view_meta(view, fields | after)
        if meta is None:
            raise AssertionError(f"{view}: a commit writes every field of the meta")
        return meta

    def _release(self, view: str, fence: int, reason: BaseException) -> None:
        try:
            self._run(scripts.RELEASE, [self._meta_name(view)], [fence])
        except redis.RedisError as error:
            reason.add_note(f"the view stays locked for {LEASE_MS // 1000} seconds ({error})")

    def _is_fill(self, change_set: ChangeSet, fields: dict[str, str]) -> bool:
        if change_set.is_refill or "epoch" not in fields:
            return True
        if self._is_cluster and "is_dirty" in fields:
            # what a dead or stalled run still writes cannot be refused there: nobody is to read it
            return True
        return fields["schema_version"] != change_set.schema_version

    def _fill(self, change_set: ChangeSet, fence: int) -> None:
        """Write all values under the new epoch, which nobody reads yet."""
        prefix = self._value_prefix(change_set.view, str(fence)) + "{"
        header = _header(fence, change_set)
        renew = self._renewal(change_set, fence)
        if self._is_cluster:
            rows = self._fill_by_key(change_set.everything, prefix, header, renew)
        else:
            rows = self._fill_by_block(change_set.everything, prefix, header, renew)
        require_rows(self.url, change_set, rows)

    def _fill_by_key(
        self, everything: Rows, prefix: str, header: str, renew: Callable[[], None]
    ) -> int:
        rows = 0
        for block in everything.blocks():
            pipeline = self._client.pipeline(transaction=False)
            for key, content_hash, payload in block:
                pipeline.set(f"{prefix}{key}}}", _value(header, content_hash, payload))
            pipeline.execute()
            rows += len(block)
            renew()
        return rows

    def _fill_by_block(
        self, everything: Rows, prefix: str, header: str, renew: Callable[[], None]
    ) -> int:
        """Send commands that the warehouse has written: MSETs, with the replies read behind."""
        # one concat per row: each || would copy all that stands left of it
        before, end = len(f"{prefix}}}".encode()), "chr(13) || chr(10)"
        expression = (
            f"concat('$', strlen(key) + {before}, {end} || {_sql_text(prefix)}, key, "
            f"'}}' || {end} || '$', strlen(content_hash) + strlen(payload) + {len(header) + 1}, "
            f"{end} || {_sql_text(header)}, content_hash, chr(10), payload, {end})"
        )
        pool = self._client.connection_pool
        # redis-py gives no types here
        connection: Any = pool.get_connection()
        rows = awaited = 0
        try:
            for count, arguments in everything.encoded(expression, BLOCK_ROWS):
                command = b"*%d\r\n$4\r\nMSET\r\n" % (2 * count + 1)
                connection.send_packed_command([command, arguments])
                rows += count
                awaited += 1
                if awaited > REPLIES_AWAITED:
                    connection.read_response()
                    awaited -= 1
                    renew()
            while awaited:
                connection.read_response()
                awaited -= 1
        finally:
            if awaited:
                # replies that nobody reads must not answer another command
                connection.disconnect()
            pool.release(connection)
        return rows

    def _change_in_place(self, change_set: ChangeSet, fence: int, epoch: str) -> None:
        view = change_set.view
        renew = self._renewal(change_set, fence)
        generation = f"{fence:016x}"
        tombstone = _header(fence, change_set) + TOMBSTONE_HASH + "\n"
        newer, rows = 0, change_set.base.rows
        for keys in change_set.removals:
            names = [self._value_name(view, epoch, key) for key in keys]
            later, there = self._run_on(
                scripts.BURY, names, [], generation, [tombstone, str(TOMBSTONE_MS)], guard=view
            )
            newer, rows = newer + later, rows - there
            renew()
        header = _header(fence, change_set)
        for block in change_set.upserts.blocks():
            names = [self._value_name(view, epoch, key) for key, _, _ in block]
            values = [_value(header, content_hash, payload) for _, content_hash, payload in block]
            later, there = self._run_on(scripts.PUT, names, values, generation, [], guard=view)
            newer, rows = newer + later, rows + len(block) - later - there
            renew()
        if newer:
            raise stale(self.url, change_set, "generation", "a later one")
        require_rows(self.url, change_set, rows)

    def _run_on(
        self,
        script: str,
        names: Sequence[str],
        values: Sequence[bytes],
        generation: str,
        after: Sequence[str],
        *,
        guard: str | None = None,
    ) -> tuple[int, int]:
        """Run a script on many values: at once where one server holds them, else one by one.

        With the view to guard, one server also refuses a run that another has taken over from.

        Returns:
            How many values were newer and left alone, and how many were there before.
        """
        size = 1 if self._is_cluster else BLOCK_ROWS
        meta = [] if guard is None or self._is_cluster else [self._meta_name(guard)]
        guarded = "guarded" if meta else ""
        pipeline: Any = self._client.pipeline(transaction=False)
        for start in range(0, len(names), size):
            some = [*meta, *names[start : start + size]]
            arguments = [generation, guarded, *values[start : start + size], *after]
            # pipelines of a cluster refuse eval(), not the command
            pipeline.execute_command("EVAL", script, len(some), *some, *arguments)
        counts = cast("list[tuple[int, int]]", pipeline.execute())
        return sum(newer for newer, _ in counts), sum(there for _, there in counts)

    def _renewal(self, change_set: ChangeSet, fence: int) -> Callable[[], None]:
        """Return what keeps the lease, asking the server once a second at most."""
        renewed_at = time.monotonic()

        def renew() -> None:
            nonlocal renewed_at
            if time.monotonic() - renewed_at < 1:
                return
            name = self._meta_name(change_set.view)
            if not self._run(scripts.RENEW, [name], [fence, LEASE_MS]):
                raise stale(self.url, change_set, "generation", "a later one")
            renewed_at = time.monotonic()

        return renew

    def _drop_old_epochs(self, view: str, fields: dict[str, str]) -> None:
        """Remove what no reader and no rollback needs: epochs before the one that is served."""
        previous = orjson.loads(fields.get("previous", "null")) or {}
        old = {previous.get("epoch"), fields.get("filling_epoch")} - {fields.get("epoch"), None}
        for epoch in old:
            for names in self._names(view, cast("str", epoch)):
                pipeline = self._client.pipeline(transaction=False)
                for name in names:
                    pipeline.unlink(name)
                pipeline.execute()

    def _erase_from(self, view: str, keys: Sequence[str]) -> int:
        """Delete keys from all epochs of a view and bring its meta to what is left."""
        removed = 0
        while True:
            fields = self._meta_fields(view)
            previous = orjson.loads(fields.get("previous", "null")) or {}
            for hidden in (previous.get("epoch"), fields.get("filling_epoch")):
                if hidden is not None:
                    for key in keys:
                        self._client.delete(self._value_name(view, hidden, key))
            before = _view_meta(view, fields)
            if before is None:
                return removed
            epoch = fields["epoch"]
            pairs = [
                (key, entry.content_hash)
                for key, value in self._values_of(view, epoch, keys)[0].items()
                if (entry := _entry(value)) is not None
            ]
            left = before.digest.without(digest_of([pairs]))
            changed = {"rows": str(left.rows), "checksum": left.checksum}
            # with the meta first, a crash leaves a view that is read before it is trusted
            if pairs and not self._run(
                scripts.TOUCH,
                [self._meta_name(view)],
                [fields["generation"], before.checksum, *_flat(changed)],
            ):
                continue
            tombstone = f"{ERASED_GENERATION}|{0:016x}||{TOMBSTONE_HASH}\n"
            names = [self._value_name(view, epoch, key) for key in keys]
            self._run_on(scripts.BURY, names, [], ERASED_GENERATION, [tombstone, str(TOMBSTONE_MS)])
            return removed + len(pairs)

    def _clean(self) -> None:
        """Have the servers write their files anew, so that no deleted byte is left in them.

        The mark of an erasure that comes meanwhile stays: its bytes may be in the new files.
        """
        try:
            self._rewrite_files()
        except redis.RedisError as error:
            raise IncompleteErasureError(self._incomplete(str(error))) from error

    def _rewrite_files(self) -> None:
        mark = self._client.get(self._name("unclean"))
        for node in self._nodes():
            persistence = node.info("persistence")
            if persistence["aof_enabled"]:
                node.bgrewriteaof()
                self._wait(node, "aof_rewrite", "aof_last_bgrewrite_status")
            if self._has_snapshot(node, persistence):
                node.bgsave()
                self._wait(node, "rdb_bgsave", "rdb_last_bgsave_status")
        if mark is not None:
            self._run(scripts.FORGET_MARK, [self._name("unclean")], [mark])

    def _has_snapshot(self, node: redis.Redis, persistence: dict[str, Any]) -> bool:
        if persistence.get("rdb_saves") or persistence.get("rdb_last_load_keys_loaded"):
            return True
        return bool(cast("dict[str, str]", node.config_get("save")).get("save"))

    def _wait(self, node: redis.Redis, work: str, status: str) -> None:
        end = time.monotonic() + CLEANING_SECONDS
        while True:
            state = node.info("persistence")
            if not state.get(f"{work}_in_progress") and not state.get(f"{work}_scheduled"):
                break
            if time.monotonic() > end:
                raise IncompleteErasureError(self._incomplete("rewriting them takes too long"))
            time.sleep(POLL_SECONDS)
        if state[status] != "ok":
            raise IncompleteErasureError(self._incomplete(f"{status} is {state[status]}"))

    def _incomplete(self, reason: str) -> str:
        return (
            f"{self.url}: the values are deleted and no longer served, but their bytes may still "
            f"be in the server's files ({reason}); mend that and erase the same keys again (the "
            "next sync also tries)"
        )

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        try:
            yield
        except redis.RedisError as error:
            _unquote(error)
            raise StoreError(
                f"could not {doing} the cache {self.url}: {error}; {_hint(error)}"
            ) from error


def _unquote(error: redis.RedisError) -> None:
    """Leave the server's own words: of a pipeline's command, redis-py quotes keys and values."""
    error.args = tuple(
        each.rpartition(" caused error: ")[2] if isinstance(each, str) else each
        for each in error.args
    )


def _hint(error: redis.RedisError) -> str:
    match error:
        case redis.exceptions.OutOfMemoryError():
            return (
                "the server is out of memory and what it served before is kept; raise maxmemory "
                "and run again"
            )
        case redis.exceptions.AuthenticationError() | redis.exceptions.NoPermissionError():
            return (
                "check user and password in ATTUNE_CACHE_URL, and that the user may run the "
                "commands that docs/serving-cache.md lists on keys of the prefix"
            )
        case redis.exceptions.TimeoutError():
            return "the server is too slow or hangs; look at it and run again"
        case redis.exceptions.BusyLoadingError():
            return "the server is reading its files; wait and run again"
        case redis.exceptions.ReadOnlyError():
            return "this server is a replica; set ATTUNE_CACHE_URL to the primary"
        case redis.exceptions.ConnectionError():
            return "the server is down or ATTUNE_CACHE_URL names another; start it and run again"
        case _:
            return "check ATTUNE_CACHE_URL and the server"


def _without_prefix(url: str) -> tuple[str, str]:
    """Split a URL into the prefix of the names and what redis-py reads."""
    address, _, query = url.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    prefix = options.pop("prefix", PREFIX)
    if not prefix or "{" in prefix:
        raise StoreUrlError(f"the cache URL {redacted(url)!r} has no usable prefix: {prefix!r}")
    return prefix, f"{address}?{urlencode(options)}"


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode()


def _flat(fields: dict[str, str]) -> list[str]:
    return [part for pair in fields.items() for part in pair]


def _header(generation: int, change_set: ChangeSet) -> str:
    as_of_us = to_microseconds(change_set.as_of)
    return f"{generation:016x}|{as_of_us:016x}|{change_set.schema_version}|"


def _value(header: str, content_hash: str, payload: bytes) -> bytes:
    return f"{header}{content_hash}\n".encode() + payload


def _entry(value: bytes) -> Entry | None:
    """Read a stored value, or only its head; None for a tombstone."""
    header, _, payload = value.partition(b"\n")
    generation, as_of_us, schema_version, content_hash = header.decode().split("|")
    if content_hash == TOMBSTONE_HASH:
        return None
    return Entry(payload, content_hash, int(generation, 16), schema_version, int(as_of_us, 16))


def _controls(lines: bytes | None) -> Iterator[tuple[str, bytes]]:
    for line in (lines or b"").split(b"\n")[1:]:
        event_id, _, payload = line.partition(b"\t")
        yield event_id.decode(), payload


def _view_meta(view: str, fields: dict[str, str]) -> ViewMeta | None:
    if "generation" not in fields:
        return None
    return ViewMeta(
        view=view,
        generation=int(fields["generation"]),
        rows=int(fields["rows"]),
        checksum=fields["checksum"],
        schema_version=fields["schema_version"],
        as_of=from_microseconds(int(fields["as_of_us"])),
        run_id=fields["run_id"],
        synced_at=from_microseconds(int(fields["synced_at_us"])),
        max_age_hours=float(fields["max_age_hours"]),
    )


def _previous(fields: dict[str, str]) -> dict[str, str] | None:
    """What a rollback needs of the state that a fill replaces."""
    if "epoch" not in fields:
        return None
    left_out = (
        "previous",
        "fence",
        "writing_run",
        "writing_until",
        "filling_epoch",
        "flipped_ms",
    )
    return {name: value for name, value in fields.items() if name not in left_out}


def _glob_escaped(text: str) -> str:
    return "".join(f"\\{each}" if each in "*?[]\\^-" else each for each in text)
