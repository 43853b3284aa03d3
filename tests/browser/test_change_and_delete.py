"""Settings are changed and things deleted by whoever may, and only when it is meant; refused calls can be read."""

import re

from playwright.sync_api import expect
from website import connection

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_a_destinations_settings_are_edited_and_its_secret_stays(website, visitor):
    source = website.source()
    made = website.control.destinations.create(
        website.workspace.id,
        source.id,
        "webhook",
        name="Orders",
        settings={"url": "https://old.example.com/hook", "secret": SECRET, "segment_signature": True},
    )
    website.line.statuses = [connection(made, source)]
    page = visitor().goto(f"/default/destinations/{made.id}")
    page.get_by_role("link", name="Settings").click()
    expect(page.get_by_label("URL")).to_have_value("https://old.example.com/hook")
    expect(page.get_by_label("Segment's signature too")).to_be_checked()
    assert SECRET not in page.content()
    page.get_by_label("URL").fill("https://old.example.com/orders")
    page.get_by_label("Name", exact=True).fill("Orders of the shop")
    page.get_by_role("button", name="Test connection").click()
    expect(page.get_by_text("The destination answered.")).to_be_visible()
    expect(page.get_by_label("URL")).to_have_value("https://old.example.com/orders")
    assert website.line.tested[0][1]["secret"] == SECRET
    page.get_by_role("button", name="Save changes").click()
    expect(page.get_by_role("heading", name="Orders of the shop")).to_be_visible()
    kept = website.control.destinations.merged_settings(website.workspace.id, "webhook", {}, made.id)
    changed = {"url": "https://old.example.com/orders", "secret": SECRET, "segment_signature": True}
    assert {name: kept[name] for name in changed} == changed


def test_a_secret_is_entered_again_for_another_host(website, visitor):
    source = website.source()
    settings = {"url": "https://old.example.com/hook", "secret": SECRET}
    made = website.control.destinations.create(website.workspace.id, source.id, "webhook", settings=settings)
    page = visitor().goto(f"/default/destinations/{made.id}/settings")
    page.get_by_label("URL").fill("https://new.example.com/hook")
    secret = page.get_by_label("Signing secret (optional)", exact=True)
    page.get_by_role("button", name="Save changes").click()
    expect(secret).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("URL")).to_have_value("https://new.example.com/hook")
    assert website.control.destinations.get(website.workspace.id, made.id).settings["url"] == settings["url"]
    secret.fill(SECRET)
    page.get_by_role("button", name="Save changes").click()
    expect(page.get_by_role("heading", name="Webhooks")).to_be_visible()
    kept = website.control.destinations.merged_settings(website.workspace.id, "webhook", {}, made.id)
    assert (kept["url"], kept["secret"]) == ("https://new.example.com/hook", SECRET)


def test_an_optional_setting_can_be_taken_away_again(website, visitor):
    source = website.source()
    settings = {"url": "https://example.com/hook", "secret": SECRET}
    made = website.control.destinations.create(website.workspace.id, source.id, "webhook", settings=settings)
    page = visitor().goto(f"/default/destinations/{made.id}/settings")
    page.get_by_label("Signing secret (optional)", exact=True).fill("")
    page.get_by_role("button", name="Save changes").click()
    expect(page.get_by_role("heading", name="Webhooks")).to_be_visible()
    kept = website.control.destinations.merged_settings(website.workspace.id, "webhook", {}, made.id)
    assert kept["secret"] == ""


def test_a_wrong_setting_is_told_at_its_field_and_changes_nothing(website, visitor):
    made = website.destination(website.source())
    page = visitor().goto(f"/default/destinations/{made.id}/settings")
    page.get_by_label("URL").fill("ftp://example.com")
    page.get_by_role("button", name="Save changes").click()
    expect(page.get_by_label("URL")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("URL")).to_have_value("ftp://example.com")
    kept = website.control.destinations.get(website.workspace.id, made.id)
    assert kept.settings["url"] == "https://example.com/hook"


