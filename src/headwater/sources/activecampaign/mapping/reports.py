"""Turn a stored record of report rows into drafts. Pure: the same record gives the same drafts, byte for byte.

What all rows of a record share (campaign, contexts, ids) is made once: a history has millions of rows.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from headwater.sources.activecampaign import records, times
from headwater.sources.activecampaign.mapping import kinds
from headwater.sources.activecampaign.mapping.agents import APPLE_PRIVACY
from headwater.sources.activecampaign.mapping.contacts import Contact, is_address
from headwater.sources.activecampaign.mapping.draft import Draft, Read
from headwater.sources.activecampaign.mapping.properties import Properties, machine_properties, present
from headwater.sources.activecampaign.mapping.tracks import NAMES, SPEC_UNSUBSCRIBED, context, reading_notes, track
from headwater.sources.activecampaign.mapping.webhooks import (
    ENGAGEMENT,
    ONCE,
    bounce_discriminator,
    click_discriminator,
    companion_identity,
    derived,
    unsubscribe_discriminator,
)
from headwater.sources.activecampaign.occurrence import Identity, Kind, Scope, unsubscribe_id
from headwater.sources.activecampaign.records import Report, ReportRecord, Row
from headwater.sources.activecampaign.settings import Settings
from headwater.sources.activecampaign.times import Moment
from headwater.sources.contract import Origin, Webhook
from headwater.spec.times import parse_time

NOT_WANTED: Final = "report rows that were not wanted"

_NONE: Final = {"", "0"}
_DAY: Final = timedelta(days=1)

# Campaigns whose emails go out one by one, over months: `sent_at` says nothing of the single email.
_ONE_BY_ONE: Final = frozenset({"automation", "reminder", "responder", "series"})


@dataclass(frozen=True, slots=True)
class _Report:
    """One record and what its rows share."""

    webhook: Webhook
    settings: Settings
    record: ReportRecord
    campaign_id: str
    campaign_properties: Properties
    sent_at: datetime | None
    since: datetime | None
    machine: frozenset[str]
    account: str


@dataclass(frozen=True, slots=True)
class _Telling:
    """One row of it."""

    report: _Report
    row: Row
    contact: Contact
    scope: Scope
    moment: Moment
    email: Properties
    person: Properties


def read_report(webhook: Webhook, settings: Settings) -> Read:
    """Return what a record tells; never raises for bad input."""
    try:
        record = records.decode(webhook.body)
    except records.UnreadableRecordError as error:
        return Read(quarantined=str(error))
    report = _report(webhook, settings, record)
    contacts = [(row, _contact(row)) for row in record.rows]
    if contacts and all(contact is None for _, contact in contacts):
        return Read(quarantined="no row of the report names a contact")
    drafts = tuple(
        draft
        for row, contact in contacts
        if contact is not None and not _is_open_tracker(record.report, row)
        for draft in _of_row(report, row, contact)
    )
    return Read(drafts, ignored="" if drafts else NOT_WANTED, people=record.people)


def _report(webhook: Webhook, settings: Settings, record: ReportRecord) -> _Report:
    campaign = record.campaign
    campaign_id = _identifier(campaign.id)
    return _Report(
        webhook,
        settings,
        record,
        campaign_id,
        present(
            campaign_id=campaign_id,
            campaign_name=campaign.name,
            campaign_type=campaign.type,
            campaign_status=campaign.status,
        ),
        parse_time(campaign.sent_at),
        parse_time(record.since),
        frozenset(record.machine),
        settings.account or webhook.source_id,
    )


def _contact(row: Row) -> Contact | None:
    email = row.email.strip()
    contact = Contact(_identifier(row.contact_id), email if is_address(email) else "")
    return contact if contact.key else None


def _is_open_tracker(report: Report, row: Row) -> bool:
    return report is Report.CLICKS and row.link_url.strip() == kinds.OPEN_TRACKER


def _of_row(report: _Report, row: Row, contact: Contact) -> tuple[Draft, ...]:
    """Return what one row tells, () where it is from before what is wanted."""
    moment = _moment(report, row)
    if _is_before(report, moment):
        return ()
    message_id = _identifier(row.message_id or report.record.campaign.message_id)
    told = _Telling(
        report,
        row,
        contact,
        Scope(report.webhook.source_id, report.campaign_id, message_id, contact.key),
        moment,
        _email_properties(report, message_id),
        present(contact_id=contact.id) if report.settings.include_contact != "none" else {},
    )
    match report.record.report:
        case Report.OPENS | Report.CLICKS:
            return (_engaged(told), *_delivered(told))
        case Report.BOUNCES:
            return (_bounced(told),)
        case Report.UNSUBSCRIBES:
            return (_unsubscribed(told), *_complained(told, is_import=False))
        case Report.COMPLAINTS:
            return _complained(told, is_import=True)
        case Report.RECIPIENTS:
            return _delivered(told)


def _moment(report: _Report, row: Row) -> Moment:
    """Return when a row happened: recipients have the campaign's time, a bounce is never before its email."""
    received_at, sent_at = report.webhook.received_at, report.sent_at
    if report.record.report is Report.RECIPIENTS:
        return _sent(report, Moment(received_at, None))
    moment = times.report_moment(row.at, received_at, report.settings.time_zone)
    if moment.flag == times.DATE_ONLY and sent_at is not None and moment.at < sent_at <= moment.at + _DAY:
        return Moment(sent_at, moment.epoch_s, moment.flag)
    return moment


