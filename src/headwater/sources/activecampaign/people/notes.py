"""What campaigns are called: asked of the account once an hour, remembered, and never waited for for long."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import structlog

from headwater import sqlite
from headwater.budget import Priority
from headwater.clock import Clock, now
from headwater.errors import DeliveryError
from headwater.sources.activecampaign.api.connected import Connected
from headwater.sources.activecampaign.api.rows import Campaign
from headwater.sources.activecampaign.people.breaker import PAUSE_S, Breaker
from headwater.sources.activecampaign.people.recent import Recent
from headwater.sources.activecampaign.records import CampaignNote
from headwater.spec.times import format_time

WAIT_S: Final = 0.8
"""ours: how long events wait for the account's answer, together; above it they go without the campaign's name."""

FRESH_S: Final = 3600
"""ours: a campaign is asked for again after an hour; what was known answers meanwhile."""

_LOOKUPS_MAX: Final = 200  # ours: campaigns of one account that are asked for at a time; more are not, for now
_HELD_MAX: Final = 10_000  # ours: campaigns in memory, some 500 bytes each

_log = structlog.get_logger()
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(CampaignNote).decode


class Noted(NamedTuple):
    """A campaign as it was found, None where there is none (any more); `looked_at` in seconds since 1970."""

    note: CampaignNote | None
    looked_at: int


def note_of(campaign: Campaign) -> CampaignNote:
    """Return what is noted of a campaign: email and subject only where it has one, since a split test has several."""
    is_one = len(campaign.message_ids) == 1
    return CampaignNote(
        id=campaign.id,
        name=campaign.name,
        type=campaign.type,
        status=campaign.status,
        message_id=campaign.message_ids[0] if is_one else "",
        subject=campaign.subject if is_one else "",
        sent_at=format_time(campaign.sent_at) if campaign.sent_at else "",
    )


class NoteFile:
    """The notes on disk; usable from any thread."""

    def __init__(self, path: Path) -> None:
        """Open the file, which is made when it is not there."""
        self._lock = threading.Lock()
        self._connection = sqlite.connect(path)
        self._connection.execute(
            "create table if not exists notes (account text not null, campaign_id text not null, note blob,"
            " looked_at integer not null, primary key (account, campaign_id)) strict, without rowid"
        )

    def read(self, account: str, ids: Iterable[str]) -> dict[str, Noted]:
        """Return what is noted of these campaigns."""
        found: dict[str, Noted] = {}
        with self._lock:
            for id_ in ids:
                row = self._connection.execute(
                    "select note, looked_at from notes where account = ? and campaign_id = ?", (account, id_)
                ).fetchone()
                if row:
                    found[id_] = Noted(_decode(row[0]) if row[0] is not None else None, row[1])
        return found

    def write(self, account: str, id_: str, noted: Noted) -> None:
        """Keep one."""
        note = None if noted.note is None else _encode(noted.note)
        with self._lock:
            self._connection.execute("insert or replace into notes values (?, ?, ?, ?)", (account, id_, note, noted[1]))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()


class _Lookups:
    """One account's look-ups: one a campaign at a time."""

    def __init__(self, connected: Connected, breaker: Breaker) -> None:
        self.connected, self.breaker = connected, breaker
        self.tasks: dict[str, asyncio.Task[None]] = {}


