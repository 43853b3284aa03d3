"""Somebody who was written into a name is taken out of the book, of the sources that are meant."""

import asyncio
from datetime import UTC, datetime

from headwater.observing.book import Book
from headwater.observing.findings import Findings, Times
from headwater.observing.seen import Seen
from headwater.privacy.person import Person
from headwater.regulations.observed_store import ObservedStore
from headwater.regulations.stores import Reach

NOW = datetime(2026, 11, 24, tzinfo=UTC)
AT = "2026-11-24T00:00:00.000Z"


def test_names_that_hold_a_persons_id_are_forgotten_and_no_others(tmp_path):
    book, findings = Book(tmp_path / "observing.sqlite"), Findings()
    for source_id in ("ours", "theirs"):
        findings.saw((source_id, "TRACK", "Viewed user-12345678"), [("a", "string")], Times(1, AT, AT))
        findings.saw((source_id, "TRACK", "Viewed 1"), [("user-12345678", "string")], Times(1, AT, AT))
    book.write(findings, 4, NOW)
    store, reach = ObservedStore(book), Reach("w", {"ours": "ours"})
    person = Person(frozenset({"user-12345678", "1"}))
    assert asyncio.run(store.count(person, reach)) == asyncio.run(store.erase(person, reach)) > 0
    assert asyncio.run(store.count(person, reach)) == 0
    book.close()
    seen = Seen(tmp_path, lambda: NOW)
    assert [each.name for each in seen.collections("ours")] == ["Viewed 1"]
    assert seen.properties("ours", "TRACK", "Viewed 1") == []
    assert len(seen.collections("theirs")) == 2
