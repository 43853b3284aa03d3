"""What a source promises: turn what it received, already stored raw, into Segment events.

A source is one module (or folder) with a `CARD`, where it receives webhooks a function `events`, and where something
can be set a dataclass `Settings` whose fields are optional.

Where a webhook does not mean the same for ever, because something must be remembered or somebody's code is asked, a
source has a function `mapper(room) -> Memory` instead of `events`.

A source that talks to an account's API has a function `open(room) -> Worker` beside it. Whatever its worker learns
through the API it puts into the inbox, like a webhook: there is one way from a happening to an event.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from headwater.budget import Budgets
from headwater.clock import Clock
from headwater.functions.contract import Function, Runtime
from headwater.limits import WEBHOOK_BYTES_MAX
from headwater.outgoing import Http
from headwater.spec.event import Body


class Origin(StrEnum):
    """How a record came into the inbox: only our own code writes anything but `WEBHOOK`."""

    WEBHOOK = "webhook"
    REPORT = "report"


def setting(label: str, description: str = "", *, secret: bool = False, required: bool = False) -> dict[str, Any]:
    """Return dataclass field metadata: what the web form, the CLI option and the docs page show."""
    return {"label": label, "description": description, "secret": secret, "required": required}


@dataclass(frozen=True, slots=True)
class Card:
    """How a source presents itself in the catalog.

    Attributes:
        id, slug: Segment's catalog id and slug where Segment has this source.
        schema_name: suggested warehouse schema.
        webhooks: whether it receives webhooks at a secret address.
        webhook_bytes_max: of a webhook's body.
        keeps_headers: whether a webhook's headers are kept beside its body; cookies and credentials never are.
        regions: where Segment offers it; the operator can widen this.
    """

    id: str
    slug: str
    name: str
    description: str
    schema_name: str
    webhooks: bool = False
    webhook_bytes_max: int = WEBHOOK_BYTES_MAX
    keeps_headers: bool = False
    cloud: bool = False
    regions: tuple[str, ...] = ("us", "eu")
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Webhook:
    """One raw webhook as the inbox keeps it.

    Attributes:
        seq: position in the inbox.
        source_id: the source instance it was sent to.
        received_at: server clock, UTC.
        content_type: as sent, "" when absent.
        body: the bytes as they arrived.
        origin: a webhook, or what the source's own worker read from the account's API.
        query: of the address, without the question mark.
        headers: by name in lower case, where the source's card keeps them.
    """

    seq: int
    source_id: str
    received_at: datetime
    content_type: str
    body: bytes
    origin: Origin = Origin.WEBHOOK
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Mapped:
    """What one webhook became.

    Attributes:
        events: complete calls with `messageId`, `type`, `timestamp`, `originalTimestamp`, `sentAt`, `receivedAt`.
        quarantined: why nothing could be made of it, "" otherwise. Shown, kept, and can be mapped again after a fix.
        ignored: why it is known and no email event (a test, an automation, another type), "" otherwise.
    """

    events: tuple[Body, ...] = ()
    quarantined: str = ""
    ignored: str = ""


class Events(Protocol):
    """The function `events` of a source module. Pure: the same webhook gives the same events, byte for byte."""

    def __call__(self, webhook: Webhook, settings: Mapping[str, Any]) -> Mapped:
        """Return what a webhook means; never raises for bad input."""
        ...


@dataclass(frozen=True, slots=True)
class Taken:
    """What a stretch of the inbox became, with memory.

    Attributes:
        mapped: one for each webhook, in their order.
        note: the memory's own, handed back to `keep` unread.
    """

    mapped: tuple[Mapped, ...]
    note: Any = None


class Memory(Protocol):
    """Maps webhooks with what it remembers: repeats, halves that belong together, who is who.

    Called by one mapper, one call at a time. The order is `take`, append to the log, `keep`, advance the cursor. A
    crash anywhere means that webhooks are taken again: before `keep` they give the same message ids, after it they
    give nothing that the log does not hold.
    """

    async def take(self, source_id: str, webhooks: Sequence[Webhook], settings: Mapping[str, Any]) -> Taken:
        """Return what webhooks of one source mean, in inbox order; never raises for bad input.

        May wait for the account's API, within a bound.
        """
        ...

    async def overdue(self, source_id: str, settings: Mapping[str, Any], until: datetime) -> Taken:
        """Return events that were held back and need not wait any longer.

        Args:
            source_id: whose.
            settings: of the source.
            until: everything that arrived before this instant has been taken. `mapped` holds any number.
        """
        ...

    async def keep(self, source_id: str, taken: Taken) -> None:
        """Remember what `take` or `overdue` returned, now that the log has the events."""
        ...

    async def begin_again(self, source_id: str, last: datetime | None) -> None:
        """Remember that the log is an older copy, whose inbox is taken once more.

        What is told again gives its events again, with the same message ids; the log leaves out those that it has.

        Args:
            source_id: whose.
            last: when the copy's last record arrived: what happened later was told to nobody. None: not known.
        """
        ...


@dataclass(frozen=True, slots=True)
class Account:
    """An account of the service, as it is connected to a source; secrets are open.

    Attributes:
        id: of the connection.
        source_id, workspace_id: where its events go.
        url, key: the account's API.
        enabled: whether it is switched on; switched off, its webhook is taken away.
        webhook_url: the secret address that the account shall post to, as the account reaches it.
        former_webhook_urls: addresses that still work for a while, because the secret was changed.
        settings: of the source, for mapping.
    """

    id: str
    source_id: str
    workspace_id: str
    url: str
    key: str = field(repr=False)
    enabled: bool
    webhook_url: str = field(repr=False)
    former_webhook_urls: tuple[str, ...] = field(default=(), repr=False)
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)


Deposit = Callable[[str, Sequence[bytes]], Awaitable[None]]
"""Puts records of a source (id, bodies) into the inbox, with `Origin.REPORT`; durable when it returns.