def test_a_destination_is_deleted_only_when_its_name_is_typed(website, visitor):
    made = website.destination(website.source())
    page = visitor().goto(f"/default/destinations/{made.id}/settings")
    page.get_by_label("Type the name to delete it").fill("Order")
    page.get_by_role("button", name="Delete destination").click()
    expect(page.get_by_text("This is not its name.")).to_be_visible()
    page.get_by_label("Type the name to delete it").fill("Order webhook")
    page.get_by_role("button", name="Delete destination").click()
    expect(page.get_by_text("No destination yet")).to_be_visible()
    assert website.control.destinations.all(website.workspace.id) == []


def test_a_source_is_renamed_disabled_and_deleted_with_its_name_typed(website, visitor):
    website.destination(website.source())
    page = visitor().goto("/default/sources/activecampaign/overview")
    page.get_by_role("link", name="Settings").click()
    page.get_by_label("Nickname").fill("Newsletter")
    page.get_by_role("button", name="Save changes").click()
    expect(page.get_by_role("heading", name="Newsletter")).to_be_visible()
    page.get_by_role("link", name="Settings").click()
    page.get_by_role("button", name="Disable source").click()
    expect(page.get_by_text("It is disabled")).to_be_visible()
    expect(page.get_by_text("its 1 destination with it")).to_be_visible()
    page.get_by_label("Type the name to delete it").fill("ActiveCampaign")
    page.get_by_role("button", name="Delete source").click()
    expect(page.get_by_text("This is not its name.")).to_be_visible()
    page.get_by_label("Type the name to delete it").fill("Newsletter")
    page.get_by_role("button", name="Delete source").click()
    expect(page.get_by_text("No source yet")).to_be_visible()
    assert website.control.sources.all(website.workspace.id) == []


def test_a_sources_own_settings_are_changed_and_a_wrong_one_is_told(website, visitor):
    website.source()
    page = visitor().goto("/default/sources/activecampaign/settings")
    expect(page.get_by_label("Time zone")).to_have_value("America/Chicago")
    page.get_by_label("Time zone").fill("Moon/Tycho")
    page.get_by_role("button", name="Save changes").click()
    expect(page.get_by_role("alert")).to_contain_text("There is no time zone 'Moon/Tycho'")
    page.get_by_label("Time zone").fill("Europe/Berlin")
    page.get_by_label("Email Delivered").fill("off")
    page.get_by_role("button", name="Save changes").click()
    expect(page).to_have_url(re.compile("/overview$"))
    kept = website.control.sources.get(website.workspace.id, "activecampaign").settings
    assert (kept["time_zone"], kept["delivered"]) == ("Europe/Berlin", "off")


def test_a_reader_is_offered_no_change(website, visitor):
    made = website.destination(website.source())
    guest = visitor("read-only")
    for path in (f"/default/destinations/{made.id}/settings", "/default/sources/activecampaign/settings"):
        page = guest.goto(path)
        expect(page.get_by_text(", and change nothing.")).to_be_visible()
        expect(page.get_by_role("main").get_by_role("button")).to_have_count(0)


def test_the_overview_leads_to_the_rejected_calls_behind_its_figure(website, visitor):
    source = website.source("website", "http-api", "Website")
    refused = {"code": "event_not_string", "message": "event must be a string.", "sample": '{"event":7}'}
    website.reject(source, {**refused, "count": 12}, {"code": "malformed_json", "message": "No JSON.", "sample": "{{"})
    page = visitor().goto("/default/sources/website/overview")
    expect(page.locator(".stat").filter(has_text="Failed on ingest")).to_contain_text("13")
    page.get_by_role("link", name="event_not_string 12").click()
    row = page.get_by_role("region", name="Rejected calls table").get_by_role("row").filter(has_text="event must be")
    expect(row).to_contain_text("12")
    row.get_by_text("Show").click()
    expect(row.get_by_text('"event": 7')).to_be_visible()
