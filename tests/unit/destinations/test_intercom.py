"""Intercom: people are created or updated, events need a person, and a company gets its people."""

import pytest

from headwater.destinations.contract import Delivered, Discarded, Retry
from headwater.errors import DeliveryError, RetryableError, UnauthorizedError
from rooms import Example
from service import NOW, event, kinds, playing

EXAMPLE = Example({"access_token": "token-1"})
SETTINGS = {**EXAMPLE.settings, "attributes": ["plan", "seats", "deep"]}
SECONDS = 1_777_896_000
TRAITS = {"email": "ann@example.com", "firstName": "Ann", "lastName": "B", "createdAt": "2026-05-04T12:00:00Z",
          "plan": "x", "deep": {"a": 1}, "other": 1}  # fmt: skip
PERSON = {"role": "user", "external_id": "u1", "email": "ann@example.com", "name": "Ann B", "signed_up_at": SECONDS,
          "custom_attributes": {"plan": "x"}}  # fmt: skip
CONFLICT = {"type": "error.list", "errors": [
    {"code": "conflict", "message": "A contact matching those details already exists with id=5da6f18e3d7c"}
]}  # fmt: skip


async def test_an_identify_creates_a_person():
    async with playing("intercom", SETTINGS) as (destination, service):
        assert await destination.send([event(1, type="identify", traits=TRAITS)]) == [Delivered(200)]
    method, path, body, headers = service.asked[0]
    assert (method, path, body) == ("POST", "/contacts", PERSON)
    assert (headers["authorization"], headers["intercom-version"]) == ("Bearer token-1", "2.13")


async def test_a_person_who_is_there_is_updated():
    async with playing("intercom", SETTINGS, (409, CONFLICT), (200, {})) as (destination, service):
        assert await destination.send([event(1, type="identify", traits=TRAITS)]) == [Delivered(200)]
    assert service.asked[1][:3] == ("PUT", "/contacts/5da6f18e3d7c", PERSON)


@pytest.mark.parametrize(
    ("members", "who", "metadata"),
    [
        ({"properties": {"a": 1, "deep": {}, "t": "y" * 300}}, {"user_id": "u1"}, {"a": 1, "t": "y" * 255}),
        ({"userId": None, "context": {"traits": {"email": "a@x.example"}}}, {"email": "a@x.example"}, {}),
        ({"properties": {"revenue": 9.99, "currency": "EUR"}}, {"user_id": "u1"},
         {"price": {"amount": 999, "currency": "eur"}, "revenue": 9.99, "currency": "EUR"}),
    ],
)  # fmt: skip
async def test_a_track_submits_a_data_event(members, who, metadata):
    async with playing("intercom", SETTINGS, (202, "")) as (destination, service):
        assert await destination.send([event(1, **members)]) == [Delivered(202)]
    named = {"event_name": "Email Opened", "created_at": SECONDS, "metadata": {"message_id": "m1", **metadata}}
    assert service.asked[0][:3] == ("POST", "/events", {**named, **who})


async def test_metadata_has_names_and_dates_as_intercom_takes_them():
    given = {"a.b$": 1, "sent_date": "2026-05-04T12:00:00.250Z", "no_date": "soon", "due": "2026-05-04", "\0": True}
    async with playing("intercom", SETTINGS, (202, "")) as (destination, service):
        assert await destination.send([event(1, properties=given)]) == [Delivered(202)]
    wanted = {"message_id": "m1", "a_b_": 1, "sent_date": SECONDS, "no_date": "soon", "due": "2026-05-04", "_": True}
    assert service.bodies[0]["metadata"] == wanted


async def test_metadata_has_twenty_keys_at_most():
    async with playing("intercom", SETTINGS) as (destination, service):
        await destination.send([event(1, properties={f"p{n}": n for n in range(50)})])
    assert len(service.bodies[0]["metadata"]) == 20


async def test_a_group_makes_a_company_and_attaches_the_person():
    answers = [(200, {"id": "c9"}), (200, {"id": "p9"}), (200, {})]
    group = event(1, type="group", userId="u/1", groupId="g1", traits={"name": "N", "employees": "12", "seats": 3})
    async with playing("intercom", SETTINGS, *answers) as (destination, service):
        assert await destination.send([group]) == [Delivered(200)]
    assert [asked[:3] for asked in service.asked] == [
        ("POST", "/companies", {"company_id": "g1", "name": "N", "size": 12, "custom_attributes": {"seats": 3}}),
        ("GET", "/contacts/find_by_external_id/u%2F1", None),
        ("POST", "/contacts/p9/companies", {"id": "c9"}),
    ]


@pytest.mark.parametrize(
    ("members", "answers"),
    [({}, [(404, {"errors": [{"code": "not_found"}]})]),
     ({"type": "group", "groupId": "g"}, [(200, {"id": "c"}), (404, {})])],
)  # fmt: skip
async def test_somebody_unknown_is_told_as_such(members, answers):
    async with playing("intercom", SETTINGS, *answers) as (destination, _):
        (outcome,) = await destination.send([event(1, **members)])
    assert isinstance(outcome, Discarded)
    assert "identify first" in outcome.reason


@pytest.mark.parametrize(
    "members", [{"userId": None}, {"event": ""}, {"type": "group"}, {"type": "identify", "userId": None}]
)
async def test_what_lacks_an_id_or_a_name_is_not_sent(members):
    async with playing("intercom", SETTINGS) as (destination, service):
        assert kinds(await destination.send([event(1, **members)])) == ["Discarded"]
    assert service.asked == []


async def test_a_throttled_event_waits_until_intercom_takes_more():
    reset = {"X-RateLimit-Reset": str(int(NOW.timestamp()) + 7)}
    async with playing("intercom", SETTINGS, (429, {}, reset)) as (destination, _):
        (outcome,) = await destination.send([event(1)])
    assert isinstance(outcome, Retry)
    assert outcome.after_s == 7


async def test_a_refusal_names_its_code():
    told = {"errors": [{"code": "parameter_invalid", "message": "ann@example.com is odd"}]}
    async with playing("intercom", SETTINGS, (400, told)) as (destination, _):
        (outcome,) = await destination.send([event(1)])
    assert outcome.reason == "Intercom refuses the event: parameter_invalid."


@pytest.mark.parametrize(
    ("status", "error"), [(200, None), (401, UnauthorizedError), (500, RetryableError), (404, DeliveryError)]
)
async def test_a_check_asks_who_the_token_belongs_to(status, error):
    async with playing("intercom", SETTINGS, (status, {})) as (destination, service):
        if error is None:
            await destination.check()
        else:
            with pytest.raises(error):
                await destination.check()
    assert service.asked[0][:2] == ("GET", "/me")
