"""Customer.io: people, objects and events as operations of one batch, and each refused one by itself."""

import base64

import pytest

from headwater.destinations.contract import Delivered
from headwater.destinations.customer_io import ulid
from headwater.errors import DeliveryError, RetryableError, UnauthorizedError
from rooms import Example
from service import event, kinds, playing

EXAMPLE = Example({"site_id": "site", "api_key": "key-1"})
SETTINGS = EXAMPLE.settings
ULID = "01HZX3V5Q7T9W1Y3A5C7E9G1J3"
ACTED = {"type": "person", "identifiers": {"id": "u1"}, "id": ULID, "timestamp": 1_777_896_000}
TRAITS = {
    "email": "a@x.example",
    "firstName": "Ann",
    "cio_id": "other",
    "createdAt": "2026-01-01T00:00:00Z",
    "plan": "x",
}


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"properties": {"a": 1}}, {**ACTED, "action": "event", "name": "Email Opened", "attributes": {"a": 1}}),
        ({"type": "page", "name": "Home", "properties": {"url": "https://x.example/"}},
         {**ACTED, "action": "page", "name": "https://x.example/", "attributes": {"url": "https://x.example/"}}),
        ({"type": "screen", "name": "Main"}, {**ACTED, "action": "screen", "name": "Main", "attributes": {}}),
        ({"userId": None, "anonymousId": "a1"},
         {**ACTED, "identifiers": {"anonymous_id": "a1"}, "action": "event", "name": "Email Opened",
          "attributes": {}}),
        ({"userId": None, "context": {"traits": {"email": "a@x.example"}}},
         {**ACTED, "identifiers": {"email": "a@x.example"}, "action": "event", "name": "Email Opened",
          "attributes": {}}),
        ({"type": "identify", "traits": TRAITS, "anonymousId": "a1"},
         {"type": "person", "identifiers": {"id": "u1"}, "action": "identify",
          "attributes": {"email": "a@x.example", "first_name": "Ann", "created_at": 1_767_225_600, "plan": "x",
                         "anonymous_id": "a1"}}),
        ({"type": "group", "groupId": "g1", "traits": {"name": "N", "created_at": 1_700_000_000}},
         {"type": "object", "identifiers": {"object_type_id": "1", "object_id": "g1"}, "action": "identify",
          "attributes": {"name": "N", "created_at": 1_700_000_000},
          "cio_relationships": [{"identifiers": {"id": "u1"}}]}),
        ({"type": "alias", "previousId": "old"},
         {"type": "person", "action": "merge", "primary": {"id": "u1"}, "secondary": {"id": "old"}}),
    ],
)  # fmt: skip
async def test_each_call_has_its_documented_form(members, expected):
    async with playing("customer_io", SETTINGS) as (destination, service):
        assert await destination.send([event(1, messageId=ULID, **members)]) == [Delivered(200)]
    method, path, body, headers = service.asked[0]
    assert (method, path, body) == ("POST", "/api/v2/batch", {"batch": [expected]})
    assert headers["authorization"] == "Basic " + base64.b64encode(b"site:key-1").decode()


async def test_a_person_stays_within_customer_ios_limits():
    traits = {"n" * 151: 1, "bio": "\u00fc" * 600, **{f"t{n}": n for n in range(400)}, "firstName": "Ann"}
    async with playing("customer_io", SETTINGS) as (destination, service):
        assert kinds(await destination.send([event(1, type="identify", traits=traits)])) == ["Delivered"]
    sent = service.bodies[0]["batch"][0]["attributes"]
    assert len(sent) == 300
    assert (sent["first_name"], sent["bio"]) == ("Ann", "\u00fc" * 500)
    assert "n" * 151 not in sent


def test_an_id_is_a_ulid_of_time_and_message():
    body = event(1, messageId="ac-1").body
    assert ulid(body) == ulid(body) != ulid({**body, "messageId": "ac-2"})
    assert len(ulid(body)) == 26
    assert (
        ulid(body)[:10] == ulid({**body, "messageId": "ac-2"})[:10] < ulid({**body, "timestamp": "2027-01-01T00:00Z"})
    )


@pytest.mark.parametrize(
    "members",
    [{"userId": None}, {"event": ""}, {"type": "group"}, {"type": "alias"},
     {"type": "identify", "userId": None, "anonymousId": "a1"}, {"properties": {"x": "y" * 32_000}}],
)  # fmt: skip
async def test_what_customer_io_would_refuse_is_discarded_alone(members):
    async with playing("customer_io", SETTINGS) as (destination, service):
        assert kinds(await destination.send([event(1, **members), event(2)])) == ["Discarded", "Delivered"]
    assert len(service.bodies[0]["batch"]) == 1


async def test_operations_that_are_named_as_refused_are_discarded_and_the_others_are_in():
    told = {"errors": [{"batch_index": 1, "reason": "invalid", "field": "name", "message": "x"}, {"batch_index": 7}, 3]}
    async with playing("customer_io", SETTINGS, (207, told)) as (destination, service):
        outcomes = await destination.send([event(n) for n in range(3)])
    assert kinds(outcomes) == ["Delivered", "Discarded", "Delivered"]
    assert outcomes[1].reason == "Customer.io refuses the event: invalid name."
    assert len(service.asked) == 1


async def test_large_events_are_spread_over_requests_of_500_kilobytes():
    async with playing("customer_io", SETTINGS, (200, {}), (500, {})) as (destination, service):
        outcomes = await destination.send([event(n, properties={"x": "y" * 30_000}) for n in range(20)])
    assert kinds(outcomes) == ["Delivered"] * 16 + ["Retry"] * 4
    assert [len(body["batch"]) for body in service.bodies] == [16, 4]


@pytest.mark.parametrize(
    ("status", "kind"), [(400, "Discarded"), (401, "Unauthorized"), (429, "Retry"), (500, "Retry")]
)
async def test_an_answer_for_the_whole_request_is_for_all(status, kind):
    async with playing("customer_io", SETTINGS, (status, {})) as (destination, _):
        assert kinds(await destination.send([event(1), event(2)])) == [kind] * 2


@pytest.mark.parametrize(
    ("answer", "error"),
    [((200, {"region": "us"}), None), ((200, {"region": "eu"}), DeliveryError),
     ((200, {"data_center": "us"}), None), ((200, {"data_center": "eu"}), DeliveryError),
     ((401, {}), UnauthorizedError),
     ((500, {}), RetryableError), ((404, {}), DeliveryError)],
)  # fmt: skip
async def test_a_check_asks_for_the_region(answer, error):
    async with playing("customer_io", SETTINGS, answer) as (destination, service):
        if error is None:
            await destination.check()
        else:
            with pytest.raises(error):
                await destination.check()
    assert service.asked[0][:2] == ("GET", "/api/v1/accounts/region")
