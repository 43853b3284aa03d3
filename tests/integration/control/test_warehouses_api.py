"""The Public API of warehouses over real HTTP: what is chosen and set, tried, loaded again, counted and removed."""

import pytest
from warehouse_desk import load

from headwater.loading.selection import Excluded
from headwater.warehouses.contract import CatalogTable

ANN = {"userIds": ["ann"], "anonymousIds": ["a-1"], "emails": ["ann@example.com"]}


@pytest.fixture
def source(running):
    return running.control.sources.create(running.workspace.id, "site", "http-api")


@pytest.fixture
def path(running, source):
    (warehouse,) = running.control.warehouses.all(running.workspace.id)
    assert warehouse.source_ids == (source.id,)
    return f"/warehouses/{warehouse.id}"


@pytest.fixture(scope="module")
def unchanged(shared):
    """Return the address of a warehouse with the source `site`, and without `shop`, for tests that change nothing."""
    shared.control.sources.create(shared.workspace.id, "site", "http-api")
    shop = shared.control.sources.create(shared.workspace.id, "shop", "http-api")
    (warehouse,) = shared.control.warehouses.all(shared.workspace.id)
    shared.control.warehouses.disconnect(shared.workspace.id, warehouse.id, shop.id)
    return f"/warehouses/{warehouse.id}"


def last(running, name):
    return [how for asked, how in running.pipeline.asked if asked == name][-1]


def test_how_a_warehouse_is_loaded_is_shown_and_changed(running, path):
    shown = running.api("GET", path)["warehouse"]
    assert shown["rules"] == {
        "conflicts": "widen",
        "stringCharsMax": None,
        "arrays": "json",
        "reserved": "prefix",
        "caps": True,
        "preset": "headwater",
    }
    assert shown["schedule"] == {"mode": "continuous", "minutes": 60, "times": [], "timezone": "UTC"}
    assert (shown["keepDays"], shown["excluded"], shown["models"]["windowDays"]) == (None, 0, 7)
    body = {"rules": {"preset": "segment"}, "keepDays": 90, "schedule": {"mode": "interval", "minutes": 30}}
    changed = running.api("PATCH", path, body)["warehouse"]
    assert (changed["rules"]["preset"], changed["keepDays"], changed["schedule"]["minutes"]) == ("segment", 90, 30)
    assert running.api("PATCH", path, {"keepDays": None})["warehouse"]["keepDays"] is None
    made = running.api("POST", "/warehouses", {"metadataId": "embedded", "name": "Two", "rules": {"arrays": "segment"}})
    assert (made["warehouse"]["rules"]["arrays"], made["warehouse"]["rules"]["preset"]) == ("segment", None)
    assert running.refused("PATCH", path, {"schedule": {"timezone": "Mars"}}) == (
        422,
        "invalid_field",
        "schedule.timezone",
    )


def test_rules_have_an_address_of_their_own(running, path):
    found = running.api("GET", f"{path}/rules")
    assert found["rules"]["preset"] == "headwater"
    assert found["presets"]["segment"]["stringCharsMax"] == 512
    body = {"preset": "segment", "stringCharsMax": None}
    assert running.api("PATCH", f"{path}/rules", body)["rules"] == {
        **found["presets"]["segment"],
        "stringCharsMax": None,
        "preset": None,
    }
    assert running.refused("PATCH", f"{path}/rules", {})[0] == 422
    assert running.refused("PATCH", f"{path}/rules", {"speed": 1}) == (422, "unknown_field", "speed")
    assert running.refused("PATCH", f"{path}/rules", {"caps": True}, token="member")[0] == 403


def test_a_connection_is_tried_before_it_is_made_and_after(running, path):
    tried = running.api("POST", "/warehouses/validation", {"metadataId": "embedded", "settings": {"name": "Main"}})
    assert tried == {"status": "CONNECTED", "message": "The warehouse answered."}
    assert last(running, "test_warehouse") == {"type_": "embedded", "settings": {}}
    running.pipeline.is_reachable = False
    state = running.api("GET", f"{path}/connection-state")
    assert (state["connectionState"], state["message"]) == (
        "FAILED",
        "The warehouse refuses the password; enter it again.",
    )
    wrong = {"metadataId": "embedded", "settings": {"folder": "x"}}
    assert running.refused("POST", "/warehouses/validation", wrong) == (422, "invalid_field", "settings.folder")
    assert running.refused("POST", "/warehouses/validation", {"metadataId": "x"})[:2] == (404, "not_found")
    running.pipeline.is_down = True
    assert running.refused("GET", f"{path}/connection-state")[:2] == (503, "unavailable")


