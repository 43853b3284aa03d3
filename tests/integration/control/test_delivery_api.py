"""Filters, mappings, functions and what the pipeline role is asked, over HTTP; another workspace is not there."""

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from headwater.control.database import changing, workspaces
from headwater.control.models import MASKED

HOOK = {"url": "https://example.com/hook", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
CODE = "async function onTrack(event, settings) { return event }"
FILTER = {"title": "No tests", "if": 'event = "Test"', "actions": [{"type": "DROP"}], "enabled": True}
MAPPING = {"name": "Names", "trigger": 'type = "track"', "settings": {"properties.who": {"@path": "$.userId"}}}
TOKEN = {"name": "token", "label": "Token", "description": "", "type": "STRING", "required": True, "sensitive": True}


@pytest.fixture
def destination(running):
    running.control.sources.create(running.workspace.id, "website", "http-api")
    return running.control.destinations.create(running.workspace.id, "website", "webhook", name="Hook", settings=HOOK)


@pytest.fixture
def foreign(running):
    """A destination of another workspace in the same installation."""
    with changing(running.control._engine) as connection:
        row = {"id": "w2", "slug": "other", "name": "Other", "region": "us", "created_at": "2026-01-01T00:00:00Z"}
        connection.execute(workspaces.insert().values(row))
    running.control.sources.create("w2", "website", "http-api")
    return running.control.destinations.create("w2", "website", "webhook", settings=HOOK)


def letter(number, destination):
    return {"id": number, "destinationId": destination.id, "reason": "HTTP 400", "event": "Bought"}


def test_a_filter_is_made_shown_changed_and_removed(running, destination):
    many = f"/destination/{destination.id}/filters"
    made = running.api("POST", many, {**FILTER, "sourceId": destination.source_id})["filter"]
    assert {name: made[name] for name in FILTER} == FILTER
    assert (made["sourceId"], made["destinationId"]) == (destination.source_id, destination.id)
    assert running.api("GET", f"{many}/{made['id']}", token="read-only")["filter"] == made
    assert running.api("PATCH", f"{many}/{made['id']}", {"enabled": False})["filter"]["enabled"] is False
    assert [each["id"] for each in running.api("GET", many)["filters"]] == [made["id"]]
    assert running.api("DELETE", f"{many}/{made['id']}") == {"status": "SUCCESS"}
    assert running.api("GET", many)["pagination"]["totalEntries"] == 0


def test_filters_come_in_pages(running, destination):
    many = f"/destination/{destination.id}/filters"
    made = [running.api("POST", many, FILTER)["filter"]["id"] for _ in range(3)]
    first = running.api("GET", f"{many}?pagination.count=2")
    rest = running.api("GET", f"{many}?pagination.count=2&pagination.cursor={first['pagination']['next']}")
    assert [each["id"] for each in first["filters"] + rest["filters"]] == made


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"if": "event ="}, "if"),
        ({"title": ""}, "title"),
        ({"actions": []}, "actions"),
        ({"actions": [{"type": "SAMPLE", "percent": 2}]}, "actions.0.percent"),
        ({"actions": [{"type": "DROP", "where": 1}]}, "actions[0].where"),
        ({"colour": "red"}, "colour"),
        ({"sourceId": "another"}, "sourceId"),
    ],
)
def test_a_wrong_filter_is_refused_by_name(running, destination, wrong, field):
    found = running.refused("POST", f"/destination/{destination.id}/filters", {**FILTER, **wrong})
    assert (found[0], found[2]) == (422, field)


def test_a_filter_is_tried_out(running):
    drop = {"if": 'type = "track"', "actions": [{"type": "DROP_PROPERTIES", "fields": {"properties": ["a"]}}]}
    payload = {"type": "track", "properties": {"a": 1, "b": 2}}
    found = running.api("POST", "/destination/filters/preview", {"filter": drop, "payload": payload})
    assert found == {"inputPayload": payload, "result": {"type": "track", "properties": {"b": 2}}}
    away = {"if": "all", "actions": [{"type": "DROP"}]}
    assert running.api("POST", "/destination/filters/preview", {"filter": away, "payload": payload})["result"] is None


