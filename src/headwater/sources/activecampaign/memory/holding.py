"""Make one event of an unsubscribe that ActiveCampaign tells twice: when the link is used, and with the reason. No I/O.

The first telling waits for the second in the ledger. How long it waits is measured by arrivals, so that a crash in
between changes nothing.
"""

from __future__ import annotations

import dataclasses
from typing import Final

from headwater.sources.activecampaign.mapping.draft import Draft
from headwater.sources.activecampaign.mapping.drafts import completed
from headwater.sources.activecampaign.memory.known import NO_TIME, Flag, Held, Known, Told, id_bytes, told_of
from headwater.sources.contract import Origin

FORM_S: Final = 3_600
"""Ours: how long after the link was used the form for the reason may be sent, and still be about the same."""


def unsubscribed(draft: Draft, known: Known, *, received_s: float, wait_s: int) -> list[Draft]:
    """Return what must become events because of a telling, and remember it in `known`.

    Args:
        draft: of an unsubscribe.
        known: of its place.
        received_s: when the record arrived, in seconds since 1970.
        wait_s: how long a webhook without a reason waits for one; 0: not.
    """
    told = told_of(draft)
    if known.by_id(told.id) or any(id_bytes(each.draft.message_id) == told.id for each in known.held):
        return []
    if draft.origin is Origin.REPORT:
        return _of_report(draft, told, known)
    if draft.reason:
        return _with_reason(draft, told, known, received_s, wait_s)
    if _claimed(told, known, wait_s) or _is_told_without(told, known, wait_s):
        return _absorbed(told, known)
    if not wait_s:
        return _new(draft, told, known)
    known.hold(Held(draft, received_s + wait_s))
    return []


def released(held: Held, known: Known) -> list[Draft]:
    """Return an unsubscribe for which no reason came in time."""
    known.release(held)
    told = told_of(held.draft)
    return [] if known.by_id(told.id) else _new(held.draft, told, known)


def _new(draft: Draft, told: Told, known: Known) -> list[Draft]:
    known.add(told)
    return [draft]


def _absorbed(told: Told, known: Known) -> list[Draft]:
    told.flags |= Flag.ABSORBED
    known.add(told)
    return []


def _of_report(draft: Draft, told: Told, known: Known) -> list[Draft]:
    """A report knows an unsubscribe once, at the time of either telling, and its lists perhaps not at all."""
    tellings = [each for each in known.tellings if not each.flags & Flag.REPEAT]
    waiting = [told_of(each.draft) for each in known.held]
    slack_s = max(told.slack_s, FORM_S)
    if any(each.is_near(told.at_s, slack_s) for each in (*tellings, *waiting)):
        return []
    return _new(draft, told, known)


def _claimed(told: Told, known: Known, wait_s: int) -> bool:
    """Take the report's row that a webhook is the same as; of the second webhook only if the report told the reason."""
    slack_s, near_s = max(told.slack_s, FORM_S), max(told.slack_s, wait_s)
    for row in known.tellings:
        if row.origin is not Origin.REPORT or not row.is_occurrence or not row.is_near(told.at_s, slack_s):
            continue
        adds_nothing = bool(row.flags & Flag.REASON) if told.flags & Flag.REASON else row.is_near(told.at_s, near_s)
        if row.is_claimable or adds_nothing:
            known.flag(row, Flag.CLAIMED | (told.flags & Flag.REASON))
            return True
    return False


def _is_told_without(told: Told, known: Known, wait_s: int) -> bool:
    """Say whether a telling without a reason adds nothing: the one with the reason was faster, or it is a repeat."""
    near_s = max(told.slack_s, wait_s)
    for each in known.tellings:
        if each.link == told.link:
            after_s = FORM_S if each.flags & Flag.REASON else near_s
            if NO_TIME in (each.at_s, told.at_s) or -near_s <= each.at_s - told.at_s <= after_s:
                return True
    return any(_follows(told, told_of(each.draft), near_s, near_s) for each in known.held)


def _with_reason(draft: Draft, told: Told, known: Known, received_s: float, wait_s: int) -> list[Draft]:
    if _claimed(told, known, wait_s):
        return _absorbed(told, known)
    near_s = max(told.slack_s, wait_s)
    found: list[Draft] = []
    for held in [each for each in known.held if _follows(told, told_of(each.draft), near_s, FORM_S)]:
        if received_s <= held.due_s:
            known.release(held)
            first = told_of(held.draft, Flag.REASON)
            known.add(first)
            _absorbed(told, known)
            return [*found, _merged(held.draft, draft)]
        found += released(held, known)
    if any(each.flags & Flag.REASON and _follows(told, each, near_s, near_s) for each in known.tellings):
        return [*found, *_absorbed(told, known)]
    return [*found, *_new(_of_the_same(draft, told, known), told, known)]


def _of_the_same(draft: Draft, told: Told, known: Known) -> Draft:
    """Return a reason under the unsubscribe id of the report's row it is about, which may not name the lists."""
    slack_s = max(told.slack_s, FORM_S)
    for row in known.tellings:
        if row.origin is Origin.REPORT and row.is_occurrence and row.is_near(told.at_s, slack_s):
            known.flag(row, Flag.REASON)
            shared = {"unsubscribe_id": row.link}
            companions = tuple(
                dataclasses.replace(each, body=each.body | {"properties": each.body["properties"] | shared})
                for each in draft.companions
            )
            body = draft.body | {"properties": draft.body["properties"] | shared}
            return dataclasses.replace(draft, body=body, unsubscribe_id=row.link, companions=companions)
    return draft


def _follows(told: Told, earlier: Told, before_s: int, after_s: int) -> bool:
    """Say whether a telling is of the same unsubscribe and at most so long before or after another one."""
    if told.link != earlier.link:
        return False
    return NO_TIME in (told.at_s, earlier.at_s) or -before_s <= told.at_s - earlier.at_s <= after_s


def _merged(first: Draft, second: Draft) -> Draft:
    """Return the first telling, with its id and time, and what the second added."""
    later = {each.body["event"]: each.body for each in second.companions}
    companions = tuple(
        dataclasses.replace(each, body=completed(each.body, later[each.body["event"]]))
        if each.body["event"] in later
        else each
        for each in first.companions
    )
    body = completed(first.body, second.body)
    return dataclasses.replace(first, body=body, reason=second.reason, companions=companions)