Waits while the mapper is behind, and as long as the log refuses.
"""


FunctionOf = Callable[[str, str], Function | None]
"""Returns the function of an id in the workspace of a source (source id, function id); None where there is none."""


@dataclass(frozen=True, slots=True)
class Room:
    """What the program gives a source's worker or memory.

    Attributes:
        home: a directory of its own, which exists; one process writes there.
        http: the guarded client.
        budgets: the buckets that all callers of an account share.
        deposit: the way into the inbox.
        runtime: runs functions.
        function_of: finds them.
    """

    home: Path
    http: Http
    budgets: Budgets
    deposit: Deposit
    clock: Clock
    runtime: Runtime | None = None
    function_of: FunctionOf = lambda _source_id, _function_id: None


Answer = dict[str, Any]
"""One JSON object, in camelCase, as the API shows it."""


class Worker(Memory, Protocol):
    """A source's own engine in the pipeline role: its memory, and its accounts."""

    def apply(self, accounts: Sequence[Account]) -> None:
        """Work on these accounts from now on; one that is gone is forgotten, one that is off is taken down."""
        ...

    def saw(self, workspace_id: str, lines: Sequence[bytes]) -> None:
        """Learn who is who from stored identify calls (one JSON line each) of any source of the workspace."""
        ...

    def held(self, workspace_id: str, source_ids: Sequence[str], emails: Iterable[str]) -> int:
        """Return how many entries are about people with these addresses; called in a thread, as are the next two."""
        ...

    def forget(self, workspace_id: str, source_ids: Sequence[str], emails: Iterable[str]) -> int:
        """Remove what is remembered of people with these addresses for good; return how many entries that were."""
        ...

    def user_of(self, workspace_id: str, email: str) -> str | None:
        """Return the user id that identify calls gave an address, None where they gave none."""
        ...

    async def run(self) -> None:
        """Keep webhooks registered, carry on back-fills, reconcile on schedule; until `stop`."""
        ...

    async def stop(self) -> None:
        """End `run` soon; what is not finished is carried on after the next start."""
        ...

    async def check(self, url: str, key: str) -> Answer:
        """Try an account's address and key; change nothing.

        Returns: {"url": normalised base address, "account": its name, ...}.

        Raises:
            InvalidRequestError: the address or the key is wrong; says which and what to do.
            RetryableError: the service does not answer now.
        """
        ...

    async def settle(self, connection_id: str) -> Answer:
        """Bring the account's webhook into the wanted state now and return `status`; waits for `apply` if need be."""
        ...

    async def status(self, connection_id: str) -> Answer:
        """Return how a connection does: state, webhook, last event, lag, budget, warnings, runs."""
        ...

    async def statuses(self) -> list[Answer]:
        """Return the status of every connection, for metrics and `headwater doctor`."""
        ...

    async def backfill(
        self,
        connection_id: str,
        *,
        since: str | None = None,
        campaigns: Sequence[str] | None = None,
        dry_run: bool = False,
    ) -> Answer:
        """Begin to read history (or only count it) and return the run; it goes on in `run`."""
        ...

    async def reconcile(self, connection_id: str, *, campaigns: Sequence[str] | None = None) -> Answer:
        """Begin to compare the account's counters with what is known, fill in what is missing; return the run."""
        ...

    async def cancel(self, connection_id: str, run_id: str) -> Answer:
        """End a run where it is and return it."""
        ...

    async def runs(self, connection_id: str, count: int = 20) -> Answer:
        """Return {"runs": [...]}: back-fills and reconciliations with their progress, newest first."""
        ...

    async def reconciliation(self, connection_id: str) -> Answer:
        """Return {"campaigns": [...]}: for each what the account counts, what is known here, why they differ."""
        ...

    async def complaints(self, connection_id: str, rows: Sequence[Mapping[str, str]]) -> Answer:
        """Take spam complaints that somebody exported by hand; return {"count": n}."""
        ...
