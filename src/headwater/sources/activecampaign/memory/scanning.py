"""Recognise the programs that follow every link of an email before a person sees it. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from headwater.sources.activecampaign.memory.known import NO_TIME, Told

LINKS_MIN: Final = 3
"""Ours: different links of one campaign that one person follows within `WITHIN_S`; people are not that quick."""
WITHIN_S: Final = 5
"""Ours: seconds; scanners take one or two, and times come in whole seconds."""


def is_scanner(at_s: int, clicks: Iterable[Told]) -> bool:
    """Say whether a click is one of many that came at once.

    Args:
        at_s: when it happened.
        clicks: of the same person in the same campaign, itself among them, in any order.
    """
    if at_s == NO_TIME:
        return False
    near = [(each.at_s, each.link) for each in clicks if abs(each.at_s - at_s) <= WITHIN_S and each.at_s != NO_TIME]
    if len(near) < LINKS_MIN:
        return False
    starts = {start for start, _ in near if start <= at_s}
    return any(len({link for at, link in near if start <= at <= start + WITHIN_S}) >= LINKS_MIN for start in starts)
