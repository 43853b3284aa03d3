"""The page that ends a reload, over real HTTP: it ends none of another warehouse's, whoever knows its id."""

import re
import urllib.error
import urllib.parse
import urllib.request

import pytest


def test_a_reload_is_ended_on_the_page_of_its_own_warehouse_only(running, page):
    mine, theirs = (
        running.control.warehouses.create(running.workspace.id, "embedded", name=name).id for name in ("Mine", "Theirs")
    )
    made = running.api("POST", f"/warehouses/{theirs}/reloads", {})["reload"]["id"]
    csrf = re.search(r'name="csrf" value="([^"]+)"', page(f"/warehouse/{mine}/reload")).group(1)
    with pytest.raises(urllib.error.HTTPError, match="404"):
        page(f"/warehouse/{mine}/reload/{made}/cancel", csrf=csrf)
    assert running.api("GET", f"/warehouses/{theirs}/reloads/{made}")["reload"]["state"] != "cancelled"
    page(f"/warehouse/{theirs}/reload/{made}/cancel", csrf=csrf)
    assert running.api("GET", f"/warehouses/{theirs}/reloads/{made}")["reload"]["state"] == "cancelled"