def _sent(report: _Report, otherwise: Moment) -> Moment:
    """Return when the campaign was sent."""
    return otherwise if report.sent_at is None else Moment(report.sent_at, int(report.sent_at.timestamp()))


def _is_before(report: _Report, moment: Moment) -> bool:
    if report.since is None:
        return False
    if report.record.report is Report.RECIPIENTS and report.record.campaign.type in _ONE_BY_ONE:
        return False
    return moment.is_before(report.since)


def _email_properties(report: _Report, message_id: str) -> Properties:
    """Return what names the email; the campaign's subject only where it is this email's: a split test has several."""
    campaign = report.record.campaign
    subject = campaign.subject if message_id == _identifier(campaign.message_id) else ""
    return present(email_id=message_id or report.campaign_id, email_subject=subject) | report.campaign_properties


def _engaged(told: _Telling) -> Draft:
    row = told.row
    if told.report.record.report is Report.CLICKS:
        own = present(link_id=_identifier(row.link_id), link_url=row.link_url)
        identity = Identity(told.scope, Kind.CLICK, click_discriminator(row.link_id, row.link_url), _when(told.moment))
    else:
        own = _machine(told)
        identity = Identity(told.scope, Kind.OPEN, "", _when(told.moment))
    properties = told.email | own | told.person | {"occurrences": _count(row)} | _approximate(told.moment)
    return _draft(told, identity, properties)


def _machine(told: _Telling) -> Properties:
    """Return that Apple's proxy opens for this contact; of all others nobody knows, because reports have no agent."""
    return machine_properties(APPLE_PRIVACY) if told.contact.id in told.report.machine else {}


def _bounced(told: _Telling) -> Draft:
    kind, code = told.row.kind.strip(), told.row.code.strip()
    own = present(bounce_type=kind.lower(), bounce_code=code, bounce_reason=told.row.reason)
    identity = Identity(told.scope, Kind.BOUNCE, bounce_discriminator(kind, code), _when(told.moment))
    return _draft(told, identity, told.email | own | told.person | _approximate(told.moment))


