"""The pages of a source's schema and of tracking plans, as a browser asks for them."""

import asyncio
import html
import json
import urllib.error

import pytest

from headwater.observing.observer import Observer
from headwater.protocols.gate import Gates

CALLS = [
    {"type": "track", "event": "Order <b>", "messageId": "1", "properties": {"price": "1", "items": [{"sku": "a"}]}},
    {"type": "identify", "messageId": "2", "traits": {"plan": "pro"}},
]


@pytest.fixture
def site(running):
    return running.control.sources.create(running.workspace.id, "site", "http-api").id


def observe(running, directory, source_id, *events):
    async def looked():
        gates = Gates()
        gates.replace(running.control.snapshot().protocols)
        observer = Observer(running.log, directory, gates)
        await running.append(source_id, *events)
        while await observer.step():
            pass
        observer.close()

    asyncio.run(looked())


def csrf(text):
    return text.split('name="csrf" value="')[1].split('"')[0]


def test_what_was_seen_is_blocked_with_one_click(running, page, tmp_path, site):
    assert "Nothing seen yet" in page("/sources/site/schema")
    observe(running, tmp_path, site, *CALLS)
    shown = page("/sources/site/schema")
    assert "Order &lt;b&gt;" in shown
    assert "items.$.sku" in page("/sources/site/schema?type=TRACK&name=Order+%3Cb%3E")
    assert "plan" in page("/sources/site/schema?type=IDENTIFY")
    name = {"type": "TRACK", "name": "Order <b>", "allowed": "false"}
    shown = page("/sources/site/schema", csrf=csrf(shown), **name)
    assert "Blocked" in shown
    assert "Allow Order" in shown
    assert '"Order <b>"' not in page("/sources/site/schema/export?type=TRACK")


def test_what_was_blocked_and_is_allowed_again_leads_to_its_replay(running, page, tmp_path, site):
    destination = running.control.destinations.create(
        running.workspace.id, site, "webhook", name="Hook", settings={"url": "https://hook.example.org"}
    )
    observe(running, tmp_path, site, CALLS[0])
    name = {"type": "TRACK", "name": "Order <b>"}
    shown = page("/sources/site/schema", csrf=csrf(page("/sources/site/schema")), **name, allowed="false")
    observe(running, tmp_path, site, CALLS[0] | {"messageId": "3"})
    assert "Replay to" not in page("/sources/site/schema")
    shown = page("/sources/site/schema", csrf=csrf(shown), **name, allowed="true")
    address = f"/destinations/{destination.id}/replay?event=Order+%3Cb%3E"
    assert html.escape(address) in shown
    assert 'value="Order &lt;b&gt;"' in page(address)


def test_many_names_are_shown_fifty_at_a_time(running, page, tmp_path, site):
    many = [{"type": "track", "event": f"Event {n:04}", "messageId": str(n)} for n in range(120)]
    observe(running, tmp_path, site, *many)
    first, last = page("/sources/site/schema"), page("/sources/site/schema?page=2")
    assert "Event 0049" in first
    assert "Event 0050" not in first
    assert "Event 0119" in last
    assert "Event 0119" in page("/sources/site/schema?search=0119")


def test_a_plan_of_what_was_seen_is_edited_and_connected(running, page, tmp_path, site):
    observe(running, tmp_path, site, *CALLS)
    shown = page("/tracking-plans")
    assert "No plan yet" in shown
    shown = page("/tracking-plans", csrf=csrf(shown), name="Shop", source=site)
    assert "2 rules" in shown
    token = csrf(shown)
    shown = page("/tracking-plans/shop/sources", csrf=token, source=site, connected="true")
    assert "Disconnect site" in shown
    bad = {"rules": [{"type": "TRACK", "key": "A", "version": 1, "jsonSchema": {"type": "nothing"}}]}
    with pytest.raises(urllib.error.HTTPError) as refused:
        page("/tracking-plans/shop/rules", csrf=token, rules=json.dumps(bad))
    answered = refused.value.read().decode()
    assert refused.value.code == 422
    assert "rules.0.jsonSchema.type" in answered
    assert "nothing" in answered
    good = {"rules": [{"type": "TRACK", "key": "Order <b>", "version": 1, "jsonSchema": {"required": ["userId"]}}]}
    page("/tracking-plans/shop/rules", csrf=token, rules=json.dumps(good))
    observe(running, tmp_path, site, {**CALLS[0], "messageId": "3"})
    assert "userId is required" in page("/tracking-plans/shop")
    assert "userId is required" in page("/sources/site/schema")
    assert "No plan yet" in page("/tracking-plans/shop/delete", csrf=token, confirm="Shop")


def test_the_switches_of_a_source_are_saved(running, page, site):
    other = running.control.sources.create(running.workspace.id, "watch", "http-api").id
    token = csrf(page("/sources/site/schema"))
    said = {"track.allowUnplannedEvents": "stop", "track.commonEventOnViolations": "BLOCK"}
    page("/sources/site/schema/settings", csrf=token, forwardingViolationsTo=other, **said)
    kept = running.api("GET", f"/sources/{site}/settings")["settings"]
    assert kept["track"]["allowUnplannedEvents"] is False
    assert kept["track"]["commonEventOnViolations"] == "BLOCK"
    assert kept["forwardingViolationsTo"] == other
