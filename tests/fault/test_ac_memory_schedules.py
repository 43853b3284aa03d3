"""Whatever is lost, doubled, delayed, read again or killed in between: each occurrence becomes one event.

Accounts are generated, and so are the orders in which webhooks and reports tell what happened there. The mapper, its
files and the ledger are the real ones; it is killed at any of its steps.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from headwater.eventlog.contract import Topic
from headwater.eventlog.cursors import Cursors
from headwater.eventlog.memory import MemoryLog
from headwater.ingest.inbox import InboxMapper
from headwater.sources.activecampaign.memory.ledger import Ledger
from headwater.sources.activecampaign.memory.remembering import OccurrenceMemory
from headwater.sources.activecampaign.records import CampaignNote, Person, Report, ReportRecord, Row, encode
from headwater.sources.contract import Taken, Webhook
from headwater.spec.event import Record

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
GAP_S = 15  # occurrences of one key are further apart than the tolerance on both sides
LATER = NOON + timedelta(days=30)


class Killed(BaseException):
    """The process ends here."""


class Nobody:
    """Answers nothing in time."""

    async def who(self, source_id: str, contacts: Mapping[str, str]) -> Mapping[str, Person]:  # noqa: ARG002
        return {}

    async def notes(self, source_id: str, campaign_ids: Collection[str]) -> Mapping[str, CampaignNote]:  # noqa: ARG002
        return {}


@dataclass
class Deaths:
    """Counts the steps down to the next kill."""

    steps: list[int] = field(default_factory=list)

    def step(self) -> None:
        if self.steps and self.steps[0] == 0:
            del self.steps[0]
            raise Killed
        if self.steps:
            self.steps[0] -= 1


class MortalMemory(OccurrenceMemory):
    """A memory whose process may be killed before and after each of its steps."""

    deaths: Deaths

    async def take(self, source_id: str, webhooks: Sequence[Webhook], settings: Mapping[str, Any]) -> Taken:
        taken = await super().take(source_id, webhooks, settings)
        self.deaths.step()
        return taken

    async def overdue(self, source_id: str, settings: Mapping[str, Any], until: datetime) -> Taken:
        taken = await super().overdue(source_id, settings, until)
        self.deaths.step()
        return taken

    async def keep(self, source_id: str, taken: Taken) -> None:
        self.deaths.step()
        await super().keep(source_id, taken)
        self.deaths.step()


@dataclass(frozen=True)
class Occurrence:
    """What happened: `at` in seconds after noon."""

    kind: str
    person: int
    at: int
    link: str = ""

    @property
    def key(self) -> tuple[str, int, str]:
        return self.kind, self.person, self.link


def body(one: Occurrence, skew: int = 0, reason: str = "") -> bytes:
    """Return what a webhook says; its time may differ from the report's by some seconds."""
    fields = {
        "type": one.kind,
        "date_time": (NOON + timedelta(seconds=one.at + skew)).isoformat(),
        "contact[id]": str(one.person),
        "contact[email]": f"p{one.person}@example.org",
        "campaign[id]": "8",
    }
    if one.kind == "click":
        fields |= {"link[id]": one.link, "link[url]": f"https://example.org/{one.link}"}
    if one.kind == "unsubscribe":
        fields["list[0][id]"] = "3"
    if reason:
        fields["unsubscribe[reason]"] = reason
    return urlencode(fields).encode()


REPORTS = {"open": Report.OPENS, "click": Report.CLICKS, "unsubscribe": Report.UNSUBSCRIBES, "bounce": Report.BOUNCES}


def report(happened: Sequence[Occurrence], kind: str) -> bytes | None:
    """Return what a report says of what happened so far: the first time, and how often; of a bounce the date."""
    found: dict[tuple[str, int, str], list[int]] = {}
    for one in happened:
        if one.kind == kind:
            found.setdefault(one.key, []).append(one.at)
    rows = []
    for (_, person, link), times in found.items():
        first = NOON + timedelta(seconds=min(times))
        at = first.date().isoformat() if kind == "bounce" else first.isoformat()
        url = f"https://example.org/{link}" if link else ""
        email = f"p{person}@example.org"
        rows.append(Row(str(person), email, at, times=len(times), link_id=link, link_url=url))
    return encode(ReportRecord(REPORTS[kind], CampaignNote("8", "Spring"), tuple(rows))) if rows else None


@st.composite
def accounts(draw: st.DrawFn) -> list[Occurrence]:
    """Generate what happened: opens and clicks any number of times, the others once a person."""
    found = []
    for kind, link in (("open", ""), ("click", "1"), ("click", "2"), ("bounce", ""), ("unsubscribe", "")):
        for person in range(1, 1 + draw(st.integers(0, 2))):
            slots = draw(st.sets(st.integers(0, 200), min_size=1, max_size=4 if kind in {"open", "click"} else 1))
            found += [Occurrence(kind, person, slot * GAP_S, link) for slot in slots]
    return sorted(found, key=lambda one: one.at)


@dataclass(frozen=True)
class Arrival:
    """A record of the inbox."""

    at: int
    body: bytes
    is_report: bool = False


