"""What the worker read from the API, as a record of the inbox: complete in itself, so that it maps the same each time.

A record holds up to `ROWS_MAX` rows of one report of one campaign, as the service wrote them, with what must not be
looked up again later: the campaign, and who the contacts were at that moment.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

ROWS_MAX: Final = 200
"""Rows of one record; more are several records."""


class Report(StrEnum):
    """Which report the rows are of."""

    OPENS = "opens"
    CLICKS = "clicks"
    BOUNCES = "bounces"
    UNSUBSCRIBES = "unsubscribes"
    RECIPIENTS = "recipients"  # who got the email: delivered, once the hold is over
    COMPLAINTS = "complaints"  # exported by hand


class CampaignNote(msgspec.Struct, frozen=True, omit_defaults=True):
    """The campaign that the rows are of; `sent_at` ISO 8601 with zone, "" where it is not known."""

    id: str = ""
    name: str = ""
    type: str = ""
    status: str = ""
    message_id: str = ""
    subject: str = ""
    sent_at: str = ""


class Row(msgspec.Struct, frozen=True, omit_defaults=True):
    """One row of any report.

    Attributes:
        at: as the service wrote it: with time, or a date alone; "" where the report has none.
        times: how often altogether; `at` is the first.
        link_id, link_url: of a click.
        kind, code, reason: of a bounce (hard or soft, enhanced status, text); `reason` also of an unsubscribe.
    """

    contact_id: str = ""
    email: str = ""
    at: str = ""
    times: int = 1
    link_id: str = ""
    link_url: str = ""
    list_id: str = ""
    message_id: str = ""
    kind: str = ""
    code: str = ""
    reason: str = ""


class Person(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who a contact was: `user_id` "" where the account knows none; `how` names what told it (see `identities`)."""

    user_id: str = ""
    how: str = ""


class ReportRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One record.

    Attributes:
        run: the back-fill or reconciliation that read it.
        people: by contact id; a contact that is not in it was not asked for or did not answer in time.
        machine: contact ids whose opens come through Apple's privacy proxy (`mpp_tracking`).
        since: rows before this instant (ISO 8601 with zone) are not wanted, "" for all.
    """

    report: Report
    campaign: CampaignNote
    rows: tuple[Row, ...]
    run: str = ""
    people: dict[str, Person] = {}
    machine: tuple[str, ...] = ()
    since: str = ""


class UnreadableRecordError(ValueError):
    """The body is no record of this version."""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ReportRecord).decode


def encode(record: ReportRecord) -> bytes:
    """Return the body of an inbox record."""
    return _encode(record)


def decode(body: bytes) -> ReportRecord:
    """Return the record of a body.

    Raises:
        UnreadableRecordError: it is none.
    """
    try:
        return _decode(body)
    except msgspec.MsgspecError as error:
        raise UnreadableRecordError("the stored report is not readable") from error