def test_a_mapping_is_made_tried_out_changed_and_removed(running, destination):
    many = f"/destinations/{destination.id}/subscriptions"
    made = running.api("POST", many, {**MAPPING, "actionId": "event"})["destinationSubscription"]
    assert (made["actionSlug"], made["enabled"], made["settings"]) == ("event", True, MAPPING["settings"])
    event = {"type": "track", "userId": "u1"}
    tried = {"trigger": MAPPING["trigger"], "settings": MAPPING["settings"], "payload": event}
    assert running.api("POST", f"{many}/preview", tried)["result"] == {**event, "properties": {"who": "u1"}}
    assert running.api("POST", f"{many}/preview", {**tried, "trigger": 'type = "page"'})["result"] is None
    changed = running.api("PATCH", f"{many}/{made['id']}", {"input": {"name": "Other", "enabled": False}})
    assert changed["subscription"] == {**made, "name": "Other", "enabled": False}
    assert running.api("GET", many)["subscriptions"] == [changed["subscription"]]
    assert running.refused("POST", many, {**MAPPING, "actionId": "nothing"})[2] == "actionId"
    assert running.refused("POST", many, {**MAPPING, "trigger": "x ="})[2] == "trigger"
    assert running.refused("PATCH", f"{many}/{made['id']}", {"input": {}})[0] == 422
    running.api("DELETE", f"{many}/{made['id']}")
    assert running.refused("GET", f"{many}/{made['id']}")[0] == 404


def test_a_function_is_written_deployed_changed_and_restored(running, destination):
    body = {"code": CODE, "displayName": "Clean", "resourceType": "INSERT_DESTINATION", "settings": [TOKEN]}
    made = running.api("POST", "/functions", body)["function"]
    one = f"/functions/{made['id']}"
    assert (made["createdBy"], made["deployedAt"], made["isLatestVersion"]) == ("owner", None, False)
    instance = {"functionId": made["id"], "integrationId": destination.id, "name": "Here", "enabled": True}
    instance["settings"] = {"token": "tok-secret"}
    assert running.refused("POST", "/insert-function-instances", instance)[0] == 409
    assert running.api("POST", f"{one}/deploy") == {"functionDeployment": {"status": "SUCCESS"}}
    put = running.api("POST", "/insert-function-instances", instance)["insertFunctionInstance"]
    assert (put["settings"], put["encryptedSettings"]) == ({}, {"token": MASKED})
    assert (put["integrationId"], put["classId"]) == (destination.id, made["id"])
    running.api("PATCH", one, {"code": CODE + " // 2"})
    versions = running.api("GET", f"{one}/versions")["versions"]
    assert [each["isDeployed"] for each in versions] == [False, True]
    assert running.api("POST", f"{one}/versions", {"versionId": versions[1]["id"]})["version"]["code"] == CODE
    assert running.api("GET", f"{one}/versions/{versions[0]['id']}")["version"]["code"] == CODE + " // 2"
    listed = running.api("GET", "/functions?resourceType=INSERT_DESTINATION")["functions"]
    assert [("code" in each, each["id"]) for each in listed] == [(False, made["id"])]
    assert running.api("GET", "/functions?resourceType=SOURCE")["functions"] == []
    assert running.refused("GET", "/functions?resourceType=X")[2] == "resourceType"
    assert running.refused("DELETE", one)[0] == 409
    changed = running.api("PATCH", f"/insert-function-instances/{put['id']}", {"enabled": False, "position": 3})
    assert (changed["insertFunctionInstance"]["enabled"], changed["insertFunctionInstance"]["position"]) == (False, 3)
    running.api("DELETE", f"/insert-function-instances/{put['id']}")
    running.api("DELETE", one)
    assert running.refused("GET", one)[0] == 404


def test_code_is_run_once(running):
    body = {"code": CODE, "resourceType": "SOURCE", "event": {"body": {}}, "settings": {"a": "b"}}
    assert running.api("POST", "/functions/test", body)["kind"] == "sent"
    name, asked = running.pipeline.asked[-1]
    assert (name, asked["kind"], asked["settings"]) == ("run_function", "source", {"a": "b"})


def test_figures_are_asked_in_bounds_and_summed_as_segment_does(running, destination):
    one = f"/destinations/{destination.id}"
    found = running.api("GET", f"{one}/metrics?granularity=day", token="read-only")
    assert (found["granularity"], found["totals"]["received"]) == ("day", 9)
    summary = running.api("GET", f"{one}/delivery-metrics?granularity=MINUTE")["deliveryMetricsSummary"]
    assert summary["sourceId"] == destination.source_id
    assert [(each["metricName"], each["total"]) for each in summary["metrics"]] == [
        ("successes", 5),
        ("retries", 3),
        ("failures", 1),
        ("filtered", 2),
    ]
    asked = running.pipeline.asked[-1][1]
    assert datetime.fromisoformat(asked["until"]) - datetime.fromisoformat(asked["since"]) == timedelta(hours=1)
    now = datetime.now(UTC)
    for query in (
        "granularity=week",
        f"granularity=minute&from={(now - timedelta(hours=6)):%Y-%m-%dT%H:%M:%SZ}",
        f"granularity=day&from={(now - timedelta(days=40)):%Y-%m-%dT%H:%M:%SZ}",
        f"from={(now + timedelta(days=1)):%Y-%m-%dT%H:%M:%SZ}",
        "from=yesterday",
    ):
        assert running.refused("GET", f"{one}/metrics?{query}")[0] == 422, query
    assert running.refused("GET", f"{one}/delivery-metrics?sourceId=x")[2] == "sourceId"


