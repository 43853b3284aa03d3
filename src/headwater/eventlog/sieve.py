"""Tells ids that were surely never seen from those that may have been, in a few bytes of memory an id.

A chain of Bloom filters made of 64-bit cells: an id has one cell and four bits in it, so a look-up touches one place.
The chain grows by a filter twice as large where one is full; nothing is ever taken out.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from struct import Struct, error
from typing import Final

from google_crc32c import value as crc32c

CAPACITY_MIN: Final = 1 << 19
_IDS_PER_CELL: Final = 4  # 16 bits an id: about one false "maybe" in 250
_POSITIONS: Final = 1 << 12
_HEAD: Final = Struct("<4s16sQI")
_UPTO: Final = Struct("<Q")
_PART: Final = Struct("<QQ")
_MAGIC: Final = b"HWs1"


def _masks() -> tuple[int, ...]:
    """Return four of 64 bits for each of 4,096 numbers."""
    return tuple(
        sum(1 << ((number + turn * ((number >> 6) * 2 + 1)) % 64) for turn in range(4)) for number in range(_POSITIONS)
    )


MASKS: Final = _masks()
"""The bits of an id in its cell, by the upper twelve bits of its word."""
MASK_SHIFT: Final = 52


class Filter:
    """One filter of the chain; `cells` and `last` are read in the hot loop of the append."""

    __slots__ = ("capacity", "cells", "count", "last")

    def __init__(self, capacity: int) -> None:
        """Make room for at least `capacity` ids."""
        size = 1 << max(capacity // _IDS_PER_CELL - 1, 1).bit_length()
        self.cells = array("Q", bytes(8 * size))
        self.last, self.capacity, self.count = size - 1, size * _IDS_PER_CELL, 0


class Sieve:
    """The chain; ids are 64-bit words of their keys."""

    def __init__(self, capacity: int = CAPACITY_MIN) -> None:
        """Begin with one filter."""
        self.filters = [Filter(max(capacity, CAPACITY_MIN))]

    @property
    def newest(self) -> Filter:
        """Where new ids go."""
        return self.filters[-1]

    def grow(self, added: int) -> None:
        """Count ids that went into the newest filter, and begin the next one when it is full."""
        newest = self.newest
        newest.count += added
        if newest.count >= newest.capacity:
            self.filters.append(Filter(2 * newest.capacity))

    def add(self, words: Iterable[int]) -> None:
        """Take words in, from now on they may have been seen."""
        newest, added = self.newest, 0
        cells, last = newest.cells, newest.last
        for added, word in enumerate(words, 1):  # noqa: B007 - used behind the loop
            cells[word & last] |= MASKS[word >> MASK_SHIFT]
        self.grow(added)

    def encode(self, owner: bytes, upto: int) -> bytes:
        """Return the chain as bytes: `owner` names whose ids they are, `upto` the sequence before which all are in."""
        parts = [_PART.pack(part.capacity, part.count) + part.cells.tobytes() for part in self.filters]
        body = b"".join(parts)
        return _HEAD.pack(_MAGIC, owner, upto, crc32c(_UPTO.pack(upto) + body)) + body


def decode(found: bytes, owner: bytes) -> tuple[Sieve, int] | None:
    """Return a chain and its `upto`, None when the bytes are not what `encode` made for this owner."""
    try:
        magic, name, upto, check = _HEAD.unpack_from(found)
    except error:
        return None
    body = found[_HEAD.size :]
    if magic != _MAGIC or name != owner or crc32c(_UPTO.pack(upto) + body) != check:
        return None
    sieve, offset = Sieve(), 0
    sieve.filters.clear()
    while offset < len(body):
        capacity, count = _PART.unpack_from(body, offset)
        part = Filter(capacity)
        offset += _PART.size
        size = 8 * len(part.cells)
        part.cells, part.count = array("Q", body[offset : offset + size]), count
        sieve.filters.append(part)
        offset += size
    return sieve, upto
