"""A warehouse on its pages: added, looked after, told what to load and when, loaded again, deleted."""

import pytest
from playwright.sync_api import expect
from stored import misfit, reload_run, row_trend, sync_run, warehouse_status

from headwater.loading.rules import SEGMENT, Conflicts
from headwater.loading.schedule import Mode
from headwater.loading.selection import Excluded


@pytest.fixture
def warehouse(website):
    """The embedded warehouse, with a source and its tables."""
    source = website.source()
    website.line.loads = [warehouse_status(website)]
    website.tables.execute("create schema activecampaign")
    for table in ("tracks", "email_opened", "users"):
        website.tables.execute(
            f"create table activecampaign.{table} (id varchar, received_at timestamp, email varchar)"
        )
    return stored(website), source


def stored(website):
    return website.control.warehouses.all(website.workspace.id)[0]


def test_a_warehouse_is_tried_and_added(website, visitor):
    page = visitor().goto("/default/warehouse")
    page.get_by_role("link", name="Add warehouse").click()
    page.get_by_role("link", name="Add Embedded").click()
    page.get_by_label("Name").fill("Archive")
    page.get_by_role("button", name="Test connection").click()
    expect(page.get_by_text("The warehouse can be loaded.")).to_be_visible()
    expect(page.get_by_label("Name")).to_have_value("Archive")
    page.get_by_role("button", name="Create warehouse").click()
    expect(page.get_by_role("heading", name="Archive")).to_be_visible()
    assert [type_ for type_, _ in website.line.tested] == ["embedded"]
    assert len(website.control.warehouses.all(website.workspace.id)) == 2


def test_a_wrong_setting_is_told_beside_its_field(visitor):
    page = visitor().goto("/default/warehouse/new/embedded")
    page.get_by_label("Name").fill("x" * 200)
    page.get_by_role("button", name="Create warehouse").click()
    expect(page.get_by_label("Name")).to_have_attribute("aria-invalid", "true")


def test_the_overview_shows_rows_failures_and_what_did_not_fit(website, visitor, warehouse):
    website.line.loads = [warehouse_status(website, lastError="The password was refused.", failures=6)]
    website.line.days, website.line.misfitting = row_trend(), [misfit(), misfit(label="properties.code", widened=True)]
    website.line.runs = [sync_run(website, 1)]
    page = visitor().goto("/default")
    expect(page.get_by_text("could not be loaded")).to_be_visible()
    page.goto(f"{website.url}/default/warehouse/{warehouse[0].id}")
    expect(page.get_by_role("alert")).to_contain_text("6 times in a row")
    expect(page.get_by_role("img", name="Rows loaded on each")).to_be_visible()
    expect(page.get_by_role("row", name="properties.revenue")).to_contain_text("In _overflow")
    expect(page.get_by_role("row", name="properties.code")).to_contain_text("Column widened")


def test_a_warehouse_is_paused_and_resumed(website, visitor, warehouse):
    page = visitor().goto(f"/default/warehouse/{warehouse[0].id}")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("This warehouse is paused")).to_be_visible()
    assert not stored(website).enabled
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("Healthy")).to_be_visible()
    assert stored(website).enabled


def test_a_collection_a_property_and_a_source_are_left_out_and_loaded_again(website, visitor, warehouse):
    entry, source = warehouse
    page = visitor().goto(f"/default/warehouse/{entry.id}/selection")
    page.get_by_text("email_opened").click()
    expect(page.get_by_text("always loaded").first).to_be_visible()
    page.get_by_role("button", name="Leave out email_opened.email").click()
    page.get_by_text("tracks").click()
    page.get_by_role("button", name="Leave out tracks", exact=True).click()
    expect(page.get_by_text("1 left out")).to_be_visible()
    assert stored(website).excluded == {Excluded(source.id, "email_opened", "email"), Excluded(source.id, "tracks")}
    page.get_by_text("tracks").click()
    page.get_by_role("button", name="Load tracks", exact=True).click()
    page.get_by_role("button", name="Leave out ActiveCampaign").click()
    expect(page.get_by_text("· not loaded")).to_be_visible()
    assert (stored(website).source_ids, stored(website).excluded) == (
        (),
        {Excluded(source.id, "email_opened", "email")},
    )


