"""The function destination's own rules; tests/integration/functions runs real code."""

import dataclasses
import json

import pytest

from headwater.destinations.contract import Delivered, Discarded, Retry, Skipped
from headwater.destinations.function import Destination, Settings
from headwater.errors import ConfigError, DeliveryError, UnauthorizedError
from headwater.functions.contract import Ended, Function
from headwater.spec.event import Event
from rooms import Example, room

EXAMPLE = Example({"function": "fn1", "settings": {"key": "k"}}, accepted=None)


class Scripted:
    """A runtime that ends as it was told, and remembers what it was asked."""

    def __init__(self, ends=(), handlers=("onTrack",), error=None):
        self.ends, self.found, self.error, self.asked = list(ends), frozenset(handlers), error, []

    async def handlers(self, _function):
        if self.error:
            raise self.error
        return self.found

    async def run(self, function, handler, arguments, _http):
        self.asked.append((function, handler, list(arguments)))
        if self.error:
            raise self.error
        return self.ends


def made(runtime, code="async function onTrack() {}", **settings):
    functions = {"fn1": Function("fn1", "Mine", code, {"host": "h", "key": "default"})}
    place = room(None, runtime=runtime)
    return Destination(Settings("fn1", settings), dataclasses.replace(place, functions=functions))


def events(count):
    bodies = [{"type": "track", "messageId": f"m{n}"} for n in range(count)]
    return [Event(n, "s1", json.dumps(body).encode(), body) for n, body in enumerate(bodies)]


@pytest.mark.parametrize(
    ("ended", "outcome"),
    [
        (Ended("sent", {"any": 1}), Delivered()),
        (Ended("dropped"), Skipped("FILTERED_BY_FUNCTION")),
        (Ended("unsupported"), Skipped("UNSUPPORTED_EVENT_TYPE")),
        (Ended("retry", None, "later", ["a", "b"]), Retry("later", answer="a\nb")),
        (Ended("failed", None, "TypeError: x (line 3)", ["a"]), Discarded("TypeError: x (line 3)", answer="a")),
    ],
)
async def test_how_a_handler_ends_is_what_becomes_of_the_event(ended, outcome):
    runtime = Scripted([ended])
    assert await made(runtime).send(events(1)) == [outcome]
    assert [(handler, given) for _, handler, given in runtime.asked] == [("onEvent", [events(1)[0].body])]


async def test_the_destinations_settings_go_over_the_functions_own():
    runtime = Scripted([Ended("sent")])
    await made(runtime, key="mine").send(events(1))
    assert runtime.asked[0][0].settings == {"host": "h", "key": "mine"}


async def test_a_batch_is_one_call_and_each_status_is_its_events_own():
    statuses = [{"status": 200}, {"status": 400, "errormessage": "Bad"}, {"status": 503}, {"status": 429}, "odd"]
    runtime = Scripted([Ended("sent", statuses)], handlers=("onBatch",))
    destination = made(runtime, code="async function onBatch(events) {}")
    assert destination.batch_max == 20
    assert await destination.send(events(6)) == [
        Delivered(),
        Discarded("Bad", 400),
        Retry("The function answered 503.", 503),
        Retry("The function answered 429.", 429),
        Delivered(),
        Delivered(),
    ]
    assert [(handler, len(given)) for _, handler, given in runtime.asked] == [("onBatch", 1)]


async def test_a_status_that_is_none_is_not_kept():
    runtime = Scripted([Ended("sent", [{"status": 10**20}])], handlers=("onBatch",))
    [outcome, _] = await made(runtime, code="async function onBatch() {}").send(events(2))
    assert outcome == Retry("The function answered 100000000000000000000.")


async def test_an_error_of_a_batch_is_that_of_all_its_events():
    runtime = Scripted([Ended("retry", None, "down")], handlers=("onBatch",))
    destination = made(runtime, code="async function onBatch(events) {}")
    assert await destination.send(events(3)) == [Retry("down", answer="")] * 3


async def test_without_a_batch_handler_events_go_one_at_a_time():
    assert made(Scripted()).batch_max == 1


async def test_a_function_that_is_gone_or_broken_keeps_its_events():
    gone = Destination(Settings("fn1"), room(None, runtime=Scripted()))
    with pytest.raises(UnauthorizedError, match="choose another"):
        await gone.send(events(1))
    broken = made(Scripted(error=ConfigError("The function Mine cannot be read: SyntaxError (line 2)")))
    with pytest.raises(UnauthorizedError, match="line 2"):
        await broken.send(events(1))


async def test_a_check_wants_code_that_can_be_read_and_handles_something():
    await made(Scripted()).check()
    with pytest.raises(DeliveryError, match="onTrack"):
        await made(Scripted(handlers=("onRequest",))).check()
    with pytest.raises(DeliveryError, match="line 2"):
        await made(Scripted(error=ConfigError("SyntaxError (line 2)"))).check()


async def test_what_a_batch_says_of_an_event_is_cut():
    runtime = Scripted([Ended("sent", [{"status": 400, "errormessage": "x" * 100_000}] * 2)], handlers=("onBatch",))
    outcomes = await made(runtime, code="async function onBatch() {}").send(events(2))
    assert {len(outcome.reason) for outcome in outcomes} == {500}
