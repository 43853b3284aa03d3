"""`/activecampaign/connections`: accounts connected, switched, read back, compared; our own, in the API's style."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from headwater import clock as wall
from headwater.clock import Clock
from headwater.control.api.door import TRIAL, Answer, Asked, Operation
from headwater.control.api.models import accounts as models
from headwater.control.api.models.letters import Count
from headwater.control.api.paging import Pager
from headwater.control.api.parameters import whole
from headwater.control.api.sources import given, refuse_empty
from headwater.control.connecting import Connecting
from headwater.control.models import AccountEntry, Role
from headwater.control.moments import text_of
from headwater.control.pipeline import Pipeline
from headwater.control.service import Control
from headwater.errors import ForbiddenError, InvalidRequestError

BASE: Final = "/activecampaign/connections"
_CAMPAIGNS_MAX: Final = 1_000  # ours, a call
_COMPLAINTS_MAX: Final = 1_000  # ours, a call
_CAMPAIGN_ID: Final = re.compile(r"[0-9]{1,18}")
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_RUNS: Final = whole("count", "How many at most.", 1, 100)
_FIRST: Final = datetime(2000, 1, 1, tzinfo=UTC)  # before ActiveCampaign: whoever says year 1 means everything


class Connect(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST /activecampaign/connections` takes."""

    accountUrl: str  # noqa: N815 - the API's spelling
    apiKey: str  # noqa: N815
    writeKey: str  # noqa: N815
    settings: dict[str, Any] | UnsetType = UNSET


class ChangeConnection(msgspec.Struct, forbid_unknown_fields=True):
    """What `PATCH` takes; what is not named stays, an `apiKey` that is masked, too."""

    enabled: bool | UnsetType = UNSET
    writeKey: str | UnsetType = UNSET  # noqa: N815
    apiKey: str | UnsetType = UNSET  # noqa: N815
    accountUrl: str | UnsetType = UNSET  # noqa: N815
    settings: dict[str, Any] | UnsetType = UNSET


class RotateSecret(msgspec.Struct, forbid_unknown_fields=True):
    """What a rotation takes; `now` refuses the present address from now on, else it works on for a day."""

    now: bool = False


class Backfill(msgspec.Struct, forbid_unknown_fields=True):
    """What a back-fill takes; `since` is a date (UTC) or a time with zone, without it everything is read."""

    since: str | UnsetType = UNSET
    campaigns: list[str] | UnsetType = UNSET
    dryRun: bool = False  # noqa: N815


class Reconcile(msgspec.Struct, forbid_unknown_fields=True):
    """What a reconciliation takes: some campaigns, or all."""

    campaigns: list[str] | UnsetType = UNSET


class Complaint(msgspec.Struct, forbid_unknown_fields=True):
    """One spam complaint: a contact by e-mail or id, and what else the export tells."""

    email: str = ""
    contactId: str = ""  # noqa: N815
    campaignId: str = ""  # noqa: N815
    at: str = ""


class Complaints(msgspec.Struct, forbid_unknown_fields=True):
    """What an import of complaints takes."""

    rows: list[Complaint]


