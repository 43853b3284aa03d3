"""Whole tasks of somebody who sets Headwater up."""

import re

from playwright.sync_api import expect
from stored import sync_run, warehouse_status
from website import connection, dead_letter, opened


def test_an_activecampaign_source_is_added_and_shows_its_key_and_webhook_address(website, visitor):
    page = visitor().goto("/default/sources")
    expect(page.get_by_text("No source yet")).to_be_visible()
    page.get_by_role("link", name="Add source").first.click()
    page.get_by_role("link", name="Add ActiveCampaign").click()
    expect(page.get_by_label("Schema name")).to_have_value("activecampaign")
    page.get_by_label("Nickname").fill("Outdoor newsletter")
    page.get_by_role("button", name="Create source").click()
    expect(page).to_have_url(re.compile(r"/sources/activecampaign/overview$"))
    source = website.control.sources.get(website.workspace.id, "activecampaign")
    key = page.get_by_role("textbox", name="Write key")
    expect(key).not_to_contain_text(source.write_keys[0])
    page.get_by_role("button", name="Show").first.click()
    expect(key).to_have_text(source.write_keys[0])
    page.get_by_role("button", name="Copy").first.click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    expect(page.get_by_role("status").filter(has_text="Write key copied")).to_be_attached()
    assert page.evaluate("() => navigator.clipboard.readText()") == source.write_keys[0]
    page.get_by_role("button", name="Copy", exact=True).last.click()
    address = f"{website.url}/webhooks/activecampaign/{source.webhook_secret}"
    page.wait_for_function("address => navigator.clipboard.readText().then(text => text === address)", arg=address)
    page.get_by_text("How to add it in ActiveCampaign").click()
    expect(page.get_by_text("Manage webhooks")).to_be_visible()


def test_a_function_source_shows_its_address_and_asks_for_no_account(website, visitor):
    source = website.source("orders", "function", "Orders")
    page = visitor().goto("/default/sources/orders/overview")
    page.get_by_role("button", name="Show").last.click()
    address = page.get_by_role("textbox", name="Webhook address")
    expect(address).to_have_text(f"{website.url}/webhooks/function/{source.webhook_secret}")
    expect(page.get_by_role("main").get_by_text("ActiveCampaign")).to_have_count(0)


def test_the_checklist_follows_what_happened(website, visitor):
    source = website.source("website", "http-api", "Website")
    page = visitor().goto("/default/sources/website/overview")
    expect(page.get_by_text("1 of 5")).to_be_visible()
    website.send(source, opened(1))
    website.line.loads = [warehouse_status(website)]
    page.reload()
    expect(page.get_by_text("3 of 5")).to_be_visible()
    website.line.statuses = [connection(website.destination(source), source)]
    page.reload()
    expect(page.get_by_text("Finish setting up")).to_have_count(0)


def test_the_schema_name_is_checked_while_it_is_typed(website, visitor):
    website.source()
    page = visitor().goto("/default/sources/new/activecampaign")
    name = page.get_by_label("Schema name")
    expect(name).to_have_value("activecampaign_2")
    name.fill("activecampaign")
    expect(page.get_by_text("is the schema of another source")).to_be_visible()
    name.fill("Große Liste")
    expect(page.get_by_text("lower-case letters")).to_be_visible()
    name.fill("second_list")
    expect(page.get_by_text("second_list is free")).to_be_visible()
    name.fill("activecampaign")
    page.get_by_role("button", name="Create source").click()
    expect(page.get_by_text("is taken; choose another")).to_be_visible()
    assert len(website.control.sources.all(website.workspace.id)) == 1


def test_the_overview_adds_up_and_shows_the_last_event_live(website, visitor):
    source = website.source()
    website.send(source, *(opened(number) for number in range(30)), *(opened(n, "Email Bounced") for n in range(5)))
    page = visitor().goto("/default/sources/activecampaign/overview")
    expect(page.locator(".stat").filter(has_text="Eligible")).to_contain_text("35")
    collection = page.get_by_role("row").filter(has_text="Email Opened")
    expect(collection).to_contain_text("30")
    website.send(source, opened(77, "Email Unsubscribed"))
    expect(page.locator("last-event")).to_contain_text("Email Unsubscribed")
    expect(page.locator("last-event")).to_contain_text("person77@example.com")


