"""Tasks around a destination: filter, map, try an event, replay, retry what matches."""

import json

import pytest
from playwright.sync_api import expect
from website import connection, dead_letter, replay_run


@pytest.fixture
def destination(website):
    source = website.source()
    made = website.destination(source)
    website.line.statuses = [connection(made, source, dead=3)]
    website.line.letters = [
        dead_letter(made, source, 1, reason="HTTP 413"),
        dead_letter(made, source, 2),
        dead_letter(made, source, 3),
    ]
    return made


def test_a_filter_is_tried_saved_changed_and_switched_off(website, visitor, destination):
    page = visitor().goto(f"/default/destinations/{destination.id}/filters")
    page.get_by_label("Title").fill("Without campaign names")
    page.get_by_label("If", exact=True).fill('event = "Email Opened"')
    page.get_by_label("Then").select_option("Remove fields")
    page.get_by_label("Fields").fill("properties.campaign_name")
    page.get_by_role("button", name="Try it").click()
    shown = page.get_by_role("status").get_by_text("campaign_id")
    expect(shown).to_be_visible()
    assert "campaign_name" not in shown.inner_text()
    assert website.control.filters.all(website.workspace.id, destination.id) == []
    page.get_by_role("button", name="Add filter").click()
    expect(page.get_by_role("cell", name="removes properties.campaign_name")).to_be_visible()
    page.get_by_role("link", name="Without campaign names").click()
    page.get_by_label("Then").select_option("Do not send")
    page.get_by_role("button", name="Save filter").click()
    expect(page.get_by_role("cell", name="does not send")).to_be_visible()
    page.get_by_role("button", name="Switch off Without campaign names").click()
    expect(page.get_by_role("cell", name="Off", exact=True)).to_be_visible()
    (stored,) = website.control.filters.all(website.workspace.id, destination.id)
    assert (stored.enabled, stored.actions) == (False, ({"type": "DROP"},))


def test_a_condition_that_cannot_be_read_is_told_at_its_field(visitor, destination):
    page = visitor().goto(f"/default/destinations/{destination.id}/filters")
    page.get_by_label("Title").fill("Broken")
    page.get_by_label("If", exact=True).fill('event = "Email Opened')
    page.get_by_role("button", name="Add filter").click()
    expect(page.get_by_label("If", exact=True)).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("If", exact=True)).to_have_value('event = "Email Opened')


def test_a_mapping_is_tried_and_saved(website, visitor, destination):
    page = visitor().goto(f"/default/destinations/{destination.id}/mappings")
    page.get_by_label("Name").fill("Campaign")
    page.get_by_label("Fields").fill('{"properties.campaign": {"@path": "$.properties.campaign_name"}}')
    page.get_by_role("button", name="Try it").click()
    expect(page.get_by_role("status").get_by_text('"campaign": "Spring Launch"')).to_be_visible()
    page.get_by_role("button", name="Add mapping").click()
    expect(page.get_by_role("row")).to_have_count(2)
    (stored,) = website.control.subscriptions.all(website.workspace.id, destination.id)
    assert stored.fields == {"properties.campaign": {"@path": "$.properties.campaign_name"}}


def test_an_event_is_sent_and_its_answer_shown(website, visitor, destination):
    page = visitor().goto(f"/default/destinations/{destination.id}/test")
    page.get_by_role("link", name="identify").click()
    page.get_by_label("Skip filters").check()
    page.get_by_role("button", name="Send event").click()
    expect(page.get_by_text("Delivered", exact=True)).to_be_visible()
    expect(page.get_by_text("HTTP 200")).to_be_visible()
    ((type_, event, as_is),) = website.line.tried
    assert (type_, event["type"], as_is) == ("webhook", "identify", True)
    page.get_by_label("Event", exact=True).fill("{")
    page.get_by_role("button", name="Send event").click()
    expect(page.get_by_text("The event is no JSON object")).to_be_visible()
    assert len(website.line.tried) == 1


def test_a_replay_is_counted_before_it_runs_and_can_be_cancelled(website, visitor, destination):
    page = visitor().goto(f"/default/destinations/{destination.id}/replay")
    page.get_by_label("Event (optional)").fill("Email Opened")
    page.get_by_label("From").fill("yesterday")
    page.get_by_role("button", name="Count first").click()
    expect(page.get_by_text("This is no time")).to_be_visible()
    page.get_by_label("From").fill("2026-01-31")
    page.get_by_role("button", name="Count first").click()
    expect(page.get_by_text("12 events would be sent")).to_be_visible()
    website.line.replay_runs = [replay_run(destination.id)]
    page.get_by_role("button", name="Replay 12 events").click()
    expect(page.get_by_text("Running")).to_be_visible()
    assert [(dry_run, wanted["event"], wanted["since"]) for _, dry_run, wanted in website.line.replayed] == [
        (True, "Email Opened", "2026-01-31T00:00:00+00:00"),
        (False, "Email Opened", "2026-01-31T00:00:00+00:00"),
    ]
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Cancelled")).to_be_visible()


def test_only_dead_letters_that_match_are_retried(website, visitor, destination):
    page = visitor().goto(f"/default/destinations/{destination.id}/errors")
    page.get_by_role("link", name="HTTP 413").click()
    page.get_by_role("button", name="Retry 1 that match").click()
    expect(page.get_by_text("1 event will be delivered again")).to_be_visible()
    expect(page.get_by_role("row")).to_have_count(3)
    assert [each["id"] for each in website.line.letters] == ["2", "3"]


def test_who_may_only_read_is_offered_no_change(website, visitor, destination):
    page = visitor(role="read-only").goto(f"/default/destinations/{destination.id}/errors")
    expect(page.get_by_text("HTTP 413")).to_be_visible()
    for tab in ("errors", "replay", "filters", "mappings", "test"):
        page.goto(f"{website.url}/default/destinations/{destination.id}/{tab}")
        for name in ("Retry", "Discard", "Replay", "Add filter", "Add mapping", "Send event"):
            assert page.get_by_role("main").get_by_role("button", name=name).count() == 0
    assert json.dumps(website.line.replayed) == "[]"


def test_pace_and_patience_are_set_and_given_back(website, visitor, destination):
    page = visitor().goto(f"/default/destinations/{destination.id}/settings")
    page.get_by_text("Pace and patience").click()
    page.get_by_label("Events a second").fill("ten")
    page.get_by_role("button", name="Save changes").click()
    expect(page.get_by_text("This is no number.")).to_be_visible()
    page.get_by_label("Events a second").fill("10")
    page.get_by_label("Calls at a time").fill("2")
    page.get_by_role("button", name="Save changes").click()
    expect(page).to_have_url(f"{website.url}/default/destinations/{destination.id}")
    stored = website.control.destinations.get(website.workspace.id, destination.id).tuning
    assert (stored.concurrency, stored.rate_per_s, stored.retry_for_s) == (2, 10, None)
    page.goto(f"{website.url}/default/destinations/{destination.id}/settings")
    page.get_by_label("Calls at a time").fill("")
    page.get_by_role("button", name="Save changes").click()
    expect(page).to_have_url(f"{website.url}/default/destinations/{destination.id}")
    assert website.control.destinations.get(website.workspace.id, destination.id).tuning.concurrency is None
