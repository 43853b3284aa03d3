"""Where Segment's calls keep what every tool asks for, and that nothing odd is taken for it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.spec import conventions

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["email", "a", "total"]), inner),
)
BODIES = st.dictionaries(
    st.sampled_from(["type", "event", "userId", "timestamp", "traits", "context", "properties", "name"]), JSON
)


@pytest.mark.parametrize(
    ("event", "properties", "expected"),
    [
        ("Order Completed", {"revenue": 5, "total": 9}, 5),
        ("Order Completed", {"total": "9.50"}, 9.5),
        ("completed order", {"value": 3}, 3),
        ("Clicked", {"total": 9}, None),
        ("Clicked", {"revenue": "much"}, None),
        ("Clicked", {"revenue": True}, None),
        ("Clicked", {"revenue": "inf"}, None),
    ],
)
def test_the_money_of_a_call(event, properties, expected):
    assert conventions.revenue({"type": "track", "event": event, "properties": properties}) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [("eur", "EUR"), (" Gbp ", "GBP"), ("", "USD"), ("euro", "USD"), (7, "USD"), ("\u20acU", "USD")],
)
def test_a_currency_is_three_letters(given, expected):
    assert conventions.currency({"properties": {"currency": given}}) == expected


def test_fields_are_picked_from_the_first_place_that_holds_a_value():
    body = {"a": {"b": None, "c": 0}, "d": "", "e": {"x": 1}, "f": [1]}
    fields = {"first": ("a.b", "a.c"), "blank": ("d",), "object": ("e",), "list": ("f",), "none": ("z.z",)}
    assert conventions.picked(body, fields) == {"first": 0, "list": [1]}


def test_products_are_objects():
    assert conventions.products({"properties": {"products": [{"id": 1}, "odd", None]}}) == [{"id": 1}]
    assert conventions.products({"properties": {"products": {"id": 1}}}) == []


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [
        ("2026-05-04T14:00:00.2504+02:00", "2026-05-04T12:00:00.250Z"),
        ("2026-05-04T12:00:00", "2026-05-04T12:00:00.000Z"),
        ("0001-01-01T00:00:00+14:00", "2026-01-01T00:00:00.000Z"),
        ("soon", "2026-01-01T00:00:00.000Z"),
    ],
)
def test_a_time_that_cannot_be_read_is_that_of_the_arrival(timestamp, expected):
    assert conventions.timestamp({"timestamp": timestamp, "receivedAt": "2026-01-01T00:00:00Z"}) == expected


@given(BODIES)
def test_no_reader_raises_for_an_event_of_the_wrong_shape(body):
    assert isinstance(conventions.event_name(body), str)
    assert isinstance(conventions.email(body), str)
    assert isinstance(conventions.products(body), list)
    assert len(conventions.currency(body)) == 3
    assert conventions.timestamp(body).endswith("Z")
    assert conventions.epoch_ms(body) // 1000 == conventions.epoch_s(body)
    assert conventions.picked(body, conventions.CAMPAIGN) is not None
    assert (amount := conventions.revenue(body)) is None or math.isfinite(amount)
