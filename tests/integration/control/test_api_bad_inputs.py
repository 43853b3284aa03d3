"""What a hostile or careless caller sends to the Public API: each kind has a test, here or where the table says."""

import json
import re
from pathlib import Path

import pytest

from headwater.control import api
from headwater.control.api.door import Door

TESTS = Path(__file__).parents[2]
HERE = "integration/control"
CONTROL = f"{HERE}/test_control_api.py"

# Kinds of bad input by number, and the tests that send them.
COVERED = {
    "A01 no, expired, revoked or foreign token; write key; token in the query": [
        f"{HERE}/test_api_access.py::test_a_token_counts_only_where_it_belongs",
        f"{HERE}/test_route_credentials.py",
    ],
    "A02 too weak a role": [f"{HERE}/test_api_access.py::test_every_change_needs_more_than_reading"],
    "A03 ids of another workspace": [
        f"{HERE}/test_api_access.py::test_unknown_ids_are_not_found_everywhere",
        f"{HERE}/test_delivery_api.py::test_another_workspace_is_not_there",
    ],
    "A04 members that are not the caller's to set": ["::test_nobody_sets_what_is_not_theirs"],
    "A05 names": ["::test_names_that_are_none_are_refused", "::test_a_name_is_shown_as_it_is"],
    "A06 slugs and schema names": [
        "::test_slugs_that_are_none_are_refused",
        "::test_a_schema_that_a_database_has_for_itself_is_nobodys",
        f"{CONTROL}::test_a_taken_slug_is_a_conflict",
    ],
    "A07 addresses": [
        f"{CONTROL}::test_an_address_that_no_call_may_have_is_refused_by_name",
        "unit/delivery/test_address.py",
    ],
    "A08 headers": ["unit/destinations/test_webhook.py::test_a_header_that_could_change_the_request_is_refused"],
    "A09 options of a warehouse's connection": [
        "::test_a_warehouse_takes_only_settings_of_its_type",
        "integration/warehouses/test_postgres_warehouse.py::test_a_database_name_is_no_place_for_parameters",
    ],
    "A10 paths": ["unit/warehouses/test_places.py::test_directories_of_headwaters_are_no_place"],
    "A11 SQL": ["unit/warehouses/test_locked_reading.py::test_every_way_out_is_refused"],
    "A12 page sizes and cursors": [
        f"{CONTROL}::test_a_page_size_that_is_no_page_size_is_refused",
        f"{CONTROL}::test_a_list_is_read_page_by_page_and_a_cursor_fits_only_its_list",
        "::test_a_cursor_that_was_cut_or_forged_is_refused",
    ],
    "A13 conditions": [
        f"{HERE}/test_delivery_api.py::test_a_wrong_filter_is_refused_by_name",
        "::test_conditions_that_would_take_too_long_are_refused",
    ],
    "A14 changes": [f"{CONTROL}::test_a_wrong_change_is_refused", "::test_a_member_that_is_there_twice_is_refused"],
    "A15 stale edits": [
        f"{HERE}/test_api_conditions.py::test_a_stale_edit_is_refused_and_a_fresh_one_is_made",
        f"{HERE}/test_api_conditions.py::test_of_many_who_edit_at_once_one_wins",
    ],
    "A16 idempotency keys": [
        f"{HERE}/test_api_conditions.py::test_a_request_that_is_sent_again_is_carried_out_once_and_answered_alike",
        f"{HERE}/test_api_conditions.py::test_a_key_belongs_to_one_request_of_one_token",
    ],
    "A17 deleted twice, or in use": ["::test_what_is_deleted_is_gone_and_what_is_used_stays"],
    "A18 replays that cannot be meant": ["::test_a_replay_that_cannot_be_meant_is_refused"],
    "A19 deletions that cannot be meant": [
        f"{HERE}/test_regulations_api.py::test_a19_what_is_no_request_about_people_is_refused",
        f"{HERE}/test_regulations_api.py::test_a19_ids_are_literal",
        f"{HERE}/test_regulations_api.py::test_a19_only_an_address_has_no_case",
    ],
    "A20 many trials": [f"{HERE}/test_api_conditions.py::test_a_trial_counts_for_ten"],
    "A21 bodies that a form can send": [f"{CONTROL}::test_only_uncompressed_json_is_taken"],
    "A22 methods": [
        f"{CONTROL}::test_method_overrides_are_ignored",
        f"{HERE}/test_api_access.py::test_every_method_of_every_address_asks_for_a_token_first",
    ],
    "A23 large and deep bodies": ["::test_bodies_that_are_too_large_or_too_deep_are_refused"],
    "A24 imported files": ["integration/control/test_cli_activecampaign.py"],
    "A25 webhooks to private addresses": ["::test_a_notification_goes_to_no_private_address"],
}


