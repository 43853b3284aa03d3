"""Google Analytics 4: recommended events within Google's limits, and nothing at another time."""

from datetime import UTC, datetime

import pytest

from headwater.destinations.contract import Delivered, Discarded
from headwater.destinations.google_analytics_4 import event_name, parameters
from headwater.errors import ConfigError, DeliveryError, RetryableError, UnauthorizedError
from rooms import Example
from service import event, kinds, playing

NEW = datetime.now(UTC).isoformat(timespec="milliseconds")
EXAMPLE = Example({"measurement_id": "G-ABC123DEF4", "api_secret": "secret-1"}, members={"timestamp": NEW})
SETTINGS = EXAMPLE.settings
MICROS = 1_777_896_000_250_000
PRODUCTS = [{"product_id": "p1", "name": "Tea", "price": "4.5", "quantity": 2, "x": 1}, "odd", {"price": 1}]
ORDER = {"order_id": "o1", "total": 9, "currency": "eur", "products": PRODUCTS}


@pytest.mark.parametrize(
    ("members", "name", "params"),
    [
        ({"event": "Email Opened", "properties": {"Campaign Name": "May", "n": 1, "deep": {"a": 1}, "no": None}},
         "email_opened", {"Campaign_Name": "May", "n": 1}),
        ({"event": "Order Completed", "properties": ORDER}, "purchase",
         {"transaction_id": "o1", "total": 9, "currency": "EUR", "value": 9,
          "items": [{"item_id": "p1", "item_name": "Tea", "price": 4.5, "quantity": 2}]}),
        ({"event": "Product Added", "properties": {"product_id": "p1", "price": 3}}, "add_to_cart",
         {"product_id": "p1", "price": 3, "currency": "USD", "items": [{"item_id": "p1", "price": 3}]}),
        ({"type": "page", "context": {"page": {"url": "https://x.example/", "title": "T"}}}, "page_view",
         {"page_location": "https://x.example/", "page_title": "T"}),
        ({"type": "screen", "name": "Main"}, "screen_view", {"screen_name": "Main"}),
        ({"type": "group", "groupId": "g1", "traits": {"name": "N"}}, "join_group", {"group_id": "g1"}),
    ],
)  # fmt: skip
async def test_each_call_has_its_documented_form(members, name, params):
    async with playing("google_analytics_4", SETTINGS, (204, "")) as (destination, service):
        assert await destination.send([event(1, anonymousId="a1", **members)]) == [Delivered(204)]
    method, path, body, _ = service.asked[0]
    assert (method, path) == ("POST", "/mp/collect?measurement_id=G-ABC123DEF4&api_secret=secret-1")
    always = {"engagement_time_msec": 1, "message_id": "m1"}
    assert body == {
        "client_id": "a1", "user_id": "u1", "timestamp_micros": MICROS,
        "events": [{"name": name, "params": {**always, **params}}],
    }  # fmt: skip


async def test_an_address_becomes_a_hash_or_is_left_out():
    address = "Ann.B+x@example.com"
    told = {"Recipient": f"to {address}, soon", "n": 1}
    page = {"url": "https://x.example/?m=ann.b%40example.com&a=1"}
    sent = []
    for members in ({"userId": None, "anonymousId": address}, {"userId": address.lower(), "anonymousId": "a1"}):
        async with playing("google_analytics_4", SETTINGS, (204, "")) as (destination, service):
            await destination.send([event(1, properties=told, context={"page": page}, **members)])
        sent.append(service.bodies[0])
    assert sent[0]["client_id"] == sent[1]["user_id"]
    assert len(sent[0]["client_id"]) == 64
    assert sent[1]["client_id"] == "a1"
    params = sent[0]["events"][0]["params"]
    assert params["page_location"] == "https://x.example/?m=(address)&a=1"
    assert params["Recipient"] == "to (address), soon"


@pytest.mark.parametrize(
    ("given", "expected"),
    [("Signed Up", "sign_up"), ("session_start", "event_session_start"), ("Error", "event_error"),
     ("42 Things!", "things"), ("Über uns", "ber_uns"), ("x" * 60, "x" * 40), ("\u4e2d", ""), ("ga_x", "event_ga_x"),
     ("First Purchase", "first_purchase")],
)  # fmt: skip
def test_a_name_is_one_that_google_takes(given, expected):
    assert event_name({"type": "track", "event": given}) == expected


def test_parameters_are_bounded_and_those_that_reports_need_come_first():
    body = event(1, properties={**{f"p{n}": "v" * 500 for n in range(60)}, "session_id": "s"}).body
    found = parameters(body, "email_opened")
    assert len(found) == 25
    assert {"engagement_time_msec", "session_id", "message_id"} <= found.keys()
    assert max(len(each) for each in found.values() if isinstance(each, str)) == 100


@pytest.mark.parametrize(
    ("members", "reason"),
    [({"timestamp": "2026-05-01T12:59:59Z"}, "72 hours"), ({"userId": None}, "client id"), ({"event": "!"}, "name"),
     ({"type": "group"}, "groupId")],
)  # fmt: skip
async def test_what_google_would_throw_away_silently_is_a_dead_letter(members, reason):
    async with playing("google_analytics_4", SETTINGS) as (destination, service):
        (outcome,) = await destination.send([event(1, **members)])
    assert isinstance(outcome, Discarded)
    assert reason in outcome.reason
    assert service.asked == []


@pytest.mark.parametrize(
    ("status", "kind"), [(403, "Unauthorized"), (413, "Discarded"), (429, "Retry"), (500, "Retry")]
)
async def test_an_answer_has_its_outcome(status, kind):
    async with playing("google_analytics_4", SETTINGS, (status, "")) as (destination, _):
        assert kinds(await destination.send([event(1)])) == [kind]


@pytest.mark.parametrize(
    ("answer", "error"),
    [((200, {"validationMessages": []}), None), ((200, {"validationMessages": [{"description": "x"}]}), DeliveryError),
     ((401, ""), UnauthorizedError), ((503, ""), RetryableError), ((404, ""), DeliveryError)],
)  # fmt: skip
async def test_a_check_is_validated_and_not_collected(answer, error):
    async with playing("google_analytics_4", SETTINGS, answer) as (destination, service):
        if error is None:
            await destination.check()
        else:
            with pytest.raises(error):
                await destination.check()
    assert service.asked[0][1].startswith("/debug/mp/collect?")


@pytest.mark.parametrize("changes", [{"measurement_id": "UA-1"}, {"api_secret": " "}])
async def test_settings_that_cannot_work_are_refused(changes):
    with pytest.raises(ConfigError):
        async with playing("google_analytics_4", {**SETTINGS, **changes}):
            pass
