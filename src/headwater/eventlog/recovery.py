"""What is done with a topic's files before the first append after a start.

Sealed segments are trusted (readers and `verify` check every byte they touch); the one that holds the end is read
whole. Intact blocks beyond the mark are kept. An invalid tail beyond it is a torn write that nobody was told about: it
is cut. Anything else that is not intact held acknowledged records: it is left as it is, located and reported, and
writing goes on in a new segment behind it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from headwater.eventlog.blocks import FIRST_LINK
from headwater.eventlog.mark import MARK_FILE, Mark, MarkFile
from headwater.eventlog.places import ASIDE_SUFFIX, segment_path, segments
from headwater.eventlog.scan import Scan
from headwater.spec.event import Damage


@dataclass(slots=True)
class Recovered:
    """Where writing continues.

    Attributes:
        mark: the topic's end; everything before it is on disk.
        fresh: the next block has to begin a new segment.
        damage: acknowledged records that were found unreadable, in order.
    """

    mark: Mark
    fresh: bool = False
    damage: list[Damage] = field(default_factory=list)


def recover(directory: Path, marks: MarkFile) -> Recovered:
    """Return where a topic continues, with its torn tail cut and the new mark stored and on disk."""
    for aside in directory.glob(f"*{ASIDE_SUFFIX}"):  # a crash while a segment was written anew: the old one stands
        aside.unlink()
    known = marks.load()
    firsts = segments(directory)
    if known is None and not firsts:
        recovered = Recovered(Mark(0, 0, 0, 0, FIRST_LINK), fresh=True)
        _report_lost_mark(recovered, marks, directory)
    elif known is None:
        recovered = _scan(directory, firsts[-1:], Mark(firsts[0], firsts[-1], firsts[-1], 0, FIRST_LINK), chained=False)
        _report_lost_mark(recovered, marks, directory)
    else:
        kept = _without_trimmed(directory, firsts, known.start)
        chained = known.offset == 0 and known.end == known.segment
        recovered = _scan(directory, [first for first in kept if first >= known.segment], known, chained=chained)
        _report_lost_front(recovered, kept, directory)
    for _ in range(2):  # both slots: a torn one is healed
        marks.store(recovered.mark)
    marks.sync()
    return recovered


def _report_lost_mark(recovered: Recovered, marks: MarkFile, directory: Path) -> None:
    """A mark that is unreadable, or gone from beside segments, could hide a loss: say so."""
    if recovered.mark.end or not marks.is_blank():
        end = recovered.mark.end
        reason = "the high-water mark is lost; the end was taken from the segments"
        recovered.damage.insert(0, Damage(end, end - 1, str(directory / MARK_FILE), 0, reason))


def _report_lost_front(recovered: Recovered, firsts: list[int], directory: Path) -> None:
    """Say when segments that retention has not removed are gone from the front."""
    start = recovered.mark.start
    until = min([*firsts, *(damage.first for damage in recovered.damage), recovered.mark.end])
    if until > start:
        path = segment_path(directory, start)
        recovered.damage.insert(0, Damage(start, until - 1, str(path), 0, "the segment file is missing"))


def _without_trimmed(directory: Path, firsts: list[int], start: int) -> list[int]:
    """Remove the files that a crash in mid-retention left behind."""
    while len(firsts) > 1 and firsts[1] <= start:
        segment_path(directory, firsts.pop(0)).unlink()
    return firsts


def _scan(directory: Path, firsts: list[int], mark: Mark, *, chained: bool) -> Recovered:
    scan = Scan(mark.segment, mark.link, linked=chained)
    scan.path = segment_path(directory, mark.segment)
    for first in firsts:
        path = segment_path(directory, first)
        scan.segment(path, first, path.read_bytes())
    if scan.seq < mark.end:
        missing = not scan.path.exists()
        scan.leave(
            mark.end, "the segment file is missing" if missing else "the segment ends before the high-water mark"
        )
        return Recovered(Mark(mark.start, mark.end, mark.end, 0, mark.link), fresh=True, damage=scan.damage)
    last = firsts[-1] if firsts else scan.seq
    if not firsts or (scan.damage and scan.seq > last):
        return Recovered(Mark(mark.start, scan.seq, scan.seq, 0, scan.link), fresh=True, damage=scan.damage)
    cut(scan.path, scan.end)
    return Recovered(Mark(mark.start, scan.seq, last, scan.end, scan.link), damage=scan.damage)


def cut(path: Path, size: int) -> None:
    """Return once a segment is on disk and holds nothing behind `size`."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        if os.fstat(descriptor).st_size != size:
            os.ftruncate(descriptor, size)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
