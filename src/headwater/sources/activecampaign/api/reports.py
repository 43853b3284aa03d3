"""The rows of API v1's reports. Pure: answer in, values out.

`tstamp` is US Central wall time, `tstamp_iso` the same with its offset: the latter is taken where it is there. Pairs
such as `a_unsub_date` are in the account's own zone, which nobody knows, and are never read.
"""

from __future__ import annotations

from headwater.activecampaign import values
from headwater.activecampaign.values import Member
from headwater.sources.activecampaign.api.paging import Page
from headwater.sources.activecampaign.api.rows import (
    BounceRow,
    ClickRow,
    Link,
    OpenRow,
    UnopenRow,
    UnsubscribeRow,
)

PIXEL = "open"
"""The link that stands for the tracking pixel in lists of links."""


def opens(answer: Member) -> list[OpenRow]:
    """Return who opened, in the order of the report."""
    return [
        OpenRow(*_contact(row), at=_at(row), times=_times(row)) for row in values.members(answer) if _has_contact(row)
    ]


def unopens(answer: Member) -> list[UnopenRow]:
    """Return who did not open."""
    return [UnopenRow(*_contact(row)) for row in values.members(answer) if _has_contact(row)]


def bounces(answer: Member) -> list[BounceRow]:
    """Return the bounces."""
    return [
        BounceRow(
            *_contact(row),
            at=_at(row),
            type=values.text(row.get("type")).lower(),
            code=values.text(row.get("code")),
            reason=values.text(row.get("reason")) or values.text(row.get("descript")),
            message_id=values.id_of(row.get("messageid")),
        )
        for row in values.members(answer)
        if _has_contact(row)
    ]


def unsubscribes(answer: Member, campaign_id: str) -> list[UnsubscribeRow]:
    """Return who left through the campaign."""
    return [
        UnsubscribeRow(
            *_contact(row),
            at=values.date(row, "tstamp_iso", "udate_iso", "tstamp", "udate"),
            reason=_first(row, "reason", "unsubreason", "unsubscribe_reason"),
            list_id=values.id_of(row.get("listid")),
            campaign_id=campaign_id,
            message_id=values.id_of(row.get("messageid")),
        )
        for row in values.members(answer)
        if _has_contact(row)
    ]


def clicks(answer: Member) -> Page[ClickRow]:
    """Return who followed which link; the page's entries are the links, followed or not."""
    found = [(_link(entry), entry) for entry in values.members(answer)]
    rows = [
        ClickRow(link, *_contact(row), at=_at(row), times=_times(row))
        for link, entry in found
        if link.url.lower() != PIXEL
        for row in values.members(entry.get("info"))
        if _has_contact(row)
    ]
    return Page(rows, (link for link, _ in found))


def _link(entry: Member) -> Link:
    url = entry.get("link")
    # never trimmed: the same text as in a webhook is the same link
    return Link(values.id_of(entry.get("id")), url if isinstance(url, str) else "", values.text(entry.get("name")))


def _contact(row: Member) -> tuple[str, str]:
    return values.id_of(row.get("subscriberid")), values.text(row.get("email"))


def _has_contact(row: Member) -> bool:
    return any(_contact(row))


def _at(row: Member) -> str:
    return values.date(row, "tstamp_iso", "tstamp")


def _times(row: Member) -> int:
    return max(values.count(row.get("times")), 1)


def _first(row: Member, *names: str) -> str:
    return next((found for name in names if (found := values.text(row.get(name)))), "")