@st.composite
def lines(draw: st.DrawFn) -> tuple[list[Occurrence], list[Arrival], set[Occurrence]]:
    """Generate an account, what arrives from it, and of which occurrences a webhook arrives."""
    happened = draw(accounts())
    arrivals, told = [], set[Occurrence]()
    for one in happened:
        reason = draw(st.sampled_from(["", "late", "soon"])) if one.kind == "unsubscribe" else ""
        tellings = [body(one, draw(st.integers(-4, 4)) if one.kind != "bounce" else 0)]
        if reason:
            tellings.append(body(one, draw(st.integers(1, 40)), reason="enough"))
        for number, telling in enumerate(tellings):
            copies = draw(st.sampled_from([0, 1, 1, 1, 2, 3]))
            told |= {one} if copies else set()
            for _ in range(copies):
                delay = draw(st.integers(0, 50)) + (number * 600 if reason == "late" else 0)
                arrivals.append(Arrival(one.at + delay + draw(st.sampled_from([0, 0, 0, 20_000])), telling))
    for at in draw(st.lists(st.integers(0, 5_000), max_size=6)):
        known = [one for one in happened if one.at <= at]
        arrivals += [Arrival(at, read, is_report=True) for kind in REPORTS if (read := report(known, kind))]
    last = [Arrival(60_000, read, is_report=True) for kind in REPORTS if (read := report(happened, kind))]
    ordered = sorted(arrivals, key=lambda each: each.at)
    return happened, ordered + last, told


async def carry(
    home: Path, log: MemoryLog, arrivals: Sequence[Arrival], stops: Sequence[int], options: dict[str, Any]
) -> int:
    """Run the mapper over the inbox, killed again and again; return how often it was."""
    deaths, kills = Deaths(list(stops)), 0
    for each in arrivals:
        at = NOON + timedelta(seconds=each.at)
        line = {"receivedAt": at, "contentType": "", "body": each.body.decode("latin-1")}
        origin = {"origin": "report"} if each.is_report else {}
        await log.append(Topic.INBOX, "s1", at, [Record("", msgspec.json.encode(line | origin))])
    while True:
        ledger, cursors = Ledger(home / "ledger.sqlite"), Cursors(home / "cursors.db")
        memory = MortalMemory(ledger, Nobody(), Nobody())
        memory.deaths = deaths

        def of(_: str, mapped_by: MortalMemory = memory) -> tuple[MortalMemory, dict[str, Any]]:
            return mapped_by, options

        mapper = InboxMapper(log, log, cursors, of, pause_s=0.001, clock=lambda: LATER)
        running = asyncio.ensure_future(mapper.run())
        try:
            done = asyncio.ensure_future(mapper.drain(log.end(Topic.INBOX)))
            await asyncio.wait({running, done}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                await asyncio.gather(done, return_exceptions=True)
                running.result()
            await done
            while ledger.overdue("s1", LATER.timestamp()):
                if running.done():
                    running.result()
                await asyncio.sleep(0.001)
            await mapper.stop()
            await running
        except Killed:
            kills += 1
        else:
            return kills
        finally:
            ledger.close()
            cursors.close()


NAMES = {
    "Email Opened": "open",
    "Email Link Clicked": "click",
    "Email Bounced": "bounce",
    "Email Unsubscribed": "unsubscribe",
}


def judged(
    happened: Sequence[Occurrence], told: set[Occurrence], events: Sequence[dict[str, Any]], *, repeats: bool
) -> None:
    """Compare the events with what happened."""
    have: dict[tuple[str, int, str], list[dict[str, Any]]] = {}
    for each in events:
        properties = each["properties"]
        key = (NAMES[each["event"]], int(properties["contact_id"]), properties.get("link_id", ""))
        have.setdefault(key, []).append(each)
    wanted: dict[tuple[str, int, str], list[Occurrence]] = {}
    for one in happened:
        wanted.setdefault(one.key, []).append(one)
    assert have.keys() == wanted.keys()
    for key, ones in wanted.items():
        found = have[key]
        if key[0] == "unsubscribe":  # a reason that came too late is told on its own
            assert len({each["properties"]["unsubscribe_id"] for each in found}) == 1
            assert len(found) <= 2
            continue
        if key[0] == "bounce":
            assert len(found) == 1
            continue
        exact = [each for each in found if not each["properties"].get("approximate_timestamp")]
        times = [(datetime.fromisoformat(each["timestamp"]) - NOON).total_seconds() for each in exact]
        near = [sum(abs(at - one.at) <= 5 for at in times) for one in ones]
        assert near[0] == 1, "the first is always told: by its webhook or by the report"
        assert all(count == 1 for one, count in zip(ones, near, strict=True) if one in told) or repeats
        assert all(count <= 1 for count in near)
        assert sum(near) == len(exact)
        assert len(found) <= len(ones)
        if repeats:
            assert len(found) == len(ones)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(line=lines(), stops=st.lists(st.integers(0, 6), max_size=5), repeats=st.booleans())
def test_each_occurrence_becomes_one_event_whatever_happens_on_the_way(
    line: tuple[list[Occurrence], list[Arrival], set[Occurrence]], stops: list[int], *, repeats: bool
) -> None:
    happened, arrivals, told = line
    log = MemoryLog()
    options = {"delivered": "off", "backfill_repeats": repeats, "time_zone": "UTC"}
    with tempfile.TemporaryDirectory() as home:
        kills = asyncio.run(carry(Path(home), log, arrivals, stops, options))
    event(f"killed {kills} times")
    judged(happened, told, [each.body for each in log.read(Topic.EVENTS, 0).events()], repeats=repeats)
