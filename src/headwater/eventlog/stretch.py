"""Finding the blocks behind a cursor and handing out their frames; what is damaged is named, never skipped silently.

A sealed segment may be written anew while readers know places in it (`erasing`): a file is told by its inode and its
time, and what is known of the former one is forgotten. Within one read nothing changes under a reader: it goes on in
the file that it has open.
"""

from __future__ import annotations

import os
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from headwater.errors import CorruptLogError
from headwater.eventlog.blocks import HEADER_BYTES, Block, Flaw, block_at, decode_header, frames, next_block
from headwater.eventlog.cutting import from_sequence
from headwater.eventlog.mark import Mark
from headwater.eventlog.places import segment_path, segments
from headwater.spec.event import Batch, Damage, Frame

_CHUNK_BYTES: Final = 256 * 1024
_PLACES_MAX: Final = 256


class _Place(NamedTuple):
    """Where a block begins."""

    segment: int
    offset: int


class _File(NamedTuple):
    """Which file it is: another one of the same name differs."""

    inode: int
    changed_ns: int


class TopicReader:
    """Reads one topic from any number of cursors; may be called from any thread."""

    def __init__(self, directory: Path, mark: Callable[[], Mark]) -> None:
        """Take the topic's directory and how to learn where it begins and ends now."""
        self._directory, self._mark = directory, mark
        self._lock = threading.Lock()
        self._firsts: list[int] = []
        self._places: OrderedDict[int, _Place] = OrderedDict()  # cursors met before -> their block
        self._open: tuple[int, int] | None = None  # segment, descriptor
        self._files: dict[int, _File] = {}  # segments in which places are known
        self._chunk = (-1, 0, b"")  # segment, offset, bytes
        self._block: Block | None = None  # the last one: a cursor often stands in its middle

    def read(self, cursor: int, *, records_max: int, bytes_max: int) -> Batch:
        """Return what follows `cursor`; see the contract of `Reader.read`."""
        with self._lock:
            return self._read(cursor, records_max, bytes_max)

    def _read(self, cursor: int, records_max: int, bytes_max: int) -> Batch:
        mark = self._mark()
        self._check_open(mark)
        at, taken, damage = max(cursor, mark.start), _Taken(records_max, bytes_max), list[Damage]()
        while at < mark.end:
            found = self._find(at, mark)
            if isinstance(found, Damage):
                if taken.frames:
                    break
                before, mark = mark, self._mark()
                if at < mark.start:  # retention took it while it was looked for
                    at = mark.start
                    continue
                if before.segment != mark.segment:  # it was sealed, and perhaps written anew, while it was looked for
                    self._check_open(mark)
                    continue
                damage.append(found)
                at = found.last + 1
                continue
            reached = taken.take(found, at)
            if reached == at:
                break
            at = reached
        return Batch(cursor, at, tuple(taken.frames), tuple(damage))

    def close(self) -> None:
        """Close the file that is open, if any."""
        with self._lock:
            self._let_go()

    def sealed_before(self, commit_us: int) -> int:
        """Return the sequence before which every sealed segment's newest commit is older than `commit_us`."""
        with self._lock:
            mark = self._mark()
            firsts = segments(self._directory)
            for segment in firsts[:-1]:
                if self._newest_commit(segment, mark) >= commit_us:
                    return segment
            return firsts[-1] if firsts else 0

    def _newest_commit(self, segment: int, mark: Mark) -> int:
        """Return the newest commit time of a segment; read from the headers alone."""
        place, newest = _Place(segment, 0), 0
        while place.offset < self._limit(segment, mark):
            header = decode_header(*self._bytes(place, HEADER_BYTES, mark))
            if isinstance(header, Flaw):
                following = self._after(place, mark)
                if following is None:
                    break
                place = following[1]
            else:
                newest = max(newest, header.commit_us)
                place = _Place(segment, place.offset + HEADER_BYTES + header.payload_bytes)
        return newest

    def _find(self, at: int, mark: Mark) -> Block | Damage:
        """Return the block that holds sequence `at`, or the stretch from `at` on that is damaged."""
        try:
            return self._look(at, mark)
        except FileNotFoundError:  # retention or an accident removed it since the list was made
            self._firsts = segments(self._directory)
            self._places.clear()
            return self._look(at, mark)

    def _look(self, at: int, mark: Mark) -> Block | Damage:
        if self._block is not None and self._block.header.first_seq <= at < self._block.header.next_seq:
            return self._block
        segment = self._segment_of(at, mark)
        if segment is None:
            first = min((first for first in self._firsts if first > at), default=mark.end)
            path = segment_path(self._directory, at)
            return Damage(at, min(first, mark.end) - 1, str(path), 0, "the segment file is missing")
        self._descriptor(segment)  # what is known of it has to be of the file that is there now
        place = self._places.get(at)
        if place is None or place.segment != segment:
            place = self._walk_to(at, segment, mark)
        found = self._block_at(place, mark)
        if isinstance(found, Block) and found.header.first_seq <= at < found.header.next_seq:
            self._block = found
            self._remember(found.header.next_seq, _Place(place.segment, found.end))
            return found
        return self._damage(at, place, found, mark)

    def _segment_of(self, at: int, mark: Mark) -> int | None:
        """Return the segment that should hold `at`; the list is renewed when it may be out of date."""
        place = bisect_right(self._firsts, at) - 1
        if place < 0 or self._firsts[-1] < mark.segment or self._firsts[0] < mark.start:
            self._firsts = segments(self._directory)
            place = bisect_right(self._firsts, at) - 1
        return self._firsts[place] if place >= 0 else None

    def _walk_to(self, at: int, segment: int, mark: Mark) -> _Place:
        """Return where the block that holds `at` begins, or where the way to it is broken."""
        known = [(seq, place) for seq, place in self._places.items() if place.segment == segment and seq <= at]
        place = max(known, default=(segment, _Place(segment, 0)))[1]
        while place.segment == segment:
            header = decode_header(*self._bytes(place, HEADER_BYTES, mark))
            if isinstance(header, Flaw):
                following = self._after(place, mark)
                if following is None or following[0] > at:
                    return place
                place = following[1]
            elif header.first_seq > at or header.next_seq > at:
                return place
            else:
                place = _Place(segment, place.offset + HEADER_BYTES + header.payload_bytes)
        return place

    def _block_at(self, place: _Place, mark: Mark) -> Block | Flaw:
        found = block_at(*self._bytes(place, HEADER_BYTES, mark))
        if isinstance(found, Flaw) and found.wanted:
            found = block_at(*self._bytes(place, found.wanted, mark))
        return found._replace(offset=place.offset)

    def _damage(self, at: int, place: _Place, found: Block | Flaw, mark: Mark) -> Damage:
        """Return the stretch that cannot be read, and remember where it ends."""
        reason = found.reason if isinstance(found, Flaw) else "blocks are missing"
        if place.offset >= self._limit(place.segment, mark):
            reason = "the records behind the end of this segment are missing"
        if isinstance(found, Block) and found.header.first_seq > at:
            following: tuple[int, _Place] | None = (found.header.first_seq, place)
        else:
            following = self._after(place, mark, at)
        if following is None:
            last = min((first for first in self._firsts if first > at), default=mark.end)
        else:
            last = following[0]
            self._remember(*following)
        file = str(segment_path(self._directory, place.segment))
        return Damage(at, min(last, mark.end) - 1, file, place.offset, reason)

    def _after(self, place: _Place, mark: Mark, at: int = 0) -> tuple[int, _Place] | None:
        """Return sequence and place of the next intact block of a segment that begins at `at` or later."""
        behind = _Place(place.segment, place.offset + 1)
        rest, offset = self._bytes(behind, self._limit(place.segment, mark) - behind.offset, mark)
        base = behind.offset - offset
        while (block := next_block(rest, offset)) is not None:
            if block.header.first_seq >= at:
                return block.header.first_seq, _Place(place.segment, base + block.offset)
            offset = block.end
        return None

    def _remember(self, seq: int, place: _Place) -> None:
        self._places[seq] = place
        self._places.move_to_end(seq)
        if len(self._places) > _PLACES_MAX:
            self._places.popitem(last=False)

    def _check_open(self, mark: Mark) -> None:
        """Let go of the open file when another one has taken its place; the one that is written to stays the same."""
        if self._open is None or self._open[0] == mark.segment:
            return
        segment, descriptor = self._open
        try:
            there = segment_path(self._directory, segment).stat()
        except FileNotFoundError:
            return
        if _file_of(there) != _file_of(os.fstat(descriptor)):
            self._let_go()

    def _let_go(self) -> None:
        if self._open is not None:
            os.close(self._open[1])
        self._open, self._chunk, self._block = None, (-1, 0, b""), None

    def _limit(self, segment: int, mark: Mark) -> int:
        """Return how many bytes of a segment may be read."""
        return mark.offset if segment == mark.segment else os.fstat(self._descriptor(segment)).st_size

    def _bytes(self, place: _Place, wanted: int, mark: Mark) -> tuple[bytes, int]:
        """Return bytes and where in them the place is: `wanted` bytes follow it, fewer at the durable end."""
        segment, start, chunk = self._chunk
        offset = place.offset - start
        if segment == place.segment and 0 <= offset <= len(chunk) - wanted:
            return chunk, offset
        size = min(max(wanted, _CHUNK_BYTES), self._limit(place.segment, mark) - place.offset)
        descriptor = self._descriptor(place.segment)
        try:
            chunk = os.pread(descriptor, max(size, 0), place.offset)
        except OSError as error:
            path = segment_path(self._directory, place.segment)
            reason = os.strerror(error.errno or 0)
            raise CorruptLogError(f"{path} cannot be read at {place.offset}: {reason}. Check the disk.") from error
        self._chunk = (place.segment, place.offset, chunk)
        return chunk, 0

    def _descriptor(self, segment: int) -> int:
        if self._open is not None and self._open[0] == segment:
            return self._open[1]
        self._let_go()
        descriptor = os.open(segment_path(self._directory, segment), os.O_RDONLY | os.O_CLOEXEC)
        self._open = (segment, descriptor)
        self._recognize(segment, _file_of(os.fstat(descriptor)))
        return descriptor

    def _recognize(self, segment: int, file: _File) -> None:
        """Forget the places of a segment's former file."""
        if self._files.get(segment, file) != file:
            for seq in [seq for seq, place in self._places.items() if place.segment == segment]:
                del self._places[seq]
        self._files[segment] = file
        if len(self._files) > _PLACES_MAX:
            kept = {place.segment for place in self._places.values()}
            self._files = {each: known for each, known in self._files.items() if each in kept or each == segment}


def _file_of(status: os.stat_result) -> _File:
    return _File(status.st_ino, status.st_ctime_ns)


class _Taken:
    """The frames of a batch, up to its bounds."""

    def __init__(self, records_max: int, bytes_max: int) -> None:
        self.frames: list[Frame] = []
        self._records, self._bytes = records_max, bytes_max

    def take(self, block: Block, at: int) -> int:
        """Add the frames of a block from sequence `at` on, and return where the first one that is left begins."""
        for whole in frames(block):
            end = whole.first_seq + whole.count
            if end <= at:
                continue
            frame = from_sequence(whole, at)
            if self.frames and (frame.count > self._records or len(frame.lines) > self._bytes):
                return at
            self.frames.append(frame)
            self._records -= frame.count
            self._bytes -= len(frame.lines)
            at = end
        return at
