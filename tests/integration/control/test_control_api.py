"""The Public API over real HTTP: Segment's shapes, strict requests, nothing without a token."""

import re
from urllib.parse import quote

import pytest

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
WEBHOOK = {"url": "https://example.com/hook", "secret": SECRET}


@pytest.fixture
def source(running):
    body = {"slug": "website", "enabled": True, "metadataId": "http-api"}
    return running.api("POST", "/sources", body)["source"]


@pytest.fixture
def destination(running, source):
    body = {"sourceId": source["id"], "metadataId": "webhook", "name": "Hook", "settings": WEBHOOK}
    return running.api("POST", "/destinations", body)["destination"]


def test_a_created_source_is_answered_as_segment_answers(running, source):
    assert re.fullmatch(r"[A-Za-z0-9]{22}", source["id"])
    assert (source["slug"], source["name"], source["enabled"]) == ("website", "website", True)
    assert source["workspaceId"] == running.workspace.id
    assert [len(key) for key in source["writeKeys"]] == [32]
    assert (source["settings"], source["labels"]) == ({}, [])
    metadata = source["metadata"]
    assert (metadata["slug"], metadata["name"], metadata["isCloudEventSource"]) == ("http-api", "HTTP API", False)
    assert set(metadata) >= {"id", "description", "logos", "options", "categories"}
    assert running.api("GET", f"/sources/{source['id']}")["source"] == source
    assert running.api("GET", "/sources/website")["source"] == source


def test_a_source_lives_from_create_to_delete(running, source):
    path = f"/sources/{source['id']}"
    changed = running.api("PATCH", path, {"enabled": False, "name": "Shop"})["source"]
    assert (changed["enabled"], changed["name"], changed["slug"]) == (False, "Shop", "website")
    keys = running.api("POST", f"{path}/writekey")["source"]["writeKeys"]
    assert len(keys) == 2
    assert running.api("DELETE", f"{path}/writekey/{keys[0]}")["source"]["writeKeys"] == keys[1:]
    assert running.refused("DELETE", f"{path}/writekey/{keys[1]}")[:2] == (409, "conflict")
    assert running.api("DELETE", path) == {"status": "SUCCESS"}
    assert running.refused("DELETE", path)[:2] == (404, "not_found")
    assert running.refused("GET", path)[:2] == (404, "not_found")


def test_a_destination_lives_from_create_to_delete_and_never_shows_its_secret(running, source, destination):
    assert destination["metadata"]["name"] == "Webhooks"
    assert destination["sourceId"] == source["id"]
    assert destination["settings"]["url"] == WEBHOOK["url"]
    path = f"/destinations/{destination['id']}"
    for answer in (
        running.http("GET", path),
        running.http("GET", "/destinations"),
        running.http("PATCH", path, {"settings": {"url": "https://example.com/2"}}),
        running.http("GET", f"/sources/{source['id']}/connected-destinations"),
    ):
        assert answer[0] == 200
        assert SECRET not in str(answer)
    assert running.control.snapshot().destinations[0].settings["secret"] == SECRET
    assert running.api("DELETE", path) == {"status": "SUCCESS"}
    assert running.refused("DELETE", path)[:2] == (404, "not_found")


def test_settings_are_tried_out_with_the_stored_secret_and_not_stored(running, destination):
    body = {"metadataId": "webhook", "settings": {"url": "https://example.com/try"}, "destinationId": destination["id"]}
    assert running.api("POST", "/destinations/test", body)["ok"] is True
    assert running.pipeline.asked[-1][1]["settings"] == {"url": "https://example.com/try", "secret": SECRET}
    assert running.control.snapshot().destinations[0].settings["url"] == WEBHOOK["url"]


def test_an_address_that_no_call_may_have_is_refused_by_name(running, source, destination):
    settings = {"url": "file:///etc/passwd"}
    expected = (422, "forbidden_url", "settings.url")
    body = {"sourceId": source["id"], "metadataId": "webhook", "settings": settings}
    assert running.refused("POST", "/destinations", body) == expected
    assert running.refused("PATCH", f"/destinations/{destination['id']}", {"settings": settings}) == expected


def test_warehouses_are_listed_renamed_connected_and_synced(running, source):
    (warehouse,) = running.api("GET", "/warehouses")["warehouses"]
    path = f"/warehouses/{warehouse['id']}"
    assert running.api("PATCH", path, {"settings": {"name": "Main store"}})["warehouse"]["name"] == "Main store"
    assert [each["id"] for each in running.api("GET", f"{path}/connected-sources")["sources"]] == [source["id"]]
    pair = f"{path}/connected-sources/{source['id']}"
    assert running.api("DELETE", pair) == {"status": "SUCCESS"}
    assert running.api("GET", f"/sources/{source['id']}/connected-warehouses")["warehouses"] == []
    assert running.api("POST", pair) == {"status": "CONNECTED"}
    running.api("POST", f"{path}/sync", {"wait": True})
    assert running.pipeline.asked[-1] == ("sync", {"warehouse_id": warehouse["id"], "wait": True})
    assert running.api("GET", f"{path}/syncs")["reports"] == []


