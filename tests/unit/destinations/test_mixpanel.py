"""Mixpanel: events, people and groups each to their own address, and what is refused is named one by one."""

import base64

import pytest

from headwater.destinations.contract import Delivered, Discarded
from headwater.destinations.mixpanel import insert_id
from headwater.errors import DeliveryError, RetryableError, UnauthorizedError
from rooms import Example
from service import event, kinds, playing

EXAMPLE = Example({"token": "token-1"})
SETTINGS = EXAMPLE.settings
MS = 1_777_896_000_250


async def sent(one) -> tuple[str, dict]:
    async with playing("mixpanel", SETTINGS) as (destination, service):
        assert await destination.send([one]) == [Delivered(200)]
    method, path, (body,), headers = service.asked[0]
    assert (method, headers["authorization"]) == ("POST", "Basic " + base64.b64encode(b"token-1:").decode())
    return path, body


@pytest.mark.parametrize(
    ("members", "name", "properties"),
    [
        ({"properties": {"a": 1}}, "Email Opened", {"a": 1, "distinct_id": "u1", "$user_id": "u1"}),
        ({"userId": None, "anonymousId": "a1"}, "Email Opened", {"distinct_id": "$device:a1", "$device_id": "a1"}),
        ({"type": "page", "name": "Home", "anonymousId": "a1", "context": {"groupId": "g", "os": {"name": "iOS"}}},
         "Viewed Home Page",
         {"distinct_id": "u1", "$user_id": "u1", "$device_id": "a1", "company": "g", "$os": "iOS"}),
    ],
)  # fmt: skip
async def test_what_was_done_is_imported(members, name, properties):
    path, body = await sent(event(1, **members))
    assert path == "/import?strict=1"
    assert body == {"event": name, "properties": {"time": MS, "$insert_id": "m1", **properties}}


async def test_an_identify_sets_the_profile_with_reserved_names_and_no_address_of_ours():
    traits = {"email": "ann@example.com", "firstName": "Ann", "createdAt": "2026-01-01", "plan": {"a": [1]}}
    path, body = await sent(event(1, type="identify", traits=traits))
    assert path == "/engage?verbose=1"
    named = {"$email": "ann@example.com", "$first_name": "Ann", "$created": "2026-01-01", "plan": {"a": [1]}}
    assert body == {"$token": "token-1", "$distinct_id": "u1", "$ip": "0", "$set": named}


async def test_a_group_sets_the_group_profile():
    path, body = await sent(event(1, type="group", groupId="g1", traits={"name": "N", "size": 3}))
    assert path == "/groups?verbose=1"
    chosen = {"$name": "N", "size": 3}
    assert body == {"$token": "token-1", "$group_key": "company", "$group_id": "g1", "$set": chosen}


async def test_calls_are_gathered_by_address_and_outcomes_keep_their_places():
    async with playing("mixpanel", SETTINGS, lambda body: (400, {}) if "$set" in body[0] else (200, {})) as (
        destination,
        service,
    ):
        outcomes = await destination.send([event(1), event(2, type="identify"), event(3), event(4, userId=None)])
    assert kinds(outcomes) == ["Delivered", "Discarded", "Delivered", "Discarded"]
    assert [len(body) for body in service.bodies] == [2, 1]


async def test_events_that_are_named_as_refused_are_discarded_and_the_others_are_in():
    failed = [{"index": 1, "insert_id": "m1", "field": "properties.time", "message": "x"}, {"index": 99}, "odd"]
    told = {"code": 400, "error": "some data points failed", "num_records_imported": 2, "failed_records": failed}
    async with playing("mixpanel", SETTINGS, (400, told)) as (destination, service):
        outcomes = await destination.send([event(n) for n in range(3)])
    assert kinds(outcomes) == ["Delivered", "Discarded", "Delivered"]
    assert outcomes[1].reason == "Mixpanel refuses the event: properties.time is invalid."
    assert len(service.asked) == 1


async def test_a_profile_refused_with_200_is_found_and_costs_no_other():
    def answer(body):
        bad = any(one["$distinct_id"] == "u2" for one in body)
        return 200, {"status": int(not bad), "error": "bad" if bad else None}

    async with playing("mixpanel", SETTINGS, answer) as (destination, _):
        people = [event(n, type="identify", userId=f"u{n}") for n in range(4)]
        outcomes = await destination.send(people)
    assert kinds(outcomes) == ["Delivered", "Delivered", "Discarded", "Delivered"]


@pytest.mark.parametrize(
    ("status", "kind"), [(401, "Unauthorized"), (413, "Discarded"), (429, "Retry"), (502, "Retry")]
)
async def test_an_answer_for_the_whole_request_is_for_all(status, kind):
    async with playing("mixpanel", SETTINGS, (status, {})) as (destination, _):
        assert kinds(await destination.send([event(1), event(2)])) == [kind] * 2


@pytest.mark.parametrize(
    ("given", "expected"),
    [("935d87b1-00cd-41b7-be34-b9d98dd08b42", "935d87b1-00cd-41b7-be34-b9d98dd08b42"), ("a" * 36, "a" * 36)],
)
def test_an_insert_id_is_the_message_id_where_it_may_be(given, expected):
    assert insert_id({"messageId": given}) == expected


@pytest.mark.parametrize("given", ["ajs-next_1", "a" * 37, "", "ä"])
def test_an_insert_id_is_made_where_it_may_not_be(given):
    made = insert_id({"messageId": given})
    assert len(made) == 36
    assert made.isalnum()
    assert made == insert_id({"messageId": given})


async def test_an_event_without_a_person_is_not_sent():
    async with playing("mixpanel", SETTINGS) as (destination, service):
        (outcome,) = await destination.send([event(1, userId=None)])
    assert isinstance(outcome, Discarded)
    assert service.asked == []


@pytest.mark.parametrize(
    ("status", "error"), [(401, UnauthorizedError), (500, RetryableError), (404, DeliveryError), (200, None)]
)
async def test_a_check_imports_nothing(status, error):
    async with playing("mixpanel", SETTINGS, (status, {})) as (destination, service):
        if error is None:
            await destination.check()
        else:
            with pytest.raises(error):
                await destination.check()
    assert service.bodies == [[]]
