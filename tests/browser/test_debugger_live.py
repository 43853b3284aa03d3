"""Watching events: they arrive, can be paused, searched and opened, and the view outlives the server."""

import re

from playwright.sync_api import expect
from stored import warehouse_status
from website import connection, dead_letter, opened


def rows(page):
    return page.get_by_role("listbox", name="Events, newest first").get_by_role("option")


def test_events_appear_as_they_arrive_newest_first(website, visitor):
    source = website.source()
    page = visitor().goto("/default/sources/activecampaign/debugger")
    expect(page.get_by_text("Nothing yet")).to_be_visible()
    expect(page.get_by_text("Live", exact=True).last).to_be_visible()
    website.send(source, opened(1), opened(2, "Email Link Clicked"))
    expect(rows(page)).to_have_count(2)
    expect(rows(page).first).to_contain_text("Email Link Clicked")
    expect(rows(page).first).to_contain_text("person2@example.com · Spring Launch")


def test_pause_holds_the_list_and_counts_what_waits(website, visitor):
    source = website.source()
    website.send(source, opened(1))
    page = visitor().goto("/default/sources/activecampaign/debugger")
    expect(rows(page)).to_have_count(1)
    page.get_by_role("button", name="Pause").click()
    website.send(source, *(opened(number) for number in range(2, 14)))
    expect(page.get_by_role("button", name="Show 12 new events")).to_be_visible()
    expect(rows(page)).to_have_count(1)
    page.get_by_role("button", name="Show 12 new events").click()
    expect(rows(page)).to_have_count(13)
    expect(page.get_by_role("button", name="Live")).to_have_attribute("aria-pressed", "true")


def test_an_open_payload_stays_while_events_arrive(website, visitor):
    source = website.source()
    website.send(source, *(opened(number) for number in range(40)))
    page = visitor().goto("/default/sources/activecampaign/debugger")
    row = rows(page).filter(has_text="person30@")
    row.click()
    where = row.bounding_box()["y"]
    website.send(source, *(opened(number, "Email Bounced") for number in range(100, 120)))
    expect(rows(page)).to_have_count(60)
    assert abs(row.bounding_box()["y"] - where) < 2
    expect(page.get_by_label("Event as code")).to_contain_text("person30@example.com")
    page.get_by_role("button", name="20 new above").click()
    expect(rows(page).first).to_be_in_viewport()


def test_search_and_event_filter_stand_in_the_address(website, visitor):
    source = website.source()
    website.send(source, opened(1), opened(2, "Email Link Clicked"), opened(3, campaign="Win-back 60d"))
    page = visitor().goto("/default/sources/activecampaign/debugger")
    page.keyboard.press("/")
    page.keyboard.type("win-back")
    expect(rows(page)).to_have_count(1)
    expect(page).to_have_url(re.compile(r"q=win-back"))
    page.reload()
    expect(rows(page)).to_have_count(1)
    page.get_by_label("Search in the shown events").fill("no such text")
    expect(page.get_by_text("Nothing matches")).to_be_visible()
    page.get_by_label("Search in the shown events").fill("")
    page.get_by_label("Event", exact=True).select_option("Email Link Clicked")
    expect(rows(page)).to_have_count(1)
    expect(page).to_have_url(re.compile(r"event=Email\+Link\+Clicked"))


def test_the_view_goes_on_after_a_restart_of_the_server(website, visitor):
    source = website.source()
    website.send(source, opened(1), opened(2))
    page = visitor().goto("/default/sources/activecampaign/debugger")
    expect(rows(page)).to_have_count(2)
    website.stop()
    expect(page.get_by_text("Reconnecting")).to_be_visible()
    website.start()
    website.send(source, opened(3, "Email Bounced"))  # before the page is back: it must not be missed
    expect(rows(page)).to_have_count(3, timeout=30_000)
    expect(rows(page).first).to_contain_text("Email Bounced")
    website.send(source, opened(4))
    expect(rows(page)).to_have_count(4)


def test_everything_works_by_keyboard(website, visitor):
    source = website.source()
    website.send(source, opened(1), opened(2), opened(3))
    page = visitor().goto("/default/sources/activecampaign/debugger")
    expect(rows(page)).to_have_count(3)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("j")
    expect(rows(page).nth(2)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("k")
    expect(rows(page).nth(1)).to_have_attribute("aria-selected", "true")
    page.keyboard.press(" ")
    expect(page.get_by_role("button", name="Pause")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press(" ")
    expect(page.get_by_role("button", name="Live")).to_have_attribute("aria-pressed", "true")


def test_pretty_raw_and_copy_show_the_same_event(website, visitor):
    source = website.source()
    website.send(source, opened(7))
    page = visitor().goto("/default/sources/activecampaign/debugger")
    rows(page).click()
    code = page.get_by_label("Event as code")
    expect(code).to_contain_text("analytics.track({")
    page.get_by_role("tab", name="Raw").click()
    expect(code).to_contain_text('"messageId": "message-000001"')
    page.get_by_role("button", name="Copy JSON").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("() => navigator.clipboard.readText()")
    assert '"campaign_name": "Spring Launch"' in copied
    assert '"score": 7' in copied


def test_it_says_where_an_event_went(website, visitor):
    source = website.source()
    good, bad = website.destination(source), website.destination(source, "Segment of the shop")
    website.line.statuses = [connection(good, source), connection(bad, source, dead=1)]
    website.line.letters = [dead_letter(bad, source)]
    website.line.loads = [warehouse_status(website)]
    website.send(source, opened(1))
    page = visitor().goto("/default/sources/activecampaign/debugger")
    rows(page).click()
    stops = page.get_by_role("listitem")
    expect(stops.filter(has_text="Embedded")).to_contain_text("Loaded")
    expect(stops.filter(has_text="Order webhook")).to_contain_text("Delivered")
    expect(stops.filter(has_text="Segment of the shop")).to_contain_text("Failed")


def test_what_is_queued_is_followed_until_it_went(website, visitor):
    source = website.source()
    website.line.loads = [warehouse_status(website, cursor=0)]
    website.send(source, opened(1))
    page = visitor().goto("/default/sources/activecampaign/debugger")
    rows(page).click()
    stop = page.get_by_role("listitem").filter(has_text="Embedded")
    expect(stop).to_contain_text("Queued")
    website.line.loads = [warehouse_status(website)]
    expect(stop).to_contain_text("Loaded")


def test_only_the_newest_500_are_kept_and_it_says_so(website, visitor):
    source = website.source()
    website.send(source, *(opened(number) for number in range(620)))
    page = visitor().goto("/default/sources/activecampaign/debugger")
    expect(rows(page)).to_have_count(500)
    expect(page.get_by_text("newest 500 events")).to_be_visible()
    expect(rows(page).first).to_contain_text("person619@")


def test_a_session_that_ends_is_told_and_not_retried_for_ever(website, visitor):
    website.source()
    guest = visitor("read-only")
    page = guest.goto("/default/sources/activecampaign/debugger")
    expect(page.get_by_text("Live", exact=True).last).to_be_visible()
    for token in website.control.tokens.all(website.workspace.id):
        website.control.tokens.revoke(website.workspace.id, token.id)
    website.stop()
    website.start()
    expect(page.get_by_text("Signed out")).to_be_visible(timeout=30_000)
    page.get_by_role("link", name="Sign in again").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
