"""Matching, as rules that hold for any order of tellings."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.sources.activecampaign.mapping.draft import Draft
from headwater.sources.activecampaign.memory.known import Known, Told
from headwater.sources.activecampaign.memory.matching import REPEATS_MAX, news
from headwater.sources.activecampaign.memory.scanning import is_scanner
from headwater.sources.activecampaign.occurrence import Identity, Kind, Scope
from headwater.sources.contract import Origin

SLACK_S = 5
APART_S = 2 * SLACK_S + 1
START_S = 1_780_000_000


def telling(at_s: int, origin: Origin, times: int = 1, kind: Kind = Kind.OPEN) -> Draft:
    agent = "a browser" if origin is Origin.WEBHOOK else ""
    identity = Identity(Scope("s1", "8", "12", "17"), kind, "", START_S + at_s, agent)
    body = {"properties": {}, "messageId": identity.message_id()}
    return Draft(
        kind,
        "8",
        "12",
        "17",
        "",
        "17",
        "",
        START_S + at_s,
        SLACK_S,
        origin,
        times,
        identity.message_id(),
        identity,
        body,
    )


times_apart = st.sets(st.integers(0, 50), min_size=1, max_size=8).map(
    lambda found: [each * APART_S for each in sorted(found)]
)


@given(times=times_apart, data=st.data(), repeats=st.booleans())
def test_no_order_of_webhooks_and_reports_makes_more_events_than_occurrences(
    times: list[int], data: st.DataObject, *, repeats: bool
) -> None:
    heard = data.draw(st.lists(st.sampled_from(times)))
    webhooks = [telling(at_s, Origin.WEBHOOK) for at_s in heard]
    reports = [telling(times[0], Origin.REPORT, len(times))] * data.draw(st.integers(1, 3))
    known, found = Known(), list[Draft]()
    for each in data.draw(st.permutations([*webhooks, *reports])):
        found += news(each, known, received_s=START_S + times[-1] + 60, repeats=repeats)
    assert len({each.message_id for each in found}) == len(found) == known.total
    assert len(found) == (len(times) if repeats else len({times[0], *heard}))
    assert (known.persons, known.links) == (1, 1)


@given(times=times_apart, skews=st.lists(st.integers(-SLACK_S, SLACK_S), min_size=8, max_size=8))
def test_a_webhook_and_a_report_that_differ_by_seconds_are_one_either_way(times: list[int], skews: list[int]) -> None:
    for webhook_first in (True, False):
        known, found = Known(), list[Draft]()
        for at_s, skew in zip(times, skews, strict=False):
            pair = [telling(at_s + skew, Origin.WEBHOOK), telling(at_s, Origin.REPORT, len(times))]
            for each in pair if webhook_first else reversed(pair):
                found += news(each, known)
        assert len(found) == len(times)


@settings(max_examples=5, deadline=None)
@given(at_s=st.integers(0, 100), times=st.integers(REPEATS_MAX, 10**9))
def test_a_count_beyond_belief_costs_a_bounded_number_of_events(at_s: int, times: int) -> None:
    found = news(telling(at_s, Origin.REPORT, times), Known(), repeats=True)
    assert REPEATS_MAX <= len(found) <= REPEATS_MAX + 1


@given(kind=st.sampled_from([Kind.DELIVERED, Kind.SPAM]), tellings=st.lists(st.integers(0, 999), min_size=1))
def test_what_happens_once_becomes_one_event_whatever_its_ids(kind: Kind, tellings: list[int]) -> None:
    known = Known()
    assert len([new for at_s in tellings for new in news(telling(at_s, Origin.WEBHOOK, kind=kind), known)]) == 1


@given(clicks=st.lists(st.tuples(st.integers(0, 60), st.sampled_from("abcde")), min_size=1, max_size=12))
def test_a_scanner_is_whoever_follows_three_links_within_five_seconds(clicks: list[tuple[int, str]]) -> None:
    tellings = [Told(link, at_s, SLACK_S, b"", Origin.WEBHOOK) for at_s, link in clicks]
    for at_s, _ in clicks:
        windows = [range(start, start + 6) for start in range(at_s - 5, at_s + 1)]
        expected = any(len({link for at, link in clicks if at in window}) >= 3 for window in windows)
        assert is_scanner(at_s, tellings) == expected


def test_neighbouring_occurrences_are_told_apart_as_long_as_webhooks_tell_them() -> None:
    known = Known()
    webhooks = [telling(at_s, Origin.WEBHOOK) for at_s in range(4)]
    assert all(later.at_s == (earlier.at_s or 0) + 1 for earlier, later in pairwise(webhooks))
    assert sum(len(news(each, known)) for each in [*webhooks, *webhooks]) == 4
    assert news(telling(0, Origin.REPORT, 4), known) == []
