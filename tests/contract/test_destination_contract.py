"""What every destination promises, run over everything on the shelf."""

import dataclasses
import json
import runpy
from pathlib import Path

import pytest

from headwater import shelf
from headwater.delivery.engine import SHELF, build
from headwater.destinations.contract import Answer, Card, Delivered, Discarded, Retry, Unauthorized
from headwater.errors import ConfigError, DeliveryError, RetryableError, UnauthorizedError
from headwater.spec.event import Call, Event
from rooms import Example, room

UNIT = Path(__file__).parent.parent / "unit" / "destinations"


def example(name: str) -> Example:
    """Return what the destination's own test says of it: that test is the second file a new destination needs."""
    return runpy.run_path(str(UNIT / f"test_{name}.py"))["EXAMPLE"]


FAILURES = {
    RetryableError("down"): Retry,
    UnauthorizedError("no"): Unauthorized,
    DeliveryError("forbidden"): Discarded,
}


class Wire:
    """The outside of the client; answers, or fails, always the same way."""

    def __init__(self, ends):
        self.ends, self.sent = ends, []

    async def request(self, method, url, *, body=b"", headers=None):
        self.sent.append((method, url, body, headers))
        if isinstance(self.ends, Exception):
            raise self.ends
        return self.ends


NAMES = shelf.names(SHELF)
EXAMPLES = {name: example(name) for name in NAMES if (UNIT / f"test_{name}.py").exists()}


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture(params=[name for name in EXAMPLES if EXAMPLES[name].accepted is not None])
def over_http(request):
    return request.param


def made(name, ends):
    wire = Wire(ends)
    return *build(name, EXAMPLES[name].settings, room(wire)), wire


def taken(name) -> Answer:
    return EXAMPLES[name].accepted


def most(name: str, destination) -> int:
    return min(destination.batch_max, EXAMPLES[name].count_max)


def events(name: str, card: Card, count: int) -> list[Event]:
    call = Call.TRACK if Call.TRACK in card.calls else min(card.calls)
    bodies = [
        {"type": call, "event": "A", "userId": "u1", "messageId": f"m{n}", "timestamp": "2026-05-04T12:00:00.000Z",
         "receivedAt": "2026-05-04T12:00:01.000Z", "properties": {}, "traits": {},
         "context": {"traits": {"email": "ann@example.com"}}, **EXAMPLES[name].members}
        for n in range(count)
    ]  # fmt: skip
    return [Event(n, "s1", json.dumps(body).encode(), body) for n, body in enumerate(bodies)]


def test_everything_on_the_shelf_has_its_test(name):
    assert name in EXAMPLES, f"tests/unit/destinations/test_{name}.py must exist and define EXAMPLE"


def test_the_card_names_calls_of_the_spec(name):
    card, _, _ = made(name, Answer(200, {}, b""))
    assert card.name
    assert card.description.endswith(".")
    assert card.calls
    assert card.calls <= set(Call)


def test_each_setting_is_described_and_secrets_are_not_shown(name):
    settings = shelf.take(SHELF, name).Settings
    assert dataclasses.is_dataclass(settings)
    for field in dataclasses.fields(settings):
        assert field.metadata["label"]
        assert field.metadata["description"].endswith(".")
        assert not (field.metadata["secret"] and field.repr)
        has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        assert has_default != field.metadata["required"]


def test_missing_and_ill_typed_settings_are_refused_with_a_sentence(name):
    for settings in ({}, dict.fromkeys(EXAMPLES[name].settings, 7)):
        with pytest.raises(ConfigError):
            build(name, settings, room(Wire(None)))


def test_an_unknown_type_is_refused():
    with pytest.raises(ConfigError, match="catalog"):
        build("nothing", {}, room(Wire(None)))


@pytest.mark.parametrize("share", ["one", "all"])
async def test_each_event_has_one_outcome(over_http, share):
    card, destination, _ = made(over_http, taken(over_http))
    count = 1 if share == "one" else most(over_http, destination)
    outcomes = await destination.send(events(over_http, card, count))
    assert [type(outcome) for outcome in outcomes] == [Delivered] * count


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, Unauthorized), (429, Retry), (500, Retry), (503, Retry), (404, Discarded), (302, Discarded)],
)
async def test_a_status_means_the_same_everywhere(over_http, status, kind):
    card, destination, _ = made(over_http, Answer(status, {}, b""))
    count = most(over_http, destination)
    outcomes = await destination.send(events(over_http, card, count))
    expected = EXAMPLES[over_http].means.get(status, kind)
    assert [type(outcome) for outcome in outcomes] == [expected] * count


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
async def test_a_failed_call_is_raised_or_told_for_each_event(over_http, error):
    card, destination, _ = made(over_http, error)
    try:
        outcomes = await destination.send(events(over_http, card, destination.batch_max))
    except DeliveryError as raised:
        assert raised is error  # noqa: PT017 - both ways are allowed, so `raises` does not fit
    else:
        assert [type(outcome) for outcome in outcomes] == [FAILURES[error]] * destination.batch_max


async def test_the_same_event_is_sent_the_same_way_again(over_http):
    card, destination, wire = made(over_http, taken(over_http))
    ends = []
    for _ in range(2):
        wire.sent.clear()
        await destination.send(events(over_http, card, 1))
        ends.append(wire.sent[-1])
    first, second = ends
    assert first[:3] == second[:3]


async def test_a_check_passes_on_success_and_names_refused_credentials(over_http):
    _, destination, _ = made(over_http, taken(over_http))
    await destination.check()
    _, refused, _ = made(over_http, Answer(401, {}, b""))
    with pytest.raises(UnauthorizedError):
        await refused.check()


async def test_an_event_is_left_as_it_was(over_http):
    card, destination, _ = made(over_http, taken(over_http))
    sent = events(over_http, card, 1)
    before = json.dumps(sent[0].body)
    await destination.send(sent)
    assert json.dumps(sent[0].body) == before
