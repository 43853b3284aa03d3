from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.errors import InvalidEventError
from headwater.spec.event import Call
from headwater.spec.stamp import Arrival, _mend, merged, stamp
from headwater.spec.times import parse_time

RECEIVED = datetime(2026, 11, 23, 19, 11, 1, 266_000, tzinfo=UTC)
RECEIVED_AT = "2026-11-23T19:11:01.266Z"
TRACK = {"type": "track", "userId": "u", "event": "E", "messageId": "m"}


def stored(item: dict[str, Any], *, call: Any = "track", batch: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return what is stored of an item, alone or within a batch."""
    arrival = Arrival(RECEIVED, lambda: "made", (batch or item).get("sentAt"))
    if batch is not None:
        arrival.share(batch)
    body: dict[str, Any] = json.loads(stamp(call, item, arrival).line)
    return body


def test_t034_the_server_makes_an_id_where_there_is_none() -> None:
    assert stored({"userId": "u", "event": "E"})["messageId"] == "made"


def test_t035_an_id_of_101_characters_is_refused() -> None:
    with pytest.raises(InvalidEventError) as caught:
        stored({**TRACK, "messageId": "m" * 101})
    assert caught.value.code == "message_id_too_long"


def test_t040_of_10_001_properties_10_000_are_kept() -> None:
    # 32 KB hold fewer than 10,000 different names, so this limit is met only where that one is raised
    mended = _mend({"properties": {str(n): 0 for n in range(10_001)}}, Arrival(RECEIVED, lambda: "made"))
    assert mended == ["properties_dropped"]


def test_t045_the_documented_example() -> None:
    times = {"timestamp": "2026-11-23T19:11:01.152Z", "sentAt": "2026-11-23T19:11:01.169Z"}
    assert stored({**TRACK, **times}) == {
        **TRACK,
        "timestamp": "2026-11-23T19:11:01.249Z",
        "originalTimestamp": "2026-11-23T19:11:01.152Z",
        "sentAt": "2026-11-23T19:11:01.169Z",
        "receivedAt": RECEIVED_AT,
    }


def test_t046_without_a_timestamp_it_happened_when_it_arrived() -> None:
    assert stored(TRACK)["timestamp"] == RECEIVED_AT


def test_t047_a_past_timestamp_without_sent_at_is_kept() -> None:
    event = stored({**TRACK, "timestamp": "2020-02-02T02:02:02.020Z"})
    assert (event["timestamp"], "sentAt" in event) == ("2020-02-02T02:02:02.020Z", False)


def test_t048_an_old_sent_at_beside_an_equally_old_timestamp_means_now() -> None:
    old = "2016-01-01T00:00:00.000Z"
    assert stored({**TRACK, "timestamp": old, "sentAt": old})["timestamp"] == RECEIVED_AT


def test_t049_an_offset_is_stored_in_utc() -> None:
    event = stored({**TRACK, "timestamp": "2026-11-24T01:00:00.000+07:00"})
    assert (event["timestamp"], event["originalTimestamp"]) == ("2026-11-23T18:00:00.000Z",) * 2


def test_t050_the_events_of_a_batch_arrive_together() -> None:
    batch = {"sentAt": "2026-11-23T19:11:01.169Z"}
    items = [{**TRACK, "timestamp": "2026-11-23T19:11:01.152Z"}, TRACK]
    assert [stored(item, batch=batch)["receivedAt"] for item in items] == [RECEIVED_AT] * 2
    assert stored(items[0], batch=batch)["timestamp"] == "2026-11-23T19:11:01.249Z"


def test_t051_a_device_clock_that_is_a_day_ahead_is_corrected() -> None:
    times = {"timestamp": "2026-11-24T19:10:01.266Z", "sentAt": "2026-11-24T19:11:01.266Z"}
    assert stored({**TRACK, **times})["timestamp"] == "2026-11-23T19:10:01.266Z"


def test_an_item_with_a_sent_at_of_its_own_has_a_clock_of_its_own() -> None:
    item = {**TRACK, "timestamp": "2026-11-23T18:00:00.000Z", "sentAt": "2026-11-23T18:00:00.500Z"}
    event = stored(item, batch={"sentAt": "2030-01-01T00:00:00Z"})
    assert (event["timestamp"], event["sentAt"]) == ("2026-11-23T19:11:00.766Z", "2026-11-23T18:00:00.500Z")


def test_a_result_outside_the_calendar_is_put_at_the_arrival() -> None:
    event = stored({**TRACK, "timestamp": "0001-01-01T00:00:00Z", "sentAt": "9999-01-01T00:00:00Z"})
    assert (event["timestamp"], event["_metadata"]["warnings"]) == (RECEIVED_AT, ["timestamp_out_of_range"])


def test_t024_item_and_batch_context_are_merged_and_the_item_wins() -> None:
    batch = {"context": {"device": {"type": "ios", "id": "batch"}, "ip": "192.0.2.1"}, "integrations": {"A": False}}
    event = stored({**TRACK, "context": {"device": {"id": "item"}}}, batch=batch)
    assert event["context"] == {"device": {"type": "ios", "id": "item"}, "ip": "192.0.2.1"}
    assert event["integrations"] == {"A": False}
    assert stored(TRACK, batch=batch)["context"] == batch["context"]


def test_merging_changes_neither_side() -> None:
    shared, own = {"a": {"b": 1}}, {"a": {"c": 2}}
    assert merged(shared, own) == {"a": {"b": 1, "c": 2}}
    assert (shared, own) == ({"a": {"b": 1}}, {"a": {"c": 2}})


def test_what_only_the_server_may_say_is_never_taken_over() -> None:
    event = stored({**TRACK, "writeKey": "k", "receivedAt": "x", "projectId": "p", "source_id": "s", "sourceId": "s"})
    assert set(event) == {*TRACK, "timestamp", "originalTimestamp", "receivedAt"}
    assert event["receivedAt"] == RECEIVED_AT


def test_an_item_stays_as_it_was_sent() -> None:
    item = {**TRACK, "writeKey": "k", "properties": None, "context": 5}
    before = json.dumps(item)
    stored(item)
    assert json.dumps(item) == before


def test_the_senders_metadata_stays_beside_ours() -> None:
    event = stored({**TRACK, "_metadata": {"bundled": ["A"]}, "timestamp": "never"})
    assert event["_metadata"] == {
        "bundled": ["A"], "sent": {"timestamp": "never"}, "warnings": ["timestamp_unreadable"],
    }  # fmt: skip


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)
MEMBERS = (
    "type", "userId", "anonymousId", "event", "name", "category", "groupId", "previousId", "messageId", "timestamp",
    "sentAt", "receivedAt", "originalTimestamp", "context", "integrations", "properties", "traits", "_metadata",
    "writeKey",
)  # fmt: skip
GOOD = st.fixed_dictionaries(
    {"userId": st.text(min_size=1), "event": st.just("E"), "groupId": st.just("g"), "previousId": st.just("p")}
)
ITEMS = st.builds(dict.__or__, st.dictionaries(st.sampled_from(MEMBERS), JSON), GOOD | st.just({}))


@given(
    item=ITEMS,
    batch=st.dictionaries(st.sampled_from(("sentAt", "context", "integrations")), JSON),
    call=st.sampled_from(Call),
)
def test_any_item_is_a_complete_event_or_a_named_refusal(
    item: dict[str, Any], batch: dict[str, Any], call: Call
) -> None:
    arrival = Arrival(RECEIVED, lambda: "made", batch.get("sentAt"))
    arrival.share(batch)
    try:
        record = stamp(call.value, item, arrival)
    except InvalidEventError as error:
        assert error.code  # noqa: PT017 - either outcome is right, anything else is not
        return
    assert b"\n" not in record.line
    event = msgspec.json.decode(record.line)
    assert (event["type"], event["receivedAt"]) == (call.value, RECEIVED_AT)
    assert 0 < len(event["messageId"]) <= 100
    assert event["messageId"] == record.message_id
    assert event.get("userId") or event.get("anonymousId")
    assert "writeKey" not in event
    for member in ("timestamp", "originalTimestamp", *(["sentAt"] if "sentAt" in event else [])):
        assert len(event[member]) == 24
        assert parse_time(event[member]) is not None
    for member in ("context", "integrations"):
        assert isinstance(event.get(member, {}), dict)