class CampaignNotes:
    """All sources'; works without `run`. Notes are kept by the account's address, so another account's are others."""

    def __init__(
        self,
        path: Path,
        clock: Clock = now,
        *,
        wait_s: float = WAIT_S,
        pause_s: float = PAUSE_S,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take where to keep what is known, the clock, and how long to wait for answers and after failures."""
        self._file, self._clock = NoteFile(path), clock
        self._wait_s, self._pause_s, self._seconds = wait_s, pause_s, seconds
        self._recent: Recent[tuple[str, str], Noted] = Recent(_HELD_MAX)
        self._lookups: dict[str, _Lookups] = {}
        self._ended: set[asyncio.Task[None]] = set()

    def use(self, accounts: Mapping[str, Connected]) -> None:
        """Ask these accounts from now on, by the id of their source; one that is switched off is not asked."""
        wanted = {source_id: connected for source_id, connected in accounts.items() if connected.account.enabled}
        for source_id in [*self._lookups]:
            known = self._lookups[source_id].connected.account
            found = wanted[source_id].account if source_id in wanted else None
            if found is None or (known.url, known.key) != (found.url, found.key):
                self._leave(source_id)
        for source_id, connected in wanted.items():
            breaker = Breaker(self._seconds, self._pause_s)
            self._lookups.setdefault(source_id, _Lookups(connected, breaker)).connected = connected

    async def stop(self) -> None:
        """Give up what is under way."""
        for source_id in [*self._lookups]:
            self._leave(source_id)
        await asyncio.gather(*self._ended, return_exceptions=True)

    def close(self) -> None:
        """Close the file, after `stop`."""
        self._file.close()

    async def notes(self, source_id: str, campaign_ids: Collection[str]) -> dict[str, CampaignNote]:
        """Return what is known of these campaigns within `WAIT_S`; one that was deleted, or did not answer, is absent.

        Without a connected account there is nobody to ask, and nothing is known.
        """
        lookups = self._lookups.get(source_id)
        ids = {id_ for id_ in campaign_ids if id_.isascii() and id_.isdecimal() and id_ != "0"}
        if lookups is None or not ids:
            return {}
        known = await self._known(lookups.connected.api.address.base, ids)
        oldest = int(self._clock().timestamp()) - FRESH_S
        for id_, noted in known.items():
            if noted.looked_at < oldest:
                self._look(lookups, id_, Priority.NORMAL)
        if missing := ids - known.keys():
            await self._wait(lookups, [task for id_ in missing if (task := self._look(lookups, id_, Priority.LIVE))])
            known |= self._held(lookups.connected.api.address.base, missing)
        return {id_: noted.note for id_, noted in known.items() if noted.note is not None}

    async def _known(self, account: str, ids: Collection[str]) -> dict[str, Noted]:
        known = self._held(account, ids)
        if missing := [id_ for id_ in ids if id_ not in known]:
            state = self._recent.state
            try:
                found = await asyncio.to_thread(self._file.read, account, missing)
            except (sqlite.Error, msgspec.MsgspecError) as error:  # an event must not wait for a disk
                _log.warning("campaigns.not_read", error=type(error).__name__)
                return known
            self._recent.read({(account, id_): noted for id_, noted in found.items()}, state)
            known |= found
        return known

    def _held(self, account: str, ids: Iterable[str]) -> dict[str, Noted]:
        held = ((id_, self._recent.get((account, id_))) for id_ in ids)
        return {id_: noted for id_, noted in held if noted is not None}

    def _look(self, lookups: _Lookups, id_: str, priority: Priority) -> asyncio.Task[None] | None:
        """Return the look-up of a campaign that is under way, a new one, or None where none may begin now."""
        if id_ in lookups.tasks:
            return lookups.tasks[id_]
        if lookups.breaker.pause_s() > 0 or len(lookups.tasks) >= _LOOKUPS_MAX:
            return None
        task = asyncio.create_task(self._ask(lookups, id_, priority))
        lookups.tasks[id_] = task
        task.add_done_callback(lambda _: lookups.tasks.pop(id_, None))
        return task

    async def _wait(self, lookups: _Lookups, tasks: Collection[asyncio.Task[None]]) -> None:
        if not tasks or not lookups.breaker.is_worth_waiting():
            return
        before = lookups.breaker.answers
        _, late = await asyncio.wait(tasks, timeout=self._wait_s)
        if late:
            lookups.breaker.waited(before)

    async def _ask(self, lookups: _Lookups, id_: str, priority: Priority) -> None:
        api = lookups.connected.api
        try:
            campaign = await api.campaign(id_, priority=priority)
        except DeliveryError as error:
            lookups.breaker.failed()
            _log.warning("campaign.not_answered", campaign_id=id_, reason=type(error).__name__)
            return
        lookups.breaker.answered()
        noted = Noted(note_of(campaign) if campaign else None, int(self._clock().timestamp()))
        self._recent.changed({(api.address.base, id_): noted})
        try:
            await asyncio.to_thread(self._file.write, api.address.base, id_, noted)
        except sqlite.Error as error:  # what is held answers until the disk is well again
            _log.warning("campaign.not_kept", error=type(error).__name__)

    def _leave(self, source_id: str) -> None:
        for task in [*self._lookups.pop(source_id).tasks.values()]:
            task.cancel()
            self._ended.add(task)
            task.add_done_callback(self._ended.discard)