def test_what_the_warehouse_has_can_be_left_out_by_name(running, source, path):
    running.asking.tables = [
        CatalogTable("site", "signed_up", (("id", "VARCHAR"), ("plan", "VARCHAR"))),
        CatalogTable("site", "users", (("id", "VARCHAR"),)),
        CatalogTable("other", "signed_up", (("id", "VARCHAR"),)),
        CatalogTable("headwater", "campaigns", (("id", "VARCHAR"),)),
    ]
    listed = f"{path}/connected-sources/{source.id}/selective-syncs"
    only = {
        "sourceId": source.id,
        "warehouseId": path.rpartition("/")[2],
        "collection": "signed_up",
        "enabled": True,
        "properties": {"id": {"enabled": True, "required": True}, "plan": {"enabled": True, "required": False}},
    }
    assert running.api("GET", listed)["items"] == [only]
    overrides = [
        {"sourceId": source.id, "collection": "Signed Up", "property": "plan", "enabled": False},
        {"sourceId": source.id, "collection": "page_viewed", "enabled": False},
        {"sourceId": "site", "collection": "signed_up", "property": "age", "enabled": False},
    ]
    assert running.api("PATCH", f"{path}/selective-sync", {"syncOverrides": overrides}) == {
        "status": "UPDATED",
        "warnings": [
            "The warehouse has no collection page_viewed yet; it will be left out.",
            "signed_up has no property age yet; it will be left out.",
        ],
    }
    again = running.api("PATCH", f"{path}/selective-sync", {"syncOverrides": overrides})
    assert again == {"status": "UNCHANGED", "warnings": []}
    viewed, signed = running.api("GET", listed)["items"]
    assert (viewed["collection"], viewed["enabled"], viewed["properties"]) == ("page_viewed", False, {})
    assert {name: each["enabled"] for name, each in signed["properties"].items()} == {
        "id": True,
        "plan": False,
        "age": False,
    }
    assert running.api("GET", path)["warehouse"]["excluded"] == 3
    snapshot = running.control.snapshot()
    assert Excluded(source.id, "page_viewed") in snapshot.warehouses[0].excluded
    page = running.api("GET", f"{listed}?pagination.count=1")
    assert running.api("GET", f"{listed}?pagination.cursor={page['pagination']['next']}")["items"] == [signed]


def test_a_warehouse_that_cannot_be_asked_still_tells_what_is_left_out(running, source, path):
    running.asking.wrong = "The warehouse has no tables yet."
    body = {"syncOverrides": [{"sourceId": source.id, "collection": "a", "enabled": False}]}
    told = running.api("PATCH", f"{path}/selective-sync", body)
    assert told == {"status": "UPDATED", "warnings": ["The warehouse has no tables yet."]}
    found = running.api("GET", f"{path}/connected-sources/site/selective-syncs")
    assert ([each["collection"] for each in found["items"]], found["warnings"]) == (["a"], told["warnings"])


def test_t154_and_what_else_cannot_be_left_out_is_refused_up_front(shared, unchanged):
    def refused(*overrides):
        return shared.refused("PATCH", f"{unchanged}/selective-sync", {"syncOverrides": list(overrides)})

    before = shared.control.snapshot()
    one = {"sourceId": "site", "enabled": False}
    field = "syncOverrides[1]"
    received = {**one, "collection": "tracks", "property": "received_at"}
    assert refused({**one, "collection": "a"}, received) == (422, "invalid_field", f"{field}.property")
    assert refused(one, {**one, "collection": "users"}) == (422, "invalid_field", f"{field}.collection")
    assert refused({**one, "property": "x"}) == (422, "invalid_field", "syncOverrides[0].collection")
    assert refused({**one, "sourceId": "nobody"})[:2] == (404, "not_found")
    assert refused() == (422, "invalid_field", "syncOverrides")
    assert refused(*[one] * 1_001) == (422, "invalid_field", "syncOverrides")
    assert shared.control.snapshot() == before