def test_stored_events_are_loaded_again(website, visitor, warehouse):
    entry, source = warehouse
    page = visitor().goto(f"/default/warehouse/{entry.id}/reload")
    page.get_by_label("Source").select_option(label="ActiveCampaign")
    page.get_by_label("Collections").fill("tracks, email_opened")
    page.get_by_label("From").fill("soon")
    page.get_by_role("button", name="Reload").click()
    expect(page.get_by_text("This is no time; write 2026-01-31")).to_be_visible()
    expect(page.get_by_label("Collections")).to_have_value("tracks, email_opened")
    page.get_by_label("From").fill("2026-11-01")
    website.line.reload_runs = [reload_run(entry.id)]
    page.get_by_role("button", name="Reload").click()
    expect(page.get_by_role("row", name="email_opened of all sources")).to_contain_text("Running")
    wanted = {
        "source_ids": [source.id],
        "collections": ["tracks", "email_opened"],
        "since": "2026-11-01T00:00:00+00:00",
        "until": None,
    }
    assert website.line.reloaded == [(entry.id, wanted)]
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Cancelled")).to_be_visible()


def test_when_and_how_it_is_loaded_is_set(website, visitor, warehouse):
    page = visitor().goto(f"/default/warehouse/{warehouse[0].id}/settings")
    page.get_by_label("When").select_option(label="At times of day")
    page.get_by_label("Times of day").fill("6:30")
    page.get_by_role("button", name="Save loading").click()
    expect(page.get_by_text("of the form 06:30")).to_be_visible()
    expect(page.get_by_label("When")).to_have_value("times")
    page.get_by_label("Times of day").fill("18:00, 06:30")
    page.get_by_label("Time zone").fill("Europe/Berlin")
    page.get_by_label("Keep rows for days").fill("400")
    page.get_by_label("Conversions").fill("Order Completed, Trial Started")
    page.get_by_label("A value that does not fit").select_option(value="overflow")
    page.get_by_role("button", name="Save loading").click()
    expect(page.get_by_text("loads at 06:30, 18:00 (Europe/Berlin)")).to_be_visible()
    entry = stored(website)
    assert (entry.schedule.mode, entry.schedule.times) == (Mode.TIMES, ("06:30", "18:00"))
    assert (entry.keep_days, entry.rules.conflicts) == (400, Conflicts.OVERFLOW)
    assert entry.models.conversions == ("order_completed", "trial_started")
    page.get_by_role("button", name="Use Segment's rules").click()
    expect(page.get_by_label("Cut strings at")).to_have_value("512")
    assert stored(website).rules == SEGMENT


def test_a_warehouse_is_deleted_by_its_name(visitor, warehouse):
    page = visitor().goto(f"/default/warehouse/{warehouse[0].id}/settings")
    page.get_by_label("Type the name to delete it").fill("Other")
    page.get_by_role("button", name="Delete warehouse").click()
    expect(page.get_by_text("This is not its name.")).to_be_visible()
    page.get_by_label("Type the name to delete it").fill(warehouse[0].name)
    page.get_by_role("button", name="Delete warehouse").click()
    expect(page.get_by_text("No warehouse", exact=True)).to_be_visible()


def test_who_may_only_read_changes_nothing(visitor, warehouse):
    guest = visitor(role="read-only")
    one = f"/default/warehouse/{warehouse[0].id}"
    page = guest.goto(f"{one}/settings")
    expect(page.get_by_text("Only an owner changes a warehouse.")).to_be_visible()
    guest.goto(f"{one}/selection")
    expect(page.get_by_role("button", name="Leave out")).to_have_count(0)
    guest.goto(one)
    expect(page.get_by_role("button", name="Sync now")).to_have_count(0)
    guest.goto("/default/warehouse/new/embedded")
    expect(page.get_by_text("Only an owner adds a warehouse.")).to_be_visible()


def test_a_certificate_keeps_its_lines(website, visitor):
    page = visitor().goto("/default/warehouse/new/postgres")
    for label in ("Host", "Database", "User"):
        page.get_by_label(label, exact=True).fill("db.example.com")
    page.get_by_label("CA certificate").fill("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----")
    page.get_by_role("button", name="Test connection").click()
    expect(page.get_by_text("The warehouse can be loaded.")).to_be_visible()
    expect(page.get_by_label("CA certificate")).to_have_value(
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"
    )
    (_, settings) = website.line.tested[0]
    assert settings["ca_certificate"].splitlines() == [
        "-----BEGIN CERTIFICATE-----",
        "MIIB",
        "-----END CERTIFICATE-----",
    ]
