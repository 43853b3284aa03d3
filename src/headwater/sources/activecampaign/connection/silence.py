"""Notice that webhooks stopped although ActiveCampaign still lists them. Pure: state in, state and advice out.

A webhook that once met a 410, or whose plan lost the feature, looks alive in the API. What betrays it are the
campaigns' own counters: they move, and nothing arrives.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import msgspec

from headwater.sources.activecampaign.api.rows import Campaign

OPENS_MIN: Final = 10
"""Opens alone prove nothing below this: those through Apple's privacy proxy are counted and may send no webhook."""
GRACE: Final = timedelta(seconds=60)
"""ours: how long a webhook that the counters announce may be under way or wait in our inbox."""
RENEW_EVERY: Final = timedelta(hours=24)
"""ours: a webhook that stays silent is made anew this often at most; what else is wrong, people must mend."""
REMEMBER: Final = timedelta(hours=24)
"""ours: how long a silence that is over is still told."""


class Sums(msgspec.Struct, frozen=True):
    """Counters of all campaigns of an account: different persons (clicks: and links), since repeats may be silent."""

    opens: int = 0
    clicks: int = 0
    bounces: int = 0
    unsubscribes: int = 0


class Look(msgspec.Struct, frozen=True):
    """What was seen at one time: the account's counters, and how many webhooks had been taken here."""

    sums: Sums
    arrived: int


class Silence(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is remembered between looks.

    Attributes:
        since: the look from which movement is counted, None before the first.
        suspected_at: when counters were first seen to have moved without a webhook.
        silent_at: when the silence was certain, None while webhooks arrive.
        renewed_at: when the webhook was last made anew for it.
        lasting: making it anew did not help.
        was_silent_at, heard_at: the last silence that is over.
    """

    since: Look | None = None
    suspected_at: datetime | None = None
    silent_at: datetime | None = None
    renewed_at: datetime | None = None
    lasting: bool = False
    was_silent_at: datetime | None = None
    heard_at: datetime | None = None


class Advice(StrEnum):
    """What to do after a look."""

    NOTHING = "nothing"
    LOOK_AGAIN = "look again"  # in `GRACE`
    RENEW = "renew"  # delete and create


def sums(campaigns: Iterable[Campaign]) -> Sums:
    """Return the counters of all campaigns together."""
    opens = clicks = bounces = unsubscribes = 0
    for each in campaigns:
        opens += each.unique_opens
        clicks += each.unique_clicks
        bounces += each.hard_bounces + each.soft_bounces
        unsubscribes += each.unsubscribes
    return Sums(opens, clicks, bounces, unsubscribes)


def restarted(silence: Silence) -> Silence:
    """Return what holds after a time in which webhooks could not arrive: what moved meanwhile proves nothing."""
    return msgspec.structs.replace(silence, since=None, suspected_at=None)


def judged(silence: Silence, look: Look, at: datetime) -> tuple[Silence, Advice]:
    """Return what is known after a look, and what to do.

    The first look only remembers, as does one after counters went back (a campaign was deleted). Little movement is
    added up over looks instead of being forgotten.
    """
    before = silence.since
    if before is None or _went_back(before, look):
        return msgspec.structs.replace(silence, since=look, suspected_at=None), Advice.NOTHING
    if look.arrived > before.arrived:
        return _heard(silence, look, at), Advice.NOTHING
    if not _moved(before.sums, look.sums):
        return silence, Advice.NOTHING
    if silence.suspected_at is None:
        return msgspec.structs.replace(silence, suspected_at=at), Advice.LOOK_AGAIN
    if _within(GRACE, silence.suspected_at, at):
        return silence, Advice.LOOK_AGAIN
    return _silent(silence, look, at)


def _heard(silence: Silence, look: Look, at: datetime) -> Silence:
    if silence.silent_at is None:
        return Silence(look, was_silent_at=silence.was_silent_at, heard_at=silence.heard_at)
    return Silence(look, was_silent_at=silence.silent_at, heard_at=at)


def _silent(silence: Silence, look: Look, at: datetime) -> tuple[Silence, Advice]:
    renew = silence.renewed_at is None or not _within(RENEW_EVERY, silence.renewed_at, at)
    told = msgspec.structs.replace(
        silence,
        since=look,
        suspected_at=None,
        silent_at=silence.silent_at or at,
        renewed_at=at if renew else silence.renewed_at,
        lasting=silence.silent_at is not None,
    )
    return told, Advice.RENEW if renew else Advice.NOTHING


def _within(span: timedelta, since: datetime, at: datetime) -> bool:
    """Say whether less than a span has passed; not if the clock was set back before `since`."""
    return timedelta() <= at - since < span


def _went_back(before: Look, now: Look) -> bool:
    old, new = before.sums, now.sums
    return (
        now.arrived < before.arrived
        or new.opens < old.opens
        or new.clicks < old.clicks
        or new.bounces < old.bounces
        or new.unsubscribes < old.unsubscribes
    )


def _moved(old: Sums, new: Sums) -> bool:
    certain = (new.clicks - old.clicks) + (new.bounces - old.bounces) + (new.unsubscribes - old.unsubscribes)
    return certain > 0 or new.opens - old.opens >= OPENS_MIN
