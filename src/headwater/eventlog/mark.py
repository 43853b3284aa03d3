"""How far a topic is durable, kept outside its segments, so that a segment cut short is noticed.

A file of 1 KiB, mapped into memory: two slots in sectors of their own, written in turn, so that a torn write costs
the newer one at most. It is stored after each fdatasync of a segment and synced itself only now and then: it survives
the process (kill -9) always and a power cut perhaps in an older state, but it is never ahead of the segments.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple

from google_crc32c import value as crc32c

from headwater.eventlog.places import sync_directory

MARK_FILE: Final = "mark"
_SLOT: Final = Struct("<4sIQQQQI")
_CHECK: Final = Struct("<I")
_MAGIC: Final = b"HWm1"
_SECTOR: Final = 512
MARK_BYTES: Final = 2 * _SECTOR


class Mark(NamedTuple):
    """Where a topic begins and ends.

    Attributes:
        start: the oldest sequence that retention has left.
        end: the sequence that comes next.
        segment: first sequence of the segment that holds the end; it names the file.
        offset: bytes of that file that are durable.
        link: link of the newest block.
    """

    start: int
    end: int
    segment: int
    offset: int
    link: int


def decode(found: bytes) -> tuple[int, Mark] | None:
    """Return the turn and the mark of the newer intact slot, None when neither is intact."""
    slots = [slot for at in (0, _SECTOR) if (slot := _decode_slot(found[at : at + _SLOT.size + _CHECK.size]))]
    return max(slots, default=None)


def flaws(found: bytes) -> list[int]:
    """Return where the bytes of a mark file are not as they were stored."""
    used = _SLOT.size + _CHECK.size
    padded = found.ljust(MARK_BYTES, b"\xff")
    wrong = [at for at in (0, _SECTOR) if any(slot := padded[at : at + used]) and _decode_slot(slot) is None]
    return wrong + [at + used for at in (0, _SECTOR) if any(padded[at + used : at + _SECTOR])]


def _decode_slot(found: bytes) -> tuple[int, Mark] | None:
    if len(found) < _SLOT.size + _CHECK.size or crc32c(found[: _SLOT.size]) != _CHECK.unpack_from(found, _SLOT.size)[0]:
        return None
    magic, turn, *members = _SLOT.unpack_from(found)
    return (turn, Mark(*members)) if magic == _MAGIC else None


class MarkFile:
    """The mapped file; one process stores, any number load."""

    def __init__(self, directory: Path, *, writable: bool) -> None:
        """Map the mark of a topic's directory; `writable` makes it when it is not there.

        Raises:
            FileNotFoundError: not writable and not there (yet).
        """
        path = directory / MARK_FILE
        flags = os.O_RDWR | os.O_CREAT if writable else os.O_RDONLY
        descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(descriptor).st_size < MARK_BYTES:
                if not writable:
                    raise FileNotFoundError(path)
                os.pwrite(descriptor, bytes(MARK_BYTES), 0)  # no hole: a full disk must not hit the mapping
                os.fsync(descriptor)
                sync_directory(directory)
            self._map = mmap.mmap(descriptor, MARK_BYTES, prot=mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0))
        finally:
            os.close(descriptor)
        newest = decode(bytes(self._map))
        self._turn = newest[0] if newest else 0

    def load(self) -> Mark | None:
        """Return the newest mark, None when there is none that is intact."""
        newest = decode(self._map[:])
        return newest[1] if newest else None

    def is_blank(self) -> bool:
        """Return whether nothing was ever stored."""
        return not any(self._map[:])

    def store(self, mark: Mark) -> None:
        """Replace the older slot; other processes see it at once, the disk a little later."""
        self._turn += 1
        slot = _SLOT.pack(_MAGIC, self._turn, *mark)
        at = (self._turn % 2) * _SECTOR
        self._map[at : at + _SECTOR] = (slot + _CHECK.pack(crc32c(slot))).ljust(_SECTOR, b"\0")

    def sync(self) -> None:
        """Return once the mark itself is on disk."""
        self._map.flush()

    def close(self) -> None:
        """Unmap the file."""
        self._map.close()
