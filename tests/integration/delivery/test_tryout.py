"""The event tester: one event all the way, shown with each request, and nothing kept of it."""

import msgspec
import pytest
from aiohttp import web

from headwater.delivery.connection import FieldMapping, Filter
from headwater.delivery.samples import SAMPLES
from headwater.errors import ConfigError, InvalidRequestError
from receiver import webhook

SECRET = "whsec_" + "c2VjcmV0" * 5


async def test_what_was_sent_and_answered_is_shown_and_nothing_is_counted(receiver, delivering):
    async def answer(_):
        return web.Response(status=422, text='{"error": "unknown list"}')

    receiver.answer = answer
    async with delivering(webhook(receiver)) as delivery:
        tried = await delivery.try_event("webhook", {"url": receiver.url}, SAMPLES["track"], destination_id="d1")
        (status,) = await delivery.status()
        assert await delivery.dead_letters() == []
    assert (tried.outcome, tried.status, tried.sent) == ("discarded", 422, receiver.bodies[0])
    (exchange,) = tried.exchanges
    assert (exchange.method, exchange.url, exchange.status) == ("POST", receiver.url, 422)
    assert (msgspec.json.decode(exchange.request), exchange.answer) == (tried.sent, '{"error": "unknown list"}')
    assert "refuses its content" in tried.advice
    assert (status.read, status.dead, status.retrying) == (0, 0, 0)


async def test_neither_query_nor_secret_is_shown(receiver, delivering):
    async def answer(_):
        return web.Response(text=f"got {SECRET}")

    receiver.answer = answer
    settings = {"url": f"{receiver.url}/hook?key=hidden", "secret": SECRET}
    event = {"type": "track", "event": SECRET, "userId": "u1"}
    async with delivering() as delivery:
        tried = await delivery.try_event("webhook", settings, event)
    (exchange,) = tried.exchanges
    assert (tried.outcome, exchange.url, exchange.answer) == ("delivered", f"{receiver.url}/hook", "got ••••")
    assert "hidden" not in str(exchange)
    assert SECRET not in str(exchange)


async def test_a_sample_is_new_each_time_and_an_event_keeps_its_id(receiver, delivering):
    async with delivering() as delivery:
        for event in (SAMPLES["identify"], SAMPLES["identify"], {**SAMPLES["page"], "messageId": "mine"}):
            await delivery.try_event("webhook", {"url": receiver.url}, event)
    first, second, mine = receiver.ids()
    assert (first != second, first.startswith("headwater-test-"), mine) == (True, True, "mine")


@pytest.mark.parametrize("name", SAMPLES)
async def test_every_sample_is_an_event(receiver, delivering, name):
    async with delivering() as delivery:
        tried = await delivery.try_event("webhook", {"url": receiver.url}, SAMPLES[name])
    assert (tried.outcome, tried.sent["type"]) == ("delivered", SAMPLES[name]["type"])


async def test_filters_and_mappings_apply_unless_it_is_sent_as_it_is(receiver, delivering):
    filters = (Filter("f", "No pages", "type = 'page'", ({"type": "DROP"},)),)
    mappings = (FieldMapping("m", "Name", "type = 'track'", {"event": "Renamed"}),)
    connection = webhook(receiver, filters=filters, mappings=mappings, enabled=False)
    settings = dict(connection.settings)
    async with delivering(connection) as delivery:
        dropped = await delivery.try_event("webhook", settings, SAMPLES["page"], destination_id="d1")
        unmapped = await delivery.try_event("webhook", settings, SAMPLES["identify"], destination_id="d1")
        mapped = await delivery.try_event("webhook", settings, SAMPLES["track"], destination_id="d1")
        as_is = await delivery.try_event("webhook", settings, SAMPLES["page"], destination_id="d1", as_is=True)
    assert (dropped.outcome, dropped.reason, dropped.sent) == ("filtered", "FILTERED_BY_RULES", None)
    assert (unmapped.outcome, unmapped.reason, unmapped.sent) == ("skipped", "NO_MATCHING_MAPPING", None)
    assert (mapped.outcome, mapped.sent["event"], as_is.outcome) == ("delivered", "Renamed", "delivered")
    assert [body["type"] for body in receiver.bodies] == ["track", "page"]


async def test_a_destination_that_cannot_be_reached_is_told_with_the_reason(delivering):
    async with delivering() as delivery:
        tried = await delivery.try_event("webhook", {"url": "http://127.0.0.1:1"}, SAMPLES["track"])
    (exchange,) = tried.exchanges
    assert (tried.outcome, exchange.status, exchange.answer) == ("retry", None, tried.reason)
    assert tried.advice


async def test_what_is_no_event_or_no_destination_is_refused(receiver, delivering):
    async with delivering() as delivery:
        with pytest.raises(InvalidRequestError) as refused:
            await delivery.try_event("webhook", {"url": receiver.url}, {"type": "track", "userId": "u"})
        assert refused.value.field == "event.event"
        with pytest.raises(ConfigError):
            await delivery.try_event("webhook", {}, SAMPLES["track"])
        with pytest.raises(ConfigError):
            await delivery.try_event("nothing", {}, SAMPLES["track"])
    assert receiver.bodies == []


async def test_a_try_leaves_no_file_behind(delivering, tmp_path):
    async with delivering() as delivery:
        tried = await delivery.try_event("files", {"store": "disk"}, SAMPLES["track"])
        await delivery.test("files", {"store": "disk"})
    assert tried.outcome == "delivered"
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []
