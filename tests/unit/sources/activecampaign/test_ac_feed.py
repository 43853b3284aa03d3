"""What identify calls tell: the latest about an address wins, and nothing that may be sent does harm."""

import json
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addressbook import START
from headwater.sources.activecampaign.people.contact_book import ContactBook, Learnt
from headwater.sources.activecampaign.people.feed import learnt
from headwater.spec.times import format_time

AT = int(START.timestamp() * 1000)


def call(**members) -> bytes:
    base = {"type": "identify", "userId": "u1", "timestamp": format_time(START)}
    return json.dumps(base | members).encode()


@pytest.mark.parametrize(
    "members",
    [
        {"traits": {"email": " Ada@Example.org "}},
        {"context": {"traits": {"email": "Ada@Example.org"}}},
        {"traits": {"email": 7}, "context": {"traits": {"email": "Ada@Example.org"}}},
        {"traits": [], "context": {"traits": {"email": "Ada@Example.org"}}},
    ],
)
def test_the_address_is_in_the_traits_or_in_the_traits_of_the_context(members):
    assert list(learnt([call(**members)])) == [Learnt("Ada@Example.org", "u1", AT)]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b'"identify"',
        call(),
        call(traits={"email": "no address"}),
        call(traits={"email": ""}),
        call(traits={"email": "a@b.c"}, userId=None),
        call(traits={"email": "a@b.c"}, userId=" "),
        call(traits={"email": "a@b.c"}, userId=12),
        call(traits={"email": "a@b.c"}, userId="x" * 513),
        call(traits={"email": "a@b.c"}, type="track", properties={"type": "identify"}),
        call(context="identify"),
    ],
)
def test_what_is_no_identify_call_with_user_and_address_tells_nothing(line):
    assert list(learnt([line])) == []


@pytest.mark.parametrize("timestamp", [format_time(START + timedelta(days=3650)), None, "yesterday", 12])
def test_a_call_counts_as_made_no_later_than_it_arrived(timestamp):
    line = call(traits={"email": "a@b.c"}, timestamp=timestamp, receivedAt=format_time(START))
    assert list(learnt([line])) == [Learnt("a@b.c", "u1", AT)]


@given(
    calls=st.lists(
        st.tuples(st.sampled_from(["a@b.c", "A@B.C", "d@e.f"]), st.sampled_from("uvw"), st.integers(0, 10**13)),
        unique_by=lambda each: each[2],
        min_size=1,
        max_size=12,
    ),
    chance=st.randoms(use_true_random=False),
)
@settings(max_examples=40, deadline=None)
def test_the_latest_call_about_an_address_wins_in_whatever_order_they_arrive(calls, chance):
    shuffled = list(calls)
    chance.shuffle(shuffled)
    cut = chance.randint(0, len(shuffled))
    with TemporaryDirectory() as home:
        book = ContactBook(Path(home) / "book.sqlite")
        for some in (shuffled[:cut], shuffled[cut:]):
            book.learn("ws", [Learnt(*each) for each in some])
        found = book.users("ws", {book.hashed(email) for email, _, _ in calls})
        expected = {book.hashed(email): user for email, user, _ in sorted(calls, key=lambda each: each[2])}
        book.close()
    assert found == expected
