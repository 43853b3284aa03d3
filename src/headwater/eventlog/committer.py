"""Group commit: what arrives while the disk is busy shares the next block and its one fdatasync.

`submit` runs on the event loop, a thread of its own writes. Everything that a failed commit may have been relied on by
fails with it: a duplicate is never acknowledged on the strength of an original that was not stored.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from headwater.errors import LogOverloadedError, LogUnavailableError
from headwater.eventlog.blocks import Entry
from headwater.eventlog.contract import Appended
from headwater.limits import APPEND_GROUP_BYTES_MAX, APPEND_QUEUE_BYTES_MAX

_CLOSED: Final = "The event log is closed; send again when the server is up."
_FAILED: Final = "The disk failed under the event log; the server restarts and reads it again."


class Files(Protocol):
    """What the thread writes to."""

    def commit(self, entries: Sequence[Entry]) -> int:
        """Store the entries durably and return their first sequence."""
        ...


class Waiting(NamedTuple):
    """One append on its way to the disk."""

    entry: Entry
    duplicates: tuple[int, ...]
    keys: Sequence[bytes]
    done: asyncio.Future[Appended]


class Committer:
    """The queue in front of one topic's files, and the thread behind it."""

    def __init__(
        self,
        files: Files,
        *,
        name: str,
        on_stored: Callable[[int, Sequence[Waiting]], None],
        on_refused: Callable[[Sequence[Waiting]], None],
        on_failure: Callable[[Exception], None],
    ) -> None:
        """Take the files and whom to tell.

        Args:
            files: written by the thread only.
            name: the thread's, for those who look at the process.
            on_stored: called on the event loop with the sequence behind a group, before anybody is answered.
            on_refused: called on the event loop with what was not stored.
            on_failure: called on the thread when the disk failed; may end the process.
        """
        self._files, self._name = files, name
        self._on_stored, self._on_refused, self._on_failure = on_stored, on_refused, on_failure
        self._changed = threading.Condition()
        self._queue: deque[Waiting] = deque()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = self._held = self._closing = False
        self._refusal: str | None = None
        self._bytes = 0

    def admit(self) -> None:
        """Return if an append may be submitted now.

        Raises:
            LogUnavailableError: the log is closed or failed.
            LogOverloadedError: the queue is full.
        """
        if self._refusal is not None:
            raise LogUnavailableError(self._refusal)
        if self._bytes >= APPEND_QUEUE_BYTES_MAX:
            raise LogOverloadedError("Too many events wait for the disk; send again in a second.")

    @property
    def waiting_bytes(self) -> int:
        """What is not on disk yet."""
        return self._bytes

    def submit(self, entry: Entry, duplicates: tuple[int, ...], keys: Sequence[bytes]) -> asyncio.Future[Appended]:
        """Return a future that is done once the entry, and all that was submitted before it, is on disk."""
        loop = asyncio.get_running_loop()
        waiting = Waiting(entry, duplicates, keys, loop.create_future())
        self._bytes += len(entry.lines)
        self._queue.append(waiting)  # a deque's append is atomic: the thread may be taking from it
        if not self._woken:  # once a turn of the loop: what the turn submits shares a block
            self._woken, self._loop = True, loop
            loop.call_soon(self._wake)
        return waiting.done

    def _wake(self) -> None:
        self._woken = False
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        with self._changed:
            self._changed.notify()

    def _run(self) -> None:
        while group := self._next_group():
            stored = [waiting.entry for waiting in group if waiting.entry.records]
            try:
                first_seq = self._files.commit(stored) if stored else 0
            except LogUnavailableError as error:
                self._held = True  # until the event loop has taken back what was queued meanwhile
                self._tell(self._refuse, group, str(error))
            except Exception as error:  # noqa: BLE001 - a disk that failed or a mistake of ours: what is stored is unknown
                self._refusal, self._held = _FAILED, True
                self._tell(self._refuse, group, _FAILED)
                self._on_failure(error)
                return
            else:
                self._tell(self._publish, group, first_seq)

    def _next_group(self) -> list[Waiting]:
        """Wait for work and return it; nothing once the log is closed and the queue is empty."""
        with self._changed:
            while self._held or not self._queue:
                if self._closing and not self._queue:
                    return []
                self._changed.wait()
            group, size = [self._queue.popleft()], 0
            size = len(group[0].entry.lines)
            while self._queue and size + len(self._queue[0].entry.lines) <= APPEND_GROUP_BYTES_MAX:
                group.append(self._queue.popleft())
                size += len(group[-1].entry.lines)
            return group

    def _tell(self, receiver: Callable[..., None], group: list[Waiting], result: object) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(receiver, group, result)

    def _publish(self, group: list[Waiting], first_seq: int) -> None:
        if records := sum(waiting.entry.records for waiting in group):
            self._on_stored(first_seq + records, group)
        for entry, duplicates, _, done in group:
            self._bytes -= len(entry.lines)
            if not done.done():
                done.set_result(Appended(first_seq, entry.records, duplicates))
            first_seq += entry.records

    def _refuse(self, group: list[Waiting], reason: str) -> None:
        with self._changed:
            group += self._queue  # they may count on ids of the group that failed
            self._queue.clear()
            self._held = self._refusal is not None
            self._changed.notify()
        self._on_refused(group)
        for waiting in group:
            self._bytes -= len(waiting.entry.lines)
            if not waiting.done.done():
                waiting.done.set_exception(LogUnavailableError(reason))

    async def close(self) -> None:
        """Return once everything that was submitted is on disk (or refused) and the thread has ended."""
        if self._refusal is None:
            self._refusal = _CLOSED
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
            await asyncio.sleep(0)  # what the thread told the loop last is heard before the files are closed


def end_process(error: Exception) -> None:
    """Say why on stderr and end the process at once: after a failed fsync only the disk knows what it holds."""
    reason = os.strerror(error.errno or 0) if isinstance(error, OSError) else repr(error)
    os.write(2, f"headwater: the event log cannot go on ({reason}); stopping, a restart reads it again.\n".encode())
    os._exit(EXIT_DISK_FAILED)


EXIT_DISK_FAILED: Final = 74  # EX_IOERR of sysexits.h; the service unit starts the process again
