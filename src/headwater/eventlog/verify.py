"""Read every byte of a log and say what is wrong with it; needs no lock and changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from headwater.eventlog.blocks import FIRST_LINK
from headwater.eventlog.contract import Topic
from headwater.eventlog.mark import MARK_FILE, Mark, decode, flaws
from headwater.eventlog.places import segment_path, segments
from headwater.eventlog.scan import Scan
from headwater.spec.event import Damage

_ATTEMPTS: Final = 5  # the writer may be storing the mark while it is read


@dataclass(frozen=True, slots=True)
class Report:
    """What `verify` found.

    Attributes:
        records: readable records of each topic, those that were erased among them.
        erased: of how many nothing but a tombstone is left.
        damage: in log order; a range whose last is below its first lost no record.
    """

    segments: int
    blocks: int
    records: Mapping[Topic, int]
    damage: tuple[Damage, ...]
    erased: Mapping[Topic, int]


def verify(directory: Path) -> Report:
    """Return what is wrong with the log in `directory`, looking at every block of every segment."""
    found = {topic: _verify_topic(directory / topic) for topic in Topic if (directory / topic).is_dir()}
    return Report(
        sum(part.segments for part in found.values()),
        sum(part.blocks for part in found.values()),
        {topic: part.records for topic, part in found.items()},
        tuple(damage for part in found.values() for damage in part.damage),
        {topic: part.erased for topic, part in found.items()},
    )


@dataclass(frozen=True, slots=True)
class _Part:
    segments: int
    blocks: int
    records: int
    damage: list[Damage]
    erased: int


def _verify_topic(directory: Path) -> _Part:
    """Look at a topic; once more when what seems wrong may be a segment that was sealed and written anew meanwhile."""
    for _ in range(_ATTEMPTS):
        known, wrong = _load_mark(directory)
        part = _look(directory, known, wrong)
        if not part.damage or known is None or (newest := _load_mark(directory)[0]) is None:
            break
        if newest.segment == known.segment:
            break
    return part


def _look(directory: Path, known: Mark | None, wrong: list[Damage]) -> _Part:
    firsts = segments(directory)
    if known is None:
        mark = Mark(firsts[0] if firsts else 0, 0, firsts[-1] if firsts else 0, 0, FIRST_LINK)
    else:
        mark = known
        # what lies before the start is what a crash in mid-retention left; what lies behind is not acknowledged yet
        behind = [first for first in firsts if first > mark.start]
        before = [first for first in firsts if first <= mark.start]
        firsts = [first for first in before[-1:] + behind if first <= mark.segment]
    scan = Scan(mark.start, FIRST_LINK, linked=mark.start == 0)
    scan.path = segment_path(directory, mark.start)
    for first in firsts:
        path = segment_path(directory, first)
        found = path.read_bytes()
        scan.segment(path, first, found[: mark.offset] if known and first == mark.segment else found)
    scan.leave(max(mark.end, scan.seq), "the segment ends before the high-water mark")
    lost = sum(damage.last - damage.first + 1 for damage in scan.damage)
    return _Part(len(firsts), scan.blocks, scan.seq - mark.start - lost, wrong + scan.damage, scan.erased)


def _load_mark(directory: Path) -> tuple[Mark | None, list[Damage]]:
    """Return the mark and what is wrong with its file."""
    path = directory / MARK_FILE
    try:
        for _ in range(_ATTEMPTS):
            found = path.read_bytes()
            wrong = flaws(found)
            if not wrong:
                break
    except FileNotFoundError:
        return None, [Damage(0, -1, str(path), 0, "the high-water mark is missing")]
    newest = decode(found)
    damage = [Damage(0, -1, str(path), at, "the high-water mark is damaged") for at in wrong]
    if newest is None and not damage:
        damage = [Damage(0, -1, str(path), 0, "the high-water mark is empty")]
    return newest[1] if newest else None, damage
