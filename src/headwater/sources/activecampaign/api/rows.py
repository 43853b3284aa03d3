"""What ActiveCampaign's API tells, as values: ids and times as text, counters as numbers, "" for what is not said.

Times stay as they were written (`tstamp` of a report is US Central wall time without an offset); they become instants
where a webhook's `date_time` does, in the mapping.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Campaign:
    """One campaign with the service's own counters.

    Attributes:
        type, status: as sent, such as "single" and "5".
        sent_at, last_sent_at: `sdate` and `ldate` as instants, None where it was not sent yet.
        message_ids: of its emails; several in a split test; () where they were not asked for.
        subject: of its email, "" in a split test: there each message has its own.
        tracks_opens, tracks_links: whether the account measures them at all.
        recipients: how many it was sent to so far (`send_amt`).
        opens, unique_opens, clicks, unique_clicks, clickers, hard_bounces, soft_bounces, unsubscribes: counters.
            `unique_clicks` counts a contact once for each link, `clickers` (`subscriberclicks`) once.
    """

    id: str
    name: str
    type: str = ""
    status: str = ""
    sent_at: datetime | None = None
    last_sent_at: datetime | None = None
    message_ids: tuple[str, ...] = ()
    subject: str = ""
    tracks_opens: bool = True
    tracks_links: bool = True
    recipients: int = 0
    opens: int = 0
    unique_opens: int = 0
    clicks: int = 0
    unique_clicks: int = 0
    clickers: int = 0
    hard_bounces: int = 0
    soft_bounces: int = 0
    unsubscribes: int = 0


@dataclass(frozen=True, slots=True)
class Message:
    """One email of a campaign; the subject may hold personalisation tags."""

    id: str
    subject: str


@dataclass(frozen=True, slots=True)
class ContactRow:
    """One contact.

    Attributes:
        user_id: its `segmentio_id`, the Segment user id, "" where there is none.
        updated_at: `udate` as an instant, None where it is not said.
        privacy: `mpp_tracking`: its opens come through Apple's privacy proxy.
    """

    id: str
    email: str
    user_id: str = ""
    updated_at: datetime | None = None
    privacy: bool = False


@dataclass(frozen=True, slots=True)
class WebhookRow:
    """One webhook that the account has registered; `list_id` "0" or "" is every list."""

    id: str
    name: str
    url: str
    events: tuple[str, ...]
    sources: tuple[str, ...]
    list_id: str = ""


@dataclass(frozen=True, slots=True)
class OpenRow:
    """A contact that opened: when first (as written), and how often altogether."""

    contact_id: str
    email: str
    at: str
    times: int = 1


@dataclass(frozen=True, slots=True)
class Link:
    """A tracked link of a campaign; never the pseudo-link "open" that stands for the tracking pixel."""

    id: str
    url: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class ClickRow:
    """A contact that followed a link: when first (as written), and how often altogether."""

    link: Link
    contact_id: str
    email: str
    at: str
    times: int = 1


@dataclass(frozen=True, slots=True)
class BounceRow:
    """A bounce; `at` is a date without a time."""

    contact_id: str
    email: str
    at: str
    type: str = ""
    code: str = ""
    reason: str = ""
    message_id: str = ""


@dataclass(frozen=True, slots=True)
class UnsubscribeRow:
    """A contact that left a list; `campaign_id` and `message_id` "" where it was not through a campaign's email."""

    contact_id: str
    email: str
    at: str
    reason: str = ""
    list_id: str = ""
    campaign_id: str = ""
    message_id: str = ""


@dataclass(frozen=True, slots=True)
class UnopenRow:
    """A contact that got the email and has not opened it."""

    contact_id: str
    email: str
