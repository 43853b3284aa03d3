"""The function source: requests become events by code in real processes, and what goes wrong is kept."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from headwater.functions.contract import Function
from headwater.functions.runtime import Processes
from headwater.outgoing import Answer
from headwater.sources.contract import Webhook
from headwater.sources.function import memory as timing
from headwater.sources.function.memory import FunctionMemory

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
CODE = """async function onRequest(request, settings) {
  const body = request.json()
  if (body.what === 'throw') throw new Error('odd body')
  if (body.what === 'drop') throw new DropEvent('not wanted')
  if (body.what === 'slow') await new Promise(() => {})
  if (body.what === 'nothing') return
  Segment.identify({userId: body.id, traits: {plan: settings.plan}})
  Segment.track({event: body.what, userId: body.id, properties: {topic: request.headers.get('x-topic')},
    ...(body.messageId && {messageId: body.messageId}), ...(body.at && {timestamp: body.at})})
}"""
SETTINGS = {"function": "fn1", "settings": {"plan": "pro"}}


class Nowhere:
    async def request(self, *_args, **_named):
        return Answer(200, {}, b"")


@pytest.fixture
async def mapper():
    runtime = Processes(time_s=0.5)
    functions = {
        ("s1", "fn1"): Function("fn1", "Mine", CODE, {"plan": "free"}),
        ("s1", "fn2"): Function("fn2", "T", "1"),
    }
    yield FunctionMemory(runtime, Nowhere(), lambda *names: functions.get(names))
    await runtime.close()


def posted(seq, body, at=NOON, **named):
    return Webhook(seq, "s1", at, "application/json", body.encode(), query="a=1", headers={"x-topic": "T"}, **named)


async def mapped(mapper, *bodies, settings=SETTINGS, at=NOON):
    webhooks = [posted(seq, body, at) for seq, body in enumerate(bodies)]
    return (await mapper.take("s1", webhooks, settings)).mapped


async def test_calls_become_events_as_if_they_had_been_sent_to_the_tracking_api(mapper):
    [result] = await mapped(mapper, '{"what":"Paid","id":"u1"}')
    received = "2026-05-04T12:00:00.000Z"
    identify, track = result.events
    assert (identify["type"], identify["userId"], identify["traits"]) == ("identify", "u1", {"plan": "pro"})
    assert (track["event"], track["properties"], track["timestamp"]) == ("Paid", {"topic": "T"}, received)
    assert {each["receivedAt"] for each in result.events} == {received}


async def test_the_same_request_gives_the_same_ids_and_another_gives_others(mapper):
    first = await mapped(mapper, '{"what":"Paid","id":"u1"}', '{"what":"Paid","id":"u1"}')
    assert await mapped(mapper, '{"what":"Paid","id":"u1"}', '{"what":"Paid","id":"u1"}') == first
    later = await mapped(mapper, '{"what":"Paid","id":"u1"}', at=NOON.replace(hour=13))
    ids = [event["messageId"] for result in (*first, *later) for event in result.events]
    assert len(set(ids)) == 6


async def test_an_id_and_a_time_that_the_code_gives_are_kept(mapper):
    body = '{"what":"Paid","id":"u1","messageId":"order-7","at":"2026-01-31T09:00:00Z"}'
    [result] = await mapped(mapper, body)
    assert (result.events[1]["messageId"], result.events[1]["timestamp"]) == ("order-7", "2026-01-31T09:00:00.000Z")


async def test_what_goes_wrong_with_one_request_is_told_of_that_one(mapper):
    bodies = ["throw", "drop", "nothing", "slow", "Paid"]
    results = await mapped(mapper, *(f'{{"what":"{what}","id":"u1"}}' for what in bodies), "{", '{"what":"Paid"}')
    assert [(result.quarantined, result.ignored) for result in results[:4]] == [
        ("Error: odd body (line 3)", ""),
        ("", "the function dropped it"),
        ("", "the function sent nothing"),
        ("Its time was up after 0.5 seconds.", ""),
    ]
    assert len(results[4].events) == 2
    assert results[5].quarantined.startswith("SyntaxError")
    assert results[6].quarantined.startswith("Call 1 of the function, Segment.identify:")
    assert not results[6].events


@pytest.mark.parametrize(
    ("settings", "told"),
    [({}, "does not exist"), ({"function": "gone"}, "does not exist"), ({"function": "fn2"}, "has no onRequest")],
)
async def test_without_a_function_requests_wait_to_be_mapped_again(mapper, settings, told):
    [result] = await mapped(mapper, "{}", settings=settings)
    assert told in result.quarantined


async def test_a_slow_function_is_left_alone_and_then_asked_again(mapper, monkeypatch):
    monkeypatch.setattr(timing, "TAKE_S", 0.1)
    monkeypatch.setattr(timing, "REST_S", 0.0)
    slow = ['{"what":"slow","id":"u1"}'] * 9
    results = await mapped(mapper, *slow)
    assert [result.quarantined for result in results[:8]] == ["Its time was up after 0.5 seconds."] * 8
    assert "too slow" in results[8].quarantined
    assert len((await mapped(mapper, '{"what":"Paid","id":"u1"}'))[0].events) == 2  # it has rested
    monkeypatch.setattr(timing, "REST_S", 60.0)
    await mapped(mapper, *slow)
    assert "too slow" in (await mapped(mapper, '{"what":"Paid","id":"u1"}'))[0].quarantined


async def test_requests_keep_their_order(mapper):
    results = await mapped(mapper, *(f'{{"what":"{n}","id":"u{n}"}}' for n in range(60)))
    places = [int(result.events[1]["event"]) for result in results]
    assert all(one < other for one, other in pairwise(places))
