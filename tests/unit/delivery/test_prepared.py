"""What stands before a destination: triggers, functions, fields; each event has its own outcome in its own place."""

import msgspec
import pytest
from tests.rooms import room

from headwater.delivery.connection import Connection, FieldMapping
from headwater.delivery.prepared import Prepared, prepared
from headwater.destinations.contract import Delivered, Discarded, Retry, Skipped
from headwater.errors import ConfigError, DeliveryError, RetryableError, UnauthorizedError
from headwater.functions.contract import Ended, Function
from headwater.spec.event import Event

ORDERS = FieldMapping(
    "p1", "Orders", "event = 'Order'", {"properties.kind": "order", "event": {"@path": "$.properties.n"}}
)
REST = FieldMapping(
    "p2", "Rest", "event != 'Unwanted'", {"properties.kind": {"@required": {"@path": "$.properties.n"}}}
)
CODE = Function("i1", "Enrich", "")


class Receiver:
    """A destination that notes what it gets and answers as it is told."""

    batch_max = 10

    def __init__(self, answer=None):
        self.calls, self._answer = [], answer

    async def check(self):
        self.calls.append("check")

    async def send(self, events):
        self.calls.append([event.body for event in events])
        if self._answer is not None:
            raise self._answer
        return [Delivered(200 + len(self.calls[-1]) + place) for place in range(len(events))]


class Scripted:
    """A runtime whose functions end as the event says."""

    def __init__(self):
        self.calls = []

    async def run(self, function, handler, arguments, _http):
        self.calls.append((function.name, handler, len(arguments)))
        return [Ended(**body["properties"].get("end", {"kind": "sent", "value": body})) for body in arguments]

    async def handlers(self, _function):
        return frozenset()


def event(name="A", **properties) -> Event:
    body = {"type": "track", "messageId": "m", "event": name, "properties": properties}
    return Event(5, "s1", msgspec.json.encode(body), body)


async def sent(events, mappings=(), inserts=(), runtime=None, answer=None):
    receiver = Receiver(answer)
    outcomes = await Prepared(receiver, mappings, inserts, runtime, None).send(events)
    return outcomes, receiver.calls


async def test_the_first_mapping_whose_trigger_is_true_applies():
    outcomes, [bodies] = await sent([event("Order", n="First"), event("Other", n=2)], [ORDERS, REST])
    assert outcomes == [Delivered(202), Delivered(203)]
    assert [(body["event"], body["properties"]["kind"]) for body in bodies] == [("First", "order"), ("Other", 2)]


async def test_every_event_has_its_own_outcome_in_its_own_place():
    events = [event("Unwanted", n=1), event("Other"), event("Other", n=3), event("Order", n=4), event("Unwanted")]
    outcomes, calls = await sent(events, [ORDERS, REST])
    assert outcomes == [
        Skipped("NO_MATCHING_MAPPING"),
        Skipped("FILTERED_AT_MAPPING"),
        Delivered(202),
        Delivered(203),
        Skipped("NO_MATCHING_MAPPING"),
    ]
    assert [len(bodies) for bodies in calls] == [2]


async def test_when_nothing_is_left_the_destination_is_not_called():
    assert await sent([event("Unwanted")] * 3, [ORDERS, REST]) == ([Skipped("NO_MATCHING_MAPPING")] * 3, [])


async def test_a_trigger_that_cannot_be_decided_sends_nothing():
    undecided = FieldMapping("p0", "", "lowercase(properties.n) = 'x'", {})
    outcomes, _ = await sent([event(n=1), event(n="X")], [undecided, REST])
    assert outcomes == [Skipped("NO_MATCHING_MAPPING"), Delivered(201)]


