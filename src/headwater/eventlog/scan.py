"""The walk over a topic's blocks that holds each against the one before: sequence, chain, nothing in between."""

from __future__ import annotations

from pathlib import Path

from headwater.eventlog.blocks import Block, Flaw, frames, walk
from headwater.spec.event import Damage
from headwater.spec.tombstone import count_tombstones


class Scan:
    """What was seen so far.

    Attributes:
        seq: the sequence that should come next.
        link: link of the newest intact block, meaningful while `linked`.
        damage: what is wrong, in order; a range whose last is below its first lost no record.
        end: where the last accepted block of the present segment ends.
        flaw: what follows it, if not the end of the file.
        blocks: how many were accepted.
        erased: how many of their records are tombstones.
    """

    def __init__(self, seq: int, link: int, *, linked: bool) -> None:
        """Begin at a sequence; `linked` where the link of the block before it is known."""
        self.seq, self.link, self.linked = seq, link, linked
        self.damage: list[Damage] = []
        self.path, self.end, self.blocks, self.erased = Path(), 0, 0, 0
        self.flaw: Flaw | None = None

    def segment(self, path: Path, first: int, found: bytes) -> None:
        """Take a whole segment file that begins with sequence `first`."""
        self.leave(first)
        self.path, self.end, self.flaw = path, 0, None
        for piece in walk(found):
            if isinstance(piece, Flaw):
                self.flaw = piece
            else:
                self._take(piece)

    def leave(self, following: int, reason: str = "the records behind this place are missing") -> None:
        """Note what is missing between the last block and sequence `following`, or lies behind it unreadable."""
        if following > self.seq:
            self._lose(following, self.flaw or Flaw(self.end, reason))
        elif self.flaw is not None:
            self._note(self.flaw)
        self.flaw = None

    def _take(self, block: Block) -> None:
        header = block.header
        if header.first_seq < self.seq:
            self.flaw = Flaw(block.offset, "a block stands in a wrong place")
            self._note(self.flaw)
            return
        if header.first_seq > self.seq:
            self._lose(header.first_seq, self.flaw or Flaw(block.offset, "the blocks before this place are missing"))
        elif self.flaw is not None:
            self._note(self.flaw)
        elif self.linked and header.previous != self.link:
            self._note(Flaw(block.offset, "the chain is broken: the block before is not the one that was written"))
        found = list(frames(block))
        self.erased += sum(count_tombstones(frame.lines) for frame in found)
        if sum(frame.count for frame in found) != header.records:
            self._note(Flaw(block.offset, "the frames are not as many records as the header says"))
        self.seq, self.link, self.linked = header.next_seq, header.link, True
        self.end, self.flaw, self.blocks = block.end, None, self.blocks + 1

    def _lose(self, until: int, flaw: Flaw) -> None:
        self.damage.append(Damage(self.seq, until - 1, str(self.path), flaw.offset, flaw.reason))
        self.seq, self.linked = until, False

    def _note(self, flaw: Flaw) -> None:
        self.damage.append(Damage(self.seq, self.seq - 1, str(self.path), flaw.offset, flaw.reason))
