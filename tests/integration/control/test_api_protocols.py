"""Schema settings, what sources send, and tracking plans, in Segment's shapes."""

import asyncio
import json

import pytest

from headwater.observing.observer import Observer
from headwater.protocols.gate import Gates

ORDER = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "properties": {"properties": {"type": "object", "properties": {"price": {"type": "number"}}}},
}


@pytest.fixture
def site(running):
    made = {"slug": "site", "enabled": True, "metadataId": "http-api"}
    return running.api("POST", "/sources", made)["source"]["id"]


@pytest.fixture
def plan(running):
    return running.api("POST", "/tracking-plans", {"name": "Shop", "type": "LIVE"})["trackingPlan"]["id"]


def observe(running, tmp_path, source_id, *events):
    """Let the observer look at some events, with the gates that are configured."""

    async def looked():
        gates = Gates()
        gates.replace(running.control.snapshot().protocols)
        observer = Observer(running.log, tmp_path, gates, running.log)
        await running.append(source_id, *events)
        while await observer.step():
            pass
        observer.close()

    asyncio.run(looked())


def track(number, name, **properties):
    return {"type": "track", "event": name, "messageId": f"m{number}", "properties": properties}


def rule(key, schema=None, version=1):
    return {"type": "TRACK", "key": key, "version": version, "jsonSchema": ORDER if schema is None else schema}


def test_the_settings_of_a_source_are_segments_and_only_what_is_named_changes(running, site):
    before = running.api("GET", f"/sources/{site}/settings")["settings"]
    change = {"track": {"allowUnplannedEvents": False, "commonEventOnViolations": "OMIT_PROPERTIES"}}
    after = running.api("PATCH", f"/sources/{site}/settings", change)
    assert after["sourceId"] == site
    assert after["settings"] == before | {"track": before["track"] | change["track"]}
    assert running.api("GET", f"/sources/{site}/settings") == after


NO_SETTINGS = (
    ({"track": {"allowUnplanned": True}}, (422, "unknown_field", "track.allowUnplanned")),
    (
        {"identify": {"commonEventOnViolations": "OMIT_PROPERTIES"}},
        (422, "invalid_field", "identify.commonEventOnViolations"),
    ),
    ({"forwardingViolationsTo": "site"}, (422, "invalid_field", "forwardingViolationsTo")),
    ({"forwardingViolationsTo": "nowhere"}, (404, "not_found", None)),
)


def test_what_is_no_setting_changes_nothing(running, site):
    before = running.api("GET", f"/sources/{site}/settings")
    for change, refusal in NO_SETTINGS:
        assert running.refused("PATCH", f"/sources/{site}/settings", change) == refusal
    assert running.api("GET", f"/sources/{site}/settings") == before


def test_what_a_source_sends_is_listed_with_its_properties_and_can_be_blocked(running, tmp_path, site):
    observe(running, tmp_path, site, track(1, "Order", price=1.5, items=[{"sku": "a"}]), track(2, "Order", price="x"))
    path = f"/sources/{site}/schema"
    (order,) = running.api("GET", path)["collections"]
    assert (order["type"], order["name"], order["count"], order["allowed"], order["properties"]) == (
        "TRACK",
        "Order",
        2,
        True,
        4,
    )
    found = running.api("GET", f"{path}/properties?type=TRACK&name=Order")["properties"]
    assert {each["name"]: each["types"] for each in found} == {
        "items": ["array"],
        "items.$": ["object"],
        "items.$.sku": ["string"],
        "price": ["number", "string"],
    }
    block = {"changes": [{"type": "TRACK", "name": "Order", "allowed": False}]}
    assert running.api("PATCH", path, block) == {"status": "UPDATED"}
    assert running.api("PATCH", path, block) == {"status": "UNCHANGED"}
    observe(running, tmp_path, site, track(3, "Order"))
    (order,) = running.api("GET", path)["collections"]
    assert (order["allowed"], order["blocked"], order["count"]) == (False, {"event_setting": 1}, 3)