@pytest.mark.parametrize("listed", ["selective-syncs", "syncs"])
def test_a_source_that_is_not_connected_has_no_selection(shared, unchanged, listed):
    assert shared.refused("GET", f"{unchanged}/connected-sources/shop/{listed}")[:2] == (404, "not_found")


def test_loads_are_reported_by_source(running, source, path):
    shop = running.control.sources.create(running.workspace.id, "shop", "http-api")
    warehouse_id = path.rpartition("/")[2]
    running.pipeline.loads = [
        load(3, warehouse_id, "failed", error="No connection."),
        load(
            2, warehouse_id, "partial", {"site.tracks": 4, "site.users": 1, "shop.tracks": 2}, ["A value did not fit."]
        ),
        load(1, warehouse_id, rows={"gone.tracks": 9}),
    ]
    reports = running.api("GET", f"{path}/syncs")["reports"]
    assert [(each["id"], each["sourceId"], each["status"], each["count"]) for each in reports] == [
        ("3", "", "FAILED", 0),
        ("2", source.id, "PARTIAL", 5),
        ("2", shop.id, "PARTIAL", 2),
        ("1", "", "SUCCESS", 0),
    ]
    assert reports[0]["notices"] == [
        {"level": "error", "message": "No connection.", "createdAt": "2026-11-23T08:00:01.500000Z"}
    ]
    assert (reports[1]["start"], reports[1]["end"]) == ("2026-11-23T08:00:00.000000Z", "2026-11-23T08:00:01.500000Z")
    assert (reports[1]["duration"], reports[1]["humanDuration"]) == (1.5, "1.5 s")
    of_shop = running.api("GET", f"{path}/connected-sources/shop/syncs")["reports"]
    assert [(each["id"], each["sourceId"], each["count"]) for each in of_shop] == [("3", shop.id, 0), ("2", shop.id, 2)]


def test_a_schedule_in_segments_shape_is_one_of_whole_hours(running, path):
    address = f"{path}/advanced-sync-schedule"
    assert running.api("GET", address) == {"enabled": False}
    times = [{"hourOfDay": 6, "enabled": True}, {"hourOfDay": 7, "enabled": False}, {"hourOfDay": 18, "enabled": True}]
    body = {"enabled": True, "schedule": {"times": times, "timezone": "Europe/Berlin"}}
    found = running.api("PUT", address, body)
    assert [each["hourOfDay"] for each in found["schedule"]["times"] if each["enabled"]] == [6, 18]
    shown = running.api("GET", path)["warehouse"]["schedule"]
    assert (shown["mode"], shown["times"], shown["timezone"]) == ("times", ["06:00", "18:00"], "Europe/Berlin")
    assert running.api("GET", address) == found
    assert running.refused("PUT", address, {"enabled": True}) == (422, "invalid_field", "schedule")
    late = {"enabled": True, "schedule": {"times": [{"hourOfDay": 24, "enabled": True}], "timezone": "UTC"}}
    assert running.refused("PUT", address, late) == (422, "invalid_field", "schedule.times")
    none = {"enabled": True, "schedule": {"times": [{"hourOfDay": 3, "enabled": False}], "timezone": "UTC"}}
    assert running.refused("PUT", address, none) == (422, "invalid_field", "schedule.times")
    assert running.api("PUT", address, {"enabled": False}) == {"enabled": False}
    assert running.api("GET", path)["warehouse"]["schedule"]["mode"] == "continuous"


