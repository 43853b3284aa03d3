"""Cutting the front off a frame that a cursor points into."""

from __future__ import annotations

from headwater.spec.event import Frame


def from_sequence(frame: Frame, seq: int) -> Frame:
    """Return what a frame holds from sequence `seq` on; the frame itself when it begins there or later."""
    skipped = seq - frame.first_seq
    if skipped <= 0:
        return frame
    lines = frame.lines.split(b"\n", skipped)[skipped]
    return Frame(frame.source_id, seq, frame.count - skipped, frame.received_at, frame.duplicates, lines)
