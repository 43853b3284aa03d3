"""Kafka: which record an event becomes, and what each error means."""

import json

import confluent_kafka
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.destinations.contract import Delivered, Discarded, Retry, Unauthorized
from headwater.destinations.kafka import Destination, Settings, brokers, config, outcome, record, singled, topic
from headwater.errors import ConfigError, DeliveryError
from headwater.spec.event import Event
from rooms import Example, room

PLAIN = {"brokers": "broker.example.com:9092", "topic": "events", "security": "PLAINTEXT"}
EXAMPLE = Example(PLAIN, accepted=None)


def event(**members) -> Event:
    body = {"type": "track", "event": "Signed Up", "messageId": "m1", "userId": "ü1", **members}
    return Event(3, "s1", json.dumps(body).encode(), body)


def test_a_record_holds_the_event_as_it_is_stored_and_its_headers():
    sent = event(receivedAt="2026-05-04T12:00:00.000Z")
    assert record(Settings(**PLAIN), sent) == {
        "topic": "events",
        "value": sent.line,
        "key": "ü1".encode(),
        "headers": [
            ("messageId", b"m1"), ("type", b"track"), ("event", b"Signed Up"),
            ("receivedAt", b"2026-05-04T12:00:00.000Z"), ("sourceId", b"s1"),
        ],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("key", "members", "found"),
    [("userId", {}, "ü1".encode()), ("userId", {"userId": None, "anonymousId": "a1"}, b"a1"),
     ("userId", {"userId": None}, None), ("messageId", {}, b"m1"), ("none", {}, None)],
)  # fmt: skip
def test_the_key_is_the_chosen_one(key, members, found):
    assert record(Settings(**PLAIN, key=key), event(**members))["key"] == found


@pytest.mark.parametrize(
    ("template", "name"),
    [("events", "events"), ("events.{{type}}", "events.track"), ("{{ event | type }}", "Signed_Up"),
     ("{{ name | type }}", "track"), ("{{ nothing }}", "_"), ("{{ properties.dot }}", "_")],
)  # fmt: skip
def test_a_topic_follows_its_template(template, name):
    assert topic(template, event(properties={"dot": "."}).body) == name


@given(st.text(max_size=400))
def test_whatever_an_event_is_called_its_topic_is_one(name):
    found = topic("{{event}}", {"event": name})
    assert 1 <= len(found) <= 249
    assert found not in {".", ".."}
    assert set(found) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


@pytest.mark.parametrize("wrong", ["", ".", "..", "a b", "ä", "a/{{type}}", "x" * 250])
def test_a_template_that_makes_no_topic_is_refused(wrong):
    with pytest.raises(ConfigError):
        Destination(Settings(**{**PLAIN, "topic": wrong}), room(None))


@pytest.mark.parametrize("wrong", ["", "a", "a:b", "a:1,", "a:1;b:2", "a b:1", "http://a:1", ",".join(["a:1"] * 21)])
def test_brokers_are_hosts_with_ports(wrong):
    with pytest.raises(ConfigError):
        brokers(wrong)


def test_brokers_may_be_names_and_addresses():
    assert brokers("a.example.com:9092, [::1]:9093") == [("a.example.com", 9092), ("[::1]", 9093)]


def test_a_password_goes_only_where_it_is_encrypted_and_is_not_shown():
    settings = Settings("a:1", "t", username="u", password="canary")
    assert config(settings)["sasl.password"] == "canary"
    assert config(settings)["security.protocol"] == "SASL_SSL"
    assert "canary" not in str(config(Settings("a:1", "t", security="PLAINTEXT", username="u", password="canary")))
    assert "canary" not in repr(settings)
    with pytest.raises(ConfigError):
        config(Settings("a:1", "t"))


@pytest.mark.parametrize(
    ("name", "refusal", "kind"),
    [
        ("MSG_SIZE_TOO_LARGE", "", Discarded),
        ("INVALID_RECORD", "", Discarded),
        ("TOPIC_EXCEPTION", "", Discarded),
        ("TOPIC_AUTHORIZATION_FAILED", "", Unauthorized),
        ("SASL_AUTHENTICATION_FAILED", "", Unauthorized),
        ("_AUTHENTICATION", "", Unauthorized),
        ("UNKNOWN_TOPIC_OR_PART", "", Retry),
        ("_UNKNOWN_TOPIC", "", Retry),
        ("NOT_ENOUGH_REPLICAS", "", Retry),
        ("NOT_ENOUGH_REPLICAS", "_AUTHENTICATION", Retry),
        ("_MSG_TIMED_OUT", "", Retry),
        ("_MSG_TIMED_OUT", "_AUTHENTICATION", Unauthorized),
    ],
)
def test_each_error_has_its_outcome(name, refusal, kind):
    assert hasattr(confluent_kafka.KafkaError, name)
    assert type(outcome(name, refusal)) is kind


async def test_a_broker_that_may_not_be_reached_is_not_dialled():
    with pytest.raises(DeliveryError):
        await Destination(Settings(**PLAIN), room(None)).check()


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(1, 10))
async def test_a_record_that_spoils_its_set_costs_no_other_and_nothing_is_written_twice(good, set_size):
    written = []

    async def broker(events):
        outcomes = []
        for start in range(0, len(events), set_size):
            taken = events[start : start + set_size]
            is_refused = not all(good[each.seq] for each in taken)
            written.extend([] if is_refused else [each.seq for each in taken])
            outcomes += [Discarded("too large") if is_refused else Delivered()] * len(taken)
        return outcomes

    events = [Event(seq, "s1", b"{}", {}) for seq in range(len(good))]
    outcomes = await singled(events, broker)
    assert [isinstance(each, Delivered) for each in outcomes] == good
    assert sorted(written) == [seq for seq, is_good in enumerate(good) if is_good]