def test_a_stretch_of_the_log_is_loaded_again(running, source, path):
    warehouse_id = path.rpartition("/")[2]
    body = {"sourceIds": ["site", source.id], "collections": ["Signed Up", "tracks"], "from": "2026-01-31T00:00:00Z"}
    made = running.api("POST", f"{path}/reloads", body)["reload"]
    assert last(running, "reload") == {
        "warehouse_id": warehouse_id,
        "source_ids": [source.id],
        "collections": ["signed_up", "tracks"],
        "since": "2026-01-31T00:00:00+00:00",
        "until": None,
    }
    assert [each["id"] for each in running.api("GET", f"{path}/reloads")["reloads"]] == [made["id"]]
    assert running.api("GET", f"{path}/reloads/{made['id']}")["reload"]["state"] == "done"
    assert running.api("DELETE", f"{path}/reloads/{made['id']}")["reload"]["state"] == "cancelled"
    assert running.refused("DELETE", f"{path}/reloads/9")[:2] == (404, "not_found")
    running.api("POST", f"{path}/reloads", {})
    assert last(running, "reload")["source_ids"] is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"sourceIds": []}, "sourceIds"),
        ({"sourceIds": ["shop"]}, "sourceIds"),
        ({"collections": []}, "collections"),
        ({"collections": [""]}, "collections"),
        ({"from": "2026-01-31"}, "from"),
        ({"from": "2026-02-01T00:00:00"}, "from"),
        ({"from": "2026-02-01T00:00:00Z", "to": "2026-01-31T00:00:00Z"}, "from"),
    ],
)
def test_a_reload_that_makes_no_sense_is_refused_by_name(shared, unchanged, body, field):
    assert shared.refused("POST", f"{unchanged}/reloads", body) == (422, "invalid_field", field)
    assert not shared.pipeline.reloaded


def test_a_reload_of_another_warehouse_is_not_found(running, path):
    made = running.api("POST", f"{path}/reloads", {})["reload"]
    other = running.api("POST", "/warehouses", {"metadataId": "embedded", "name": "Two"})["warehouse"]
    assert running.refused("GET", f"/warehouses/{other['id']}/reloads/{made['id']}")[:2] == (404, "not_found")


def test_trends_and_misfits_are_told(shared, unchanged):
    assert [day["rows"] for day in shared.api("GET", f"{unchanged}/row-trends?days=2")["days"]] == [30, 0]
    assert last(shared, "row_trends")["days"] == 2
    assert shared.refused("GET", f"{unchanged}/row-trends?days=91") == (422, "invalid_field", "days")
    assert shared.api("GET", f"{unchanged}/misfits")["misfits"][0]["column"] == "age"


def test_t160_a_person_is_removed_by_an_owner_only(running, path):
    assert running.api("POST", f"{path}/erasures", ANN) == {"rows": {"site.tracks": 2}, "error": ""}
    assert last(running, "remove_person") == {"ids": ANN, "warehouse_id": path.rpartition("/")[2]}
    assert running.refused("POST", f"{path}/erasures", ANN, token="member")[:2] == (403, "forbidden")
    running.pipeline.erasing_fails = "The warehouse does not answer."
    assert running.api("POST", f"{path}/erasures", ANN)["error"] == "The warehouse does not answer."


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "userIds"),
        ({"userIds": [""]}, "userIds"),
        ({"userIds": ["  "]}, "userIds"),
        ({"userIds": ["x" * 513]}, "userIds"),
        ({"emails": ["ann"]}, "emails"),
        ({"emails": ["@"]}, "emails"),
        ({"emails": ["@example.com"]}, "emails"),
        ({"anonymousIds": ["a"] * 1_001}, "userIds"),
    ],
)
def test_nobody_is_removed_by_an_id_that_is_none(shared, unchanged, body, field):
    assert shared.refused("POST", f"{unchanged}/erasures", body) == (422, "invalid_field", field)
    assert all(name != "remove_person" for name, _ in shared.pipeline.asked)


def test_the_state_of_each_warehouse_is_told_of_this_workspace_only(running, path):
    mine = {"warehouseId": path.rpartition("/")[2], "state": "ready"}
    running.pipeline.standings = [mine, {"warehouseId": "another", "state": "ready"}]
    running.pipeline.loads = [load(1, mine["warehouseId"]), load(2, "another")]
    found = running.api("GET", "/syncs")
    assert [each["warehouseId"] for each in found["warehouses"]] == [mine["warehouseId"]]
    assert [each["id"] for each in found["reports"]] == [1]


def test_the_catalog_tells_notes_and_what_has_to_be_installed(shared, monkeypatch):
    entry = shared.control.catalog.find("warehouse", "embedded")
    shown = shared.api("GET", "/catalog/warehouses/embedded")["warehouseMetadata"]
    assert (shown["extra"], shown["notes"], shown["installed"], shown["missing"]) == ("", list(entry.notes), True, "")
    monkeypatch.setattr("headwater.control.drivers.is_installed", lambda _extra: False)
    shown = shared.api("GET", "/catalog/warehouses/embedded")["warehouseMetadata"]
    assert not shown["installed"]
    assert 'pip install "headwater[' in shown["missing"]
