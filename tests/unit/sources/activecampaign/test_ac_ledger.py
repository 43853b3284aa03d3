"""The ledger: what it counts, what it costs, and that a place with very much in it stays quick and right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from headwater.sources.activecampaign.mapping.draft import Draft
from headwater.sources.activecampaign.memory import matching
from headwater.sources.activecampaign.memory.known import Flag, Known, Place, Told, place_of
from headwater.sources.activecampaign.memory.ledger import TELLINGS_MAX, Changes, Count, LastEvent, Ledger
from headwater.sources.activecampaign.occurrence import Identity, Kind, Scope
from headwater.sources.contract import Origin

DAY_S = 86_400
START_S = 1_780_000_000


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(tmp_path / "ledger.sqlite")
    yield opened
    opened.close()


def draft(
    at_s: int, *, kind: Kind = Kind.OPEN, person: str = "17", link: str = "", agent: str = "", times: int = 0
) -> Draft:
    """Return a webhook's draft, or a report's where `times` is told."""
    identity = Identity(Scope("s1", "8", "12", person), kind, link, at_s, agent)
    return Draft(
        kind=kind,
        campaign_id="8",
        email_message_id="12",
        contact_id=person,
        email="",
        person=person,
        link=link,
        at_s=at_s,
        slack_s=5,
        origin=Origin.REPORT if times else Origin.WEBHOOK,
        times=times or 1,
        message_id=identity.message_id(),
        identity=identity,
        body={"properties": {}},
    )


def tell(ledger: Ledger, *drafts: Draft, repeats: bool = False) -> list[Draft]:
    """Return what is new of a batch, and commit it."""
    spans: dict[Place, tuple[int, int]] = {}
    for each in drafts:
        at_s = each.at_s or 0
        first, last = spans.get(place_of(each), (at_s, at_s))
        spans[place_of(each)] = (min(first, at_s), max(last, at_s))
    known = ledger.known("s1", spans)
    found = [new for each in drafts for new in matching.news(each, known[place_of(each)], repeats=repeats)]
    ledger.commit("s1", Changes(known))
    return found


def test_contacts_links_and_occurrences_are_counted_apart(ledger: Ledger) -> None:
    clicks = [("1", "a"), ("1", "a"), ("1", "b"), ("2", "a")]
    for number, (person, link) in enumerate(clicks):
        tell(ledger, draft(START_S + number * 60, kind=Kind.CLICK, person=person, link=link))
    tell(ledger, draft(START_S), draft(START_S, person="18"))
    assert ledger.counts("s1") == {"8": {Kind.CLICK: Count(2, 3, 4), Kind.OPEN: Count(2, 2, 2)}}
    assert ledger.counts("s2") == {}


def test_what_was_kept_is_there_after_the_file_was_closed(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    for expected in (1, 0):
        opened = Ledger(path)
        assert len(tell(opened, draft(START_S), draft(START_S))) == expected
        assert opened.counts("s1")["8"][Kind.OPEN].total == 1
        opened.close()


def test_a_batch_that_cannot_be_kept_leaves_nothing_behind(ledger: Ledger) -> None:
    known = Known()
    known.add(Told("", START_S, 5, b"i" * 16, Origin.WEBHOOK))
    broken = Changes({Place("8", Kind.OPEN, "17"): known}, LastEvent("x", None, None, Origin.WEBHOOK))  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        ledger.commit("s1", broken)
    assert ledger.counts("s1") == {}
    assert len(tell(ledger, draft(START_S))) == 1


def test_somebody_who_opens_without_end_is_neither_slow_nor_counted_wrong(ledger: Ledger) -> None:
    count = TELLINGS_MAX * 3
    opens = [draft(START_S + number * DAY_S) for number in range(count)]
    for first in range(0, count, 50):
        tell(ledger, *opens[first : first + 50])
    assert tell(ledger, opens[0], opens[count // 2], opens[-1]) == []
    assert ledger.counts("s1")["8"][Kind.OPEN] == Count(1, 1, count)
    near = (opens[5].at_s or 0,) * 2
    (known,) = ledger.known("s1", {place_of(opens[5]): near}).values()
    assert len(known.tellings) < 10
    assert known.count("") == count
    assert tell(ledger, draft(START_S, times=count)) == []
    assert len(tell(ledger, draft(START_S, times=count + 2), repeats=True)) == 2


def test_a_long_link_costs_no_more_than_a_short_one(ledger: Ledger) -> None:
    long = "https://example.org/" + "x" * 50_000
    assert len(tell(ledger, draft(START_S, kind=Kind.CLICK, link=long))) == 1
    assert tell(ledger, draft(START_S, kind=Kind.CLICK, link=long)) == []
    (known,) = ledger.known("s1", {Place("8", Kind.CLICK, "17"): (0, 0)}).values()
    assert all(len(each.link) <= 64 for each in known.tellings)


def test_ten_thousand_occurrences_take_less_than_200_bytes_each(tmp_path: Path) -> None:
    path, count = tmp_path / "ledger.sqlite", 10_000
    opened = Ledger(path)
    tell(opened, *(draft(START_S + number, person=str(500_000 + number)) for number in range(count)))
    opened.close()
    assert path.stat().st_size / count < 200


def test_claims_are_remembered(ledger: Ledger) -> None:
    tell(ledger, draft(START_S, times=1))
    tell(ledger, draft(START_S + 3, agent="x"))
    (known,) = ledger.known("s1", {Place("8", Kind.OPEN, "17"): (0, 0)}).values()
    assert sorted(each.flags for each in known.tellings) == [Flag.ABSORBED, Flag.CLAIMED]
    assert ledger.counts("s1")["8"][Kind.OPEN].total == 1


def test_the_last_event_does_not_go_back(ledger: Ledger) -> None:
    at = datetime(2026, 7, 1, 12, tzinfo=UTC)
    newest = LastEvent("Email Opened", at, at, Origin.WEBHOOK)
    nothing: Mapping[Place, Known] = {}
    for last in (newest, LastEvent("Email Bounced", at.replace(year=2025), at, Origin.REPORT)):
        ledger.commit("s1", Changes(nothing, last))
    assert ledger.last("s1") == newest