class AccountOperations:
    """Everything under `/activecampaign/connections`."""

    def __init__(
        self, control: Control, pager: Pager, pipeline: Pipeline, connecting: Connecting, clock: Clock = wall.now
    ) -> None:
        self._control, self._pager, self._pipeline = control, pager, pipeline
        self._connecting, self._clock = connecting, clock

    def operations(self) -> list[Operation]:
        """Return the operations with the role each needs."""
        one = f"{BASE}/{{connectionId}}"
        return [
            Operation("GET", BASE, Role.READ_ONLY, self.list, answer=models.Connections, paged=True),
            Operation("POST", BASE, Role.MEMBER, self.connect, Connect, answer=models.OneConnection, cost=TRIAL),
            Operation("GET", one, Role.READ_ONLY, self.get, answer=models.OneConnection, volatile=models.STATUS),
            Operation("PATCH", one, Role.SOURCE_ADMIN, self.change, ChangeConnection, answer=models.OneConnection),
            Operation("DELETE", one, Role.OWNER, self.disconnect, answer=models.Disconnected),
            Operation("POST", f"{one}/verify", Role.SOURCE_ADMIN, self.verify, answer=models.OneConnection, cost=TRIAL),
            Operation(
                "POST",
                f"{one}/rotate-secret",
                Role.OWNER,
                self.rotate_secret,
                RotateSecret,
                answer=models.OneConnection,
            ),
            Operation("POST", f"{one}/backfill", Role.SOURCE_ADMIN, self.backfill, Backfill, answer=models.OneRun),
            Operation("POST", f"{one}/reconcile", Role.SOURCE_ADMIN, self.reconcile, Reconcile, answer=models.OneRun),
            Operation("GET", f"{one}/reconciliation", Role.READ_ONLY, self.reconciliation, answer=models.Comparison),
            Operation("GET", f"{one}/runs", Role.READ_ONLY, self.runs, answer=models.Runs, query=(_RUNS,)),
            Operation("POST", f"{one}/runs/{{runId}}/cancel", Role.SOURCE_ADMIN, self.cancel, answer=models.OneRun),
            Operation("POST", f"{one}/complaints", Role.SOURCE_ADMIN, self.complaints, Complaints, answer=Count),
        ]

    async def list(self, asked: Asked) -> Answer:
        """Return a page of connections with their status, oldest first."""
        found = await asyncio.to_thread(self._control.accounts.all, asked.caller.workspace_id)
        page, pagination = self._pager.page(asked, "activecampaign/connections", found, _position)
        shown = await asyncio.gather(*(self._connecting.status_of(each) for each in page))
        return {"connections": shown, "pagination": pagination}

    async def connect(self, asked: Asked) -> Answer:
        """Connect an account to the source of a write key; one that is connected already is entered again."""
        wanted: Connect = asked.body
        status = await self._connecting.connect(
            asked.caller.workspace_id,
            account_url=wanted.accountUrl,
            api_key=wanted.apiKey,
            write_key=wanted.writeKey,
            settings=None if isinstance(wanted.settings, UnsetType) else wanted.settings,
        )
        return {"connection": status}

    async def get(self, asked: Asked) -> Answer:
        """Return one connection with its status."""
        return {"connection": await self._connecting.status(*_which(asked))}

    async def change(self, asked: Asked) -> Answer:
        """Switch a connection on or off, or enter write key, API key, address or settings again."""
        refuse_empty(asked.body)
        if asked.body.writeKey is not UNSET and not asked.caller.role.includes(Role.MEMBER):
            raise ForbiddenError("Moving an account to another source needs the role member.")
        names = {"accountUrl": "account_url", "apiKey": "api_key", "writeKey": "write_key"}
        change = {names.get(name, name): value for name, value in given(asked.body).items()}
        return {"connection": await self._connecting.change(*_which(asked), **change)}

    async def disconnect(self, asked: Asked) -> Answer:
        """Take the webhook down and forget the account; events and history stay."""
        return {"status": "SUCCESS", **await self._connecting.disconnect(*_which(asked))}

    async def verify(self, asked: Asked) -> Answer:
        """Look at the webhook now and put it right."""
        return {"connection": await self._connecting.verify(*_which(asked))}

    async def rotate_secret(self, asked: Asked) -> Answer:
        """Move the webhook to a new secret address."""
        return {"connection": await self._connecting.rotate_secret(*_which(asked), at_once=asked.body.now)}

    async def backfill(self, asked: Asked) -> Answer:
        """Begin to read history; with `dryRun` it is only counted."""
        wanted: Backfill = asked.body
        since = None if isinstance(wanted.since, UnsetType) else self._since(wanted.since)
        campaigns = _campaigns(wanted.campaigns)
        entry = await self._entry(asked)
        run = await self._pipeline.account_backfill(entry.id, since=since, campaigns=campaigns, dry_run=wanted.dryRun)
        return {"run": run}

    async def reconcile(self, asked: Asked) -> Answer:
        """Begin to compare the account's counters with what is here, and fill in what is missing."""
        campaigns = _campaigns(asked.body.campaigns)
        entry = await self._entry(asked)
        return {"run": await self._pipeline.account_reconcile(entry.id, campaigns=campaigns)}

    async def reconciliation(self, asked: Asked) -> Answer:
        """Return the comparison, campaign by campaign."""
        return await self._pipeline.account_reconciliation((await self._entry(asked)).id)

    async def runs(self, asked: Asked) -> Answer:
        """Return the newest back-fills and reconciliations."""
        count = asked.whole("count", 20, 1, 100)
        return await self._pipeline.account_runs((await self._entry(asked)).id, count)

    async def cancel(self, asked: Asked) -> Answer:
        """End a run where it is; what it read stays."""
        entry = await self._entry(asked)
        return {"run": await self._pipeline.account_cancel(entry.id, asked.path["runId"])}

    async def complaints(self, asked: Asked) -> Answer:
        """Take spam complaints that were exported by hand."""
        rows: Sequence[Complaint] = asked.body.rows
        if not 1 <= len(rows) <= _COMPLAINTS_MAX:
            raise InvalidRequestError(f"rows are 1 to {_COMPLAINTS_MAX}", field="rows")
        entry = await self._entry(asked)
        return await self._pipeline.account_complaints(entry.id, [msgspec.structs.asdict(row) for row in rows])

    async def _entry(self, asked: Asked) -> AccountEntry:
        return await asyncio.to_thread(self._control.accounts.get, *_which(asked))

    def _since(self, text: str) -> str:
        """Return the instant of a date or a time, ISO 8601 in UTC.

        Raises:
            InvalidRequestError: it is none, has no zone, or lies in the future.
        """
        instant = _instant(text)
        if instant is None:
            message = "since is a date such as 2026-01-31, or a time with zone such as 2026-01-31T08:00:00Z"
            raise InvalidRequestError(message, field="since")
        if instant > self._clock():
            raise InvalidRequestError(
                "since lies in the future; give a day that has begun, such as 2025-01-31", field="since"
            )
        return text_of(max(instant, _FIRST))


def _instant(text: str) -> datetime | None:
    """Return the instant of a time with zone, or of a day's beginning in UTC; None for anything else."""
    try:
        if _DAY.fullmatch(text):
            return datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if instant.tzinfo is None else instant


def _which(asked: Asked) -> tuple[str, str]:
    return asked.caller.workspace_id, asked.path["connectionId"]


def _campaigns(ids: Sequence[str] | UnsetType) -> Sequence[str] | None:
    if isinstance(ids, UnsetType):
        return None
    if not 1 <= len(ids) <= _CAMPAIGNS_MAX or not all(_CAMPAIGN_ID.fullmatch(each) for each in ids):
        message = f"campaigns are 1 to {_CAMPAIGNS_MAX} ids of campaigns, whole numbers as text"
        raise InvalidRequestError(message, field="campaigns")
    return list(dict.fromkeys(ids))


def _position(entry: AccountEntry) -> str:
    return f"{text_of(entry.created_at)} {entry.id}"
