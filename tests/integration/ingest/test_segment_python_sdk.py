"""Segment's own Python library, unmodified, against the door."""

from __future__ import annotations

import pytest
from door import KEY, Door, open_door
from segment.analytics.client import Client

from headwater.errors import LogUnavailableError


@pytest.mark.parametrize("gzipped", [False, True])
def test_100_track_calls_arrive_once(gzipped: bool, door: Door) -> None:  # noqa: FBT001 - pytest hands it in
    failures: list[Exception] = []
    client = Client(KEY, host=door.url, gzip=gzipped, on_error=lambda error, _items: failures.append(error))
    for number in range(100):
        client.track("u-1", "Ordered", {"number": number})
    client.shutdown()
    events = door.events()
    assert failures == []
    assert sorted(event["properties"]["number"] for event in events) == list(range(100))
    assert {event["context"]["library"]["name"] for event in events} == {"analytics-python"}
    assert all(len(event["timestamp"]) == 24 and event["sentAt"] for event in events)


def test_two_refusals_for_a_full_disk_and_then_one_delivery() -> None:
    with open_door() as door:
        refusals = [LogUnavailableError("full"), LogUnavailableError("full")]
        stored = door.log.append

        async def refuse_twice(*args, **options):
            if refusals:
                raise refusals.pop()
            return await stored(*args, **options)

        door.log.append = refuse_twice
        failures: list[Exception] = []
        client = Client(KEY, host=door.url, on_error=lambda error, _items: failures.append(error))
        client.track("u-1", "Ordered")
        client.shutdown()
        assert (len(door.events()), failures, refusals) == (1, [], [])
        assert door.collector.counts.unavailable == 2


def test_a_refused_call_is_not_sent_again(door: Door) -> None:
    failures: list[Exception] = []
    client = Client("x" * 32, host=door.url, on_error=lambda error, _items: failures.append(error))
    client.track("u-1", "Ordered")
    client.shutdown()
    assert (len(failures), door.rejected()) == (1, {"invalid_write_key": 1})