def test_an_event_or_a_sample_is_sent_with_the_stored_secret(running, destination):
    path = f"/destinations/{destination.id}/events/test"
    event = {"type": "track", "event": "Bought", "userId": "u"}
    assert running.api("POST", path, {"event": event, "asIs": True})["sent"] == event
    asked = running.pipeline.asked[-1][1]
    assert (asked["type_"], asked["as_is"], asked["destination_id"]) == ("webhook", True, destination.id)
    assert asked["settings"]["secret"] == HOOK["secret"]
    assert running.api("POST", path, {"sample": "identify"})["sent"]["type"] == "identify"
    for wrong in ({}, {"event": event, "sample": "track"}, {"sample": "nothing"}, {"event": []}, {"sample": None}):
        assert running.refused("POST", path, wrong)[0] == 422, wrong
    assert running.refused("POST", path, {"sample": "track"}, token="read-only")[0] == 403


def test_dead_letters_are_chosen_counted_and_retried(running, destination):
    running.pipeline.letters = {"7": letter("7", destination), "8": letter("8", destination)}
    query = "event=Bought&sourceId=website&since=2026-01-01T00:00:00Z&count=500"
    assert len(running.api("GET", f"/dead-letters?{query}")["deadLetters"]) == 2
    asked = running.pipeline.asked[-1][1]
    assert asked == {
        "destination_id": None,
        "cursor": None,
        "count": 200,
        "chosen": {
            "event": "Bought",
            "sourceId": destination.source_id,
            "since": "2026-01-01T00:00:00+00:00",
            "destinationIds": [destination.id],
        },
    }
    assert running.api("GET", "/dead-letters/7")["reason"] == "HTTP 400"
    assert running.api("POST", "/dead-letters/retry", {"ids": ["7", "9"], "dryRun": True}) == {"count": 1}
    assert running.pipeline.asked[-1][1]["dry_run"] is True
    running.api("POST", "/dead-letters/discard", {"destinationId": destination.id, "reason": "HTTP 400"})
    assert running.pipeline.asked[-1] == (
        "discard",
        {"ids": None, "destination_id": destination.id, "chosen": {"reason": "HTTP 400"}, "dry_run": False},
    )
    running.api("POST", "/dead-letters/retry", {"all": True})
    assert running.pipeline.asked[-1][1]["chosen"] == {"destinationIds": [destination.id]}
    for wrong in ({}, {"ids": ["7"], "event": "x"}, {"ids": []}, {"since": "today"}, {"ids": ["7"], "all": True}):
        assert running.refused("POST", "/dead-letters/retry", wrong)[0] == 422, wrong


def test_a_replay_is_begun_followed_and_ended(running, destination):
    body = {"destinationId": destination.id, "sourceId": "website", "from": "2026-01-01T00:00:00Z", "userId": "u1"}
    assert running.api("POST", "/replay", {**body, "ratePerSecond": 5})["count"] == 3
    asked = running.pipeline.asked[-1][1]
    assert (asked["source_id"], asked["since"]) == (destination.source_id, "2026-01-01T00:00:00+00:00")
    assert (asked["user_id"], asked["rate_per_s"], asked["dry_run"]) == ("u1", 5, False)
    assert running.api("GET", f"/replays?destinationId={destination.id}")["replays"][0]["state"] == "running"
    assert running.api("GET", "/replays/1")["replay"]["state"] == "done"
    assert running.api("POST", "/replays/1/cancel")["replay"]["state"] == "cancelled"
    assert running.refused("GET", "/replays/2")[0] == 404
    for wrong in (
        {"from": "2026-01-01T00:00:00"},
        {"from": "yesterday"},
        {"to": "2025-01-01T00:00:00Z"},
        {"ratePerSecond": 0},
    ):
        assert running.refused("POST", "/replay", {**body, **wrong})[0] == 422
    assert running.refused("POST", "/replay", {**body, "destinationId": "nothing"})[0] == 404


