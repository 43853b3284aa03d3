"""After an old backup was restored: who was deleted since is found again by hash, and deleted again."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Final

import msgspec

from headwater.control.privacy.regulations import Regulation
from headwater.control.service import Control
from headwater.eventlog.contract import Reader, Topic
from headwater.privacy.regulation import KINDS, SUBJECTS_MAX, RegulationType
from headwater.privacy.subjects import Kind, subjects_of
from headwater.spec.tombstone import is_tombstone

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_FOUND_MAX: Final = 100 * SUBJECTS_MAX  # ours: identifiers of one call; the next call finds the rest


def reapply(control: Control, reader: Reader, workspace_id: str) -> list[Regulation]:
    """Make regulations for those whose deletion was carried out and whose events are in the log; blocks, for long.

    Destinations are not told again. Events that came after the deletion of somebody who was not suppressed go, too: the
    log does not say which those are.
    """
    deleted = control.regulations.deleted(workspace_id)
    if not deleted:
        return []
    sources = {each.id for each in control.sources.all(workspace_id)}
    sources |= {each.id for each in control.sources.deleted(workspace_id)}
    hasher = control.suppressions.hasher
    found: dict[Kind, set[str]] = {kind: set() for kind in Kind}
    for body in _events(reader, sources):
        for each in subjects_of(body):
            if hasher.digest(each) in deleted:
                found[each.kind].add(each.value)
        if sum(map(len, found.values())) >= _FOUND_MAX:
            break
    made = []
    for word, kind in KINDS.items():
        ids = sorted(found[kind])
        for start in range(0, len(ids), SUBJECTS_MAX):
            some = ids[start : start + SUBJECTS_MAX]
            made.append(
                control.regulations.create(
                    workspace_id, RegulationType.DELETE_INTERNAL, word, some, follows_links=False
                )
            )
    return made


def _events(reader: Reader, sources: Collection[str]) -> Iterator[dict[str, Any]]:
    cursor = reader.start(Topic.EVENTS)
    while (batch := reader.read(Topic.EVENTS, cursor)).next_cursor > cursor:
        cursor = batch.next_cursor
        for frame in batch.frames:
            if frame.source_id in sources:
                yield from (_decode(line) for line in frame.lines[:-1].split(b"\n") if not is_tombstone(line))
