from bisect import bisect_left
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.alerts.book import Book
from headwater.alerts.judging import (
    AccountFacts,
    DestinationFacts,
    Facts,
    SourceFacts,
    WarehouseFacts,
    judge,
)
from headwater.alerts.rules import CARDS, Kind, Rule, checked, default
from headwater.alerts.watching import HOLD, Watcher
from headwater.errors import InvalidRequestError

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
W = "w"


def verdict(kind, facts, **rule):
    usual = default(W, kind)
    (found,) = judge(Rule(usual.id, W, kind, enabled=True, **{"threshold": usual.threshold, **rule}), facts)
    return found


@pytest.mark.parametrize(("minutes", "is_bad"), [(59, False), (60, False), (61, True)])
def test_a_source_is_silent_once_its_window_is_over(minutes, is_bad):
    facts = Facts(NOW, sources=[SourceFacts("s", "Shop", NOW - timedelta(minutes=minutes))])
    found = verdict(Kind.SOURCE_SILENT, facts, window_minutes=60)
    assert found.is_bad is is_bad
    assert ("Shop has received no event for" in found.text) is is_bad


def test_a_source_that_never_received_anything_or_is_disabled_is_not_silent():
    sources = [SourceFacts("new", "New", None), SourceFacts("off", "Off", NOW - timedelta(days=400), enabled=False)]
    assert judge(default(W, Kind.SOURCE_SILENT), Facts(NOW, sources=sources)) == []


@pytest.mark.parametrize(
    ("delivered", "failed", "is_bad"), [(90, 10, False), (89, 11, True), (0, 19, False), (0, 20, True), (0, 0, False)]
)
def test_a_delivery_rate_counts_what_ended_and_needs_enough_of_it(delivered, failed, is_bad):
    facts = Facts(NOW, destinations=[DestinationFacts("d", "Hook", {1440: (delivered, failed)})])
    assert verdict(Kind.DELIVERY_RATE, facts, window_minutes=1440).is_bad is is_bad


def test_a_rate_that_could_not_be_asked_for_says_nothing():
    facts = Facts(NOW, destinations=[DestinationFacts("d", "Hook", {})])
    assert verdict(Kind.DELIVERY_RATE, facts, window_minutes=1440).is_bad is None


@pytest.mark.parametrize(("failures", "found"), [(0, (False, 1)), (4, (None, 1)), (5, (True, 1)), (20, (True, 2))])
def test_a_warehouse_is_told_at_the_fifth_and_twentieth_failure(failures, found):
    facts = Facts(NOW, warehouses=[WarehouseFacts("w", "Lake", failures, "No route.")])
    told = verdict(Kind.WAREHOUSE_FAILING, facts)
    assert (told.is_bad, told.step) == found


def test_the_other_kinds_read_their_figures():
    facts = Facts(
        NOW,
        destinations=[DestinationFacts("d", "Hook", unaccounted=-3)],
        warehouses=[],
        accounts=[AccountFacts("s", "acme", "The key is refused.")],
        disk_free_mb=100,
        pipeline_answers=False,
    )
    for kind in (Kind.WEBHOOK_INACTIVE, Kind.DISK_LOW, Kind.CONSERVATION_BROKEN, Kind.PIPELINE_DOWN):
        assert verdict(kind, facts).is_bad is True
    assert "3 events" in verdict(Kind.CONSERVATION_BROKEN, facts).text


@pytest.mark.parametrize("kind", list(Kind))
def test_defaults_are_inside_their_bounds_and_numbers_that_a_kind_lacks_are_refused(kind):
    usual = default(W, kind)
    checked(kind, usual.threshold, usual.window_minutes)
    wrong = {"threshold": usual.threshold, "window_minutes": usual.window_minutes}
    wrong |= {"threshold": 7} if CARDS[kind].threshold is None else {"threshold": 10**9}
    with pytest.raises(InvalidRequestError) as refused:
        checked(kind, **wrong)
    assert refused.value.field == "threshold"


@pytest.fixture
def book(tmp_path):
    made = Book(tmp_path / "alerts.sqlite")
    yield made
    made.close()


def down(answers):
    return Facts(NOW, pipeline_answers=answers, destinations=[], warehouses=[], accounts=[])


def due(book, now=10**10):
    return [(each.channel_id, each.deed) for each in book.due(now)]