def test_every_kind_has_a_test_that_is_there():
    assert [kind[:3] for kind in COVERED] == [f"A{number:02}" for number in range(1, 26)]
    for kind, tests in COVERED.items():
        assert tests, kind
        for each in tests:
            file, _, name = each.partition("::")
            path = TESTS / file if file else Path(__file__)
            assert path.is_file(), (kind, each)
            assert not name or re.search(rf"def {name}\(", path.read_text()), (kind, each)


@pytest.fixture(scope="module")
def bodies(shared):
    """Return (method, path, example, members) of every operation that takes a body."""
    document, found = api.described(shared.routes), []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if "requestBody" in operation:
                content = operation["requestBody"]["content"]["application/json"]
                schema = document["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
                place = re.sub(r"\{\w+\}", "x", path)
                found.append((method.upper(), place, content["example"], set(schema["properties"])))
    return found


def test_nobody_sets_what_is_not_theirs(shared, bodies):
    before = shared.control.version()
    for method, path, example, members in bodies:
        for name in {"role", "workspaceId", "id", "createdAt", "verified", "isOperator"} - members:
            refused = shared.refused(method, path, {**example, name: "x"})
            assert refused[:2] == (422, "unknown_field"), (method, path, name)
            assert refused[2] == name, (method, path, name)
    assert shared.control.version() == before


@pytest.fixture
def source(running):
    return running.api("POST", "/sources", {"slug": "site", "enabled": True, "metadataId": "http-api"})["source"]


@pytest.mark.parametrize("name", ["   ", "x" * 10_000, "a\x00b", "a\nb", "a\x1bb", "a\u202eb", "a\u2066b"])
def test_names_that_are_none_are_refused(shared, name):
    made = {"slug": "named", "enabled": True, "metadataId": "http-api", "name": name}
    assert shared.refused("POST", "/sources", made) == (422, "invalid_field", "name")
    settings = {"host": "db.example.com", "database": "events", "user": "u", "password": "p"}
    warehouse = {"metadataId": "postgres", "settings": settings, "name": name}
    assert shared.refused("POST", "/warehouses", warehouse) == (422, "invalid_field", "name")
    assert all(each["slug"] != "named" for each in shared.api("GET", "/sources")["sources"])


def test_a_name_is_shown_as_it_is(running, source):
    name = "<script>alert('Ünïcode')</script> “quoted”"
    assert running.api("PATCH", f"/sources/{source['id']}", {"name": name})["source"]["name"] == name


@pytest.mark.parametrize(
    "slug", ["", "-", 'a"b', "a b", "Upper", "x" * 64, "1/2", "..", "a\x00b", "ünï", "a;drop table x", "%2e"]
)
def test_slugs_that_are_none_are_refused(shared, slug):
    made = {"slug": slug, "enabled": True, "metadataId": "http-api"}
    assert shared.refused("POST", "/sources", made)[0] == 422


def test_a_schema_that_a_database_has_for_itself_is_nobodys(running):
    for slug in ("public", "pg_catalog", "information_schema", "pg-catalog", "information-schema"):
        status, answer, _ = running.http("POST", "/sources", {"slug": slug, "enabled": True, "metadataId": "http-api"})
        if status == 200:
            taken = answer["data"]["source"]["schemaName"]
            assert taken not in {"public", "pg_catalog", "information_schema"}
        else:
            assert status in {409, 422}


@pytest.mark.parametrize(
    "extra",
    [
        {"sslmode": "none"},
        {"options": "-c statement_timeout=0"},
        {"service": "other"},
        {"passfile": "/etc/passwd"},
        {"host": "/var/run/postgresql"},
        {"host": "db.example.com options=-csearch_path=x"},
        {"port": 0},
        {"port": "5432; drop"},
    ],
)
def test_a_warehouse_takes_only_settings_of_its_type(shared, extra):
    settings = {"host": "db.example.com", "database": "events", "user": "u", "password": "p", **extra}
    assert shared.refused("POST", "/warehouses", {"metadataId": "postgres", "settings": settings})[0] == 422


def test_a_cursor_that_was_cut_or_forged_is_refused(running):
    for slug in ("a", "b"):
        running.api("POST", "/sources", {"slug": slug, "enabled": True, "metadataId": "http-api"})
    cursor = running.api("GET", "/sources?pagination[count]=1")["pagination"]["next"]
    assert len(running.api("GET", f"/sources?pagination[cursor]={cursor}")["sources"]) == 1
    for wrong in (cursor[:-2], cursor[2:], "A" + cursor[1:], "%00", "x" * 5_000, cursor + "AAAA"):
        for form in ("pagination[cursor]", "pagination.cursor"):
            refused = running.refused("GET", f"/sources?{form}={wrong}")
            assert refused == (422, "invalid_field", "pagination.cursor"), wrong
    assert running.refused("GET", f"/destinations?pagination[cursor]={cursor}")[0] == 422


def test_conditions_that_would_take_too_long_are_refused(shared):
    payload = {"type": "track", "event": "a" * 5_000}
    started = {"filter": {"actions": [{"type": "DROP"}]}, "payload": payload}
    for condition in ("(" * 5_000 + ")" * 5_000, 'event = "' + "x" * 100_000 + '"', 'match(event, "(a+)+$")'):
        started["filter"]["if"] = condition
        status, _, _ = shared.http("POST", "/destination/filters/preview", started)
        assert status in {200, 413, 422}, condition[:40]
    started["filter"]["if"] = "x" * 1_000_000
    assert shared.refused("POST", "/destination/filters/preview", started)[0] == 413


def test_a_member_that_is_there_twice_is_refused(running, source):
    for body in (b'{"name": "One", "name": "Two"}', b'{"settings": {"a": 1, "a": 2}}'):
        assert running.refused("PATCH", f"/sources/{source['id']}", body)[:2] == (422, "invalid_field")


def test_what_is_deleted_is_gone_and_what_is_used_stays(running, source):
    wanted = {"sourceId": source["id"], "metadataId": "webhook", "settings": {"url": "https://example.com"}}
    destination = running.api("POST", "/destinations", wanted)["destination"]["id"]
    function = {"code": "async function onTrack() {}", "displayName": "f", "resourceType": "INSERT_DESTINATION"}
    made = running.api("POST", "/functions", function)["function"]["id"]
    running.api("POST", f"/functions/{made}/deploy")
    instance = {"functionId": made, "integrationId": destination, "name": "i"}
    running.api("POST", "/insert-function-instances", instance)
    assert running.refused("DELETE", f"/functions/{made}")[:2] == (409, "conflict")
    running.api("DELETE", f"/sources/{source['id']}")
    for path in (f"/sources/{source['id']}", f"/destinations/{destination}"):
        for method, body in (("DELETE", None), ("GET", None), ("PATCH", {"name": "x"})):
            assert running.refused(method, path, body)[:2] == (404, "not_found"), (method, path)
    assert running.refused("POST", "/destinations", wanted)[:2] == (404, "not_found")


def test_a_replay_that_cannot_be_meant_is_refused(running, source):
    wanted = {"sourceId": source["id"], "metadataId": "webhook", "settings": {"url": "https://example.com"}}
    destination = running.api("POST", "/destinations", wanted)["destination"]["id"]
    first, last = "2026-01-31T00:00:00Z", "2026-01-01T00:00:00Z"
    for wrong in (
        {"from": first, "to": last},
        {"from": first, "to": first},
        {"from": "yesterday"},
        {"from": "2026-01-01T00:00:00"},
        {"ratePerSecond": 0},
        {"ratePerSecond": 1e9},
        {"sourceId": 5},
    ):
        assert running.refused("POST", "/replay", {"destinationId": destination, **wrong})[0] == 422, wrong
    assert all(name != "replay" for name, _ in running.pipeline.asked)


def test_bodies_that_are_too_large_or_too_deep_are_refused(shared, bodies):
    large = json.dumps({"name": "x" * 300_000}).encode()
    most = {
        (method, re.sub(r"\{\w+\}", "x", operation.path)): operation.body_bytes_max
        for route in shared.routes
        if isinstance(route.endpoint, Door)
        for method, operation in route.endpoint.operations.items()
    }
    deep = b"[" * 1_000 + b"]" * 1_000
    for method, path, _, _ in bodies:
        if most[method, path] < len(large):
            assert shared.refused(method, path, large)[0] == 413, (method, path)
        assert shared.refused(method, path, deep)[0] == 422, (method, path)
        assert shared.refused(method, path, b"\xff{")[0] == 400, (method, path)
    assert shared.http("POST", "/sources", b"[" * 100_000)[0] in {400, 422}


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/latest", "https://127.0.0.1/", "https://[::1]/", "file:///etc/passwd", "//x"]
)
def test_a_notification_goes_to_no_private_address(shared, url):
    made = {"name": "Team", "kind": "webhook", "url": url}
    assert shared.refused("POST", "/alerts/channels", made)[0] == 422
