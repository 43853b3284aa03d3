"""Taking records out of sealed segments: a segment is written anew beside the old one, which it then replaces.

An erased record's line becomes a tombstone. Everything that names its place stays: sequences, frames, the links of the
chain, which are made of a block's first checksum. So a kill at any moment leaves the old segment or the new one, both
whole, and a reader that has the old file open finds its place in the new one.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

from headwater.errors import CorruptLogError, LogUnavailableError
from headwater.eventlog.blocks import (
    HEADER_BYTES,
    Block,
    Entry,
    Flaw,
    Header,
    block_at,
    decode_header,
    encode_again,
    frames,
    microseconds,
    next_block,
)
from headwater.eventlog.contract import Erased
from headwater.eventlog.places import ASIDE_SUFFIX, NO_SPACE, sync_directory
from headwater.spec.event import Frame
from headwater.spec.tombstone import MARK, is_tombstone, tombstone

_COPIED_BYTES: Final = 1024 * 1024  # ours: between two pauses, as it takes below 1 ms
_LOOKED_AT_BYTES: Final = 256 * 1024  # ours: what is read to walk from header to header
_HEADERS_MAX: Final = 200  # ours: looked at between two pauses, likewise
_LINES_MAX: Final = 200  # ours: erased between two pauses, likewise
_NO_SPACE: Final = (
    "There is too little space to write a segment of the log anew, so nothing of it was erased. Free some space; it is "
    "tried again."
)

KeysOf = Callable[[str, Sequence[bytes]], Sequence[bytes]]
"""Returns what the index of ids knows lines of a source under, empty for one without an id."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How a segment is written anew.

    Attributes:
        keys_of: what stays of a line.
        free_bytes_min: space that has to be left while the old file and the new one are there.
        pause: called within every millisecond of work; it may raise to give up, and the old segment stays.
    """

    keys_of: KeysOf
    free_bytes_min: int
    pause: Callable[[], None]


class Span(NamedTuple):
    """The sequences `first .. behind - 1`."""

    first: int
    behind: int


def spans_of(sequences: Iterable[int | range]) -> list[Span]:
    """Return sequences as stretches, ascending and apart from each other."""
    found = sorted(
        Span(each.start, each.stop) if isinstance(each, range) else Span(each, each + 1) for each in sequences
    )
    joined: list[Span] = []
    for span in found:
        if span.first >= span.behind:
            continue
        if joined and span.first <= joined[-1].behind:
            joined[-1] = Span(joined[-1].first, max(joined[-1].behind, span.behind))
        else:
            joined.append(span)
    return joined


def within(spans: Sequence[Span], first: int, behind: int) -> list[Span]:
    """Return what ascending spans have of the sequences `first .. behind - 1`."""
    found: list[Span] = []
    place = max(bisect_left(spans, (first, first)) - 1, 0)
    while place < len(spans) and spans[place].first < behind:
        span = spans[place]
        if span.behind > first:
            found.append(Span(max(span.first, first), min(span.behind, behind)))
        place += 1
    return found


def count(spans: Iterable[Span]) -> int:
    """Return how many sequences they are."""
    return sum(span.behind - span.first for span in spans)


def erase(path: Path, spans: Sequence[Span], terms: Terms) -> Erased:
    """Erase the records at `spans`, ascending, from one sealed segment, and return what was done; nothing twice.

    Raises:
        LogUnavailableError: too little space; the segment is as it was.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        rewriting = _Rewriting(descriptor, terms)
        done = rewriting.look(spans)
        if not done.records:
            return done
        _need_space(path.parent, rewriting.size + terms.free_bytes_min)
        size = _replace(path, lambda new: rewriting.write(new, spans))
    finally:
        os.close(descriptor)
    return replace(done, segments=1, size=size)


def _replace(path: Path, write: Callable[[int], int]) -> int:
    """Put another file in the place of one, once it is whole and on disk; return what `write` returns."""
    aside = path.with_suffix(ASIDE_SUFFIX)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        size = write(descriptor)
        os.fsync(descriptor)
    except BaseException as error:
        aside.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in NO_SPACE:
            raise LogUnavailableError(_NO_SPACE) from error
        raise
    finally:
        os.close(descriptor)
    aside.replace(path)
    sync_directory(path.parent)
    return size


def _need_space(directory: Path, wanted: int) -> None:
    status = os.statvfs(directory)
    if status.f_bavail * status.f_frsize < wanted:
        raise LogUnavailableError(_NO_SPACE)


