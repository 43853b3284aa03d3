"""The source's engine in the pipeline role: memory, identities, history and webhooks of all connected accounts."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any, Final

import structlog

from headwater.activecampaign.address import normalised
from headwater.activecampaign.budget import budget_of
from headwater.budget import Priority
from headwater.errors import DeliveryError, InvalidRequestError, NotFoundError
from headwater.sources.activecampaign import records
from headwater.sources.activecampaign.api.account import AccountApi
from headwater.sources.activecampaign.api.connected import Connected
from headwater.sources.activecampaign.connection import complaints, status
from headwater.sources.activecampaign.connection.checking import checked
from headwater.sources.activecampaign.connection.health import Health
from headwater.sources.activecampaign.connection.keeper import Keeper
from headwater.sources.activecampaign.history.history import History
from headwater.sources.activecampaign.history.marks import Marks
from headwater.sources.activecampaign.history.runs import Runs
from headwater.sources.activecampaign.memory.known import short
from headwater.sources.activecampaign.memory.ledger import Ledger
from headwater.sources.activecampaign.memory.remembering import OccurrenceMemory
from headwater.sources.activecampaign.people.identities import Identities
from headwater.sources.activecampaign.people.notes import CampaignNotes
from headwater.sources.activecampaign.records import Person
from headwater.sources.contract import Account, Answer, Room, Taken, Webhook

APPLY_S: Final = 10.0
"""ours: how long `settle` waits for news of a connection that was stored a moment ago."""
SETTLE_S: Final = 20.0
"""ours: how long it waits for ActiveCampaign; the look goes on without it."""
PEOPLE_S: Final = 10.0
"""ours: how long an import of complaints waits for who the contacts are, at five hundred a second."""
_AGAIN_S: Final = 1.0
_AGAIN_S_MAX: Final = 60.0  # ours: between two beginnings of a part that fails

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Parts:
    """What the worker composes; each has one file in the source's directory."""

    ledger: Ledger
    identities: Identities
    notes: CampaignNotes
    memory: OccurrenceMemory
    runs: Runs
    history: History
    keeper: Keeper


