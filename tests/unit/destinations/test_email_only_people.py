"""Whom each tool is told of when all that is known of somebody is an e-mail address, as in ActiveCampaign's events."""

import json

import pytest

from service import event, kinds, playing

ADDRESS = "ann@example.com"
OPENED = event(1, userId=None, anonymousId=ADDRESS, context={"traits": {"email": ADDRESS}, "active": False},
               properties={"campaign_name": "May"})  # fmt: skip
TOLD = {
    "amplitude": ({"api_key": "k"}, ("events", 0, "device_id")),
    "braze": ({"api_key": "k"}, ("events", 0, "email")),
    "customer_io": ({"site_id": "s", "api_key": "k"}, ("batch", 0, "identifiers", "email")),
    "hubspot": ({"access_token": "t", "events": {"Email Opened": "pe1_opened"}}, ("email",)),
    "intercom": ({"access_token": "t"}, ("email",)),
    "klaviyo": ({"api_key": "k"}, ("data", "attributes", "profile", "data", "attributes", "email")),
    "mixpanel": ({"token": "t"}, (0, "properties", "$device_id")),
    "posthog": ({"api_key": "k"}, ("batch", 0, "properties", "$set", "email")),
}


async def sent(name: str, settings: dict):
    async with playing(name, settings, (200, {})) as (destination, service):
        assert kinds(await destination.send([OPENED])) == ["Delivered"]
    (body,) = service.bodies
    return body


@pytest.mark.parametrize("name", TOLD)
async def test_an_event_reaches_the_person_of_the_address(name):
    settings, where = TOLD[name]
    found = await sent(name, settings)
    for step in where:
        found = found[step]
    assert found == ADDRESS


async def test_google_gets_an_id_and_no_address():
    body = await sent("google_analytics_4", {"measurement_id": "G-ABC123DEF4", "api_secret": "s"})
    assert len(body["client_id"]) == 64
    assert ADDRESS not in json.dumps(body)