def test_what_flickers_is_not_told_and_what_stays_is_told_once(book):
    watcher, rules = Watcher(book), [default(W, Kind.PIPELINE_DOWN)]
    for answers in (False, True, False, True):
        watcher.look(rules, down(answers), {"c": "Ops"}, 0)
    assert book.open_ones(W) == []
    for _ in range(5):
        watcher.look(rules, down(answers=False), {"c": "Ops"}, 1)
    assert due(book) == [("c", "began")]
    assert len(book.open_ones(W)) == 1


def test_the_end_is_told_to_those_who_were_told_the_beginning(book):
    watcher, rules = Watcher(book), [default(W, Kind.PIPELINE_DOWN)]
    for _ in range(HOLD):
        watcher.look(rules, down(answers=False), {"told": "A", "late": "B"}, 0)
    (first, second) = book.due(1)
    book.sent(first, 1)
    book.failed(second, "no route", 1)
    for _ in range(HOLD):
        watcher.look(rules, down(answers=True), {"told": "A", "late": "B"}, 2)
    assert due(book) == [("told", "ended")]
    assert book.open_ones(W) == []
    assert [each.ended_at for each in book.page(W)] == [2]


def test_a_graver_step_is_told_once_more(book):
    watcher, rules = Watcher(book), [default(W, Kind.WAREHOUSE_FAILING)]
    for failures in (5, 5, 6, 19, 20, 21):
        facts = Facts(NOW, warehouses=[WarehouseFacts("x", "Lake", failures, "why")], destinations=[])
        watcher.look(rules, facts, {"c": "Ops"}, 0)
    assert due(book) == [("c", "began"), ("c", "worse")]
    assert "21 times" in book.open_ones(W)[0].text


def test_nothing_is_over_because_nobody_could_be_asked(book):
    watcher, rules = Watcher(book), [default(W, Kind.WAREHOUSE_FAILING)]
    facts = Facts(NOW, warehouses=[WarehouseFacts("x", "Lake", 9, "why")], destinations=[])
    for _ in range(HOLD):
        watcher.look(rules, facts, {}, 0)
    watcher.look(rules, Facts(NOW), {}, 0)
    assert len(book.open_ones(W)) == 1
    watcher.look(rules, Facts(NOW, warehouses=[], destinations=[]), {}, 0)  # it was deleted
    assert book.open_ones(W) == []


def test_a_rule_about_one_thing_takes_it_from_the_rule_about_everything(book):
    general, own = (
        default(W, Kind.SOURCE_SILENT),
        Rule("r", W, Kind.SOURCE_SILENT, enabled=True, subject_id="b", window_minutes=5),
    )
    sources = [SourceFacts(each, each, NOW - timedelta(minutes=30)) for each in ("a", "b")]
    for _ in range(HOLD):
        Watcher(book, hold=1).look([general, own], Facts(NOW, sources=sources), {}, 0)
    assert [(each.rule_id, each.subject_id) for each in book.open_ones(W)] == [("r", "b")]


def test_a_message_is_tried_with_longer_and_longer_pauses_and_then_given_up(book):
    Watcher(book, hold=1).look([default(W, Kind.PIPELINE_DOWN)], down(answers=False), {"c": "Ops"}, 0)
    now, tries = 0.0, []
    while found := book.due(now + 10**6):
        tries.append(bisect_left(range(10**6), 1, key=lambda second: len(book.due(now + second))))
        now += tries[-1]
        book.failed(found[0], "no", now)
    assert tries == sorted(tries)
    assert len(tries) == 8
    (alert,) = book.open_ones(W)
    assert (alert.unsent, alert.error) == (1, "no")


@settings(max_examples=25)
@given(st.lists(st.sampled_from([True, False, None]), max_size=40))
def test_messages_begin_and_end_in_turn_whatever_is_found(tmp_path_factory, found):
    book = Book(tmp_path_factory.mktemp("b") / "alerts.sqlite")
    watcher, rules = Watcher(book), [default(W, Kind.DISK_LOW)]
    for number, is_bad in enumerate(found):
        free = None if is_bad is None else 1 if is_bad else 10**6
        watcher.look(rules, Facts(NOW, disk_free_mb=free), {"c": "Ops"}, number)
        for message in book.due(number):
            book.sent(message, number)
    deeds = [row[0] for row in book._connection.execute("select deed from messages order by id")]
    assert deeds == ["began", "ended"] * (len(deeds) // 2) + ["began"] * (len(deeds) % 2)
    assert len(book.open_ones(W)) == len(deeds) % 2
    book.close()
