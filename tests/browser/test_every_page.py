"""What holds on every page: accessible, inside the narrow screen, nothing refused by the policy, harmless names."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from playwright.sync_api import expect
from stored import misfit, reload_run, row_trend, sync_run, warehouse_status
from website import SECRET, account_run, account_status, compared, connection, dead_letter, opened, replay_run

from headwater.alerts.channels import ChannelKind
from headwater.clock import now
from headwater.control import local_token
from headwater.control.people.invites import Wanted
from headwater.control.protocols.rules import Draft, RuleKey
from headwater.control.selection import Override
from headwater.eventlog.reader import SegmentReader
from headwater.observing.observer import Observer
from headwater.protocols.gate import Gates

MONTH = timedelta(days=30)

PAGES = {
    "home": "/default",
    "sources": "/default/sources",
    "source-catalog": "/default/sources/catalog",
    "source-new": "/default/sources/new/activecampaign",
    "overview": "/default/sources/activecampaign/overview",
    "overview-new": "/default/sources/website/overview",
    "debugger": "/default/sources/activecampaign/debugger",
    "debugger-empty": "/default/sources/website/debugger",
    "rejected": "/default/sources/activecampaign/rejected",
    "rejected-none": "/default/sources/website/rejected",
    "source-schema": "/default/sources/activecampaign/schema",
    "source-schema-properties": "/default/sources/activecampaign/schema?type=TRACK&name=Email+Opened",
    "source-schema-none": "/default/sources/website/schema?type=GROUP",
    "tracking-plans": "/default/tracking-plans",
    "tracking-plan": "/default/tracking-plans/emails",
    "source-settings": "/default/sources/activecampaign/settings",
    "destinations": "/default/destinations",
    "destination-catalog": "/default/destinations/catalog",
    "destination-new": "/default/destinations/new/webhook",
    "destination": "/default/destinations/{destination}",
    "destination-errors": "/default/destinations/{destination}/errors",
    "destination-errors-none": "/default/destinations/{destination}/errors?event=Nothing",
    "destination-replay": "/default/destinations/{destination}/replay",
    "destination-filters": "/default/destinations/{destination}/filters",
    "destination-mappings": "/default/destinations/{destination}/mappings",
    "destination-test": "/default/destinations/{destination}/test",
    "destination-settings": "/default/destinations/{destination}/settings",
    "dead-letter": "/default/destinations/{destination}/dead-letters/1",
    "warehouses": "/default/warehouse",
    "warehouse-catalog": "/default/warehouse/catalog",
    "warehouse-new": "/default/warehouse/new/postgres",
    "warehouse": "/default/warehouse/{warehouse}",
    "warehouse-selection": "/default/warehouse/{warehouse}/selection",
    "warehouse-reload": "/default/warehouse/{warehouse}/reload",
    "warehouse-settings": "/default/warehouse/{warehouse}/settings",
    "sql": "/default/sql",
    "audit": "/default/audit",
    "audit-none": "/default/audit?actor=nobody",
    "alerts": "/default/alerts",
    "privacy": "/default/privacy",
    "regulation": "/default/privacy/{regulation}",
    "activecampaign": "/default/apps/activecampaign",
    "workspace": "/default/settings/workspace",
    "workspace-new": "/default/settings/workspace/new",
    "members": "/default/settings/members",
    "member": "/default/settings/members/{member}",
    "tokens": "/default/settings/tokens",
    "profile": "/default/profile",
    "api": "/api/docs",
    "api-family": "/api/docs/labels",
    "not-found": "/default/nothing-here/at-all",
}

# Of the Big List of Naughty Strings: what has broken pages, by kind.
NAUGHTY = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'; alert(1); //",
    "{{ 7 * 7 }} ${alert(1)} #{1}",
    "javascript:alert(1)",
    "</textarea><script>alert(1)</script>",
    "\u202etxt.exe\u2066 reversed",
    "ﷺ Ṱ̺̺̕o͞ ̷i̲̬͇̪͙n̝̗͕v̟̜̘̦͟o̶̙̰̠kè͚̮̺̪̹̱̤ 田中さん 👩‍👩‍👧‍👦",
    "W" * 180,
    "line one\nline two\u2028line three\x7f",
)


@pytest.fixture
def furnished(website):
    """A workspace in which every page has something to show."""
    source = website.source()
    website.source("website", "http-api", "Outdoor shop")
    destination = website.destination(source)
    website.line.statuses = [connection(destination, source, dead=2, retrying=3, pending=4, lastError="HTTP 422")]
    website.line.letters = [dead_letter(destination, source, number) for number in (1, 2)]
    website.control.filters.create(
        website.workspace.id,
        destination.id,
        title="No machine opens",
        condition="properties.is_machine_open = true",
        actions=[{"type": "DROP"}],
    )
    website.control.subscriptions.create(
        website.workspace.id,
        destination.id,
        name="Orders",
        trigger='event = "Order Completed"',
        fields={"properties.total": {"@path": "$.properties.revenue"}},
    )
    website.line.replay_runs = [
        replay_run(destination.id, id=6, state="done", passed=12_000, etaS=None),
        replay_run(destination.id),
    ]
    website.line.loads = [warehouse_status(website)]
    warehouse_id = website.line.loads[0]["warehouseId"]
    website.line.days, website.line.misfitting = row_trend(), [misfit(), misfit(label="properties.code", widened=True)]
    website.line.reload_runs = [reload_run(warehouse_id), reload_run(warehouse_id, state="failed", error="No rights.")]
    website.control.warehouses.select(
        website.workspace.id, warehouse_id, [Override(source.id, "email_opened", "email", enabled=False)]
    )
    website.line.runs = [
        sync_run(website, 1),
        sync_run(website, 2, status="partial", notices=["activecampaign.tracks.score: 3 values were no number"]),
        sync_run(website, 3, status="failed", error="the disk is full", rows={}),
    ]
    names = ("Email Delivered", "Email Opened", "Email Opened", "Email Link Clicked", "Email Bounced")
    website.send(source, *(opened(number, names[number % 5]) for number in range(240)))
    refused = {"code": "event_not_string", "message": "event must be a string.", "sample": '{"event": 7}'}
    planned(website, source)
    website.reject(source, refused, {"code": "malformed_json", "message": "The body is no JSON.", "sample": "{{{"})
    account = website.account(source)
    website.line.accounts[account.id] = account_status(
        state="sending",
        message="Currently sending.",
        lastEvent={
            "origin": "webhook",
            "event": "Email Opened",
            "at": "2026-11-01T10:00:00Z",
            "receivedAt": "2026-11-01T10:00:01Z",
        },
        backfill=account_run("backfill"),
        reconciliation=account_run("reconciliation", state="done", endedAt="2026-11-01T10:00:00+00:00"),
        warnings=[{"code": "tracking_off", "message": "Opens are not tracked in the campaign “Spring”."}],
    )
    website.line.campaigns = [compared(), compared("Weekly News, 茶 and more", 9)]
    website.tables.execute("create schema activecampaign")
    website.tables.execute(
        "create table activecampaign.tracks as"
        " select 'Email Opened' as event, localtimestamp as timestamp from range(3000)"
    )
    website.tables.execute(
        "create table activecampaign.email_opened (id varchar, received_at timestamp, email varchar)"
    )
    places = {
        "destination": destination.id,
        "warehouse": warehouse_id,
        "member": staffed(website, source),
        "regulation": asked(website),
    }
    return {name: path.format(**places) for name, path in PAGES.items()}


def planned(website, source):
    """Let a plan be broken, and everything that was sent be seen."""
    rule = Draft(RuleKey("TRACK", "Email Opened", 1), {"required": ["campaign that no event has"]})
    plan = website.control.tracking_plans.create(website.workspace.id, "Emails", "What is sent", drafts=[rule])
    website.control.tracking_plans.connect(website.workspace.id, plan.id, source.id)
    observed(website)


def observed(website):
    """Look at everything that was sent so far."""

    async def looked():
        gates = Gates()
        gates.replace(website.control.snapshot().protocols)
        observer = Observer(SegmentReader(website.directory / "log"), website.directory, gates)
        while await observer.step():
            pass
        observer.close()

    with ThreadPoolExecutor(1) as thread:  # in this one, the browser has a loop
        thread.submit(lambda: asyncio.run(looked())).result()


def staffed(website, source):
    """Return the id of a member; there are an invitation and tokens, too."""
    control, workspace_id = website.control, website.workspace.id
    control.workspaces.create("A shop with a name that is rather long", "shop", "eu")
    control.users.add(workspace_id, "owner@example.com", "Olivia Owner", "owner")
    control.invites.invite(workspace_id, [Wanted("an.address.that.is.rather.long@subdomain.example.com", "member")])
    control.tokens.create(workspace_id, "terraform", "member", only=["sources:write", "destinations:write"])
    control.tokens.create(workspace_id, "shop", "source-admin", source_ids=[source.id], expires_at=now() + MONTH)
    return control.users.add(workspace_id, "ann@example.com", "Ann", "source-admin", [source.id]).user.id


def asked(website):
    """Return the id of a regulation that waits; somebody is told of alerts."""
    control, workspace_id = website.control, website.workspace.id
    control.alert_channels.create(workspace_id, ChannelKind.EMAIL, "Marketing", recipients=["ops@example.com"])
    return control.regulations.create(workspace_id, "SUPPRESS_ONLY", "EMAIL", ["jane.doe@example.com"]).id


def settle(page, name):
    """Wait for what arrives after the page itself."""
    page.wait_for_load_state("load")
    page.evaluate("() => document.fonts.ready.then(() => true)")
    if name == "debugger":
        expect(page.get_by_role("listbox").get_by_role("option").first).to_be_visible()
    if name in {"overview", "debugger", "debugger-empty"}:
        expect(page.get_by_text("Live", exact=True).last).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_accessible_and_fits(furnished, visitor, scheme):
    guest = visitor(color_scheme=scheme, reduced_motion="reduce")
    found = []
    for width in (1360, 390):
        guest.page.set_viewport_size({"width": width, "height": 860})
        for name, path in furnished.items():
            page = guest.goto(path)
            settle(page, name)
            if page.get_by_text("Something broke here").count():
                found.append(f"{name} {width}: broken")
            if width > 390 or scheme == "light":  # the narrow layout has no colours of its own
                found += [f"{name} {width}: {violation}" for violation in guest.axe()]
            if page.evaluate("() => document.documentElement.scrollWidth > innerWidth"):
                found.append(f"{name} {width}: scrolls sideways")
    assert not found, "\n".join(found)


def test_the_sign_in_page_is_accessible(visitor):
    guest = visitor()
    guest.context.clear_cookies()
    for scheme in ("light", "dark"):
        guest.page.emulate_media(color_scheme=scheme)
        guest.goto("/default/sources")
        expect(guest.page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert guest.axe() == []


def test_the_switcher_of_workspaces_is_readable(website, visitor):
    website.control.workspaces.create("A second shop", "shop", "us")
    guest = visitor(role="")
    for scheme in ("light", "dark"):
        guest.page.emulate_media(color_scheme=scheme)
        page = guest.goto(f"/sign-in?token={local_token.make(SECRET, now())}")
        page.get_by_text("Switch workspace:").locator("..").click()
        expect(page.get_by_role("link", name="A second shop")).to_be_visible()
        assert guest.axe() == []


def test_naughty_strings_stay_text(furnished, website, visitor):
    source = website.control.sources.get(website.workspace.id, "activecampaign")
    visible = [text for text in NAUGHTY if text.isprintable() and len(text) <= 100]
    for number, text in enumerate(visible):
        website.source(f"naughty_{number}", "http-api", text)
        website.destination(source, text)
    events = [{"event": text, "userId": text, "properties": {text: text, "campaign_name": text}} for text in NAUGHTY]
    website.send(source, *events)
    observed(website)
    website.line.letters = [
        {**letter, "event": NAUGHTY[0], "reason": NAUGHTY[1], "answer": NAUGHTY[5], "body": events[0]}
        for letter in website.line.letters
    ]
    website.line.runs = [{**run, "error": NAUGHTY[1]} for run in website.line.runs]
    website.line.campaigns = [compared(text, number) for number, text in enumerate(NAUGHTY)]
    for told in website.line.accounts.values():
        told.update(message=NAUGHTY[0], warnings=[{"code": "x", "message": text} for text in NAUGHTY])
    website.reject(source, *({"code": "naughty", "message": text, "sample": text} for text in NAUGHTY))
    guest = visitor()
    for name, path in furnished.items():
        page = guest.goto(path)
        settle(page, name)
        assert page.evaluate("() => document.querySelectorAll('img[src=x], script:not([src])').length") == 0
        assert not page.evaluate("() => document.documentElement.scrollWidth > innerWidth"), name
    page = guest.goto(furnished["debugger"])
    rows = page.get_by_role("listbox").get_by_role("option")
    for text in NAUGHTY[:3]:
        row = rows.filter(has_text=text).first
        row.click()
        expect(page.get_by_label("Event as code")).to_contain_text("analytics.track(")
    page = guest.goto("/default/sql?q=" + "%3C/textarea%3E%3Cscript%3Ealert(1)%3C/script%3E")
    expect(page.get_by_label("SQL", exact=True)).to_have_value("</textarea><script>alert(1)</script>")
    # The visitor fixture asserts at the end that no dialog opened and that the policy refused nothing.


@pytest.mark.parametrize("width", [1360, 390, 2560])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_screenshots(furnished, visitor, screenshots, scheme, width):
    if screenshots is None:
        pytest.skip("pictures are written with --screenshots DIR")
    screenshots.mkdir(parents=True, exist_ok=True)
    guest = visitor(color_scheme=scheme, reduced_motion="reduce", viewport={"width": width, "height": 900})
    for name, path in furnished.items():
        page = guest.goto(path)
        settle(page, name)
        page.screenshot(path=screenshots / f"{name}-{scheme}-{width}.png", full_page=name != "debugger")
