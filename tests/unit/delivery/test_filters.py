"""Destination filters: what is sent and what is taken out, in one order, closed when in doubt."""

import copy
from collections import Counter

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.delivery.connection import Filter
from headwater.delivery.filters import Filters, checked_filter, preview
from headwater.errors import InvalidRequestError
from headwater.spec.event import Event

DROP = {"type": "DROP"}
NOBODY = {"type": "SAMPLE", "percent": 0, "path": ""}


def drop(**fields):
    return {"type": "DROP_PROPERTIES", "fields": fields}


def allow(**fields):
    return {"type": "ALLOW_PROPERTIES", "fields": fields}


def event(**body) -> Event:
    body = {"type": "track", "messageId": "m1", "userId": "u1", "timestamp": "2026-05-04T12:00:00Z", **body}
    return Event(7, "s1", msgspec.json.encode(body), body)


def filters(*rules, enabled=True) -> Filters:
    return Filters([Filter(str(n), "", condition, actions, enabled) for n, (condition, *actions) in enumerate(rules)])


def test_without_filters_an_event_goes_as_it_is():
    one = event(event="A")
    assert Filters([])(one) is one
    assert filters(("event = 'A'", DROP), enabled=False)(one) is one
    assert filters(("event = 'B'", DROP))(one) is one


def test_only_send_is_a_drop_of_everything_else():
    only = filters(("!(event = 'Order Completed')", DROP))
    assert only(event(event="Order Completed")).body["event"] == "Order Completed"
    assert only(event(event="Product Viewed")) == "FILTERED_BY_RULES"


def test_members_are_taken_out_of_the_event_and_its_line():
    properties = {"coupon": "X", "total": 5, "products": [{"sku": "A", "price": 1}]}
    one = event(properties=properties, context={"ip": "::1", "page": {"url": "/", "title": "T"}})
    before = copy.deepcopy(one.body)
    left = filters(
        ("type = 'track'", drop(properties=["coupon", "products.price", "none"], context=["ip", "page.url"]))
    )(one)
    assert left.body == {
        **before,
        "properties": {"total": 5, "products": [{"sku": "A"}]},
        "context": {"page": {"title": "T"}},
    }
    assert (msgspec.json.decode(left.line), left.seq, left.source_id) == (left.body, 7, "s1")
    assert one.body == before


def test_only_the_sections_that_are_named_are_trimmed():
    one = event(properties={"a": 1, "b": {"c": 1, "d": 2}}, context={"ip": "::1"})
    left = filters(("true", allow(properties=["b.c"], traits=["email"])))(one)
    assert left.body == {**one.body, "properties": {"b": {"c": 1}}}
    assert filters(("true", allow(properties=[])))(one).body["properties"] == {}


@pytest.mark.parametrize("order", [1, -1])
def test_what_applies_is_done_in_one_order_whatever_the_order_of_the_filters(order):
    """Sample before everything: with a sample of none and an allow-list an event is dropped, not trimmed."""
    rules = [("true", allow(properties=["a"])), ("true", NOBODY)][::order]
    assert filters(*rules)(event(properties={"a": 1, "b": 2})) == "FILTERED_BY_RULES"
    rules = [("true", allow(properties=["a", "b"])), ("true", drop(properties=["a"]))][::order]
    assert filters(*rules)(event(properties={"a": 1, "b": 2, "c": 3})).body["properties"] == {"b": 2}


@pytest.mark.parametrize("order", [1, -1])
def test_a_sample_is_taken_before_members_go(order):
    sample = ("true", {"type": "SAMPLE", "percent": 0.5, "path": "properties.plan"})
    trimmed = filters(*[sample, ("true", drop(properties=["plan"]))][::order])
    for plan in range(50):
        one = event(properties={"plan": plan})
        assert isinstance(trimmed(one), str) == isinstance(filters(sample)(one), str)


def test_conditions_are_asked_about_the_event_as_it_arrived():
    rules = [("true", drop(properties=["test"])), ("properties.test = true", DROP)]
    assert filters(*rules)(event(properties={"test": True})) == "FILTERED_BY_RULES"