def test_pace_and_patience_are_set_over_the_api(running, destination):
    one = f"/destinations/{destination.id}"
    assert running.api("GET", one)["destination"]["delivery"] == {
        "concurrency": None,
        "ratePerSecond": None,
        "retryForHours": None,
    }
    changed = running.api("PATCH", one, {"delivery": {"concurrency": 4, "retryForHours": 0.5}})["destination"]
    assert changed["delivery"] == {"concurrency": 4, "ratePerSecond": None, "retryForHours": 0.5}
    assert running.refused("PATCH", one, {"delivery": {"concurrency": 0}})[2] == "delivery.concurrency"
    made = {"sourceId": "website", "metadataId": "webhook", "settings": HOOK, "delivery": {"ratePerSecond": 2}}
    assert running.api("POST", "/destinations", made)["destination"]["delivery"]["ratePerSecond"] == 2


def test_another_workspace_is_not_there(running, destination, foreign):
    running.pipeline.letters = {"7": letter("7", foreign), "8": letter("8", destination)}
    running.pipeline.runs = [{"id": 5, "destinationId": foreign.id, "state": "done"}]
    running.pipeline.states = [{"destinationId": foreign.id}, {"destinationId": destination.id}]
    control = running.control
    theirs = control.filters.create("w2", foreign.id, title="A", condition="all", actions=[{"type": "DROP"}])
    mapping = control.subscriptions.create("w2", foreign.id, name="M", trigger="all", fields={"userId": "x"})
    function = control.functions.create("w2", "INSERT_DESTINATION", name="F", code=CODE, author="a")
    version = control.functions.versions("w2", function.id)[0]
    control.functions.deploy("w2", function.id)
    instance = control.insert_functions.create("w2", function.id, foreign.id, name="I", settings={})
    put = {"functionId": function.id, "integrationId": destination.id, "name": "x", "settings": {}}
    unseen = (
        ("GET", f"/destination/{foreign.id}/filters", None),
        ("POST", f"/destination/{foreign.id}/filters", FILTER),
        ("GET", f"/destination/{destination.id}/filters/{theirs.id}", None),
        ("PATCH", f"/destination/{destination.id}/filters/{theirs.id}", {"enabled": False}),
        ("DELETE", f"/destination/{foreign.id}/filters/{theirs.id}", None),
        ("GET", f"/destinations/{foreign.id}/subscriptions", None),
        ("POST", f"/destinations/{foreign.id}/subscriptions", MAPPING),
        ("GET", f"/destinations/{destination.id}/subscriptions/{mapping.id}", None),
        ("DELETE", f"/destinations/{foreign.id}/subscriptions/{mapping.id}", None),
        ("GET", f"/functions/{function.id}", None),
        ("PATCH", f"/functions/{function.id}", {"code": "x"}),
        ("POST", f"/functions/{function.id}/deploy", {}),
        ("GET", f"/functions/{function.id}/versions/{version.id}", None),
        ("DELETE", f"/functions/{function.id}", None),
        ("POST", "/insert-function-instances", put),
        ("GET", f"/insert-function-instances/{instance.id}", None),
        ("PATCH", f"/insert-function-instances/{instance.id}", {"enabled": True}),
        ("GET", f"/insert-function-instances?functionId={function.id}", None),
        ("GET", f"/destinations/{foreign.id}/metrics", None),
        ("GET", f"/destinations/{foreign.id}/delivery-metrics", None),
        ("POST", f"/destinations/{foreign.id}/events/test", {"sample": "track"}),
        ("GET", "/dead-letters/7", None),
        ("POST", "/dead-letters/retry", {"ids": ["7"]}),
        ("POST", "/dead-letters/discard", {"destinationId": foreign.id}),
        ("GET", f"/dead-letters?destinationId={foreign.id}", None),
        ("POST", "/replay", {"destinationId": foreign.id}),
        ("GET", "/replays/5", None),
        ("POST", "/replays/5/cancel", {}),
        ("GET", f"/replays?destinationId={foreign.id}", None),
    )
    for method, path, body in unseen:
        assert running.refused(method, path, body)[0] == 404, (method, path)
    assert [each["destinationId"] for each in running.api("GET", "/connections")["connections"]] == [destination.id]
    assert running.api("GET", "/replays")["replays"] == []
    assert running.api("GET", "/functions")["functions"] == []
    running.api("POST", "/dead-letters/retry", {"ids": ["7", "8"]})
    assert running.pipeline.asked[-1][1]["ids"] == ["8"]
    assert dataclasses.astuple(control.filters.get("w2", foreign.id, theirs.id))[7] is True


def test_a_dead_letter_of_another_workspace_sounds_like_none(running, foreign):
    running.pipeline.letters = {"7": letter("7", foreign)}
    theirs, none = (running.http("GET", f"/dead-letters/{number}")[:2] for number in ("7", "8"))
    assert (theirs[0], theirs) == (404, none)
