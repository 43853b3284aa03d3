"""HubSpot: contacts are updated or created by their address, and only events that HubSpot knows are sent."""

import pytest

from headwater.destinations.contract import Delivered, Discarded, Retry, Skipped
from headwater.errors import DeliveryError, RetryableError, UnauthorizedError
from rooms import Example
from service import AT, event, kinds, playing

EXAMPLE = Example({"access_token": "pat-1", "events": {"A": "pe1_a"}})
SETTINGS = {
    "access_token": "pat-1",
    "events": {"Email Opened": "pe1_email_opened"},
    "properties": {"plan": "plan_name", "deep": "deep"},
}
TRAITS = {"email": "ann+x@example.com", "firstName": "Ann", "company": {"name": "C"}, "address": {"postalCode": 53111},
          "plan": "x", "deep": {"a": 1}, "other": 1}  # fmt: skip
MADE = {"firstname": "Ann", "company": "C", "zip": "53111", "plan_name": "x"}
PATH = "/crm/v3/objects/contacts/ann%2Bx%40example.com?idProperty=email"
IDENTIFY = event(1, type="identify", traits=TRAITS)
TRACK = event(1, properties={"Campaign Name": "May", "deep": {}}, context={"traits": {"email": "ann@example.com"}})


@pytest.mark.parametrize(
    ("statuses", "asked"),
    [
        ([200], [("PATCH", PATH, {"properties": MADE})]),
        ([404, 201], [("PATCH", PATH, {"properties": MADE}),
                      ("POST", "/crm/v3/objects/contacts", {"properties": {"email": "ann+x@example.com", **MADE}})]),
        ([404, 409, 200], [("PATCH", PATH, {"properties": MADE}),
                           ("POST", "/crm/v3/objects/contacts", {"properties": {"email": "ann+x@example.com", **MADE}}),
                           ("PATCH", PATH, {"properties": MADE})]),
    ],
)  # fmt: skip
async def test_a_contact_is_updated_or_created(statuses, asked):
    async with playing("hubspot", SETTINGS, *[(status, {}) for status in statuses]) as (destination, service):
        assert await destination.send([IDENTIFY]) == [Delivered(statuses[-1])]
    assert [one[:3] for one in service.asked] == asked
    assert service.asked[0][3]["authorization"] == "Bearer pat-1"


async def test_a_conflict_names_the_contact_that_has_the_address_as_a_further_one():
    told = {"category": "CONFLICT", "message": "Contact already exists. Existing ID: 4711"}
    async with playing("hubspot", SETTINGS, (404, {}), (409, told), (200, {})) as (destination, service):
        assert await destination.send([IDENTIFY]) == [Delivered(200)]
    assert service.asked[2][:3] == ("PATCH", "/crm/v3/objects/contacts/4711", {"properties": MADE})


async def test_a_track_is_the_completion_of_the_event_that_the_settings_name():
    async with playing("hubspot", SETTINGS, (204, "")) as (destination, service):
        assert await destination.send([TRACK]) == [Delivered(204)]
    assert service.asked[0][:3] == ("POST", "/events/v3/send", {
        "eventName": "pe1_email_opened", "email": "ann@example.com", "occurredAt": AT, "uuid": "m1",
        "properties": {"campaign_name": "May"},
    })  # fmt: skip


async def test_an_event_stays_within_hubspots_limits():
    given = {
        "page_url": "y" * 2_000,
        "text": "y" * 2_000,
        "2nd " + "x" * 80: 1,
        "42": 1,
        **{f"p{n}": n for n in range(60)},
    }
    members = {"properties": given, "context": {"traits": {"email": "ann@example.com"}}}
    async with playing("hubspot", SETTINGS, (204, "")) as (destination, service):
        await destination.send([event(1, **members)])
    sent = service.bodies[0]["properties"]
    assert (len(sent["page_url"]), len(sent["text"]), len(sent)) == (1_024, 256, 50)
    assert sent["nd_" + "x" * 47] == 1


@pytest.mark.parametrize(
    ("members", "kind"),
    [({"event": "Other"}, Skipped), ({"event": ""}, Discarded), ({}, Discarded), ({"type": "identify"}, Discarded)],
)
async def test_what_hubspot_has_no_place_for_is_not_sent(members, kind):
    async with playing("hubspot", SETTINGS) as (destination, service):
        (outcome,) = await destination.send([event(1, **members)])
    assert isinstance(outcome, kind)
    assert service.asked == []


@pytest.mark.parametrize(
    ("answer", "after_s"),
    [((429, {"policyName": "TEN_SECONDLY_ROLLING"}), 10), ((429, {"policyName": "DAILY"}), 3600),
     ((429, {}, {"Retry-After": "3"}), 3), ((423, {}), 10), ((477, {}), 10),
     ((477, {}, {"Retry-After": "7200"}), 7200), ((502, {}), None)],
)  # fmt: skip
async def test_a_limit_is_waited_for(answer, after_s):
    async with playing("hubspot", SETTINGS, answer) as (destination, _):
        (outcome,) = await destination.send([TRACK])
    assert isinstance(outcome, Retry)
    assert outcome.after_s == after_s


async def test_a_refusal_names_its_category_and_nothing_of_the_event():
    told = {"status": "error", "category": "VALIDATION_ERROR", "message": 'Property "ann@example.com" does not exist'}
    async with playing("hubspot", SETTINGS, (400, told)) as (destination, _):
        (outcome,) = await destination.send([IDENTIFY])
    assert outcome.reason == "HubSpot refuses the event: VALIDATION_ERROR."


async def test_a_refused_token_pauses():
    async with playing("hubspot", SETTINGS, (401, {})) as (destination, _):
        assert kinds(await destination.send([TRACK])) == ["Unauthorized"]


@pytest.mark.parametrize(
    ("status", "error"), [(200, None), (401, UnauthorizedError), (500, RetryableError), (404, DeliveryError)]
)
async def test_a_check_asks_for_the_account(status, error):
    async with playing("hubspot", SETTINGS, (status, {})) as (destination, service):
        if error is None:
            await destination.check()
        else:
            with pytest.raises(error):
                await destination.check()
    assert service.asked[0][:2] == ("GET", "/account-info/v3/details")
