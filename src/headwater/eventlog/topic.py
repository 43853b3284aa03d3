"""One topic's files, seen by the one process that writes them."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from headwater.clock import Clock
from headwater.errors import LogUnavailableError
from headwater.eventlog.blocks import Entry, encode, microseconds
from headwater.eventlog.contract import Erased
from headwater.eventlog.erasing import Span, Terms, count, erase
from headwater.eventlog.mark import Mark, MarkFile
from headwater.eventlog.places import NO_SPACE, segment_path, segments, sync_directory
from headwater.eventlog.recovery import recover
from headwater.spec.event import Damage


class TopicFiles:
    """Writes blocks, cuts segments; `mark` may be read by any thread."""

    def __init__(self, directory: Path, *, segment_bytes: int, clock: Clock) -> None:
        """Recover a topic's directory, which is made when it is not there."""
        if not directory.exists():
            directory.mkdir(mode=0o700)
            sync_directory(directory.parent)
        self._directory, self._segment_bytes, self._clock = directory, segment_bytes, clock
        self._lock = threading.Lock()
        self._sealed_lock = threading.Lock()  # a segment is not removed while it is written anew
        self._marks = MarkFile(directory, writable=True)
        recovered = recover(directory, self._marks)
        self.mark: Mark = recovered.mark
        self.damage: tuple[Damage, ...] = tuple(recovered.damage)
        self._descriptor: int | None = None
        if not recovered.fresh:
            self._descriptor = os.open(segment_path(directory, self.mark.segment), os.O_WRONLY | os.O_CLOEXEC)

    def commit(self, entries: Sequence[Entry]) -> int:
        """Store the entries as one block and return their first sequence; they are on disk then.

        Raises:
            LogUnavailableError: no space; nothing was stored and the next commit may succeed.
            OSError: the disk failed; what is on it is unknown until a restart reads it again.
        """
        with self._lock:
            return self._commit(entries)

    def _commit(self, entries: Sequence[Entry]) -> int:
        mark = self.mark
        header, block = encode(entries, mark.end, microseconds(self._clock()), mark.link)
        try:
            descriptor, segment, offset = self._place(len(block))
            _write(descriptor, block, offset)
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise
            if self._descriptor is not None:
                os.ftruncate(self._descriptor, self.mark.offset)
            raise LogUnavailableError(f"The disk has no space left ({os.strerror(error.errno)}).") from error
        os.fdatasync(descriptor)
        self._advance(Mark(self.mark.start, header.next_seq, segment, offset + len(block), header.link))
        return header.first_seq

    def _place(self, size: int) -> tuple[int, int, int]:
        """Return file, segment and offset for a block of `size` bytes, in a new segment where this one is full."""
        mark = self.mark
        full = mark.offset > 0 and mark.offset + size > self._segment_bytes
        if self._descriptor is not None and not full:
            return self._descriptor, mark.segment, mark.offset
        return self._begin(), self.mark.segment, 0

    def _begin(self) -> int:
        """Begin a new segment where the topic ends, and return its file."""
        mark = self.mark
        self._marks.sync()  # the mark never points further back than the segment before the last
        path = segment_path(self._directory, mark.end)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            sync_directory(self._directory)
        except OSError:
            os.close(descriptor)
            raise
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = descriptor
        self.mark = mark._replace(segment=mark.end, offset=0)
        return descriptor

    def seal(self) -> None:
        """Begin a new segment unless the present one is empty: everything before the end is sealed then.

        Raises:
            LogUnavailableError: no space.
        """
        with self._lock:
            if self.mark.offset == 0:
                return
            try:
                self._begin()
            except OSError as error:
                if error.errno not in NO_SPACE:
                    raise
                raise LogUnavailableError(f"The disk has no space left ({os.strerror(error.errno)}).") from error
            self._advance(self.mark)

    def erase(self, segment: int, spans: Sequence[Span], terms: Terms) -> Erased:
        """Erase records from one sealed segment; see `erasing.erase`."""
        with self._sealed_lock:
            path = segment_path(self._directory, segment)
            if not path.exists():  # retention was faster
                return Erased(missing=count(spans))
            return erase(path, spans, terms)

    def _advance(self, mark: Mark) -> None:
        self._marks.store(mark)
        self.mark = mark

    def trim(self, start: int) -> list[Path]:
        """Remove the segments that hold nothing at or behind `start`, and return them; never the last one."""
        with self._sealed_lock:
            firsts = segments(self._directory)
            gone = [first for first, following in pairwise(firsts) if following <= start]
            if not gone:
                return []
            with self._lock:
                self._advance(self.mark._replace(start=max(self.mark.start, firsts[len(gone)])))
            self._marks.sync()  # before the first file goes: else a power cut makes retention look like a loss
            paths = [segment_path(self._directory, first) for first in gone]
            for path in paths:
                path.unlink()
            sync_directory(self._directory)
            return paths

    def close(self) -> None:
        """Put the mark on disk and close the files."""
        self._marks.sync()
        self._marks.close()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _write(descriptor: int, block: bytes, offset: int) -> None:
    written = os.pwrite(descriptor, block, offset)
    while written < len(block):
        written += os.pwrite(descriptor, memoryview(block)[written:], offset + written)
