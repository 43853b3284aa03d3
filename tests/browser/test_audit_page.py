"""An owner finds a change in the audit trail, opens it, and checks that the trail is whole."""

from playwright.sync_api import expect


def test_a_change_is_found_opened_and_the_chain_checked(website, visitor):
    source = website.source("website", "http-api", "Outdoor shop")
    destination = website.destination(source)
    website.control.destinations.update(website.workspace.id, destination.id, name="Renamed")
    guest = visitor(viewport={"width": 390, "height": 860})
    page = guest.goto("/default/audit")
    page.get_by_label("What", exact=True).select_option("Destination Modified")
    page.get_by_role("button", name="Find").click()
    table = page.get_by_role("region", name="Audit trail table")
    expect(table.get_by_role("rowheader", name="Destination Modified")).to_have_count(1)
    table.get_by_text("Show", exact=False).first.click()
    expect(table.get_by_text("Renamed").last).to_be_visible()
    assert not page.evaluate("() => document.documentElement.scrollWidth > innerWidth")
    page.get_by_role("button", name="Check the chain").click()
    expect(page.get_by_text("The chain holds")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    assert download.value.suggested_filename == "audit.csv"
