"""Amplitude: documented requests, and the bad events of a request never cost the good ones."""

import pytest

from headwater.destinations.contract import Delivered, Discarded, Retry
from headwater.errors import DeliveryError, RetryableError, UnauthorizedError
from rooms import Example
from service import AT, event, kinds, playing

EXAMPLE = Example({"api_key": "key-1"})
SETTINGS = EXAMPLE.settings
MS = 1_777_896_000_250
CONTEXT = {
    "ip": "203.0.113.9", "userAgent": "Agent", "locale": "de-DE", "groupId": "g1", "os": {"name": "iOS", "version": 17},
    "device": {"id": "dev", "model": {"odd": 1}}, "campaign": {"source": "news", "name": "May"},
    "page": {"url": "https://x.example/a"}, "location": {"latitude": "52.5"},
}  # fmt: skip


async def sent(*events, settings=SETTINGS) -> dict:
    async with playing("amplitude", settings) as (destination, service):
        assert kinds(await destination.send(events)) == ["Delivered"] * len(events)
        assert len(service.asked) == 1
    method, path, body, headers = service.asked[0]
    assert (method, path, headers["content-type"]) == ("POST", "/2/httpapi", "application/json")
    return body


async def test_a_batch_holds_key_options_and_events():
    body = await sent(event(1), event(2))
    assert (body["api_key"], body["options"]) == ("key-1", {"min_id_length": 1})
    assert [one["insert_id"] for one in body["events"]] == ["m1", "m2"]


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"properties": {"a": 1}}, {"event_type": "Email Opened", "event_properties": {"a": 1}}),
        ({"event": "Order Completed", "properties": {"total": "9.5"}},
         {"event_type": "Order Completed", "event_properties": {"total": "9.5"}, "revenue": 9.5}),
        ({"type": "page", "event": None, "name": "Home"}, {"event_type": "Viewed Home Page", "event_properties": {}}),
        ({"type": "screen", "event": None}, {"event_type": "Loaded a Screen", "event_properties": {}}),
        ({"type": "identify", "traits": {"plan": "x"}},
         {"event_type": "$identify", "user_properties": {"$set": {"plan": "x"}}}),
        ({"type": "group", "groupId": "g1", "traits": {"name": "N"}},
         {"event_type": "$groupidentify", "groups": {"company": "g1"}, "group_properties": {"$set": {"name": "N"}}}),
    ],
)  # fmt: skip
async def test_each_call_has_its_documented_form(members, expected):
    (one,) = (await sent(event(1, **members)))["events"]
    assert one == {"user_id": "u1", "time": MS, "insert_id": "m1", **expected}


async def test_the_context_becomes_device_and_place_and_wrong_types_stay_out():
    (one,) = (await sent(event(1, context=CONTEXT, anonymousId="a1", userId=None, properties={})))["events"]
    assert one == {
        "device_id": "dev", "time": MS, "insert_id": "m1", "event_type": "Email Opened", "groups": {"company": "g1"},
        "ip": "203.0.113.9", "language": "de-DE", "location_lat": 52.5, "os_name": "iOS", "os_version": "17",
        "platform": "iOS", "user_agent": "Agent",
        "event_properties": {"page_url": "https://x.example/a", "utm_source": "news", "utm_campaign": "May"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("members", "reason"),
    [({"userId": None}, "needs a userId"), ({"event": " "}, "event name"), ({"type": "group"}, "groupId")],
)
async def test_what_lacks_an_id_or_a_name_is_not_sent(members, reason):
    async with playing("amplitude", SETTINGS) as (destination, service):
        first, second = await destination.send([event(1, **members), event(2)])
    assert isinstance(first, Discarded)
    assert reason in first.reason
    assert second == Delivered(200)
    assert [one["insert_id"] for one in service.bodies[0]["events"]] == ["m2"]


async def test_events_that_amplitude_names_are_discarded_and_the_rest_is_sent_again():
    told = {"code": 400, "error": "Request missing required field", "events_with_missing_fields": {"event_type": [2]},
            "events_with_invalid_fields": {"time": [0, 9]}, "silenced_events": "odd"}  # fmt: skip
    async with playing("amplitude", SETTINGS, (400, told), (200, {"code": 200})) as (destination, service):
        outcomes = await destination.send([event(n) for n in range(4)])
    assert kinds(outcomes) == ["Discarded", "Delivered", "Discarded", "Delivered"]
    assert outcomes[0].reason == "Amplitude refuses the event: a field is invalid (time)."
    assert [one["insert_id"] for one in service.bodies[1]["events"]] == ["m1", "m3"]


async def test_throttled_events_wait_and_the_others_go():
    told = {"code": 429, "error": "Too many requests for some devices and users", "throttled_events": [1]}
    async with playing("amplitude", SETTINGS, (429, told), (200, {})) as (destination, _):
        outcomes = await destination.send([event(n) for n in range(3)])
    assert kinds(outcomes) == ["Delivered", "Retry", "Delivered"]
    assert outcomes[1].after_s == 30


async def test_events_that_are_all_named_are_not_sent_again():
    told = {"code": 400, "events_with_invalid_fields": {"time": [0, 1, 2]}}
    async with playing("amplitude", SETTINGS, (400, told)) as (destination, service):
        assert kinds(await destination.send([event(n) for n in range(3)])) == ["Discarded"] * 3
    assert len(service.asked) == 1


@pytest.mark.parametrize("status", [400, 413])
async def test_a_request_that_is_refused_without_a_reason_is_halved(status):
    def answer(body):
        return (status if any(one["insert_id"] == "m5" for one in body["events"]) else 200), "<html>"

    async with playing("amplitude", SETTINGS, answer) as (destination, _):
        assert (
            kinds(await destination.send([event(n) for n in range(8)]))
            == ["Delivered"] * 5 + ["Discarded"] + ["Delivered"] * 2
        )


@pytest.mark.parametrize(
    ("answer", "kind"),
    [((400, {"code": 400, "error": "Invalid API key: key-1"}), "Unauthorized"), ((413, {}), "Discarded"),
     ((429, {}), "Retry"), ((503, {}), "Retry")],
)  # fmt: skip
async def test_an_answer_for_the_whole_request_is_for_all(answer, kind):
    async with playing("amplitude", SETTINGS, answer) as (destination, _):
        outcomes = await destination.send([event(1), event(2)])
    assert kinds(outcomes) == [kind] * 2
    assert "key-1" not in str(outcomes)


async def test_a_service_that_is_not_there_means_later():
    async with playing("amplitude", SETTINGS) as (destination, _):
        pass
    assert isinstance((await destination.send([event(1)]))[0], Retry)


@pytest.mark.parametrize(
    ("answer", "error"),
    [((400, {"error": "Invalid API key: key-1"}), UnauthorizedError), ((500, ""), RetryableError),
     ((404, ""), DeliveryError), ((400, {"error": "missing events", "missing_field": "events"}), None)],
)  # fmt: skip
async def test_a_check_sends_no_event_and_tells_a_wrong_key(answer, error):
    async with playing("amplitude", SETTINGS, answer) as (destination, service):
        if error is None:
            await destination.check()
        else:
            with pytest.raises(error) as raised:
                await destination.check()
            assert "key-1" not in str(raised.value)
    assert service.bodies[0]["events"] == []


async def test_the_time_is_the_events_own():
    (one,) = (await sent(event(1, timestamp=AT, receivedAt="2026-06-01T00:00:00Z")))["events"]
    assert one["time"] == MS