@pytest.mark.parametrize("apart", [False, True])
def test_t170_a_new_source_is_loaded_into_every_warehouse_unless_it_is_kept_apart(running, apart):
    body = {"slug": "website", "enabled": True, "metadataId": "http-api", "disconnectAllWarehouses": apart}
    source = running.api("POST", "/sources", body)["source"]
    assert len(source["writeKeys"]) == 1
    everything = {each["id"] for each in running.api("GET", "/warehouses")["warehouses"]}
    joined = {each["id"] for each in running.api("GET", f"/sources/{source['id']}/connected-warehouses")["warehouses"]}
    assert everything
    assert joined == (set() if apart else everything)


def test_the_workspace_the_echo_and_the_catalog(running):
    assert running.api("GET", "/")["workspace"]["slug"] == "default"
    assert running.api("GET", "")["workspace"]["region"] == "us"
    echo = running.api("GET", "/echo?message=hello")
    assert (echo["method"], echo["message"]) == ("get", "hello")
    assert "authorization" not in echo["headers"]
    catalog = running.api("GET", "/catalog/sources")["sourcesCatalog"]
    email = next(each for each in catalog if each["slug"] == "activecampaign")
    assert (email["id"], email["regions"], email["available"]) == ("XE0vf1bTDh", ["us"], True)
    assert running.api("GET", "/catalog/sources/XE0vf1bTDh")["sourceMetadata"] == email
    hook = running.api("GET", "/catalog/destinations/webhook")["destinationMetadata"]
    options = {each["name"]: each for each in hook["options"]}
    assert (options["url"]["required"], options["secret"]["required"], options["secret"]["secret"]) == (
        True,
        False,
        True,
    )
    kinds = {each["slug"] for each in running.api("GET", "/catalog/warehouses")["warehousesCatalog"]}
    assert "embedded" in kinds


def test_the_webhook_secret_is_shown_only_when_it_is_made(running):
    body = {"slug": "activecampaign", "enabled": True, "metadataId": "activecampaign"}
    source = running.api("POST", "/sources", body)["source"]
    old = running.control.snapshot().sources[0].webhook_secret
    assert old not in str(source)
    path = running.api("POST", f"/sources/{source['id']}/webhook-secret")["webhookPath"]
    new = running.control.snapshot().sources[0].webhook_secret
    assert path == f"/webhooks/activecampaign/{new}"
    assert new != old
    assert new not in str(running.http("GET", "/sources"))


def test_a_list_is_read_page_by_page_and_a_cursor_fits_only_its_list(running):
    for number in range(5):
        running.control.sources.create(running.workspace.id, f"s{number}", "http-api")
    first = running.api("GET", "/sources?pagination.count=2")
    assert [each["slug"] for each in first["sources"]] == ["s0", "s1"]
    cursor = first["pagination"]["next"]
    running.control.sources.delete(running.workspace.id, "s1")
    running.control.sources.delete(running.workspace.id, "s2")
    second = running.api("GET", f"/sources?pagination[count]=2&pagination[cursor]={cursor}")
    assert [each["slug"] for each in second["sources"]] == ["s3", "s4"]
    assert "next" not in second["pagination"]
    for wrong in (cursor[:-2], cursor[::-1], "x", "%00", "A" * 500):
        expected = (422, "invalid_field", "pagination.cursor")
        assert running.refused("GET", f"/sources?pagination.cursor={wrong}") == expected
    assert running.refused("GET", f"/warehouses?pagination.cursor={cursor}")[0] == 422


@pytest.mark.parametrize("count", ["0", "-1", "1000000000", "all", "1.5", "٣", "1e3", "%20"])
def test_a_page_size_that_is_no_page_size_is_refused(shared, count):
    answer = shared.refused("GET", f"/sources?pagination.count={quote(count, safe='%')}")
    assert answer == (422, "invalid_field", "pagination.count")


def test_segments_media_type_is_answered_to_those_who_ask_for_it(running):
    segment = "application/vnd.segment.v1+json"
    body = b'{"slug":"site","enabled":true,"metadataId":"http-api"}'
    made = running.http("POST", "/sources", body, headers={"content-type": segment, "accept": segment})
    assert (made[0], made[2]["content-type"]) == (200, segment)
    alpha = "application/vnd.segment.v1alpha+json"
    assert running.http("GET", "/nothing", headers={"accept": alpha})[2]["content-type"] == alpha
    assert running.http("GET", "/sources", headers={"accept": "text/html"})[2]["content-type"] == "application/json"
    assert running.http("GET", "/sources")[2]["cache-control"] == "no-store"


