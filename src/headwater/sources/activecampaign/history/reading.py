"""Read one report of one campaign page by page, and put what it says into the inbox.

Pages are gathered into chunks: identities are asked for in full batches, and a chunk is marked once it is in the inbox.
Nothing is remembered outside the file of the runs, so that a reading goes on after a crash at its last mark.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol, cast

import msgspec

from headwater.budget import Priority
from headwater.clock import Clock
from headwater.sources.activecampaign.api.account import pages
from headwater.sources.activecampaign.api.connected import Connected
from headwater.sources.activecampaign.api.rows import BounceRow, ClickRow, OpenRow, UnopenRow, UnsubscribeRow
from headwater.sources.activecampaign.history.difference import promised
from headwater.sources.activecampaign.history.pace import Pace
from headwater.sources.activecampaign.history.run import Reading, Run, Spent
from headwater.sources.activecampaign.history.runs import Runs
from headwater.sources.activecampaign.records import (
    ROWS_MAX,
    CampaignNote,
    Person,
    Report,
    ReportRecord,
    Row,
    encode,
)
from headwater.sources.activecampaign.settings import Settings
from headwater.sources.activecampaign.times import report_moment
from headwater.sources.contract import Deposit

CHUNK_ROWS: Final = 2_000
"""Ours: rows that are gathered before identities are asked for (in hundreds) and the page is marked."""

PAGES_AHEAD: Final = 4
"""Ours: requests of one report under way, so that an answer's delay does not halve the rate."""

ATTEMPTS_MAX: Final = 2
"""Ours: how often a list is read that shifted while it was read."""

CAMPAIGN_CALLS: Final = 2
"""One campaign with its email takes two requests."""

_RECENT_PAGES: Final = 8  # ours: a row that a shifting list shows twice comes again on one of the next pages


AnyRow = OpenRow | ClickRow | BounceRow | UnsubscribeRow | UnopenRow


class People(Protocol):
    """Who knows the contacts: see `identities`."""

    async def people(
        self, source_id: str, contacts: Mapping[str, str], *, priority: Priority
    ) -> tuple[Mapping[str, Person], Collection[str]]:
        """Return who the contacts (id -> e-mail) are, and which of them open through Apple's proxy.

        Waits as long as it takes.
        """
        ...


class Meter:
    """Counts the requests that an account gets while a run is carried, whoever makes them."""

    def __init__(self, connected: Connected) -> None:
        self._api = connected.api
        self._taken = self._api.calls

    def take(self) -> int:
        """Return how many there were since the last time."""
        before, self._taken = self._taken, self._api.calls
        return self._taken - before


@dataclass(frozen=True, slots=True)
class Desk:
    """What a reading works with.

    Attributes:
        priority: of its calls.
        since: rows before it are not wanted, None for all.
    """

    run: Run
    connected: Connected
    settings: Settings
    runs: Runs
    people: People
    deposit: Deposit
    clock: Clock
    pace: Pace
    meter: Meter
    priority: Priority
    since: datetime | None = None


async def read(desk: Desk, note: CampaignNote, place: tuple[int, int], begun: Reading) -> Reading:
    """Read a report to its end and return how it ended; goes on where `begun` stands.

    A list that came short although it moved meanwhile is read once more: its pages shifted.

    Raises:
        RetryableError, UnauthorizedError, DeliveryError: as the account's API; what was marked stays marked.
    """
    reading = await _attempt(desk, note, place, begun)
    while reading.rows < reading.expected and reading.attempt < ATTEMPTS_MAX and await _moved(desk, note, reading):
        again = Reading(
            reading.report, reading.expected, reading.counter, known=reading.known, attempt=reading.attempt + 1
        )
        await asyncio.to_thread(desk.runs.mark, desk.run.id, place, again, Spent())
        reading = await _attempt(desk, note, place, again)
    ended = msgspec.structs.replace(reading, is_complete=True)
    await asyncio.to_thread(desk.runs.mark, desk.run.id, place, ended, Spent(), done=True)
    return ended


async def _moved(desk: Desk, note: CampaignNote, reading: Reading) -> bool:
    """Whether the list may have shifted while it was read: a row came twice, or its counter is another one.

    A list that rests and is shorter than its counter leaves out deleted contacts; it would do so again.
    """
    if reading.rows_twice:
        return True
    campaign = await desk.connected.api.campaign(note.id, priority=desk.priority)
    return campaign is not None and promised(campaign, reading.report) != reading.expected


async def _attempt(desk: Desk, note: CampaignNote, place: tuple[int, int], reading: Reading) -> Reading:
    """Read from `next_page` to the end; returns the reading as marked last."""

    def fetch(page: int) -> Awaitable[list[AnyRow]]:
        return _page(desk, note.id, reading.report, page)

    pages_marked = reading.pages
    chunk: list[Row] = []
    recent: deque[set[tuple[str, str]]] = deque(maxlen=_RECENT_PAGES)
    stream = cast(
        "AsyncGenerator[tuple[int, list[AnyRow]]]",
        pages(fetch, first=reading.next_page, expected=reading.expected, ahead=PAGES_AHEAD),
    )
    async with aclosing(stream):
        async for number, found in stream:
            rows = [row_of(each) for each in found]
            reading = _counted(desk, reading, number, rows, recent)
            chunk.extend(rows)
            if len(chunk) >= CHUNK_ROWS:
                await _put(desk, note, reading.report, chunk)
                spent = Spent(len(chunk), desk.meter.take(), reading.pages - pages_marked)
                await asyncio.to_thread(desk.runs.mark, desk.run.id, place, reading, spent)
                pages_marked, chunk = reading.pages, []
    await _put(desk, note, reading.report, chunk)
    pages_min = reading.pages - pages_marked if reading.pages else 1
    spent = Spent(len(chunk), desk.meter.take(), pages_min)
    await asyncio.to_thread(desk.runs.mark, desk.run.id, place, reading, spent)
    return reading


