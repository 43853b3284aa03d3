"""Connecting the account: the page that Segment's documentation describes, in a real browser."""

import pytest
from playwright.sync_api import expect
from website import account_run, account_status

ROOM = "/default/apps/activecampaign"
URL = "https://acme.api-us1.com"


@pytest.fixture
def fields(website, visitor):
    source = website.source()
    page = visitor().goto(ROOM)
    page.get_by_label("Account URL").fill(URL)
    page.get_by_label("API key").fill("k" * 72)
    page.get_by_label("Write key").fill(source.write_keys[0])
    return page


def press_connect(page):
    page.get_by_role("button", name="Connect", exact=True).click()


def test_connecting_switches_on_and_waits_for_the_first_event(fields):
    press_connect(fields)
    switch = fields.get_by_role("switch", name="Send email events")
    expect(switch).to_be_checked()
    expect(fields.get_by_text("Ready, waiting for the first event.")).to_be_visible()


def test_a_refused_key_is_told_at_its_field_and_the_rest_is_kept(fields):
    fields.get_by_label("API key").fill("wrong")
    press_connect(fields)
    expect(fields.get_by_text("ActiveCampaign refuses this API key.")).to_be_visible()
    expect(fields.get_by_label("Account URL")).to_have_value(URL)


def test_a_write_key_of_nobody_is_told_at_its_field(fields):
    fields.get_by_label("Write key").fill("x" * 32)
    press_connect(fields)
    expect(fields.get_by_label("Write key")).to_have_attribute("aria-invalid", "true")


def test_the_state_changes_without_loading_the_page_again(fields, website):
    press_connect(fields)
    expect(fields.get_by_text("Ready, waiting for the first event.")).to_be_visible()
    account = website.control.accounts.all(website.workspace.id)[0]
    last = {"event": "Email Opened", "at": "2026-11-01T10:00:00Z", "receivedAt": "2026-11-01T10:00:01Z"}
    website.line.accounts[account.id] = account_status(
        state="sending", message="Currently sending.", lastEvent=last, backfill=account_run("backfill")
    )
    expect(fields.get_by_text("Currently sending.")).to_be_visible(timeout=15_000)
    expect(fields.get_by_role("progressbar")).to_be_visible()


def test_the_switch_turns_it_off_and_a_history_is_asked_for(fields, website):
    press_connect(fields)
    fields.get_by_label("History since").fill("2026-01-31")
    fields.get_by_role("button", name="Back-fill").click()
    fields.wait_for_url("**" + ROOM)
    account = website.control.accounts.all(website.workspace.id)[0]
    assert website.line.backfills == [(account.id, "2026-01-31T00:00:00+00:00")]
    fields.get_by_role("switch", name="Send email events").click()
    expect(fields.get_by_role("switch", name="Send email events")).not_to_be_checked()