def _unsubscribed(told: _Telling) -> Draft:
    list_ids, reason = _list_ids(told.row), told.row.reason.strip()
    id_ = unsubscribe_id(told.scope, list_ids)
    properties = (
        told.email
        | present(list_id=list_ids[0] if list_ids else "", unsubscribe_reason=reason, unsubscribe_id=id_)
        | present(list_ids=list(list_ids))
        | told.person
        | _approximate(told.moment)
    )
    discriminator = unsubscribe_discriminator(list_ids, reason)
    identity = Identity(told.scope, Kind.UNSUBSCRIBE, discriminator, _when(told.moment))
    companions: tuple[Draft, ...] = ()
    if told.report.settings.unsubscribed_too:
        companions = (_draft(told, companion_identity(identity), properties, SPEC_UNSUBSCRIBED),)
    draft = _draft(told, identity, properties)
    return dataclasses.replace(draft, reason=reason, unsubscribe_id=id_, companions=companions)


def _complained(told: _Telling, *, is_import: bool) -> tuple[Draft, ...]:
    """Return Email Marked as Spam: for each imported complaint, and for the reason that complaints leave behind."""
    reason = told.row.reason.strip()
    if not is_import and (not reason or reason != told.report.settings.spam_reason):
        return ()
    properties = (
        told.email
        | present(list_ids=list(_list_ids(told.row)))
        | told.person
        | derived("import" if is_import else "unsubscribe_reason")
        | _approximate(told.moment)
    )
    return (_draft(told, Identity(told.scope, Kind.SPAM, Kind.SPAM, ONCE), properties),)


def _delivered(told: _Telling) -> tuple[Draft, ...]:
    """Return Email Delivered: of a recipient at the campaign's time, of who opened or clicked at that time."""
    report = told.report
    engaged = report.record.report is not Report.RECIPIENTS and report.settings.delivered_from_engagement
    if not engaged and not report.settings.delivered_from_report:
        return ()
    if not (told.scope.campaign_id or told.scope.email_message_id):
        return ()
    if engaged:
        marks = derived("engagement") | _approximate(told.moment)
    else:
        told = dataclasses.replace(told, moment=_sent(report, told.moment))
        marks = derived("report") | {"approximate_timestamp": True}
    identity = Identity(told.scope, Kind.DELIVERED, Kind.DELIVERED, ONCE)
    return (_draft(told, identity, told.email | told.person | marks),)


def _draft(told: _Telling, identity: Identity, properties: Properties, name: str = "") -> Draft:
    report, row, contact, moment = told.report, told.row, told.contact, told.moment
    kind, message_id = identity.kind, identity.message_id()
    traits: Properties = {"email": contact.email} if contact.email else {}
    return Draft(
        kind=kind,
        campaign_id=told.scope.campaign_id,
        email_message_id=told.scope.email_message_id,
        contact_id=contact.id,
        email=contact.email,
        person=told.scope.person,
        link=_identifier(row.link_id) or row.link_url if kind is Kind.CLICK else "",
        at_s=moment.epoch_s,
        slack_s=report.settings.match_tolerance_s + moment.slack_s,
        origin=Origin.REPORT,
        times=_count(row) if kind in ENGAGEMENT else 1,
        message_id=message_id,
        identity=identity,
        body=track(
            name or NAMES[kind],
            message_id,
            contact.anonymous_id(report.account),
            (moment.at, report.webhook.received_at),
            properties,
            context(contact, traits, report.record.campaign.name, reading_notes((), moment, report.settings.account)),
        ),
        list_ids=_list_ids(row),
    )


def _count(row: Row) -> int:
    return max(row.times, 1)


def _when(moment: Moment) -> int:
    return ONCE if moment.epoch_s is None else moment.epoch_s


def _approximate(moment: Moment) -> Properties:
    """Return the mark of an event whose time is a date or missing."""
    is_exact = moment.epoch_s is not None and moment.flag in {"", times.ASSUMED_ZONE}
    return {} if is_exact else {"approximate_timestamp": True}


def _list_ids(row: Row) -> tuple[str, ...]:
    id_ = row.list_id.strip()
    return () if id_ in _NONE else (id_,)


def _identifier(text: str) -> str:
    text = text.strip()
    return "" if text in _NONE else text
