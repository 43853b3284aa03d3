"""Segment: batches that keep ids and times, within its limits, and one bad event never costs a good one."""

import base64
import json

import pytest

from headwater.destinations.contract import Answer, Delivered, Discarded, Retry, Unauthorized
from headwater.destinations.segment import Destination, Settings, payload
from headwater.errors import ConfigError, DeliveryError, RetryableError, UnauthorizedError
from headwater.spec.event import Event
from rooms import Example, room

EXAMPLE = Example({"write_key": "key", "url": "https://segment.example"})
SETTINGS = Settings("key")


def event(number: int = 0, **members) -> Event:
    body = {"type": "track", "event": "A", "userId": "u1", "messageId": f"m{number}", **members}
    return Event(number, "s1", json.dumps(body).encode(), body)


class Service:
    """Segment's side of the wire: decides by the batch it was sent."""

    def __init__(self, decide=lambda _: Answer(200, {}, b'{"success":true}')):
        self.decide, self.batches, self.requests = decide, [], []

    async def request(self, method, url, *, body=b"", headers=None):
        self.requests.append((method, url, len(body), headers))
        self.batches.append(json.loads(body)["batch"])
        return self.decide(self.batches[-1])


async def test_a_batch_goes_to_the_batch_address_with_the_write_key():
    service = Service()
    outcomes = await Destination(Settings("key", "https://events.eu1.segmentapis.com/"), room(service)).send(
        [event(0), event(1)]
    )
    assert outcomes == [Delivered(200)] * 2
    method, url, _, headers = service.requests[0]
    assert (method, url) == ("POST", "https://events.eu1.segmentapis.com/v1/batch")
    assert headers["authorization"] == "Basic " + base64.b64encode(b"key:").decode()
    assert [one["messageId"] for one in service.batches[0]] == ["m0", "m1"]


def test_the_event_keeps_its_id_and_time_and_loses_what_would_move_it():
    times = {"timestamp": "2026-01-01T00:00:00.000Z", "originalTimestamp": "x", "sentAt": "y", "receivedAt": "z"}
    sent = json.loads(payload(event(**times, context={"ip": "1.2.3.4"})))
    assert sent == {
        "type": "track", "event": "A", "userId": "u1", "messageId": "m0", "timestamp": times["timestamp"],
        "context": {"ip": "1.2.3.4"},
    }  # fmt: skip


def test_what_was_said_to_us_in_integrations_does_not_bind_the_receiver():
    sent = json.loads(payload(event(integrations={"All": False, "Segment": True, "Mixpanel": {"a": 1}})))
    assert sent["integrations"] == {"Mixpanel": {"a": 1}}


async def test_large_events_are_spread_over_requests_of_500_kilobytes():
    service = Service()
    outcomes = await Destination(SETTINGS, room(service)).send(
        [event(n, properties={"x": "y" * 30_000}) for n in range(40)]
    )
    assert outcomes == [Delivered(200)] * 40
    assert [one["messageId"] for batch in service.batches for one in batch] == [f"m{n}" for n in range(40)]
    assert max(size for _, _, size, _ in service.requests) <= 500 * 1024
    assert len(service.requests) == 3


async def test_an_event_above_32_kilobytes_is_refused_alone():
    service = Service()
    large = event(1, properties={"x": "y" * 33_000})
    outcomes = await Destination(SETTINGS, room(service)).send([event(0), large, event(2)])
    assert [type(outcome) for outcome in outcomes] == [Delivered, Discarded, Delivered]
    assert [one["messageId"] for one in service.batches[0]] == ["m0", "m2"]


async def test_items_that_a_headwater_rejects_are_discarded_with_its_code():
    told = Answer(
        200, {}, b'{"success":true,"rejected":[{"index":1,"code":"event_not_defined"},{"index":9,"code":"x"}]}'
    )
    outcomes = await Destination(SETTINGS, room(Service(lambda _: told))).send([event(n) for n in range(3)])
    assert outcomes[0] == outcomes[2] == Delivered(200)
    assert outcomes[1] == Discarded("The receiver rejected the event: event_not_defined", 200)


@pytest.mark.parametrize("body", [b"", b"ok", b"[]", b'{"rejected":null}', b'{"rejected":[{}]}', b'{"rejected":[1]}'])
async def test_an_answer_without_a_list_of_rejects_means_all_were_taken(body):
    assert await Destination(SETTINGS, room(Service(lambda _: Answer(200, {}, body)))).send([event()]) == [
        Delivered(200)
    ]


async def test_one_bad_event_does_not_cost_the_good_ones():
    def decide(batch):
        bad = any(one["messageId"] == "m5" for one in batch)
        return Answer(400 if bad else 200, {}, b"malformed")

    service = Service(decide)
    outcomes = await Destination(SETTINGS, room(service)).send([event(n) for n in range(16)])
    assert [n for n, outcome in enumerate(outcomes) if outcome != Delivered(200)] == [5]
    assert isinstance(outcomes[5], Discarded)
    assert len(service.requests) == 9


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(401, {}, b""), Unauthorized),
        (Answer(400, {}, b'{"message":"An invalid write key was provided"}'), Unauthorized),
        (Answer(429, {"retry-after": "7"}, b""), Retry),
        (Answer(500, {}, b""), Retry),
        (Answer(404, {}, b""), Discarded),
    ],
)
async def test_a_batch_that_is_refused_as_a_whole_shares_the_outcome(answer, kind):
    service = Service(lambda _: answer)
    outcomes = await Destination(SETTINGS, room(service)).send([event(0), event(1)])
    assert ([type(outcome) for outcome in outcomes], len(service.requests)) == ([kind, kind], 1)


async def test_a_cut_second_request_does_not_repeat_the_first():
    def decide(batch):
        if batch[0]["messageId"] != "m0":
            raise RetryableError("cut", after_s=3)
        return Answer(200, {}, b"")

    events = [event(n, properties={"x": "y" * 30_000}) for n in range(20)]
    outcomes = await Destination(SETTINGS, room(Service(decide))).send(events)
    assert outcomes[0] == Delivered(200)
    assert outcomes[-1] == Retry("cut", after_s=3)


async def test_a_check_sends_an_empty_batch():
    service = Service(lambda _: Answer(400, {}, b"empty"))
    await Destination(SETTINGS, room(service)).check()
    assert service.batches == [[]]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(401, {}, b""), UnauthorizedError),
        (Answer(400, {}, b"invalid Write Key"), UnauthorizedError),
        (Answer(503, {}, b""), RetryableError),
        (Answer(404, {}, b""), DeliveryError),
        (Answer(301, {}, b""), DeliveryError),
    ],
)
async def test_a_check_says_what_is_wrong(answer, error):
    with pytest.raises(error):
        await Destination(SETTINGS, room(Service(lambda _: answer))).check()


def test_a_write_key_is_needed_and_not_shown():
    with pytest.raises(ConfigError):
        Destination(Settings(""), room(Service()))
    assert "key" not in repr(Settings("the-key")).replace("write_key", "")