def test_new_events_are_blocked_and_those_from_before_are_not(running, tmp_path, site):
    observe(running, tmp_path, site, track(1, "Order"))
    running.api("PATCH", f"/sources/{site}/settings", {"track": {"allowUnplannedEvents": False}})
    observe(running, tmp_path, site, track(2, "Order"), track(3, "Oder"))
    path = f"/sources/{site}/schema"
    found = {each["name"]: (each["allowed"], each["blocked"]) for each in running.api("GET", path)["collections"]}
    assert found == {"Oder": (False, {"unplanned": 1}), "Order": (True, {})}
    running.api("PATCH", path, {"changes": [{"type": "TRACK", "name": "Oder", "allowed": True}]})
    assert all(each["allowed"] for each in running.api("GET", path)["collections"])


def test_a_spreadsheet_reads_no_formula(running, tmp_path, site):
    observe(running, tmp_path, site, track(1, "=cmd()", **{"+1": 2}))
    status, text, headers = running.raw("GET", f"/sources/{site}/schema/export?type=TRACK")
    assert status == 200
    assert headers["content-type"].startswith("text/csv")
    assert not [cell for row in text.decode().splitlines() for cell in row.split(",") if cell[:1] in "=+-@" and cell]


def test_what_is_put_aside_is_not_listed_and_what_is_cleared_is_gone(running, tmp_path, site):
    observe(running, tmp_path, site, track(1, "Old"), track(2, "New"))
    path = f"/sources/{site}/schema"
    running.api("PATCH", path, {"changes": [{"type": "TRACK", "name": "Old", "archived": True}]})
    assert [each["name"] for each in running.api("GET", path)["collections"]] == ["New"]
    assert [each["name"] for each in running.api("GET", f"{path}?archived=true")["collections"]] == ["New", "Old"]
    running.api("DELETE", f"{path}?type=TRACK&name=New")
    assert running.api("GET", path)["collections"] == []


def test_a_plan_is_made_changed_and_deleted_as_the_sdk_does_it(running, plan):
    one = f"/tracking-plans/{plan}"
    assert running.api("PATCH", one, {"description": "What we sell"}) == {"status": "SUCCESS"}
    shown = running.api("GET", one)["trackingPlan"]
    assert (shown["slug"], shown["name"], shown["description"], shown["type"]) == (
        "shop",
        "Shop",
        "What we sell",
        "LIVE",
    )
    assert [each["id"] for each in running.api("GET", "/tracking-plans")["trackingPlans"]] == [plan]
    running.api(
        "PUT", f"{one}/rules", {"rules": [rule("A"), rule("B"), {"type": "COMMON", "version": 1, "jsonSchema": {}}]}
    )
    running.api("PATCH", f"{one}/rules", {"rules": [{**rule("A"), "newKey": "Z"}, rule("B", version=2)]})
    keys = [(each["type"], each.get("key"), each["version"]) for each in running.api("GET", f"{one}/rules")["rules"]]
    assert keys == [("COMMON", None, 1), ("TRACK", "B", 1), ("TRACK", "B", 2), ("TRACK", "Z", 1)]
    query = "rules[0][type]=TRACK&rules[0][key]=B&rules[0][version]=2&rules[1][type]=COMMON&rules[1][version]=1"
    assert running.api("DELETE", f"{one}/rules?{query}") == {"status": "SUCCESS"}
    assert [each["key"] for each in running.api("GET", f"{one}/rules")["rules"]] == ["B", "Z"]
    assert running.api("DELETE", one) == {"status": "SUCCESS"}
    assert running.refused("GET", one)[0] == 404