class _Rewriting:
    """One segment, walked twice: to learn which blocks change, and to write them between copies of the others."""

    def __init__(self, descriptor: int, terms: Terms) -> None:
        self._descriptor, self._keys_of, self._pause = descriptor, terms.keys_of, terms.pause
        self.size = os.fstat(descriptor).st_size
        self._changing: list[tuple[int, int]] = []  # offset and end of each block that changes
        self._chunk, self._chunk_at = b"", 0

    def look(self, spans: Sequence[Span]) -> Erased:
        """Return what is to be done."""
        records = already = 0
        for offset, header in self._headers():
            wanted = within(spans, header.first_seq, header.next_seq)
            if not wanted:
                continue
            self._pause()
            block = self._block(offset, header)
            if isinstance(block, Flaw):
                continue
            erased = sum(_erased_before(frame, of_frame) for frame, of_frame in _affected(block, wanted))
            already += erased
            if count(wanted) > erased:
                records += count(wanted) - erased
                self._changing.append((offset, block.end))
        return Erased(records, already, unreadable=count(spans) - records - already)

    def write(self, new: int, spans: Sequence[Span]) -> int:
        """Write the segment as it is to be into another file; return its size."""
        upto = size = 0
        for offset, end in self._changing:
            size += self._copy(new, upto, offset)
            block = block_at(os.pread(self._descriptor, end - offset, offset))
            if isinstance(block, Flaw):
                raise CorruptLogError(f"A block that was intact is not any more: {block.reason}. Check the disk.")
            size += _write(new, self._without(block, within(spans, block.header.first_seq, block.header.next_seq)))
            upto = end
        return size + self._copy(new, upto, self.size)

    def _without(self, block: Block, wanted: Sequence[Span]) -> bytes:
        """Return a block with tombstones in place of some records."""
        entries = []
        for frame in frames(block):
            of_frame = within(wanted, frame.first_seq, frame.first_seq + frame.count)
            lines = self._erased(frame, of_frame) if of_frame else frame.lines
            source, received_us = frame.source_id.encode(), microseconds(frame.received_at)
            entries.append(Entry(source, received_us, frame.count, frame.duplicates, lines))
        return encode_again(block.header, entries)

    def _erased(self, frame: Frame, wanted: Sequence[Span]) -> bytes:
        lines = frame.lines.split(b"\n")
        places = [seq - frame.first_seq for span in wanted for seq in range(*span)]
        places = [place for place in places if not is_tombstone(lines[place])]
        for first in range(0, len(places), _LINES_MAX):
            some = places[first : first + _LINES_MAX]
            keys = self._keys_of(frame.source_id, [lines[place] for place in some])
            for place, key in zip(some, keys, strict=True):
                lines[place] = tombstone(key)
            self._pause()
        return b"\n".join(lines)

    def _headers(self) -> Iterator[tuple[int, Header]]:
        """Yield the offset and the header of each block; what is damaged between them is passed over."""
        offset = looked_at = 0
        while offset < self.size:
            found = self._header_at(offset)
            if isinstance(found, Flaw):
                rest = os.pread(self._descriptor, self.size - offset, offset)  # seldom: damage
                following = next_block(rest, 1)
                if following is None:
                    return
                offset += following.offset
                continue
            yield offset, found
            offset += HEADER_BYTES + found.payload_bytes
            looked_at += 1
            if looked_at % _HEADERS_MAX == 0:
                self._pause()

    def _header_at(self, offset: int) -> Header | Flaw:
        if not 0 <= offset - self._chunk_at <= len(self._chunk) - HEADER_BYTES:
            self._chunk, self._chunk_at = os.pread(self._descriptor, _LOOKED_AT_BYTES, offset), offset
        return decode_header(self._chunk, offset - self._chunk_at)

    def _block(self, offset: int, header: Header) -> Block | Flaw:
        found = block_at(os.pread(self._descriptor, HEADER_BYTES + header.payload_bytes, offset))
        return found._replace(offset=offset)

    def _copy(self, new: int, first: int, end: int) -> int:
        offset = first
        while offset < end:
            piece = os.pread(self._descriptor, min(_COPIED_BYTES, end - offset), offset)
            if not piece:
                raise CorruptLogError("A segment ends before its own end. Check the disk.")
            offset += _write(new, piece)
            self._pause()
        return offset - first


def _affected(block: Block, wanted: Sequence[Span]) -> Iterator[tuple[Frame, list[Span]]]:
    """Yield the frames that hold what is wanted, and which of their records that is."""
    for frame in frames(block):
        if of_frame := within(wanted, frame.first_seq, frame.first_seq + frame.count):
            yield frame, of_frame


def _erased_before(frame: Frame, wanted: Sequence[Span]) -> int:
    """Return how many of the wanted records are tombstones already."""
    if MARK not in frame.lines:
        return 0
    lines = frame.lines.split(b"\n")
    return sum(is_tombstone(lines[seq - frame.first_seq]) for span in wanted for seq in range(*span))


def _write(descriptor: int, found: bytes) -> int:
    written = os.write(descriptor, found)
    while written < len(found):
        written += os.write(descriptor, memoryview(found)[written:])
    return written
