"""What every destination promises, run over everything on the shelf."""

import dataclasses
import json

import pytest

from headwater import shelf
from headwater.delivery.engine import SHELF, build
from headwater.destinations.contract import Answer, Card, Delivered, Discarded, Retry, Unauthorized
from headwater.errors import ConfigError, DeliveryError, RetryableError, UnauthorizedError
from headwater.spec.event import Call, Event

# One line a destination: settings that build it.
SETTINGS = {
    "segment": {"write_key": "key", "url": "https://segment.example"},
    "webhook": {"url": "https://hook.example/a", "secret": "whsec_" + "QUJD" * 10},
}
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


@pytest.fixture(params=sorted(SETTINGS))
def name(request):
    return request.param


def made(name, ends):
    wire = Wire(ends)
    return *build(name, SETTINGS[name], wire), wire


def events(card: Card, count: int) -> list[Event]:
    call = min(card.calls)
    bodies = [
        {"type": call, "event": "A", "userId": "u1", "messageId": f"m{n}", "timestamp": "2026-05-04T12:00:00.000Z",
         "receivedAt": "2026-05-04T12:00:01.000Z", "properties": {}, "traits": {}, "context": {}}
        for n in range(count)
    ]  # fmt: skip
    return [Event(n, "s1", json.dumps(body).encode(), body) for n, body in enumerate(bodies)]


def test_everything_on_the_shelf_has_its_line_here():
    assert shelf.names(SHELF) == sorted(SETTINGS)


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
    for settings in ({}, dict.fromkeys(SETTINGS[name], 7)):
        with pytest.raises(ConfigError):
            build(name, settings, Wire(None))


def test_an_unknown_type_is_refused():
    with pytest.raises(ConfigError, match="catalog"):
        build("nothing", {}, Wire(None))


@pytest.mark.parametrize("share", ["one", "all"])
async def test_each_event_has_one_outcome(name, share):
    card, destination, _ = made(name, Answer(200, {}, b"{}"))
    count = 1 if share == "one" else destination.batch_max
    assert await destination.send(events(card, count)) == [Delivered(200)] * count


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, Unauthorized), (429, Retry), (500, Retry), (503, Retry), (404, Discarded), (302, Discarded)],
)
async def test_a_status_means_the_same_everywhere(name, status, kind):
    card, destination, _ = made(name, Answer(status, {}, b""))
    outcomes = await destination.send(events(card, destination.batch_max))
    assert [type(outcome) for outcome in outcomes] == [kind] * destination.batch_max


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
async def test_a_failed_call_is_raised_or_told_for_each_event(name, error):
    card, destination, _ = made(name, error)
    try:
        outcomes = await destination.send(events(card, destination.batch_max))
    except DeliveryError as raised:
        assert raised is error  # noqa: PT017 - both ways are allowed, so `raises` does not fit
    else:
        assert [type(outcome) for outcome in outcomes] == [FAILURES[error]] * destination.batch_max


async def test_the_same_event_is_sent_the_same_way_again(name):
    card, destination, wire = made(name, Answer(200, {}, b"{}"))
    for _ in range(2):
        await destination.send(events(card, 1))
    first, second = wire.sent
    assert first[:3] == second[:3]
    assert b"m0" in first[2]


async def test_a_check_passes_on_success_and_names_refused_credentials(name):
    _, destination, _ = made(name, Answer(200, {}, b"{}"))
    await destination.check()
    _, refused, _ = made(name, Answer(401, {}, b""))
    with pytest.raises(UnauthorizedError):
        await refused.check()


async def test_an_event_is_left_as_it_was(name):
    card, destination, _ = made(name, Answer(200, {}, b"{}"))
    sent = events(card, 1)
    before = json.dumps(sent[0].body)
    await destination.send(sent)
    assert json.dumps(sent[0].body) == before