def _counted(
    desk: Desk, reading: Reading, number: int, rows: Sequence[Row], recent: deque[set[tuple[str, str]]]
) -> Reading:
    """Return a reading with one page more."""
    keys = {(row.contact_id or row.email, row.link_id or row.link_url) for row in rows}
    fresh = len(keys) - sum(key in page for page in recent for key in keys)
    recent.append(keys)
    return msgspec.structs.replace(
        reading,
        next_page=number + 1,
        pages=reading.pages + 1,
        rows=reading.rows + fresh,
        rows_twice=reading.rows_twice + len(keys) - fresh,
        old_rows=reading.old_rows + sum(_is_old(desk, row.at) for row in rows),
    )


def _is_old(desk: Desk, at: str) -> bool:
    """Whether a row lies before what is wanted: as the mapping sees it."""
    if desk.since is None or not at:
        return False
    return report_moment(at, desk.clock(), desk.settings.time_zone).is_before(desk.since)


async def _page(desk: Desk, campaign_id: str, report: Report, page: int) -> list[AnyRow]:
    api, priority = desk.connected.api, desk.priority
    match report:
        case Report.OPENS:
            return [*await api.opens(campaign_id, page, priority=priority)]
        case Report.CLICKS:
            return [*await api.clicks(campaign_id, page, priority=priority)]
        case Report.BOUNCES:
            return [*await api.bounces(campaign_id, page, priority=priority)]
        case Report.UNSUBSCRIBES:
            return [*await api.unsubscribes(campaign_id, page, priority=priority)]
        case Report.RECIPIENTS:
            return [*await api.unopens(campaign_id, page, priority=priority)]
        case Report.COMPLAINTS:
            raise AssertionError("complaints are exported by hand; the account has no report of them")


def row_of(found: AnyRow) -> Row:
    """Return a report's row as a record holds it."""
    match found:
        case OpenRow(contact_id, email, at, times):
            return Row(contact_id, email, at, times)
        case ClickRow(link, contact_id, email, at, times):
            return Row(contact_id, email, at, times, link.id, link.url)
        case BounceRow():
            return Row(
                found.contact_id,
                found.email,
                found.at,
                message_id=found.message_id,
                kind=found.type,
                code=found.code,
                reason=found.reason,
            )
        case UnsubscribeRow():
            return Row(
                found.contact_id,
                found.email,
                found.at,
                list_id=found.list_id,
                message_id=found.message_id,
                reason=found.reason,
            )
        case UnopenRow(contact_id, email):
            return Row(contact_id, email)


async def _put(desk: Desk, note: CampaignNote, report: Report, rows: Sequence[Row]) -> None:
    """Put rows into the inbox, with who the contacts are now."""
    for start in range(0, len(rows), CHUNK_ROWS):  # the service may have sent everything in one page
        part = rows[start : start + CHUNK_ROWS]
        contacts = {row.contact_id: row.email for row in part if row.contact_id}
        people, found = await desk.people.people(desk.connected.account.source_id, contacts, priority=desk.priority)
        private = frozenset(found)
        bodies = _bodies(desk, note, report, part, people, private)
        await desk.deposit(desk.connected.account.source_id, bodies)


def _bodies(
    desk: Desk,
    note: CampaignNote,
    report: Report,
    rows: Sequence[Row],
    people: Mapping[str, Person],
    private: frozenset[str],
) -> list[bytes]:
    bodies = []
    for start in range(0, len(rows), ROWS_MAX):
        part = tuple(rows[start : start + ROWS_MAX])
        ids = {row.contact_id for row in part}
        record = ReportRecord(
            report,
            note,
            part,
            run=desk.run.id,
            people={id_: people[id_] for id_ in ids if id_ in people},
            machine=tuple(sorted(ids & private)),
            since=desk.since.isoformat() if desk.since else "",
        )
        bodies.append(encode(record))
    return bodies


async def read_leavers(desk: Desk, campaign_ids: Collection[str]) -> None:
    """Put into the inbox who left a list since `desk.since` through none of the campaigns: by hand or by the API.

    Those campaigns have a report of their own. Read from the beginning each time: no page of it can be asked for.
    """
    async for found in desk.connected.api.unsubscribed_contacts(desk.since, priority=desk.priority):
        rows: dict[str, list[Row]] = {}
        for each in found:
            if each.campaign_id not in campaign_ids:
                rows.setdefault(each.campaign_id, []).append(row_of(each))
        for campaign_id, part in rows.items():
            await _put(desk, CampaignNote(id=campaign_id), Report.UNSUBSCRIBES, part)
        count = sum(len(part) for part in rows.values())
        await asyncio.to_thread(desk.runs.spend, desk.run.id, Spent(count, desk.meter.take(), calls_min=1))
    await asyncio.to_thread(desk.runs.spend, desk.run.id, Spent(0, desk.meter.take(), calls_min=1))