CREATE = {"slug": "site", "enabled": True, "metadataId": "http-api"}
UNKNOWN = [{**CREATE, name: "x"} for name in ("role", "workspaceId", "id", "createdAt", "verified", "writeKeys")]
BAD_BODIES = [
    *[(body, 422, "unknown_field") for body in UNKNOWN],
    ({**CREATE, "slug": None}, 422, "invalid_field"),
    ({**CREATE, "slug": 7}, 422, "invalid_field"),
    ({**CREATE, "enabled": "yes"}, 422, "invalid_field"),
    ({**CREATE, "settings": []}, 422, "invalid_field"),
    ({**CREATE, "settings": {"x": 1}}, 422, "invalid_field"),
    ({**CREATE, "name": "<b>\u202e"}, 422, "invalid_field"),
    ({**CREATE, "name": "n" * 10_000}, 422, "invalid_field"),
    ({**CREATE, "slug": "public"}, 422, "invalid_field"),
    ({**CREATE, "metadataId": "nothing"}, 404, "not_found"),
    ({}, 422, "invalid_field"),
    ([], 422, "invalid_field"),
    (b"null", 422, "invalid_field"),
    (b"", 400, "malformed_json"),
    (b"{", 400, "malformed_json"),
    (b"\xff\xfe", 400, "malformed_json"),
    (b'{"slug":"a","slug":"b","enabled":true,"metadataId":"http-api"}', 422, "invalid_field"),
    (b'{"slug":"a","enabled":true,"metadataId":"http-api","settings":{"a":1,"a":2}}', 422, "invalid_field"),
    (b'{"slug":"\\ud800","enabled":true,"metadataId":"http-api"}', 400, "malformed_json"),
    (
        b'{"slug":"a","enabled":true,"metadataId":"http-api","settings":' + b'{"a":' * 1_000 + b"1" + b"}" * 1_001,
        422,
        "",
    ),
    (b'{"slug":"' + b"a" * 300_000 + b'"}', 413, "too_large"),
]


@pytest.mark.parametrize(("body", "status", "kind"), BAD_BODIES, ids=range(len(BAD_BODIES)))
def test_a_wrong_body_is_refused_by_name_and_changes_nothing(shared, body, status, kind):
    before = shared.control.version()
    answer = shared.refused("POST", "/sources", body)
    assert answer[0] == status
    assert answer[1] == kind or not kind
    assert shared.control.version() == before


@pytest.mark.parametrize(
    ("body", "status"),
    [({}, 422), ({"name": None}, 422), ({"enabled": 1}, 422), ({"id": "x"}, 422), ({"slug": "other"}, 422), ([1], 422)],
)
def test_a_wrong_change_is_refused(running, source, body, status):
    assert running.refused("PATCH", f"/sources/{source['id']}", body)[0] == status
    assert running.api("GET", f"/sources/{source['id']}")["source"] == source


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
)
def test_only_uncompressed_json_is_taken(shared, headers):
    body = b'{"slug":"site","enabled":true,"metadataId":"http-api"}'
    assert shared.refused("POST", "/sources", body, headers=headers)[:2] == (415, "unsupported_media_type")
    assert shared.api("GET", "/sources")["sources"] == []


def test_method_overrides_are_ignored(running, source):
    headers = {"x-http-method-override": "DELETE", "x-method-override": "DELETE"}
    assert running.http("GET", f"/sources/{source['id']}?_method=DELETE", headers=headers)[0] == 200
    assert running.http("GET", f"/sources/{source['id']}")[0] == 200


def test_a_taken_slug_is_a_conflict(running, source):
    assert running.refused("POST", "/sources", CREATE | {"slug": source["slug"]})[:2] == (409, "conflict")


def test_a_pipeline_that_does_not_answer_is_told_as_unavailable(running):
    running.pipeline.is_down = True
    status, answer, headers = running.http("GET", "/connections")
    assert (status, answer["errors"][0]["type"], headers["retry-after"]) == (503, "unavailable", "1")


def test_a_source_type_outside_its_region_is_forbidden_and_the_catalog_says_why(start):
    eu = start("eu")
    body = {"slug": "activecampaign", "enabled": True, "metadataId": "activecampaign"}
    assert eu.refused("POST", "/sources", body)[:2] == (403, "forbidden")
    catalog = eu.api("GET", "/catalog/sources/activecampaign")["sourceMetadata"]
    assert catalog["available"] is False
    assert "US" in catalog["unavailableReason"]
    assert eu.api("POST", "/sources", CREATE)["source"]["regionAllowed"] is True
