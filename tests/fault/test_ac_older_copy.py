"""An older copy of the log was restored, or of what is beside it: what it lacks comes in again, and nothing twice."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

import msgspec
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from test_ac_memory_schedules import Arrival, Occurrence, carry, judged, lines

from headwater.eventlog.contract import Topic
from headwater.eventlog.cursors import Cursors
from headwater.eventlog.memory import MemoryLog
from headwater.ingest.inbox import InboxMapper
from headwater.sources.activecampaign.memory.ledger import Ledger
from headwater.sources.activecampaign.memory.remembering import OccurrenceMemory
from headwater.sources.activecampaign.occurrence import Kind
from headwater.sources.activecampaign.records import CampaignNote, Person, Report, ReportRecord, Row, encode
from headwater.spec.event import Record

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
OPTIONS = {"delivered": "both", "backfill_repeats": True, "merge_unsubscribes_s": 0}


class Nobody:
    """Answers nothing in time."""

    async def who(self, source_id: str, contacts: Mapping[str, str]) -> Mapping[str, Person]:  # noqa: ARG002
        return {}

    async def notes(self, source_id: str, campaign_ids: Collection[str]) -> Mapping[str, CampaignNote]:  # noqa: ARG002
        return {}


def told(kind: str, minute: int, person: int) -> tuple[int, bytes, str]:
    """Return what a webhook says, and when it arrives."""
    at = (NOON + timedelta(minutes=minute)).isoformat()
    fields = {"type": kind, "date_time": at, "contact[id]": str(person), "campaign[id]": "8", "list[0][id]": "3"}
    return minute, urlencode(fields).encode(), "webhook"


def reported(minute: int, person: int, times: int) -> tuple[int, bytes, str]:
    """Return a row of the report of opens from the day before."""
    row = Row(str(person), f"p{person}@example.org", "2026-06-30T12:00:00+00:00", times=times)
    return minute, encode(ReportRecord(Report.OPENS, CampaignNote("8", "Spring"), (row,))), "report"


ARRIVALS = (
    told("open", 1, 1),
    told("bounce", 2, 2),
    reported(3, 3, 3),
    told("unsubscribe", 4, 4),
    told("open", 5, 5),
    told("open", 6, 6),
)


async def filled(arrivals: Sequence[tuple[int, bytes, str]], events: Sequence[Record] = ()) -> MemoryLog:
    log = MemoryLog()
    for minute, body, origin in arrivals:
        at = NOON + timedelta(minutes=minute)
        line = {"receivedAt": at, "contentType": "", "body": body.decode("latin-1"), "origin": origin}
        await log.append(Topic.INBOX, "s1", at, [Record("", msgspec.json.encode(line))])
    if events:
        await log.append(Topic.EVENTS, "s1", NOON, events)
    return log


async def mapped(home: Path, log: MemoryLog) -> dict[str, dict[str, Any]]:
    """Run the mapper until it stands at the end of the inbox; return the events by id."""
    ledger, cursors = Ledger(home / "ledger.sqlite"), Cursors(home / "cursors.db")
    memory = OccurrenceMemory(ledger, Nobody(), Nobody())
    mapper = InboxMapper(log, log, cursors, lambda _: (memory, OPTIONS), clock=lambda: NOON + timedelta(hours=1))
    running = asyncio.create_task(mapper.run())
    while mapper.cursor != log.end(Topic.INBOX):  # noqa: ASYNC110 - it is behind the end where the log is older
        await asyncio.sleep(0.005)
    await mapper.stop()
    await running
    ledger.close()
    cursors.close()
    events = [each.body for each in log.read(Topic.EVENTS, 0).events()]
    assert len({each["messageId"] for each in events}) == len(events)
    return {each["messageId"]: each for each in events}


async def test_what_an_older_copy_of_the_log_lacks_comes_in_again_and_nothing_twice(tmp_path: Path) -> None:
    whole = await mapped(tmp_path, await filled(ARRIVALS))
    assert len(whole) > len(ARRIVALS)
    kept = [Record(id_, msgspec.json.encode(body)) for id_, body in list(whole.items())[:2]]
    older = await filled(ARRIVALS[:4], kept)  # its mapper was behind, and two webhooks came after it was made
    again = await mapped(tmp_path, older)
    assert again == {
        id_: body for id_, body in whole.items() if body["properties"]["contact_id"] in {"1", "2", "3", "4"}
    }


async def test_what_came_after_the_copy_counts_as_missing_so_that_it_is_read_from_the_reports(tmp_path: Path) -> None:
    await mapped(tmp_path, await filled(ARRIVALS))
    await mapped(tmp_path, await filled(ARRIVALS[:4]))
    ledger = Ledger(tmp_path / "ledger.sqlite")
    counts = ledger.counts("s1")["8"]
    assert (counts[Kind.OPEN].persons, counts[Kind.OPEN].total) == (2, 4)
    assert (counts[Kind.BOUNCE].persons, counts[Kind.UNSUBSCRIBE].persons) == (1, 1)
    ledger.close()


Line = tuple[list[Occurrence], list[Arrival], set[Occurrence]]
GENERATED = settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))


def stored(log: MemoryLog) -> dict[str, Any]:
    events = [each.body for each in log.read(Topic.EVENTS, 0).events()]
    assert len({each["messageId"] for each in events}) == len(events)
    return {each["messageId"]: each for each in events}


def copied(home: Path, copy: Path) -> None:
    """Copy a directory whose last connection may just be closing: its log then goes into its file."""
    try:
        shutil.copytree(home, copy)
    except shutil.Error:
        shutil.rmtree(copy)
        shutil.copytree(home, copy)


@GENERATED
@given(line=lines(), share=st.floats(0, 1), repeats=st.booleans())
def test_an_older_copy_of_the_ledger_and_the_cursor_gives_nothing_new(
    line: Line, share: float, *, repeats: bool
) -> None:
    arrivals, options = line[1], {"backfill_repeats": repeats, "time_zone": "UTC"}
    before, cut = MemoryLog(), int(len(line[1]) * share)

    async def play(home: Path, copy: Path) -> None:
        await carry(home, before, arrivals[:cut], [], options)
        copied(home, copy)
        await carry(home, before, arrivals[cut:], [], options)
        found = stored(before)
        await carry(copy, before, [], [], options)
        assert stored(before) == found

    with tempfile.TemporaryDirectory() as home:
        (Path(home) / "state").mkdir()
        asyncio.run(play(Path(home) / "state", Path(home) / "copy"))


def happened_after(arrival: Arrival, at: int) -> bool:
    """Say whether a webhook tells what happened later; what a report tells lies before."""
    if arrival.is_report:
        return False
    when = datetime.fromisoformat(parse_qs(arrival.body.decode())["date_time"][0])
    return (when - NOON).total_seconds() > at


@GENERATED
@given(line=lines(), share=st.floats(0.1, 0.9), mapped_share=st.floats(0, 1), repeats=st.booleans())
def test_an_older_copy_of_the_log_and_the_reports_after_it_give_each_occurrence_once(
    line: Line, share: float, mapped_share: float, *, repeats: bool
) -> None:
    """What arrived after the copy had also happened after it: the rest is known here and cannot be told apart."""
    happened, arrivals, _ = line
    last = [each for each in arrivals if each.at == 60_000]
    first = arrivals[: len(arrivals) - len(last)]
    cut = max(1, int(len(first) * share))
    assume(cut < len(first))
    assume(all(happened_after(each, first[cut - 1].at) for each in first[cut:]))
    options = {"delivered": "off", "backfill_repeats": repeats, "time_zone": "UTC"}

    async def play(home: Path, clean: Path) -> None:
        whole, copied, older = MemoryLog(), MemoryLog(), MemoryLog()
        await carry(home, whole, first, [], options)
        await carry(clean, copied, first[:cut], [], options)
        events = list(stored(copied).values())
        for body in events[: int(len(events) * mapped_share)]:
            await older.append(Topic.EVENTS, "s1", NOON, [Record(body["messageId"], msgspec.json.encode(body))])
        await carry(home, older, first[:cut], [], options)  # finds out that the log is older
        await carry(home, older, [], [], options)
        await carry(home, older, last, [], options)
        judged(happened, set(), list(stored(older).values()), repeats=repeats)

    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as clean:
        asyncio.run(play(Path(home), Path(clean)))
