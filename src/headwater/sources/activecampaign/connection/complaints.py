"""Spam complaints that somebody exported by hand, as records of the inbox. Pure.

ActiveCampaign tells complaints neither by webhook nor through its API; its pages list them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from headwater.errors import InvalidRequestError
from headwater.sources.activecampaign import times
from headwater.sources.activecampaign.records import ROWS_MAX, CampaignNote, Person, Report, ReportRecord, Row

COMPLAINTS_MAX: Final = 100_000
"""ours: rows of one import."""
RUN: Final = "import"
"""Stands in a record for the run that read it."""

_MEMBERS: Final = ("email", "contactId", "campaignId", "at")
_ID: Final = re.compile(r"[0-9]{1,18}", re.ASCII)
_ADDRESS: Final = re.compile(r"[^@\s]{1,200}@[^@\s]{1,200}")


def checked(rows: Sequence[Mapping[str, str]], arrival: datetime) -> dict[str, list[Row]]:
    """Return the rows by campaign id ("" where none is named), in their order.

    Args:
        rows: each with "email" or "contactId", and as far as known "campaignId" and "at".
        arrival: now; a complaint without a time gets it.

    Raises:
        InvalidRequestError: a row cannot be meant; names its number, from 1, and nothing of what it holds.
    """
    if not rows:
        raise InvalidRequestError("There are no complaints to import; give at least one row.", field="rows")
    if len(rows) > COMPLAINTS_MAX:
        raise InvalidRequestError(f"Import up to {COMPLAINTS_MAX:,} complaints at a time.", field="rows")
    found: dict[str, list[Row]] = {}
    for number, row in enumerate(rows, 1):
        email, contact, campaign, at = (str(row.get(name) or "").strip() for name in _MEMBERS)
        if mistake := _mistake(email, contact, campaign, at, arrival):
            raise InvalidRequestError(f"Row {number}: {mistake} Nothing was imported.", field="rows")
        found.setdefault(campaign, []).append(Row(contact_id=contact, email=email, at=at))
    return found


def records(
    rows: Mapping[str, Sequence[Row]], notes: Mapping[str, CampaignNote], people: Mapping[str, Person]
) -> Iterator[ReportRecord]:
    """Yield the complaints as records of bounded size; a campaign without a note has its id only."""
    for campaign_id, of_campaign in rows.items():
        note = notes.get(campaign_id) or CampaignNote(id=campaign_id)
        for first in range(0, len(of_campaign), ROWS_MAX):
            part = tuple(of_campaign[first : first + ROWS_MAX])
            known = {key: people[key] for key in persons(part) if key in people}
            yield ReportRecord(Report.COMPLAINTS, note, part, run=RUN, people=known)


def persons(rows: Iterable[Row]) -> dict[str, str]:
    """Return {contact id, or e-mail where there is none: e-mail}."""
    return {row.contact_id or row.email: row.email for row in rows}


def _mistake(email: str, contact: str, campaign: str, at: str, arrival: datetime) -> str:
    if not email and not contact:
        return "it has neither an email nor a contactId."
    if email and not _ADDRESS.fullmatch(email):
        return "email is no e-mail address."
    if contact and not _ID.fullmatch(contact):
        return "contactId is no whole number."
    if campaign and not _ID.fullmatch(campaign):
        return "campaignId is no whole number."
    if at and times.report_moment(at, arrival).epoch_s is None:
        return "at is no time; write 2026-01-31 or 2026-01-31T08:00:00Z."
    return ""
