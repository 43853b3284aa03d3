"""Kafka, over its real protocol, to librdkafka's mock cluster: all events arrive, in order, with key and headers."""

import json
import uuid

import confluent_kafka
import pytest

from headwater.destinations.contract import Delivered, Discarded, Retry
from headwater.destinations.kafka import Destination, Settings
from headwater.errors import DeliveryError, RetryableError, UnauthorizedError
from headwater.spec.event import Event
from rooms import room


def event(number: int, **members) -> Event:
    body = {"type": "track", "event": "A", "userId": f"u{number % 3}", "messageId": f"m{number}", **members}
    return Event(number, "s1", json.dumps(body).encode(), body)


@pytest.fixture(scope="module")
def cluster():
    """Yields the brokers' addresses; the cluster lives as long as its producer."""
    producer = confluent_kafka.Producer({"test.mock.num.brokers": 3, "bootstrap.servers": "mock"})
    brokers = producer.list_topics(timeout=10).brokers.values()
    yield ",".join(f"{each.host}:{each.port}" for each in brokers)
    del producer


@pytest.fixture
async def built():
    """Return a destination for settings and rules of reach, in a room that is closed at the end."""
    rooms, asked = [], []

    async def reach(host, port):
        asked.append((host, port))
        return [host]

    def build(brokers: str, reach=reach, **settings) -> Destination:
        rooms.append(room(None, reach=reach))
        chosen = {"topic": "t-" + uuid.uuid4().hex, "security": "PLAINTEXT", **settings}
        return Destination(Settings(brokers, **chosen), rooms[-1])

    build.asked = asked
    yield build
    for each in rooms:
        await each.closing.aclose()


def read(brokers: str, topic: str, count: int) -> list[confluent_kafka.Message]:
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": brokers, "group.id": uuid.uuid4().hex, "auto.offset.reset": "earliest"}
    )
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([confluent_kafka.TopicPartition(topic, each, 0) for each in partitions])
    found = []
    while len(found) < count:
        taken = consumer.consume(count - len(found), timeout=20)
        assert taken, f"{len(found)} of {count} records"
        found += [each for each in taken if each.error() is None]
    consumer.close()
    return found


async def test_every_event_is_a_record_with_key_and_headers_in_the_order_of_its_person(cluster, built):
    destination = built(cluster, topic="all")
    batch = [event(n) for n in range(500)]
    assert await destination.send(batch) == [Delivered()] * 500
    records = read(cluster, "all", 500)
    assert sorted(each.value() for each in records) == sorted(each.line for each in batch)
    assert {dict(each.headers())["messageId"].decode() for each in records} == {each.message_id for each in batch}
    for person in range(3):
        mine = [json.loads(each.value())["messageId"] for each in records if each.key() == f"u{person}".encode()]
        assert mine == [each.message_id for each in batch if each.body["userId"] == f"u{person}"]


async def test_a_template_spreads_events_over_topics(cluster, built):
    await built(cluster, topic="by.{{type}}").send([event(1), event(2, type="page"), event(3)])
    assert len(read(cluster, "by.track", 2)) == 2
    assert len(read(cluster, "by.page", 1)) == 1


async def test_a_record_that_is_too_large_costs_no_other(cluster, built):
    large = event(1, properties={"x": "y" * 1_100_000})
    outcomes = await built(cluster).send([event(0), large, event(2)])
    assert [type(each) for each in outcomes] == [Delivered, Discarded, Delivered]


async def test_every_broker_that_the_cluster_names_is_judged(cluster, built):
    first = cluster.split(",")[0]
    await built(first).check()
    assert {f"{host}:{port}" for host, port in built.asked} == set(cluster.split(","))


async def test_a_broker_that_may_not_be_reached_ends_it_before_a_record_is_out(cluster, built):
    first = cluster.split(",")[0]

    async def only_first(host, port):
        if f"{host}:{port}" != first:
            raise DeliveryError("not allowed")
        return [host]

    destination = built(first, only_first)
    for _ in range(2):
        with pytest.raises(DeliveryError, match="not allowed"):
            await destination.send([event(1)])


async def test_a_cluster_that_is_away_is_tried_again(built, monkeypatch):
    monkeypatch.setattr("headwater.destinations.kafka._METADATA_S", 1.0)
    with pytest.raises(RetryableError):
        await built("127.0.0.1:1").send([event(1)])


async def test_a_certificate_that_is_none_pauses_and_loses_nothing(built):
    with pytest.raises(UnauthorizedError, match="CA certificate"):
        await built("127.0.0.1:1", security="SSL", ca_certificate="none").send([event(1)])


async def test_records_without_an_acknowledgement_are_tried_again(built, monkeypatch):
    monkeypatch.setattr("headwater.destinations.kafka._MESSAGE_S", 1.0)
    producer = confluent_kafka.Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "mock"})
    (broker,) = producer.list_topics(timeout=10).brokers.values()
    destination = built(f"{broker.host}:{broker.port}")
    assert await destination.send([event(1)]) == [Delivered()]
    del producer
    assert [type(each) for each in await destination.send([event(2), event(3)])] == [Retry, Retry]