NO_SCHEMAS = (
    ({"type": "strnig"}, "rules.0.jsonSchema.type"),
    ({"$ref": "http://127.0.0.1:1/x"}, "rules.0.jsonSchema"),
    ({"properties": {"event": {"pattern": "("}}}, "rules.0.jsonSchema.properties.event.pattern"),
    ("none", "rules.0.jsonSchema"),
)


def test_a_schema_that_is_none_is_refused_where_it_stands(running, plan):
    for schema, field in NO_SCHEMAS:
        body = {"rules": [rule("A", schema)]}
        assert running.refused("PUT", f"/tracking-plans/{plan}/rules", body) == (422, "invalid_field", field)
    assert running.api("GET", f"/tracking-plans/{plan}/rules")["rules"] == []


def test_a_plan_has_bounds(running, plan):
    path = f"/tracking-plans/{plan}/rules"
    many = {"rules": [rule(f"E{number}", {}) for number in range(201)]}
    assert running.refused("PATCH", path, many) == (422, "invalid_field", "rules")
    running.api("PUT", path, many)
    assert running.refused("PUT", path, {"rules": [rule("A"), rule("A")]}) == (422, "invalid_field", "rules")


def test_a_source_has_one_plan(running, plan, site):
    other = running.api("POST", "/tracking-plans", {"name": "Shop", "type": "LIVE"})["trackingPlan"]
    assert other["slug"] == "shop-2"
    running.api("POST", f"/tracking-plans/{plan}/sources", {"sourceId": site})
    refused = running.refused("POST", f"/tracking-plans/{other['id']}/sources", {"sourceId": site})
    assert refused == (409, "conflict", None)
    assert [each["id"] for each in running.api("GET", f"/tracking-plans/{plan}/sources")["sources"]] == [site]
    running.api("DELETE", f"/tracking-plans/{plan}/sources?sourceId={site}")
    assert running.refused("DELETE", f"/tracking-plans/{plan}/sources?sourceId={site}")[0] == 404


def test_violations_are_counted_without_values_and_told_to_another_source(running, tmp_path, plan, site):
    watch = running.api("POST", "/sources", {"slug": "watch", "enabled": True, "metadataId": "http-api"})["source"][
        "id"
    ]
    running.api("PUT", f"/tracking-plans/{plan}/rules", {"rules": [rule("Order")]})
    running.api("POST", f"/tracking-plans/{plan}/sources", {"sourceId": site})
    running.api("PATCH", f"/sources/{site}/settings", {"forwardingViolationsTo": "watch"})
    observe(running, tmp_path, site, track(1, "Order", price="secret@example.com"))
    (found,) = running.api("GET", f"/sources/{site}/violations")["violations"]
    assert (found["field"], found["type"], found["count"]) == ("properties.price", "Invalid Type", 1)
    assert b"secret" not in (tmp_path / "observing.sqlite").read_bytes()
    assert running.api("GET", f"/tracking-plans/{plan}/violations")["violations"] == [found]
    observe(running, tmp_path, site)
    (told,) = [each.body for each in running.log.read("events", 0).events() if each.source_id == watch]
    assert (told["event"], told["userId"]) == ("Violation Generated", "schema-violations")
    assert told["properties"]["violationField"] == "properties.price"
    assert told["properties"]["eventMessageID"] == "m1"
    assert "secret" not in json.dumps(told)


def test_a_plan_can_begin_with_what_was_seen(running, tmp_path, site):
    observe(running, tmp_path, site, track(1, "Order", price=1, items=[{"sku": "a"}]))
    made = running.api("POST", "/tracking-plans?fromSource=site", {"name": "Seen", "type": "LIVE"})["trackingPlan"]
    (found,) = running.api("GET", f"/tracking-plans/{made['id']}/rules")["rules"]
    assert found["key"] == "Order"
    assert found["jsonSchema"]["properties"]["properties"]["properties"] == {
        "price": {"type": "integer"},
        "items": {"type": "array", "items": {"type": "object", "properties": {"sku": {"type": "string"}}}},
    }