class AccountsWorker:
    """Implements `contract.Worker`: every call goes to the part that knows."""

    def __init__(self, room: Room, parts: Parts) -> None:
        """Take the program's room and the parts."""
        self._room, self._parts = room, parts
        self._connected: dict[str, Connected] = {}
        self._news = asyncio.Event()  # a new one with every `apply`
        self._stopped = asyncio.Event()
        self._settling: set[asyncio.Task[None]] = set()

    async def take(self, source_id: str, webhooks: Sequence[Webhook], settings: Mapping[str, Any]) -> Taken:
        """See `contract.Memory`."""
        return await self._parts.memory.take(source_id, webhooks, settings)

    async def overdue(self, source_id: str, settings: Mapping[str, Any], until: datetime) -> Taken:
        """See `contract.Memory`."""
        return await self._parts.memory.overdue(source_id, settings, until)

    async def keep(self, source_id: str, taken: Taken) -> None:
        """See `contract.Memory`."""
        await self._parts.memory.keep(source_id, taken)

    async def begin_again(self, source_id: str, last: datetime | None) -> None:
        """See `contract.Memory`; what was compared before is compared anew."""
        await self._parts.memory.begin_again(source_id, last)
        for connected in self._connected.values():
            if connected.account.source_id == source_id:
                await asyncio.to_thread(Marks(self._parts.runs, connected.account.id, source_id).reopen)

    def apply(self, accounts: Sequence[Account]) -> None:
        """Hand the accounts to every part; one whose address cannot be read is left out, and logged."""
        self._connected = {each.id: connected for each in accounts if (connected := self._connect(each))}
        by_source = {each.account.source_id: each for each in self._connected.values()}
        for part in (self._parts.identities, self._parts.notes, self._parts.history, self._parts.keeper):
            part.use(by_source)
        self._news.set()
        self._news = asyncio.Event()

    def saw(self, workspace_id: str, lines: Sequence[bytes]) -> None:
        """Learn who is who; waits for the disk, so it is called in a thread."""
        self._parts.identities.learn(workspace_id, lines)

    def held(self, workspace_id: str, source_ids: Sequence[str], emails: Iterable[str]) -> int:
        """Return how many entries are about people with these addresses. Called in a thread."""
        contacts, persons = self._persons(workspace_id, emails)
        return contacts + self._parts.ledger.held_of(source_ids, persons)

    def forget(self, workspace_id: str, source_ids: Sequence[str], emails: Iterable[str]) -> int:
        """Remove what is remembered of people with these addresses; return how many entries. Called in a thread."""
        wanted = list(emails)
        _, persons = self._persons(workspace_id, wanted)
        told = self._parts.ledger.forget(source_ids, persons)  # first: only the contacts tell what they are called
        return told + sum(self._parts.identities.forget(workspace_id, email) for email in wanted)

    def user_of(self, workspace_id: str, email: str) -> str | None:
        """Return the user id that identify calls gave an address. Called in a thread."""
        return self._parts.identities.user_of(workspace_id, email)

    def _persons(self, workspace_id: str, emails: Iterable[str]) -> tuple[int, list[str]]:
        """Return how many entries of people there are, and what occurrences call them."""
        count, persons = 0, list[str]()
        for email in emails:
            contacts = self._parts.identities.contacts_of(workspace_id, email)
            count += len(contacts) + (self._parts.identities.user_of(workspace_id, email) is not None)
            persons += [short(each) for each in (*contacts, email)]
        return count, persons

    async def run(self) -> None:
        """Run every part until `stop`; one that fails is begun again and ends no other."""
        parts = self._parts
        await asyncio.gather(
            self._forever("identities", parts.identities.run),
            self._forever("history", parts.history.run),
            self._forever("keeper", parts.keeper.run),
        )

    async def stop(self) -> None:
        """End `run` soon. Memory goes on to answer: the mapper may still be at its last batch."""
        self._stopped.set()
        await asyncio.gather(self._parts.history.stop(), self._parts.keeper.stop(), self._parts.identities.stop())
        await self._parts.notes.stop()

    def close(self) -> None:
        """Close the files, after everything has stopped."""
        parts = self._parts
        for part in (parts.ledger, parts.identities, parts.notes, parts.keeper, parts.runs):
            part.close()

    async def check(self, url: str, key: str) -> Answer:
        """Try an account's address and key; change nothing."""
        address, user = await checked(self._room.http, self._room.budgets, url, key)
        return {"url": address.base, "account": address.name, "user": user}

    async def settle(self, connection_id: str) -> Answer:
        """Bring the account's webhook into the wanted state now and return `status`.

        Raises:
            NotFoundError: nobody brought news of such a connection for `APPLY_S`.
        """
        await self._heard_of(connection_id)
        settling = asyncio.create_task(self._settled(connection_id))
        self._settling.add(settling)
        settling.add_done_callback(self._settling.discard)
        await asyncio.wait({settling}, timeout=SETTLE_S)
        return await self.status(connection_id)

    async def _settled(self, connection_id: str) -> None:
        try:
            await self._parts.keeper.settle(connection_id)
        except Exception as error:  # noqa: BLE001 - the keeper itself looks again; the status is still to be told
            _log.error("connection.not_settled", connection_id=connection_id, error=type(error).__name__)

    async def status(self, connection_id: str) -> Answer:
        """Return how a connection does.

        Raises:
            NotFoundError: there is no such connection (yet).
        """
        connected = self._of(connection_id)
        account, ledger = connected.account, self._parts.ledger
        taker = self._parts.keeper.taker(connection_id)
        last, arrived = await asyncio.to_thread(
            lambda: (ledger.last(account.source_id), ledger.arrived(account.source_id))
        )
        health = taker.health if taker else Health()
        known = status.Known(account, health, arrived, last, self._room.clock())
        address = connected.api.address
        return {
            "id": connection_id,
            "account": address.name,
            "enabled": account.enabled,
            **status.described(known),
            "budget": status.budget(budget_of(self._room.budgets, address).use()),
            "identities": self._parts.identities.counts(account.source_id),
            **await self._parts.history.latest(connection_id),
        }

    async def statuses(self) -> list[Answer]:
        """Return the status of every connection."""
        return [await self.status(each) for each in tuple(self._connected) if each in self._connected]

    async def backfill(
        self,
        connection_id: str,
        *,
        since: str | None = None,
        campaigns: Sequence[str] | None = None,
        dry_run: bool = False,
    ) -> Answer:
        """Begin to read history, or only count it, and return the run."""
        return await self._parts.history.backfill(connection_id, since=since, campaigns=campaigns, dry_run=dry_run)

    async def reconcile(self, connection_id: str, *, campaigns: Sequence[str] | None = None) -> Answer:
        """Begin to compare counters and fill in what is missing; return the run."""
        return await self._parts.history.reconcile(connection_id, campaigns=campaigns)

    async def cancel(self, connection_id: str, run_id: str) -> Answer:
        """End a run where it is and return it."""
        return await self._parts.history.cancel(connection_id, run_id)

    async def runs(self, connection_id: str, count: int = 20) -> Answer:
        """Return {"runs": [...]}, newest first."""
        return await self._parts.history.runs(connection_id, count)

    async def reconciliation(self, connection_id: str) -> Answer:
        """Return {"campaigns": [...]}."""
        return await self._parts.history.reconciliation(connection_id)

    async def complaints(self, connection_id: str, rows: Sequence[Mapping[str, str]]) -> Answer:
        """Take spam complaints that somebody exported by hand; return {"count": n}.

        Raises:
            InvalidRequestError: a row is wrong; nothing was taken.
            NotFoundError: there is no such connection.
        """
        source_id = self._of(connection_id).account.source_id
        by_campaign = complaints.checked(rows, self._room.clock())
        notes = await self._parts.notes.notes(source_id, [each for each in by_campaign if each])
        people = await self._people(source_id, complaints.persons(chain.from_iterable(by_campaign.values())))
        bodies = [records.encode(record) for record in complaints.records(by_campaign, notes, people)]
        await self._room.deposit(source_id, bodies)
        return {"count": len(rows)}

    async def _people(self, source_id: str, contacts: Mapping[str, str]) -> Mapping[str, Person]:
        """Return who contacts are, nobody where that takes too long: then the mapper asks once more for each."""
        try:
            async with asyncio.timeout(PEOPLE_S):
                people, _ = await self._parts.identities.people(source_id, contacts, priority=Priority.NORMAL)
        except (DeliveryError, TimeoutError):
            return {}
        return people

    def _connect(self, account: Account) -> Connected | None:
        """Return an account with its API: the same one as before where neither address nor key changed."""
        before = self._connected.get(account.id)
        if before and (before.account.url, before.account.key) == (account.url, account.key):
            return Connected(account, before.api)
        try:
            address = normalised(account.url)
        except InvalidRequestError as error:
            _log.error("connection.unusable", connection_id=account.id, reason=str(error))
            return None
        return Connected(
            account, AccountApi(self._room.http, budget_of(self._room.budgets, address), address, account.key)
        )

    def _of(self, connection_id: str) -> Connected:
        if connection_id not in self._connected:
            raise NotFoundError("There is no such connection, or it is not known here yet; try again in a moment.")
        return self._connected[connection_id]

    async def _heard_of(self, connection_id: str) -> None:
        """Return once `apply` brought a connection, or after a while."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(APPLY_S):
                while connection_id not in self._connected:
                    await self._news.wait()
        self._of(connection_id)

    async def _forever(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        pause_s = _AGAIN_S
        while not self._stopped.is_set():
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - a part that fails costs neither the others nor the pipeline
                _log.error("activecampaign.part_failed", part=name, error=type(error).__name__, pause_s=pause_s)
            if not self._stopped.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopped.wait(), pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads
            pause_s = min(pause_s * 2, _AGAIN_S_MAX)


def open(room: Room) -> AccountsWorker:  # noqa: A001 - what a source with a worker is opened by
    """Return the source's worker, with everything that is kept in the room's directory."""
    ledger = Ledger(room.home / "ledger.sqlite")
    identities = Identities(room.home / "identities.sqlite", room.clock)
    notes = CampaignNotes(room.home / "notes.sqlite", room.clock)
    runs = Runs(room.home / "runs.sqlite")
    parts = Parts(
        ledger,
        identities,
        notes,
        OccurrenceMemory(ledger, identities, notes),
        runs,
        History(room, ledger, identities, runs),
        Keeper(room, ledger, room.home / "keeper.sqlite"),
    )
    return AccountsWorker(room, parts)
