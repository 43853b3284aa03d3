"""Whatever an event holds, a tool's destination names one outcome for it and sends JSON."""

import asyncio
import json
import string
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.delivery.engine import build
from headwater.destinations import kafka, postgres
from headwater.destinations.contract import Answer
from headwater.destinations.files import folder
from headwater.destinations.files.formats import parquet
from headwater.spec.event import Call, Event
from rooms import room

TOOLS = {
    "amplitude": {"api_key": "k"},
    "braze": {"api_key": "k"},
    "customer_io": {"site_id": "s", "api_key": "k"},
    "google_analytics_4": {"measurement_id": "G-ABC123DEF4", "api_secret": "s"},
    "hubspot": {"access_token": "t", "events": {"Order Completed": "pe1_order"}, "properties": {"price": "price"}},
    "intercom": {"access_token": "t", "attributes": ["email", "price"]},
    "klaviyo": {"api_key": "k"},
    "mixpanel": {"token": "t"},
    "posthog": {"api_key": "k"},
    "segment": {"write_key": "k"},
    "slack": {"url": "https://hooks.example.com/x", "template": "{{ properties.a.b | properties | event | type }}"},
    "webhook": {"url": "https://example.com/x", "batch_size": 3},
}
NOW = datetime(2026, 5, 4, 13, 0, tzinfo=UTC)
LEAF = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", " ", "u1", "a@x.example", "Order Completed", "1e999", "\u0000", "\U0001f600", "y" * 40_000])
)  # fmt: skip
NAMES = st.sampled_from([
    "email", "name", "firstName", "createdAt", "products", "price", "quantity", "product_id", "revenue", "total",
    "currency", "order_id", "page", "url", "campaign", "source", "device", "id", "model", "os", "location",
    "latitude", "traits", "ip", "groupId", "$set", "time", "phone", "company", "\u00fc",
])  # fmt: skip
JSON = st.recursive(LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4))
MEMBERS = st.fixed_dictionaries(
    {"type": st.sampled_from([str(call) for call in Call])},
    optional=dict.fromkeys(
        ("event", "userId", "anonymousId", "messageId", "timestamp", "receivedAt", "properties", "traits", "context",
         "integrations", "groupId", "previousId", "name"),
        JSON,
    ),
)  # fmt: skip
ANSWERS = st.tuples(
    st.sampled_from([200, 201, 202, 207, 400, 413, 429, 500]),
    JSON | st.dictionaries(st.sampled_from(["errors", "failed_records", "events_with_invalid_fields", "silenced_events",
                                            "throttled_events", "quota_limited", "status", "error"]), JSON),
)  # fmt: skip


class Wire:
    """Answers every request the same way; what is sent must be JSON."""

    def __init__(self, status, told):
        self.answer, self.sent = Answer(status, {}, json.dumps(told).encode()), []

    async def request(self, method, url, *, body=b"", headers=None):
        self.sent.append((method, url, headers, json.loads(body) if body else None))
        return self.answer


def test_every_tool_here_has_its_file():
    shelf = Path(__file__).parents[3] / "src" / "headwater" / "destinations"
    assert not [name for name in TOOLS if not (shelf / f"{name}.py").exists()]


@pytest.mark.parametrize("name", TOOLS)
@settings(max_examples=60, deadline=None)
@given(bodies=st.lists(MEMBERS, min_size=1, max_size=4), answer=ANSWERS)
def test_each_event_has_one_outcome_whatever_it_holds(name, bodies, answer):
    card, destination = build(name, TOOLS[name], room(Wire(*answer), clock=lambda: NOW))
    events = [
        Event(n, "s1", json.dumps(body).encode(), body) for n, body in enumerate(bodies) if body["type"] in card.calls
    ]
    for start in range(0, len(events), destination.batch_max):
        some = events[start : start + destination.batch_max]
        assert len(asyncio.run(destination.send(some))) == len(some)


@settings(max_examples=200, deadline=None)
@given(MEMBERS)
def test_what_is_stored_elsewhere_has_a_form_for_every_event(body):
    event = Event(1, "s1", json.dumps(body).encode(), body)
    record = kafka.record(kafka.Settings("b:1", "t.{{ properties | event }}", security="PLAINTEXT"), event)
    assert set(record["topic"]) <= set(string.ascii_letters + string.digits + "._-")
    assert len(record["topic"]) <= 249
    assert "\0" not in "".join(each for each in postgres.row(event).values() if each is not None)
    assert folder("{event}/{date}/{hour}", event).count("/") == 2


@settings(max_examples=5, deadline=None)
@given(st.lists(MEMBERS, min_size=1, max_size=20))
def test_parquet_holds_every_event(bodies):
    assert parquet([Event(n, "s1", json.dumps(body).encode(), body) for n, body in enumerate(bodies)])[:4] == b"PAR1"
