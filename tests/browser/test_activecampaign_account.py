"""Connecting the account: the page that Segment's documentation describes, in a real browser."""

import pytest
from playwright.sync_api import expect
from website import account_run, account_status

from headwater.errors import LogUnavailableError

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


def connected(website, **status):
    """Return a source and its connected account, which does as `status` says."""
    source = website.source()
    account = website.account(source)
    website.line.accounts[account.id] = account_status(account="acme", **status)
    return source, account


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
    last = {
        "event": "Email Opened",
        "at": "2026-11-01T10:00:00Z",
        "receivedAt": "2026-11-01T10:00:01Z",
        "origin": "webhook",
    }
    website.line.accounts[account.id] = account_status(
        state="sending", message="Currently sending.", lastEvent=last, backfill=account_run("backfill")
    )
    expect(fields.get_by_text("Currently sending")).to_be_visible(timeout=15_000)
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


def test_the_last_event_stands_beside_its_time(website, visitor):
    last = {
        "event": "Email Opened",
        "at": "2026-11-01T10:00:00Z",
        "receivedAt": "2026-11-01T10:00:01Z",
        "origin": "webhook",
    }
    connected(website, state="sending", lastEvent=last)
    box = visitor().goto(ROOM).locator(".stat").filter(has_text="Last event")
    expect(box.get_by_text("Email Opened")).to_be_visible()
    expect(box.locator("time")).to_have_attribute("datetime", "2026-11-01T10:00:00.000Z")


def test_with_an_account_the_form_for_another_is_folded_and_opens_with_what_was_wrong(website, visitor):
    source, _ = connected(website)
    page = visitor().goto(ROOM)
    expect(page.get_by_label("Account URL")).to_be_hidden()
    page.get_by_text("Connect another account").click()
    page.get_by_label("Account URL").fill(URL)
    page.locator("#api_key").fill("wrong")
    page.locator("#write_key").fill(source.write_keys[0])
    press_connect(page)
    expect(page.get_by_text("ActiveCampaign refuses this API key.")).to_be_visible()


def test_a_connection_that_needs_somebody_is_told_at_home(website, visitor):
    connected(website, state="attention", message="ActiveCampaign refuses the API key.")
    page = visitor().goto("/default")
    alarm = page.get_by_role("alert").filter(has_text="ActiveCampaign refuses the API key.")
    alarm.get_by_role("link", name="Open").click()
    page.wait_for_url("**" + ROOM)


def test_the_source_leads_to_its_connection_and_needs_nothing_pasted_once_it_has_one(website, visitor):
    source = website.source()
    page = visitor().goto("/default/sources/activecampaign/overview")
    page.get_by_role("link", name="Connect the account").click()
    page.wait_for_url("**" + ROOM)
    website.account(source)
    page.goto("/default/sources/activecampaign/overview")
    expect(page.get_by_text("there is nothing to paste")).to_be_visible()
    expect(page.get_by_role("textbox", name="Webhook address")).to_be_hidden()


def test_a_new_webhook_address_is_made_by_an_owner_and_no_member_is_offered_it(website, visitor):
    source, _ = connected(website)
    before = source.webhook_secret
    offered = "Change the API key or the webhook's address, or disconnect"
    member = visitor("member").goto(ROOM)
    member.get_by_text(offered).click()
    expect(member.get_by_role("button", name="New webhook address")).to_have_count(0)
    page = visitor().goto(ROOM)
    page.get_by_text(offered).click()
    page.get_by_role("button", name="New webhook address").click()
    page.wait_for_url("**" + ROOM)
    assert website.control.sources.get(website.workspace.id, source.slug).webhook_secret != before


def test_while_nobody_can_be_asked_the_page_says_so_and_the_rest_is_shown(website, visitor, monkeypatch):
    connected(website)

    async def unreachable(*_):
        raise LogUnavailableError("The pipeline role does not answer yet; try again in a moment.")

    monkeypatch.setattr(website.line, "account_status", unreachable)
    monkeypatch.setattr(website.line, "account_reconciliation", unreachable)
    page = visitor().goto(ROOM)
    expect(page.get_by_text("The pipeline role does not answer yet")).to_be_visible()
    expect(page.get_by_role("switch", name="Send email events")).to_be_checked()


def test_with_a_refused_key_its_field_stands_open(website, visitor):
    webhook = {"state": "unknown", "id": "", "address": "", "checkedAt": None, "repairs": 0, "message": "refused"}
    connected(website, state="attention", message="ActiveCampaign refuses the API key.", webhook=webhook)
    page = visitor().goto(ROOM)
    expect(page.get_by_label("API key").first).to_be_visible()
