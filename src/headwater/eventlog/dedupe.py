"""Whether an id was stored before; exact, decided on the event loop at the moment of the append.

An id's key is a keyed hash of source and id: from the index nobody reads an id back. What it is hashed with lies in a
file of its own, because a tombstone keeps such a key, which has to mean the same to an index that is built again.

The filter in memory says "surely new" for nearly every event; for the rest the keys of the last appends are asked, then
the index on disk. A thread of its own writes the index behind, in sorted bulk; what it misses after a crash is read
from the log again.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from hashlib import blake2b
from pathlib import Path
from struct import unpack
from typing import Final, NamedTuple, Protocol, Self

from headwater.errors import LogUnavailableError
from headwater.eventlog import sieve
from headwater.eventlog.idindex import INDEX_FILE, KEY_BYTES, DatabaseError, IdIndex, discard, keep_secret, load_secret
from headwater.eventlog.sieve import MASK_SHIFT, MASKS, Sieve
from headwater.spec.event import Record

SIEVE_FILE: Final = "ids.filter"
RUN_KEYS: Final = 32_768  # ids that are written to the index at once
_SAVE_KEYS: Final = 2_000_000  # ids after which the filter is saved again: bounds what a start reads after a crash
_FORGET_KEYS: Final = 5_000  # at a time, so that the event loop never stands still
_RETRY_S: Final = 1.0


class Hash(Protocol):
    """What `hashlib` returns."""

    def copy(self) -> Self:
        """Return another one in the same state."""
        ...

    def update(self, data: bytes, /) -> None:
        """Take more in."""
        ...

    def digest(self) -> bytes:
        """Return the hash."""
        ...


class Identified(NamedTuple):
    """The ids of a frame that stands in the log: of its records as they are, and as keys of those that were erased."""

    first_seq: int
    source_id: str
    message_ids: Sequence[str]
    erased: Sequence[bytes]


class Dedupe:
    """The ids of a log; `admit`, `withdraw` and `stored` belong to the event loop."""

    def __init__(self, directory: Path, *, start: int, end: int, on_damage: Callable[[Exception], None]) -> None:
        """Open the index, or begin a new one where it is missing or damaged.

        Args:
            directory: the log's.
            start: the log's oldest sequence.
            end: the sequence that comes next; an index that knows of later ones is not this log's.
            on_damage: called when the index turns out to be damaged later; a restart builds it again.
        """
        self._directory, self._start, self._on_damage = directory, start, on_damage
        path, secret = directory / INDEX_FILE, load_secret(directory)
        try:
            self._index = IdIndex(path, secret)
            kept = self._load_sieve()
            usable = self._index.upto <= end
        except DatabaseError:
            usable = False
        if not usable:
            discard(path)
            self._index, kept = IdIndex(path, secret), None
        if self._index.secret != secret:
            keep_secret(directory, self._index.secret)
        self._indexed = self._index.upto
        self.upto = min(self._indexed, kept[1]) if kept else self._indexed
        keys = self._index.keys
        self._uncertain = kept is None and keys > 0
        self._sieve = kept[0] if kept else Sieve(0 if self._uncertain else 2 * keys)
        self._hashes: dict[str, Hash] = {}
        self._recent: set[bytes] = set()
        self._batch: list[bytes] = []
        self._unsaved_keys = 0
        self._closing = threading.Event()
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="log-ids", daemon=True)

    def admit(self, source_id: str, records: Sequence[Record]) -> tuple[list[bytes], list[bytes], tuple[int, ...]]:
        """Return lines and keys of the records that are new, and the positions of those that are not.

        The new ones count as stored from now on, until `withdraw` takes them back.
        """
        if not all(record.message_id for record in records):
            return self._admit_some(source_id, records)
        keys = self.keys_of(source_id, [message_id for message_id, _ in records])
        maybe = self._sift(keys)
        if not maybe:
            self._recent.update(keys)
            return [line for _, line in records], keys, ()
        held = self._held([keys[position] for position in maybe])
        recent, kept, duplicates = self._recent, list[int](), list[int]()
        for position, key in enumerate(keys):  # in order: a key that comes twice is recent the second time
            if key in recent or key in held:
                duplicates.append(position)
            else:
                recent.add(key)
                kept.append(position)
        lines = [records[position].line for position in kept]
        return lines, [keys[position] for position in kept], tuple(duplicates)

    def _admit_some(
        self, source_id: str, records: Sequence[Record]
    ) -> tuple[list[bytes], list[bytes], tuple[int, ...]]:
        """Do the same where some records have no id and so are always new."""
        places = [position for position, record in enumerate(records) if record.message_id]
        duplicates: tuple[int, ...] = ()
        keys: list[bytes] = []
        if places:
            _, keys, duplicates = self.admit(source_id, [records[position] for position in places])
            duplicates = tuple(places[position] for position in duplicates)
        left_out = set(duplicates)
        return [line for position, (_, line) in enumerate(records) if position not in left_out], keys, duplicates

    def keys_of(self, source_id: str, message_ids: Sequence[str]) -> list[bytes]:
        """Return the keyed hash of source and id for each id; may be called from any thread."""
        begin = (self._hashes.get(source_id) or self._hash(source_id)).copy
        keys = []
        for message_id in message_ids:
            hashed = begin()
            hashed.update(message_id.encode())
            keys.append(hashed.digest())
        return keys

    def _sift(self, keys: Sequence[bytes]) -> list[int]:
        """Put keys into the filter; return the positions of those that it may have held before."""
        *older, newest = self._sieve.filters
        cells, last = newest.cells, newest.last
        maybe: list[int] = []
        for position, word in enumerate(words_of(keys)):
            mask = MASKS[word >> MASK_SHIFT]
            cell = cells[word & last]
            if cell & mask == mask:
                maybe.append(position)
                continue
            cells[word & last] = cell | mask
            if older and any(part.cells[word & part.last] & mask == mask for part in older):
                maybe.append(position)
        self._sieve.grow(len(keys))
        return list(range(len(keys))) if self._uncertain else maybe

    def _held(self, keys: Sequence[bytes]) -> set[bytes]:
        """Return the keys that the index holds."""
        asked = [key for key in keys if key not in self._recent]
        try:
            return {key for key, seq in self._index.find(asked) if seq >= self._start} if asked else set()
        except DatabaseError as error:
            self._damaged(error)
            raise LogUnavailableError("The index of ids is damaged; it is built again at the next start.") from error

    def withdraw(self, keys: Sequence[bytes]) -> None:
        """Forget keys whose records were not stored."""
        self._recent.difference_update(keys)

    def stored(self, upto: int, keys: Iterable[Sequence[bytes]]) -> None:
        """Take note of a group that is on disk: its keys, and the sequence behind it."""
        for some in keys:
            self._batch += some
        if len(self._batch) >= RUN_KEYS:
            self._hand_over(upto)

    def _hand_over(self, upto: int) -> None:
        """Give the batch to the thread; its keys leave memory once they are in the index."""
        batch, loop = self._batch, asyncio.get_running_loop()
        self._batch = []

        def write() -> None:
            self._store(batch, upto)
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._release, batch)

        self._work.put(write)
        self._unsaved_keys += len(batch)
        if self._unsaved_keys >= _SAVE_KEYS:
            self._unsaved_keys = 0
            self._work.put(self._save_sieve)

    def _release(self, keys: list[bytes]) -> None:
        self._recent.difference_update(keys[-_FORGET_KEYS:])
        del keys[-_FORGET_KEYS:]
        if keys:
            asyncio.get_running_loop().call_soon(self._release, keys)

    def catch_up(self, frames: Iterable[Identified], end: int) -> None:
        """Take in what the log holds from `upto` to `end`, then begin to work: before the first append."""
        for first_seq, source_id, message_ids, erased in frames:
            if len(self._batch) >= RUN_KEYS:
                self._store(self._batch, first_seq)
                self._batch = []
            keys = self.keys_of(source_id, [message_id for message_id in message_ids if message_id])
            keys += [key for key in erased if key]
            self._sieve.add(words_of(keys))
            if first_seq >= self._index.upto:
                self._batch += keys
        self._recent.update(self._batch)
        self._indexed = min(self._indexed, end)
        self._thread.start()
        if self._uncertain:
            self._work.put(self._build_sieve)

    def forget(self, start: int) -> None:
        """Let go of ids before sequence `start`: retention removed their records."""
        self._start = start
        self._work.put(partial(self._index.forget, start))

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                self._do(work)
            except Exception as error:  # noqa: BLE001 - a damaged index or a mistake of ours: a restart builds it again
                self._damaged(error)
                return

    def _do(self, work: Callable[[], None]) -> None:
        """Do one piece of work; while the disk is full, wait with it: the keys are in memory, and in the log."""
        while True:
            try:
                return work()
            except OSError:  # the filter was not saved; a start reads more of the log then
                return None
            except DatabaseError as error:
                if not any(reason in str(error) for reason in ("full", "locked")):
                    raise
                if self._closing.wait(_RETRY_S):
                    return None

    def _store(self, batch: Sequence[bytes], upto: int) -> None:
        self._index.add(batch, upto)
        while self._index.merge(self._start):
            pass
        self._indexed = upto

    def _damaged(self, error: Exception) -> None:
        discard(self._directory / INDEX_FILE)
        self._on_damage(error)

    @property
    def _owner(self) -> bytes:
        return blake2b(self._index.secret, digest_size=16, person=b"filter").digest()

    def _load_sieve(self) -> tuple[Sieve, int] | None:
        path = self._directory / SIEVE_FILE
        return sieve.decode(path.read_bytes(), self._owner) if path.exists() else None

    def _save_sieve(self) -> None:
        if self._uncertain:
            return
        path = self._directory / SIEVE_FILE
        aside = path.with_suffix(".new")
        aside.write_bytes(self._sieve.encode(self._owner, self._indexed))
        aside.replace(path)

    def _build_sieve(self) -> None:
        """Make the filter from the index; until it stands, every id is looked up."""
        built = Sieve(2 * self._index.keys)
        for some in self._index.all_keys():
            built.add(words_of([key for (key,) in some]))
            time.sleep(0)  # lets the event loop have the interpreter
        self._sieve.filters[:0] = built.filters
        self._uncertain = False

    def _hash(self, source_id: str) -> Hash:
        source = source_id.encode()
        secret = self._index.secret + len(source).to_bytes(2, "little") + source
        self._hashes[source_id] = blake2b(secret, digest_size=KEY_BYTES)
        return self._hashes[source_id]

    def close(self, end: int) -> None:
        """Write what is left, and the filter, and close the index."""
        self._work.put(partial(self._store, self._batch, end))
        self._work.put(self._save_sieve)
        self._work.put(None)
        self._closing.set()
        self._thread.join()
        self._index.close()


def words_of(keys: Sequence[bytes]) -> tuple[int, ...]:
    """Return the first eight bytes of each key as a number: what the filter goes by."""
    return unpack(f"<{2 * len(keys)}Q", b"".join(keys))[::2]
