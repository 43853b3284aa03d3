"""The bytes of a segment file: one block a group commit, its frames inside. Pure: no file, no clock.

A block is a header of 48 bytes and a payload. The header carries a checksum of itself, a checksum of the payload and
the link of the block before it, also across segments, so that a flipped bit, a lost, moved or repeated block is found.
`original` is the payload's checksum when it was first written: the chain is made of that, so that rewriting a payload
(a person's deletion) keeps sequence and chain.

The payload is a row of frames, each a head of 22 bytes, the source's id and the records as lines of JSON. A reader
hands `lines` on as one slice: no work is done an event.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from struct import Struct, error
from typing import Final, NamedTuple

from google_crc32c import value as crc32c

from headwater.spec.event import Frame

MAGIC: Final = b"\xffHWb"  # 0xff is in no UTF-8 text: no JSON line can look like a block
VERSION: Final = 1
FIRST_LINK: Final = 0  # what the first block of a topic is chained to

_HEADER: Final = Struct("<4sBBHIQIqIII")
_CHECK: Final = Struct("<I")
_LINK: Final = Struct("<QIqII")
_FRAME: Final = Struct("<HIIqI")
HEADER_BYTES: Final = _HEADER.size + _CHECK.size
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Header(NamedTuple):
    """What stands before a payload.

    Attributes:
        commit_us: wall clock of the commit, microseconds since 1970 UTC; a label, never an order.
        previous: link of the block before.
        original: CRC32C of the payload as it was first written.
        payload_crc: CRC32C of the payload as it is now.
    """

    payload_bytes: int
    first_seq: int
    records: int
    commit_us: int
    previous: int
    original: int
    payload_crc: int

    @property
    def next_seq(self) -> int:
        """The sequence behind this block's last record."""
        return self.first_seq + self.records

    @property
    def link(self) -> int:
        """What the next block names as its `previous`."""
        return int(crc32c(_LINK.pack(self.first_seq, self.records, self.commit_us, self.previous, self.original)))


class Block(NamedTuple):
    """An intact block and where it lies in the bytes it was read from."""

    offset: int
    header: Header
    payload: bytes

    @property
    def end(self) -> int:
        """The offset behind the payload."""
        return self.offset + HEADER_BYTES + self.header.payload_bytes


class Flaw(NamedTuple):
    """Bytes that are no intact block; `wanted` is how many bytes would be needed to judge, when they just end."""

    offset: int
    reason: str
    wanted: int = 0


class Entry(NamedTuple):
    """A frame on its way into a block: `lines` is `records` lines of JSON, each ended by a newline."""

    source: bytes
    received_us: int
    records: int
    duplicates: int
    lines: bytes


def microseconds(instant: datetime) -> int:
    """Return an instant as microseconds since 1970 UTC."""
    return (instant - _EPOCH) // _MICROSECOND


def instant(us: int) -> datetime:
    """Return the instant of a number of microseconds since 1970 UTC."""
    return _EPOCH + us * _MICROSECOND


def encode(entries: Iterable[Entry], first_seq: int, commit_us: int, previous: int) -> tuple[Header, bytes]:
    """Return a block's header and all its bytes."""
    count, parts = 0, [b""]
    for entry in entries:
        parts += _parts(entry)
        count += entry.records
    payload = b"".join(parts)
    check = crc32c(payload)
    header = Header(len(payload), first_seq, count, commit_us, previous, check, check)
    parts[0] = encode_header(header)
    return header, b"".join(parts)


def encode_again(header: Header, entries: Iterable[Entry]) -> bytes:
    """Return all bytes of a block that says something else now; as many records, and its place in the chain, stay."""
    payload = b"".join(part for entry in entries for part in _parts(entry))
    now = header._replace(payload_bytes=len(payload), payload_crc=crc32c(payload))
    return encode_header(now) + payload


def _parts(entry: Entry) -> tuple[bytes, bytes, bytes]:
    """Return a frame's head, its source and its lines."""
    head = (len(entry.source), entry.records, entry.duplicates, entry.received_us, len(entry.lines))
    return _FRAME.pack(*head), entry.source, entry.lines


def encode_header(header: Header) -> bytes:
    """Return the 48 bytes that stand before a payload."""
    head = _HEADER.pack(MAGIC, VERSION, 0, 0, *header)
    return head + _CHECK.pack(crc32c(head))


def decode_header(found: bytes, offset: int = 0) -> Header | Flaw:
    """Return the header at `offset`, or what is wrong with it."""
    head = found[offset : offset + _HEADER.size]
    if len(found) - offset < HEADER_BYTES:
        return Flaw(offset, "the header is cut short", HEADER_BYTES)
    magic, version, _, _, *members = _HEADER.unpack(head)
    if magic != MAGIC:
        return Flaw(offset, "no block begins here")
    if crc32c(head) != _CHECK.unpack_from(found, offset + _HEADER.size)[0]:
        return Flaw(offset, "the header's checksum is wrong")
    if version != VERSION:
        return Flaw(offset, f"the block's version is {version}")
    return Header(*members)


def block_at(found: bytes, offset: int = 0) -> Block | Flaw:
    """Return the intact block at `offset`, or what is wrong there."""
    header = decode_header(found, offset)
    if isinstance(header, Flaw):
        return header
    start = offset + HEADER_BYTES
    if len(found) - start < header.payload_bytes:
        return Flaw(offset, "the payload is cut short", HEADER_BYTES + header.payload_bytes)
    payload = found[start : start + header.payload_bytes]
    if crc32c(payload) != header.payload_crc:
        return Flaw(offset, "the payload's checksum is wrong")
    return Block(offset, header, payload)


def next_block(found: bytes, offset: int) -> Block | None:
    """Return the first intact block that begins at `offset` or later."""
    while (offset := found.find(MAGIC, offset)) >= 0:
        block = block_at(found, offset)
        if isinstance(block, Block):
            return block
        offset += 1
    return None


def walk(found: bytes, offset: int = 0) -> Iterator[Block | Flaw]:
    """Yield every intact block in order of place, and a flaw where something else lies between or behind them."""
    while offset < len(found):
        here = block_at(found, offset)
        if isinstance(here, Flaw):
            yield here
            following = next_block(found, offset + 1)
            if following is None:
                return
            here = following
        yield here
        offset = here.end


def frames(block: Block) -> Iterator[Frame]:
    """Yield the frames of an intact block in log order.

    Raises:
        ValueError: the payload is not made of frames although its checksum is right.
    """
    payload, offset, seq = block.payload, 0, block.header.first_seq
    while offset < len(payload):
        try:
            source_bytes, count, duplicates, received_us, lines_bytes = _FRAME.unpack_from(payload, offset)
        except error as flaw:
            raise ValueError("a frame's head is cut short") from flaw
        start = offset + _FRAME.size + source_bytes
        offset = start + lines_bytes
        if offset > len(payload):
            raise ValueError("a frame reaches beyond its block")
        source = payload[start - source_bytes : start].decode()
        yield Frame(source, seq, count, instant(received_us), duplicates, payload[start:offset])
        seq += count
