"""Klaviyo: profiles and events as documented, each known by its id, and the member that was refused is named."""

import pytest

from headwater.destinations.contract import Delivered, Discarded, Retry
from headwater.errors import DeliveryError, RetryableError, UnauthorizedError
from rooms import Example
from service import AT, event, kinds, playing

EXAMPLE = Example({"api_key": "pk_1"})
SETTINGS = EXAMPLE.settings


async def sent(one) -> tuple[str, dict]:
    async with playing("klaviyo", SETTINGS, (202, "")) as (destination, service):
        assert await destination.send([one]) == [Delivered(202)]
    method, path, body, headers = service.asked[0]
    assert (method, headers["authorization"], headers["revision"]) == ("POST", "Klaviyo-API-Key pk_1", "2026-07-15")
    return path, body["data"]


async def test_an_identify_creates_or_updates_the_profile():
    traits = {
        "email": "ann@example.com", "firstName": "Ann", "phone": "+491701234567", "plan": {"a": 1},
        "company": {"name": "C"}, "address": {"city": "Bonn", "postalCode": 53111},
    }  # fmt: skip
    path, data = await sent(event(1, type="identify", traits=traits, anonymousId="a1", context={"ip": "203.0.113.9"}))
    assert path == "/api/profile-import"
    assert data == {"type": "profile", "attributes": {
        "external_id": "u1", "anonymous_id": "a1", "email": "ann@example.com", "phone_number": "+491701234567",
        "first_name": "Ann", "organization": "C", "properties": {"plan": {"a": 1}},
        "location": {"city": "Bonn", "zip": "53111", "ip": "203.0.113.9"},
    }}  # fmt: skip


async def test_a_phone_number_in_another_form_becomes_a_property():
    _, data = await sent(event(1, type="identify", traits={"phone": "0170 1234567"}))
    assert data["attributes"] == {"external_id": "u1", "properties": {"phone": "0170 1234567"}}


@pytest.mark.parametrize(
    ("members", "name", "more"),
    [
        ({"properties": {"a": [1]}}, "Email Opened", {"properties": {"a": [1]}}),
        ({"event": "Order Completed", "properties": {"total": "9.5", "currency": "eur"}}, "Order Completed",
         {"properties": {"total": "9.5", "currency": "eur"}, "value": 9.5, "value_currency": "EUR"}),
        ({"type": "page", "name": "Home"}, "Viewed Home Page", {"properties": {}}),
    ],
)  # fmt: skip
async def test_what_was_done_is_an_event_of_the_person(members, name, more):
    path, data = await sent(event(1, **members))
    assert path == "/api/events"
    assert data == {"type": "event", "attributes": {
        "metric": {"data": {"type": "metric", "attributes": {"name": name}}},
        "profile": {"data": {"type": "profile", "attributes": {"external_id": "u1"}}},
        "time": AT, "unique_id": "m1", **more,
    }}  # fmt: skip


@pytest.mark.parametrize("members", [{"userId": None}, {"event": ""}])
async def test_what_lacks_an_id_or_a_name_is_not_sent(members):
    async with playing("klaviyo", SETTINGS) as (destination, service):
        assert kinds(await destination.send([event(1, **members)])) == ["Discarded"]
    assert service.asked == []


async def test_a_refusal_names_the_member():
    told = {"errors": [{"code": "invalid", "detail": "x", "source": {"pointer": "/data/attributes/email"}}]}
    async with playing("klaviyo", SETTINGS, (400, told)) as (destination, _):
        (outcome,) = await destination.send([event(1)])
    assert isinstance(outcome, Discarded)
    assert outcome.reason == "Klaviyo refuses the event: invalid /data/attributes/email."


async def test_a_throttled_event_waits_as_long_as_it_says():
    async with playing("klaviyo", SETTINGS, (429, {}, {"Retry-After": "7"})) as (destination, _):
        (outcome,) = await destination.send([event(1)])
    assert isinstance(outcome, Retry)
    assert outcome.after_s == 7


@pytest.mark.parametrize(
    ("status", "error"),
    [(200, None), (403, None), (401, UnauthorizedError), (500, RetryableError), (404, DeliveryError)],
)
async def test_a_check_asks_for_the_account(status, error):
    async with playing("klaviyo", SETTINGS, (status, {})) as (destination, service):
        if error is None:
            await destination.check()
        else:
            with pytest.raises(error):
                await destination.check()
    assert service.asked[0][:2] == ("GET", "/api/accounts")
