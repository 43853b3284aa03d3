"""What reaches a connection is decided before an attempt, in one order, for replays too."""

import msgspec
import pytest

from headwater.delivery.connection import Connection, Filter
from headwater.delivery.screen import Screen
from headwater.delivery.selection import Selection
from headwater.destinations.contract import Card
from headwater.protocols.gate import Gates
from headwater.protocols.rules import Kind, Name, Spec
from headwater.spec.event import Call, Event

CARD = Card("Webhooks", "", calls=frozenset({Call.TRACK}))
TRIM = Filter("f1", "", "type = 'track'", ({"type": "DROP_PROPERTIES", "fields": {"properties": ["secret"]}},))
SHUT = Filter("f2", "", "this is no condition", ({"type": "DROP"},))


def screen(*filters: Filter, enabled: bool = True) -> Screen:
    return Screen(Connection("d1", "s1", "webhook", "", enabled, {}, filters=filters), CARD)


def event(**body) -> Event:
    body = {"type": "track", "messageId": "m1", **body}
    return Event(3, "s1", msgspec.json.encode(body), body)


@pytest.mark.parametrize(
    ("integrations", "reason"),
    [
        (None, None),
        ({}, None),
        ({"All": True}, None),
        ({"Webhooks": True}, None),
        ({"Webhooks": {"any": "option"}}, None),
        ({"Webhooks": {}}, None),
        ({"Webhooks": None}, None),
        ({"webhooks": False}, None),
        ({"all": False}, None),
        ({"All": False, "Webhooks": True}, None),
        ({"All": False, "Webhooks": {}}, None),
        ({"All": True, "Warehouses": {"all": False}}, None),
        ({"Mixpanel": False}, None),
        ({"Unknown": True}, None),
        (["Webhooks"], None),
        ({"Webhooks": False}, "FILTERED_BY_INTEGRATIONS_OBJECT"),
        ({"All": True, "Webhooks": False}, "FILTERED_BY_INTEGRATIONS_OBJECT"),
        ({"All": False}, "FILTERED_BY_INTEGRATIONS_OBJECT"),
        ({"All": False, "webhooks": True}, "FILTERED_BY_INTEGRATIONS_OBJECT"),
        ({"All": False, "Warehouses": {"all": True}}, "FILTERED_BY_INTEGRATIONS_OBJECT"),
    ],
)
def test_the_integrations_object_decides_as_at_segment(integrations, reason):
    one = event(integrations=integrations)
    assert screen()(one) == (reason or one)


def test_options_for_the_destination_travel_with_the_event():
    one = event(integrations={"All": False, "Webhooks": {"channel": "a"}})
    assert screen()(one).body["integrations"]["Webhooks"] == {"channel": "a"}


def test_the_first_reason_in_order_is_told():
    page = event(type="page", integrations={"All": False})
    assert screen(SHUT, enabled=False)(page) == "DESTINATION_DISABLED"
    assert screen(SHUT)(page) == "FILTERED_BY_INTEGRATIONS_OBJECT"
    assert screen(SHUT)(event(type="page")) == "UNSUPPORTED_EVENT_TYPE"
    assert screen(SHUT)(event()) == "FILTERED_BY_RULES"


def test_filters_change_what_is_sent():
    left = screen(TRIM)(event(properties={"secret": 1, "open": 2}))
    assert (left.body["properties"], left.seq) == ({"open": 2}, 3)


def test_a_replay_is_for_one_destination_and_keeps_id_and_time():
    one = event(timestamp="2026-05-04T12:00:00Z", integrations={"Webhooks": False}, properties={"secret": 1})
    left = screen(TRIM).again(Selection())(one)
    assert left.body == {**one.body, "integrations": {"All": False, "Webhooks": True}, "properties": {}}
    assert msgspec.json.decode(left.line) == left.body


def test_a_replay_asks_selection_type_and_filters():
    again = screen(SHUT).again(Selection(event="A"))
    assert again(event(event="B")) == "NOT_SELECTED"
    assert again(event(event="A", type="page")) == "UNSUPPORTED_EVENT_TYPE"
    assert again(event(event="A")) == "FILTERED_BY_RULES"


def test_what_its_source_blocks_is_not_sent_and_what_it_omits_is_taken_out_for_replays_too():
    gates = Gates()
    blocked = frozenset({Name(Kind.TRACK, "No"), Name(Kind.TRACK, "Yes", "secret")})
    gates.replace({"s1": Spec("s1", blocked=blocked)})
    held = Screen(Connection("d1", "s1", "webhook", "", enabled=True, settings={}), CARD, gates=gates)
    again = held.again(Selection())
    for decide in (held, again):
        assert decide(event(event="No")) == "event_setting"
        let = decide(event(event="Yes", properties={"secret": 1, "open": 2}))
        assert let.body["properties"] == {"open": 2}
        assert msgspec.json.decode(let.line) == let.body
    gates.replace({})
    assert held(event(event="No")).body["event"] == "No"
