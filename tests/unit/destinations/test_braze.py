"""Braze: attributes, events and purchases as documented, and each refused object by itself."""

import pytest

from headwater.destinations.contract import Delivered, Retry
from headwater.errors import DeliveryError, RetryableError, UnauthorizedError
from rooms import Example
from service import AT, NOW, event, kinds, playing

EXAMPLE = Example({"api_key": "key-1"})
SETTINGS = EXAMPLE.settings
USER = {"external_id": "u1"}
TRAITS = {"email": "ann@example.com", "firstName": "Ann", "gender": "Female", "birthday": "1990-01-02",
          "address": {"city": "Bonn", "country": "DE"}, "plan": {"a": 1}}  # fmt: skip
PRODUCTS = [{"product_id": "p1", "price": "4.5", "quantity": 2}, {"x": 1}]
ORDER = {"order_id": "o1", "currency": "eur", "products": PRODUCTS}


@pytest.mark.parametrize(
    ("members", "path", "expected"),
    [
        ({"type": "identify", "traits": TRAITS}, "/users/track",
         {"attributes": [{**USER, "email": "ann@example.com", "first_name": "Ann", "gender": "F", "dob": "1990-01-02",
                          "home_city": "Bonn", "country": "DE", "plan": {"a": 1}}]}),
        ({"properties": {"a": 1}}, "/users/track",
         {"events": [{**USER, "name": "Email Opened", "time": AT, "properties": {"a": 1, "message_id": "m1"}}]}),
        ({"type": "page", "name": "Home"}, "/users/track",
         {"events": [{**USER, "name": "Viewed Home Page", "time": AT, "properties": {"message_id": "m1"}}]}),
        ({"event": "Order Completed", "properties": ORDER}, "/users/track",
         {"purchases": [{**USER, "time": AT, "currency": "EUR", "product_id": "p1", "price": 4.5, "quantity": 2,
                         "properties": {"order_id": "o1", "currency": "eur", "product_id": "p1", "price": "4.5",
                                        "quantity": 2, "message_id": "m1"}}]}),
        ({"type": "group", "groupId": "g1"}, "/users/track", {"attributes": [{**USER, "ab_segment_group_g1": True}]}),
        ({"type": "alias", "previousId": "old"}, "/users/identify",
         {"aliases_to_identify": [{**USER, "user_alias": {"alias_name": "old", "alias_label": "anonymous_id"}}]}),
        ({"userId": None, "anonymousId": "a1"}, "/users/track",
         {"events": [{"user_alias": {"alias_name": "a1", "alias_label": "anonymous_id"}, "_update_existing_only": False,
                      "name": "Email Opened", "time": AT, "properties": {"message_id": "m1"}}]}),
    ],
)  # fmt: skip
async def test_each_call_has_its_documented_form(members, path, expected):
    async with playing("braze", SETTINGS, (201, {"message": "success"})) as (destination, service):
        assert await destination.send([event(1, **members)]) == [Delivered(201)]
    method, asked, body, headers = service.asked[0]
    assert (method, asked, body, headers["authorization"]) == ("POST", path, expected, "Bearer key-1")


async def test_kinds_are_gathered_and_each_order_has_its_own_request():
    some = [event(1), event(2, type="identify"), event(3, event="Order Completed", properties=ORDER), event(4),
            event(5, event="Order Completed", properties=ORDER)]  # fmt: skip
    async with playing("braze", SETTINGS, (201, {})) as (destination, service):
        assert kinds(await destination.send(some)) == ["Delivered"] * 5
    assert [{kind: len(objects) for kind, objects in body.items()} for body in service.bodies] == [
        {"events": 2}, {"attributes": 1}, {"purchases": 1}, {"purchases": 1},
    ]  # fmt: skip


async def test_objects_that_are_named_as_refused_are_discarded_and_the_others_are_in():
    told = {"message": "success", "errors": [{"type": "'name' is required", "input_array": "events", "index": 1}, 7]}
    async with playing("braze", SETTINGS, (201, told)) as (destination, _):
        outcomes = await destination.send([event(n) for n in range(3)])
    assert kinds(outcomes) == ["Delivered", "Discarded", "Delivered"]
    assert outcomes[1].reason == "Braze refuses the event: 'name' is required."


async def test_one_bad_event_does_not_cost_the_good_ones():
    def answer(body):
        return (400 if any(one["name"] == "Bad" for one in body["events"]) else 201), {"message": "invalid"}

    async with playing("braze", SETTINGS, answer) as (destination, _):
        outcomes = await destination.send([event(n, event="Bad" if n == 2 else "Good") for n in range(4)])
    assert kinds(outcomes) == ["Delivered", "Delivered", "Discarded", "Delivered"]


@pytest.mark.parametrize("members", [{"userId": None}, {"event": ""}, {"type": "group"}, {"type": "alias"}])
async def test_what_lacks_an_id_or_a_name_is_discarded_alone(members):
    async with playing("braze", SETTINGS, (201, {})) as (destination, _):
        assert kinds(await destination.send([event(1, **members), event(2)])) == ["Discarded", "Delivered"]


@pytest.mark.parametrize(("status", "kind"), [(401, "Unauthorized"), (429, "Retry"), (500, "Retry")])
async def test_an_answer_for_the_whole_request_is_for_all(status, kind):
    async with playing("braze", SETTINGS, (status, {})) as (destination, _):
        assert kinds(await destination.send([event(1), event(2)])) == [kind] * 2


async def test_a_throttled_event_waits_until_braze_takes_more():
    reset = {"X-RateLimit-Reset": str(int(NOW.timestamp()) + 7)}
    async with playing("braze", SETTINGS, (429, {}, reset)) as (destination, _):
        (outcome,) = await destination.send([event(1)])
    assert isinstance(outcome, Retry)
    assert outcome.after_s == 7


@pytest.mark.parametrize(
    ("status", "error"), [(400, None), (401, UnauthorizedError), (500, RetryableError), (404, DeliveryError)]
)
async def test_a_check_sends_no_user(status, error):
    async with playing("braze", SETTINGS, (status, {})) as (destination, service):
        if error is None:
            await destination.check()
        else:
            with pytest.raises(error):
                await destination.check()
    assert service.bodies == [{"events": []}]
