"""Connected ActiveCampaign accounts: their webhook, their runs, the comparison with the account's own counters."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from headwater.control.api.models import Pagination, Settings

STATUS: Final = (
    "state",
    "message",
    "webhook",
    "lastEvent",
    "warnings",
    "budget",
    "identities",
    "backfill",
    "reconciliation",
    "lag",
)
"""What of a connection changes by itself."""


class ConnectedSource(msgspec.Struct, rename="camel"):
    """The source that gets the account's events."""

    id: str
    slug: str
    name: str
    schema_name: str
    type: str


class Webhook(msgspec.Struct, rename="camel"):
    """The account's webhook; its address is masked."""

    state: str
    id: str
    address: str
    repairs: int
    message: str
    checked_at: str | UnsetType | None = UNSET


class LastEvent(msgspec.Struct, rename="camel"):
    """The newest event of the account."""

    event: str
    at: str
    received_at: str
    origin: str


class Budget(msgspec.Struct, rename="camel"):
    """How much of the account's calls is used."""

    per_second: float
    last_minute: int
    total: int
    throttled: int
    waiting: int
    paused_s: float


class Identities(msgspec.Struct, rename="camel"):
    """How many contacts are known, and of how many the user id."""

    known: int
    with_user_id: int
    fallbacks: int


class Lag(msgspec.Struct, rename="camel"):
    """What waits to be mapped, and since when the oldest."""

    inbox: int
    oldest_s: float


class Progress(msgspec.Struct, rename="camel"):
    """Campaigns of a run."""

    total: int
    done: int


class Run(msgspec.Struct, rename="camel"):
    """A back-fill or a reconciliation; one that was only counted has `dryRun` and no id."""

    kind: str
    since: str | None
    campaigns: Progress
    rows: int
    calls: int
    eta_s: float | None
    message: str
    id: str | UnsetType = UNSET
    state: str | UnsetType = UNSET
    filled: int | UnsetType = UNSET
    calls_minimum: int | UnsetType = UNSET
    created_at: str | UnsetType = UNSET
    started_at: str | UnsetType | None = UNSET
    ended_at: str | UnsetType | None = UNSET
    dry_run: bool | UnsetType = UNSET


class AccountWarning(msgspec.Struct, rename="camel"):
    """What somebody should know of the account."""

    code: str
    message: str
    campaign_id: str | UnsetType = UNSET


class Connection(msgspec.Struct, rename="camel"):
    """A connected account; while the pipeline role does not answer, `state` is unknown and the rest is missing."""

    id: str
    account_url: str
    account: str
    api_key: str
    source: ConnectedSource
    enabled: bool
    settings: Settings
    created_at: str
    updated_at: str
    state: str
    message: str
    webhook: Webhook | UnsetType = UNSET
    last_event: LastEvent | UnsetType | None = UNSET
    warnings: list[AccountWarning] | UnsetType = UNSET
    budget: Budget | UnsetType = UNSET
    identities: Identities | UnsetType = UNSET
    backfill: Run | UnsetType | None = UNSET
    reconciliation: Run | UnsetType | None = UNSET
    lag: Lag | UnsetType = UNSET


class OneConnection(msgspec.Struct, rename="camel"):
    """One connected account."""

    connection: Connection


class Connections(msgspec.Struct, rename="camel"):
    """A page of connected accounts."""

    connections: list[Connection]
    pagination: Pagination


class Disconnected(msgspec.Struct, rename="camel"):
    """The account is forgotten; `message` says what is left to do where its webhook could not be removed."""

    status: str
    webhook_removed: bool
    message: str


class OneRun(msgspec.Struct, rename="camel"):
    """One run."""

    run: Run


class Runs(msgspec.Struct, rename="camel"):
    """The newest runs, newest first."""

    runs: list[Run]


class Difference(msgspec.Struct, rename="camel"):
    """What the account counts and what is known here."""

    active_campaign: int
    headwater: int
    filled: int
    why: str


class Compared(msgspec.Struct, rename="camel"):
    """One campaign, by kind of event; `why` says in sentences what differs."""

    id: str
    name: str
    sent_at: str | None
    checked_at: str
    read_at: str | None
    equal: bool
    counts: dict[str, Difference]
    why: list[str]


class Comparison(msgspec.Struct, rename="camel"):
    """The comparison, the campaign that was sent last first."""

    campaigns: list[Compared]
    checked_at: str | UnsetType | None = UNSET
    since: str | UnsetType | None = UNSET
