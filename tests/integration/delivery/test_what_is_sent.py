"""Filters and mappings in the running engine: what arrives, what is counted, what a retry and a replay do."""

import dataclasses

from headwater.delivery.connection import FieldMapping, Filter
from receiver import append, body, settled, until, webhook

FILTERS = (
    Filter("f1", "No tests", "properties.test = true", ({"type": "DROP"},)),
    Filter("f2", "No coupons", "true", ({"type": "DROP_PROPERTIES", "fields": {"properties": ["coupon"]}},)),
)
SNAKE = {"@case": {"operator": "snake", "value": {"@path": "$.event"}}}
MAPPINGS = (
    FieldMapping("p1", "Orders", "match(event, 'Order *')", {"event": SNAKE}),
    FieldMapping("p2", "Clicks", "event = 'Click'", {"properties.id": {"@required": {"@path": "$.userId"}}}),
)


async def test_each_event_is_sent_as_it_may_be_or_counted_with_its_reason(log, receiver, delivering):
    await append(
        log,
        body("m1", event="Order Completed", properties={"coupon": "X", "total": 5}),
        body("m2", event="Order Completed", properties={"test": True}),
        body("m3", event="Click", userId=None),
        body("m4", event="Scroll"),
        body("m5", event="Order Refunded", integrations={"All": False}),
    )
    connection = dataclasses.replace(webhook(receiver), filters=FILTERS, mappings=MAPPINGS)
    reasons = ["FILTERED_BY_RULES", "FILTERED_AT_MAPPING", "NO_MATCHING_MAPPING", "FILTERED_BY_INTEGRATIONS_OBJECT"]
    async with delivering(connection) as delivery:
        await settled(delivery, delivered_first_try=1, filtered=dict.fromkeys(reasons, 1), read=5, behind=0)
    [sent] = receiver.bodies
    assert (sent["messageId"], sent["event"], sent["properties"]) == ("m1", "order_completed", {"total": 5})


async def test_a_filter_that_is_made_later_does_not_touch_what_waits_for_a_retry(log, receiver, delivering):
    receiver.answering(500)
    await append(log, body("m1", properties={"coupon": "X", "test": True}))
    connection = dataclasses.replace(webhook(receiver), filters=FILTERS[1:])
    async with delivering(connection):
        await until(lambda: _has(receiver, 1))
    await append(log, body("m2", properties={"test": True}))
    async with delivering(dataclasses.replace(connection, filters=FILTERS)) as delivery:
        await settled(delivery, delivered_on_retry=1, retrying=0, filtered={"FILTERED_BY_RULES": 1})
    assert {sent["messageId"] for sent in receiver.bodies} == {"m1"}
    assert receiver.bodies[-1]["properties"] == {"test": True}


async def test_a_replay_asks_the_filters_of_today(log, receiver, delivering):
    await append(log, body("m1", properties={"test": True}), body("m2", properties={"coupon": "X"}))
    async with delivering(webhook(receiver)) as delivery:
        await settled(delivery, delivered_first_try=2)
    async with delivering(dataclasses.replace(webhook(receiver), filters=FILTERS)) as delivery:
        await delivery.replay("d1")
        await until(lambda: _is_done(delivery))
        [replay] = await delivery.replays("d1")
        assert (replay.delivered, replay.filtered) == (1, {"FILTERED_BY_RULES": 1})
    again = receiver.bodies[-1]
    assert (again["messageId"], again["properties"]) == ("m2", {})


async def test_a_mapping_that_cannot_be_read_makes_events_wait(log, receiver, delivering):
    await append(log, body("m1"))
    broken = FieldMapping("p1", "Odd", "true", {"event": {"@nope": 1}})
    connection = dataclasses.replace(webhook(receiver), mappings=(broken,))
    async with delivering(connection) as delivery:
        await until(lambda: _says(delivery, "'Odd'"))
        delivery.apply([dataclasses.replace(connection, mappings=())])
        await settled(delivery, delivered_first_try=1)
    assert receiver.ids() == ["m1"]


async def _has(receiver, count):
    return len(receiver.bodies) >= count


async def _is_done(delivery):
    return [replay.state for replay in await delivery.replays("d1")] == ["done"]


async def _says(delivery, words):
    [status] = await delivery.status()
    return words in str(status)
