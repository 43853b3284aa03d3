"""Braze: attributes, events and purchases as documented, and each refused object by itself."""

import pytest

from headwater.destinations.contract import Delivered, Retry
from headwater.errors import DeliveryError, RetryableError, UnauthorizedError
from rooms import Example
from service import AT, NOW, event, kinds, playing

EXAMPLE = Example({"api_key": "key-1"})
SETTINGS = EXAMPLE.settings
USER = {"external_id": "u1"}
TRAITS = {"email": "ann@example.com", "firstName": "Ann", "gender": "Female", "birthday": "1990-01-02T00:00:00Z",
          "braze_id": "other", "external_id": "other", "user_alias": {"alias_name": "a", "alias_label": "b"},
          "_update_existing_only": True,
          "address": {"city": "Bonn", "country": "DE"}, "plan": {"a": 1}}  # fmt: skip
PRODUCTS = [{"product_id": "p1", "price": "4.5", "quantity": 2, "$size": "L"}, {"x": 1}]
ORDER = {"order_id": "o1", "currency": "eur", "products": PRODUCTS}


@pytest.mark.parametrize(
    ("members", "path", "expected"),
    [
        ({"type": "identify", "traits": TRAITS}, "/users/track",
         {"attributes": [{**USER, "email": "ann@example.com", "first_name": "Ann", "gender": "F", "dob": "1990-01-02",
                          "home_city": "Bonn", "country": "DE", "plan": {"a": 1}}]}),
        ({"properties": {"$a": "y" * 300, "time": "x", "event_name": "x", "$": 1, "": 1}}, "/users/track",
         {"events": [{**USER, "name": "Email Opened", "time": AT,
                      "properties": {"a": "y" * 255, "message_id": "m1"}}]}),
        ({"type": "page", "name": "Home"}, "/users/track",
         {"events": [{**USER, "name": "Viewed Home Page", "time": AT, "properties": {"message_id": "m1"}}]}),
        ({"event": "Order Completed", "properties": ORDER}, "/users/track",
         {"purchases": [{**USER, "time": AT, "currency": "EUR", "product_id": "p1", "price": 4.5, "quantity": 2,
                         "properties": {"order_id": "o1", "size": "L", "message_id": "m1"}}]}),
        ({"type": "group", "groupId": "g1"}, "/users/track", {"attributes": [{**USER, "ab_segment_group_g1": True}]}),
        ({"userId": None, "anonymousId": "ann@example.com", "context": {"traits": {"email": "ann@example.com"}}},
         "/users/track",
         {"events": [{"email": "ann@example.com", "name": "Email Opened", "time": AT,
                      "properties": {"message_id": "m1"}}]}),
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


@pytest.mark.parametrize(
    ("price", "quantity", "expected"),
    [(2.5, 100, (2.5, 100)), (2.5, 101, (252.5, 1)), (2, 0, (2, 1)), (2.5, "1e308", (2.5, 1)), (2, 10**400, (2, 1))],
)
async def test_more_than_a_hundred_of_a_product_are_one_purchase_of_their_price(price, quantity, expected):
    product = {"product_id": "p1", "price": price, "quantity": quantity}
    async with playing("braze", SETTINGS, (201, {})) as (destination, service):
        await destination.send([event(1, event="Order Completed", properties={"products": [product]})])
    (bought,) = service.bodies[0]["purchases"]
    assert (bought["price"], bought["quantity"]) == expected


async def test_what_is_in_is_not_sent_again_when_the_rest_gets_no_answer():
    def answer(body):
        names = [one["name"] for one in body["events"]]
        return (400 if len(names) > 2 else 201), {"message": "invalid"}

    async with playing("braze", SETTINGS, answer) as (destination, _):

        class Cut:
            async def request(self, method, url, **given):
                if b'"E2"' in given["body"] and b'"E0"' not in given["body"]:
                    raise RetryableError("no answer")
                return await http.request(method, url, **given)

        http = destination._http
        destination._http = Cut()
        outcomes = await destination.send([event(n, event=f"E{n}") for n in range(4)])
    assert kinds(outcomes) == ["Delivered", "Delivered", "Retry", "Retry"]


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