async def test_a_mapping_whose_result_is_too_large_makes_a_dead_letter():
    twice = {"@arrayPath": ["$.properties.many", {"@path": "$.many"}]}
    for _ in range(2):
        twice = {"@arrayPath": [{"@literal": list(range(200))}, twice]}
    large = FieldMapping("p3", "", "true", {"properties.many": {"@arrayPath": [{"@literal": ["x" * 999] * 30}, twice]}})
    outcomes, calls = await sent([event(many=[{"many": "y" * 99}])], [large])
    assert [type(outcome) for outcome in outcomes] == [Discarded]
    assert calls == []


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        ({"kind": "dropped"}, Skipped("FILTERED_BY_FUNCTION")),
        ({"kind": "unsupported"}, Skipped("UNSUPPORTED_BY_FUNCTION")),
        ({"kind": "retry", "message": "busy"}, Retry("The function Enrich asks for a retry.", answer="busy")),
        ({"kind": "failed", "message": "x is no y"}, Discarded("The function Enrich failed.", answer="x is no y")),
        (
            {"kind": "sent", "value": None},
            Discarded("The function Enrich returned no event; end each handler with `return event`."),
        ),
    ],
)
async def test_a_function_decides_about_its_event_alone(end, outcome):
    outcomes, [bodies] = await sent([event(), event(end=end), event()], inserts=[CODE], runtime=Scripted())
    assert outcomes == [Delivered(202), outcome, Delivered(203)]
    assert len(bodies) == 2


async def test_functions_run_one_after_the_other_between_trigger_and_fields():
    value = {"type": "page", "messageId": "forged", "event": "Renamed", "properties": {"n": "from the function"}}
    runtime = Scripted()
    inserts = [CODE, Function("i2", "Second", "")]
    outcomes, [[body]] = await sent(
        [event("Order", end={"kind": "sent", "value": value}), event("Unwanted")], [ORDERS], inserts, runtime
    )
    assert outcomes == [Delivered(201), Skipped("NO_MATCHING_MAPPING")]
    assert body == {
        "type": "track",
        "messageId": "m",
        "event": "from the function",
        "properties": {"n": "from the function", "kind": "order"},
    }
    assert runtime.calls == [("Enrich", "onEvent", 1), ("Second", "onEvent", 1)]


async def test_without_a_runtime_nothing_is_lost():
    with pytest.raises(RetryableError):
        await sent([event()], inserts=[CODE])


@pytest.mark.parametrize("refusal", [RetryableError("later"), UnauthorizedError("who?")])
async def test_what_concerns_the_whole_destination_is_passed_on(refusal):
    with pytest.raises(type(refusal)):
        await sent([event(n=1)], [REST], answer=refusal)


async def test_what_is_refused_for_good_concerns_only_what_was_sent():
    outcomes, _ = await sent([event(n=1), event("Unwanted")], [REST], answer=DeliveryError("malformed"))
    assert outcomes == [Discarded("malformed"), Skipped("NO_MATCHING_MAPPING")]


async def test_the_event_of_the_log_is_never_changed():
    one = event("Order", n={"deep": [1]})
    line = one.line
    await sent([one], [ORDERS])
    assert (msgspec.json.encode(one.body), one.line) == (line, line)


def connection(**named) -> Connection:
    return Connection("d1", "s1", "webhook", "", enabled=True, settings={}, **named)


async def test_a_destination_with_nothing_before_it_stays_bare():
    receiver, off = Receiver(), FieldMapping("p1", "", "true", {}, enabled=False)
    assert prepared(receiver, connection(mappings=(off,)), room(None)) is receiver
    dressed = prepared(receiver, connection(mappings=(ORDERS,)), room(None))
    await dressed.check()
    assert (dressed.batch_max, receiver.calls) == (10, ["check"])


@pytest.mark.parametrize(
    "wrong", [FieldMapping("p1", "Odd", "a =", {}), FieldMapping("p1", "Odd", "true", {"type": 1})]
)
def test_a_mapping_that_cannot_be_read_makes_the_connection_wait(wrong):
    with pytest.raises(ConfigError, match="'Odd'"):
        prepared(Receiver(), connection(mappings=(wrong,)), room(None))
