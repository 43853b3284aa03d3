"""PostHog: each call as its documented event, with one id for all attempts and no place made up."""

import pytest

from headwater.destinations.contract import Delivered
from headwater.destinations.posthog import event_uuid
from headwater.errors import DeliveryError, RetryableError, UnauthorizedError
from rooms import Example
from service import AT, event, kinds, playing

EXAMPLE = Example({"api_key": "phc_1"})
SETTINGS = EXAMPLE.settings
UUID = "0196a2c5-6f1e-7b3a-8c55-1f2e3d4c5b6a"
HIDDEN = {"$geoip_disable": True}


@pytest.mark.parametrize(
    ("members", "name", "properties"),
    [
        ({"properties": {"a": [1]}}, "Email Opened", {"a": [1], **HIDDEN}),
        ({"context": {"ip": "203.0.113.9", "traits": {"plan": "x"}, "groupId": "g1", "campaign": {"source": "n"}}},
         "Email Opened",
         {"$ip": "203.0.113.9", "$set": {"plan": "x"}, "$groups": {"company": "g1"}, "utm_source": "n"}),
        ({"type": "page", "name": "Home", "context": {"page": {"url": "https://x.example/"}}},
         "$pageview", {"$current_url": "https://x.example/", "name": "Home", **HIDDEN}),
        ({"type": "screen", "name": "Main"}, "$screen", {"$screen_name": "Main", **HIDDEN}),
        ({"type": "identify", "traits": {"email": "a@x.example"}, "anonymousId": "a1"},
         "$identify", {"$set": {"email": "a@x.example"}, "$anon_distinct_id": "a1", **HIDDEN}),
        ({"type": "group", "groupId": "g1", "traits": {"name": "N"}},
         "$groupidentify", {"$group_type": "company", "$group_key": "g1", "$group_set": {"name": "N"}, **HIDDEN}),
        ({"type": "alias", "previousId": "old"}, "$create_alias", {"distinct_id": "u1", "alias": "old", **HIDDEN}),
    ],
)  # fmt: skip
async def test_each_call_has_its_documented_form(members, name, properties):
    async with playing("posthog", SETTINGS) as (destination, service):
        assert await destination.send([event(1, messageId=UUID, **members)]) == [Delivered(200)]
    method, path, body, _ = service.asked[0]
    assert (method, path, body["api_key"]) == ("POST", "/batch/", "phc_1")
    assert body["batch"] == [
        {"event": name, "distinct_id": "u1", "uuid": UUID, "timestamp": AT, "properties": properties}
    ]


def test_a_message_id_that_is_no_uuid_becomes_always_the_same_one():
    made = event_uuid({"messageId": "ac-1-2"})
    assert made == event_uuid({"messageId": "ac-1-2"}) != event_uuid({"messageId": "ac-1-3"})
    assert made[14] == "5"


@pytest.mark.parametrize(
    "members", [{"userId": None}, {"event": ""}, {"type": "group"}, {"type": "alias"}, {"type": "alias", "userId": 0}]
)
async def test_what_lacks_an_id_or_a_name_is_discarded_alone(members):
    async with playing("posthog", SETTINGS) as (destination, service):
        assert kinds(await destination.send([event(1, **members), event(2)])) == ["Discarded", "Delivered"]
    assert len(service.bodies[0]["batch"]) == 1


async def test_one_bad_event_does_not_cost_the_good_ones():
    def answer(body):
        bad = any(one["event"] == "Bad" for one in body["batch"])
        return (400, "invalid event could not be processed") if bad else (200, {"status": 1})

    async with playing("posthog", SETTINGS, answer) as (destination, service):
        outcomes = await destination.send([event(n, event="Bad" if n == 2 else "Good") for n in range(8)])
    assert kinds(outcomes) == ["Delivered"] * 2 + ["Discarded"] + ["Delivered"] * 5
    assert len(service.asked) == 7


@pytest.mark.parametrize(
    ("answer", "kind"),
    [((200, {"status": 1, "quota_limited": ["events"]}), "Retry"),
     ((200, {"quota_limited": ["recordings"]}), "Delivered"),
     ((401, "API key is not valid"), "Unauthorized"), ((429, "billing limit reached"), "Retry"), ((503, ""), "Retry")],
)  # fmt: skip
async def test_an_answer_for_the_whole_request_is_for_all(answer, kind):
    async with playing("posthog", SETTINGS, answer) as (destination, _):
        assert kinds(await destination.send([event(1), event(2)])) == [kind] * 2


@pytest.mark.parametrize(
    ("status", "error"), [(401, UnauthorizedError), (500, RetryableError), (404, DeliveryError), (200, None)]
)
async def test_a_check_asks_for_flags(status, error):
    async with playing("posthog", SETTINGS, (status, {})) as (destination, service):
        if error is None:
            await destination.check()
        else:
            with pytest.raises(error):
                await destination.check()
    assert service.asked[0][:3] == ("POST", "/flags/?v=2", {"distinct_id": "headwater", "api_key": "phc_1"})
