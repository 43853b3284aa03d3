"""Parts of frames: what follows a cursor that points into one, and what of one was not erased."""

from __future__ import annotations

from itertools import groupby

from headwater.spec.event import Frame
from headwater.spec.tombstone import MARK, is_tombstone


def from_sequence(frame: Frame, seq: int) -> Frame:
    """Return what a frame holds from sequence `seq` on; the frame itself when it begins there or later."""
    skipped = seq - frame.first_seq
    if skipped <= 0:
        return frame
    lines = frame.lines.split(b"\n", skipped)[skipped]
    return Frame(frame.source_id, seq, frame.count - skipped, frame.received_at, frame.duplicates, lines)


def living(frame: Frame) -> tuple[list[Frame], int]:
    """Return the parts of a frame between its tombstones, in order, and how many tombstones there are.

    Where nothing was erased it costs one search in the bytes.
    """
    if MARK not in frame.lines:
        return [frame], 0
    parts, at, erased = list[Frame](), frame.first_seq, 0
    for is_erased, run in groupby(frame.lines[:-1].split(b"\n"), is_tombstone):
        lines = list(run)
        if is_erased:
            erased += len(lines)
        else:
            text = b"\n".join([*lines, b""])
            duplicates = 0 if parts else frame.duplicates  # counted once
            parts.append(Frame(frame.source_id, at, len(lines), frame.received_at, duplicates, text))
        at += len(lines)
    return parts, erased