def test_a_source_is_found_by_its_write_key(website, visitor):
    website.source()
    other = website.source("website", "http-api", "Website")
    page = visitor().goto(f"/default/sources?q={other.write_keys[0]}")
    expect(page.get_by_role("row")).to_have_count(2)
    expect(page.get_by_role("link", name="Website")).to_be_visible()


def test_a_destination_is_tested_and_added_from_a_form_of_its_settings(website, visitor):
    website.source()
    page = visitor().goto("/default/destinations")
    page.get_by_role("link", name="Add destination").first.click()
    page.get_by_role("link", name="Add Webhooks").click()
    page.get_by_label("URL").fill("https://shop.example.com/hook")
    page.get_by_role("button", name="Test connection").click()
    expect(page.get_by_text("The destination answered.")).to_be_visible()
    expect(page.get_by_label("URL")).to_have_value("https://shop.example.com/hook")
    page.get_by_role("button", name="Create destination").click()
    expect(page.get_by_role("heading", name="Webhooks")).to_be_visible()
    made = website.control.destinations.all(website.workspace.id)
    assert [each.settings["url"] for each in made] == ["https://shop.example.com/hook"]
    assert website.line.tested[0][0] == "webhook"


def test_a_dead_letter_says_why_and_is_retried(website, visitor):
    source = website.source()
    destination = website.destination(source)
    website.line.statuses = [connection(destination, source, dead=2)]
    website.line.letters = [dead_letter(destination, source, number) for number in (1, 2)]
    page = visitor().goto("/default")
    page.get_by_role("link", name="See why").click()
    page.get_by_role("link", name="Email Opened").first.click()
    expect(page.get_by_text("unknown list")).to_be_visible()
    page.get_by_role("button", name="Retry this event").click()
    expect(page.get_by_text("1 event will be delivered again")).to_be_visible()
    expect(page.get_by_role("row")).to_have_count(2)
    page.get_by_role("button", name="Retry 1").click()
    expect(page.get_by_text("No dead letter")).to_be_visible()
    assert website.line.retried == [["1"], destination.id]


def test_a_paused_destination_is_seen_at_home_and_resumed(website, visitor):
    source = website.source()
    destination = website.destination(source)
    website.line.statuses = [connection(destination, source, state="paused", reason="HTTP 401")]
    page = visitor().goto("/default")
    page.get_by_role("main").get_by_role("link", name="Open").click()
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("Healthy")).to_be_visible()


def test_sync_runs_and_sql_answer_for_the_warehouse(website, visitor):
    website.source()
    website.line.loads = [warehouse_status(website)]
    website.line.runs = [sync_run(website, 1), sync_run(website, 2, status="failed", error="the disk is full")]
    website.tables.execute("create schema activecampaign")
    website.tables.execute(
        "create table activecampaign.tracks as select 'Email Opened' as event, localtimestamp as timestamp"
    )
    page = visitor().goto("/default/warehouse")
    expect(page.get_by_text("the disk is full")).to_be_visible()
    page.get_by_role("main").get_by_role("link", name="Open SQL console").click()
    box = page.get_by_label("SQL", exact=True)
    box.fill("select event, null as nothing, 42 as answer from activecampaign.tracks")
    box.press("Control+Enter")
    expect(page.get_by_role("cell", name="42")).to_be_visible()
    expect(page.get_by_role("cell", name="null")).to_be_visible()
    box = page.get_by_label("SQL", exact=True)
    box.fill("select * from nowhere")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_role("alert")).to_contain_text("nowhere")
    expect(page.get_by_label("SQL", exact=True)).to_have_value("select * from nowhere")
    page.get_by_text("tracks", exact=True).click()
    expect(page.get_by_text("event", exact=True)).to_be_visible()
    page.get_by_role("button", name="First 100 rows").click()
    expect(page.get_by_role("cell", name="Email Opened")).to_be_visible()
    with page.expect_download() as saved:
        page.get_by_role("button", name="CSV").click()
    assert saved.value.suggested_filename == "headwater.csv"
    assert "Email Opened" in saved.value.path().read_text()


def test_the_theme_is_switched_and_remembered(visitor):
    page = visitor(color_scheme="light").goto("/default/sources")
    page.get_by_role("button", name="Switch between light and dark").click()
    dark = page.evaluate("() => getComputedStyle(document.body.parentElement).colorScheme")
    page.reload()
    assert dark == page.evaluate("() => getComputedStyle(document.body.parentElement).colorScheme") == "dark"