@pytest.mark.parametrize(
    "rule",
    [
        ("oops =", DROP),
        ("event = 'another'",),
        ("event = 'another'", {"type": "SHRED"}),
        ("event = 'another'", drop(messageId=["x"])),
        ("lowercase(properties.n) = 'x'", drop(properties=["a"])),
        ("event", drop(properties=["a"])),
    ],
)
def test_what_cannot_be_read_or_decided_lets_nothing_through(rule):
    assert filters(rule)(event(event="A", properties={"n": 1})) == "FILTERED_BY_RULES"


def test_a_sample_is_a_share_of_users_and_always_the_same_ones():
    half = filters(("true", {"type": "SAMPLE", "percent": 0.5, "path": "userId"}))
    kept = {user for user in range(2_000) if half(event(userId=user)) != "FILTERED_BY_RULES"}
    assert 900 < len(kept) < 1_100
    assert all(
        (half(event(userId=user, messageId="other")) != "FILTERED_BY_RULES") == (user in kept) for user in range(99)
    )


def test_a_sample_without_a_value_at_its_path_is_one_of_events():
    for path in ("", "properties.none", None):
        tenth = filters(("true", {"type": "SAMPLE", "percent": 0.1, "path": path}))
        kept = Counter(tenth(event(messageId=f"m{n}")) == "FILTERED_BY_RULES" for n in range(2_000))
        assert 130 < kept[False] < 270
    everybody = filters(("true", {"type": "SAMPLE", "percent": 1}))
    assert all(isinstance(everybody(event(messageId=f"m{n}")), Event) for n in range(100))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=10,
)
sections = st.dictionaries(st.sampled_from(["properties", "context", "traits"]), json_values)
paths = st.lists(st.sampled_from(["a", "b", "a.b", "c.a.b"]), max_size=3)


@settings(deadline=None)
@given(sections, paths, paths)
def test_ids_times_and_the_type_stay_whatever_is_taken_out(members, dropped, allowed):
    one = event(**members)
    left = filters(
        ("true", drop(properties=dropped, traits=allowed)), ("true", allow(context=allowed, properties=dropped))
    )(one)
    kept = ("type", "messageId", "userId", "timestamp")
    assert {name: left.body[name] for name in kept} == {name: one.body[name] for name in kept}
    assert left.body.keys() == one.body.keys()
    assert msgspec.json.decode(left.line) == left.body


@pytest.mark.parametrize(
    ("title", "condition", "actions", "field"),
    [
        ("", "true", [DROP], "title"),
        ("x" * 65, "true", [DROP], "title"),
        ("x", "a =", [DROP], "if"),
        ("x", "true", [], "actions"),
        ("x", "true", [DROP] * 5, "actions"),
        ("x", "true", [DROP, {"type": "drop"}], "actions.1.type"),
        ("x", "true", [{}], "actions.0.type"),
        ("x", "true", [{"type": "SAMPLE"}], "actions.0.percent"),
        ("x", "true", [{"type": "SAMPLE", "percent": 1.5}], "actions.0.percent"),
        ("x", "true", [{"type": "SAMPLE", "percent": True}], "actions.0.percent"),
        ("x", "true", [{"type": "SAMPLE", "percent": 0.5, "path": "a..b"}], "actions.0.path"),
        ("x", "true", [{"type": "DROP_PROPERTIES"}], "actions.0.fields"),
        ("x", "true", [drop(userId=["a"])], "actions.0.fields.userId"),
        ("x", "true", [drop(properties="a")], "actions.0.fields.properties"),
        ("x", "true", [allow(properties=[1])], "actions.0.fields.properties"),
        ("x", "true", [allow(properties=["a"] * 301)], "actions.0.fields"),
    ],
)
def test_what_is_wrong_with_a_filter_is_named(title, condition, actions, field):
    with pytest.raises(InvalidRequestError) as raised:
        checked_filter(title, condition, actions)
    assert raised.value.field == field


def test_a_filter_that_can_be_saved():
    checked_filter("x" * 64, "type = 'track'", [NOBODY, DROP, drop(properties=["a"]), allow(context=["b"])])


def test_a_preview_shows_what_is_left():
    assert preview("event = 'A'", [DROP], {"event": "A"}) is None
    assert preview("event = 'A'", [drop(traits=["a"])], {"event": "A", "traits": {"a": 1}}) == {
        "event": "A",
        "traits": {},
    }
    assert preview("lowercase(n) = 'x'", [DROP], {"n": 1}) is None
