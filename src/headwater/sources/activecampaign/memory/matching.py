"""Say of each telling whether it is new, given what is known of its place. No I/O.

A webhook and a report tell the same occurrence at times that differ by some seconds, and neither tells all of them: a
webhook may be lost, and a report has the first time and a count. So a webhook claims the report's row it is the same
as, and a report's row counts only what it has more of than is known.
"""

from __future__ import annotations

from typing import Final

from headwater.sources.activecampaign.mapping.draft import Draft
from headwater.sources.activecampaign.mapping.drafts import repeated
from headwater.sources.activecampaign.memory.known import NO_TIME, Flag, Known, Told, id_bytes, told_of
from headwater.sources.activecampaign.occurrence import Kind
from headwater.sources.contract import Origin

REPEATS_MAX: Final = 1_000
"""Ours: repeats of one report row that become events; whoever opens more often is a machine."""
_ONCE: Final = frozenset({Kind.DELIVERED, Kind.SPAM, Kind.OTHER})
_COUNTED: Final = frozenset({Kind.OPEN, Kind.CLICK})


def news(
    draft: Draft, known: Known, *, received_s: int = 0, repeats: bool = False, same_second: bool = False
) -> list[Draft]:
    """Return what must become events because of a telling, and remember it in `known`.

    Args:
        draft: of any kind but an unsubscribe, which `holding` judges.
        known: of the draft's place.
        received_s: when the record arrived, in seconds since 1970.
        repeats: whether a report's repeats, of which only the number is known, become events, too.
        same_second: whether webhooks that differ in their bytes alone are two occurrences.
    """
    if draft.kind in _ONCE:
        return _once(draft, known)
    if draft.origin is Origin.REPORT:
        return _of_report(draft, known, received_s, repeats=repeats)
    return _of_webhook(draft, known, same_second=same_second and draft.kind in _COUNTED)


def lost(draft: Draft, known: Known) -> list[Draft]:
    """Return the events of a telling that is known, which an older copy of the log may not have."""
    found, each, ordinal = list[Draft](), draft, 2
    own = {b"", told_of(draft).body}
    while same := known.by_id(id_bytes(each.message_id)):
        if same.flags & Flag.LOST and (draft.origin is Origin.REPORT or same.body in own):
            known.found(same)
            found.append(each)
        each, ordinal = repeated(draft, ordinal), ordinal + 1
    return found


def _once(draft: Draft, known: Known) -> list[Draft]:
    told = told_of(draft)
    if known.count(told.link):
        return []
    known.add(told)
    return [draft]


def _of_webhook(draft: Draft, known: Known, *, same_second: bool) -> list[Draft]:
    told = told_of(draft)
    if same := known.by_id(told.id):
        if same.is_claimable:  # the report told it at the very same second
            same.body = told.body
            known.flag(same, Flag.CLAIMED)
            return []
        if not same_second or _is_delivered_again(told, known):
            return []
        draft, _ = _next_repeat(draft, known, 2)
        told = told_of(draft)
    if claim(told, known):
        return []
    known.add(told)
    return [draft]


def _is_delivered_again(told: Told, known: Known) -> bool:
    return any(each.body == told.body and each.at_s == told.at_s and each.link == told.link for each in known.tellings)


def claim(told: Told, known: Known) -> bool:
    """Take the report's row that a webhook is the same as; False when there is none left."""
    rows = [
        each for each in known.occurrences(told.link) if each.is_claimable and each.is_near(told.at_s, told.slack_s)
    ]
    if not rows:
        return False
    known.flag(min(rows, key=lambda row: _distance(row, told.at_s)), Flag.CLAIMED)
    told.flags |= Flag.ABSORBED
    known.add(told)
    return True


def _distance(row: Told, at_s: int) -> tuple[bool, int]:
    return bool(row.flags & Flag.REPEAT), 0 if NO_TIME in (row.at_s, at_s) else abs(row.at_s - at_s)


def _of_report(draft: Draft, known: Known, received_s: int, *, repeats: bool) -> list[Draft]:
    told = told_of(draft)
    is_counted = draft.kind in _COUNTED
    if is_counted and known.count(told.link) >= draft.times:
        return []
    found = []
    if known.by_id(told.id) is None and not is_told(told, known):
        known.add(told)
        found.append(draft)
    if repeats and is_counted:
        ordinal = 2
        for _ in range(min(draft.times - known.count(told.link), REPEATS_MAX)):
            repeat, ordinal = _next_repeat(draft, known, ordinal)
            again = told_of(repeat, Flag.REPEAT)
            again.slack_s = max(0, received_s - again.at_s)
            known.add(again)
            found.append(repeat)
    return found


def is_told(told: Told, known: Known) -> bool:
    """Say whether an occurrence at about this time is known."""
    return any(
        each.is_near(told.at_s, told.slack_s) for each in known.occurrences(told.link) if not each.flags & Flag.REPEAT
    )


def _next_repeat(draft: Draft, known: Known, ordinal: int) -> tuple[Draft, int]:
    """Return the first repeat from an ordinal on that is not known, and the ordinal after it."""
    while known.by_id(id_bytes((repeat := repeated(draft, ordinal)).message_id)):
        ordinal += 1
    return repeat, ordinal + 1
