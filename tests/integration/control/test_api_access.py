"""What stands before every operation; test_route_credentials.py tries each with every kind of credential."""

import http.client
import json
from urllib.parse import urlsplit

import pytest

from headwater.control.api.door import Door
from headwater.control.models import Role

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def table(running):
    """Return (method, path with made-up ids, operation) of every operation, from the routes themselves."""
    found = []
    for route in running.routes:
        if route.path == "/api/openapi.json":  # the description tells nothing of anybody
            continue
        assert isinstance(route.endpoint, Door), "a route that is no Door would be open"
        for method, operation in route.endpoint.operations.items():
            path = "/".join("x" if part.startswith("{") else part for part in route.path.split("/"))
            found.append((method, path.removeprefix("/api"), operation))
    return found


def test_a_token_counts_only_where_it_belongs(shared):
    owner = shared.tokens["owner"]
    assert shared.refused("GET", f"/sources?token={owner}&access_token={owner}", token="")[0] == 401
    for scheme in (f"Basic {owner}", owner, f"bearer{owner}", "Bearer", "Bearer "):
        assert shared.http("GET", "/sources", token="", headers={"authorization": scheme})[0] == 401
    assert shared.http("GET", "/sources", token="", headers={"authorization": f"bEARER  {owner} "})[0] == 200


def test_every_change_needs_more_than_reading(running):
    harmless = {"/query", "/queries/x", "/destination/filters/preview"}  # they ask, by POST, and end what asks
    assert not [
        (method, path)
        for method, path, operation in table(running)
        if method != "GET" and operation.role is Role.READ_ONLY and path not in harmless
    ]


def test_unknown_ids_are_not_found_everywhere(running):
    for method, path, operation in table(running):
        is_asked_whole = operation.body is None and not any(each.required for each in operation.query)
        if "x" in path.split("/") and method in {"GET", "DELETE"} and is_asked_whole:
            assert running.http(method, path)[0] == 404, (method, path)


@pytest.mark.parametrize("path", ["", "/", "/sources", "/nothing", "/sources/x/nothing", "/../control.db", "/%2e%2e/x"])
def test_every_method_of_every_address_asks_for_a_token_first(shared, path):
    for method in METHODS:
        parts = urlsplit(shared.url)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
        connection.request(method, f"/api{path}")
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        assert answer.status == 401, (method, path)
        assert answer.headers["www-authenticate"] == "Bearer"
        assert method == "HEAD" or json.loads(body)["errors"][0]["type"] == "unauthorized"
    assert shared.refused("PUT", "/sources", {})[:2] == (405, "method_not_allowed")
    assert shared.refused("GET", "/nothing")[:2] == (404, "not_found")


def test_write_keys_are_seen_by_those_who_may_change_their_source(running):
    create = running.control.tokens.create
    for slug in ("site", "shop"):
        running.control.sources.create(running.workspace.id, slug, "http-api")
    running.tokens["of site"] = create(running.workspace.id, "a", "source-admin", source_ids=["site"])[0]
    running.tokens["reading"] = create(running.workspace.id, "b", only=["sources:read"])[0]

    def keys(token):
        return [len(each["writeKeys"]) for each in running.api("GET", "/sources", token=token)["sources"]]

    assert {token: keys(token) for token in (*Role, "of site", "reading")} == {
        "read-only": [0, 0],
        "source-admin": [1, 1],
        "member": [1, 1],
        "owner": [1, 1],
        "of site": [1, 0],
        "reading": [0, 0],
    }


def test_a_source_admin_changes_what_is_theirs_by_id_slug_and_what_hangs_on_it(running):
    control, workspace = running.control, running.workspace.id
    site, shop = (control.sources.create(workspace, slug, "http-api") for slug in ("site", "shop"))
    hooks = [
        control.destinations.create(workspace, each.id, "webhook", name="Hook", settings={"url": "https://example.com"})
        for each in (site, shop)
    ]
    running.tokens["admin"] = control.tokens.create(workspace, "a", "source-admin", source_ids=["site"])[0]
    for key in ("site", site.id):
        assert running.api("PATCH", f"/sources/{key}", {"name": key[:20]}, token="admin")["source"]["name"] == key[:20]
    assert len(running.api("POST", "/sources/site/writekey", token="admin")["source"]["writeKeys"]) == 2
    assert running.api("PATCH", f"/destinations/{hooks[0].id}", {"name": "Mine"}, token="admin")
    for method, path, body in (
        ("PATCH", "/sources/shop", {"name": "Taken"}),
        ("PATCH", f"/sources/{shop.id}", {"name": "Taken"}),
        ("POST", "/sources/shop/writekey", None),
        ("PATCH", f"/destinations/{hooks[1].id}", {"name": "Taken"}),
        ("POST", "/sources", {"slug": "new", "enabled": True, "metadataId": "http-api"}),
        ("DELETE", "/sources/site", None),
        ("POST", "/destinations", {"sourceId": site.id, "metadataId": "webhook", "name": "n", "enabled": True}),
    ):
        assert running.refused(method, path, body, token="admin")[:2] == (403, "forbidden"), (method, path)
    assert running.refused("PATCH", "/sources/nothing", {"name": "x"}, token="admin")[:2] == (404, "not_found")
    assert control.sources.get(workspace, "shop").name == "shop"
    made = {"slug": "new", "enabled": True, "metadataId": "http-api"}
    assert running.api("POST", "/sources", made, token="source-admin")["source"]["slug"] == "new"


def test_a_source_admin_leads_events_to_no_source_that_is_not_theirs(running):
    control, workspace = running.control, running.workspace.id
    _, shop = (control.sources.create(workspace, slug, "http-api") for slug in ("site", "shop"))
    running.tokens["admin"] = control.tokens.create(workspace, "a", "source-admin", source_ids=["site"])[0]
    path, wanted = "/sources/site/settings", {"forwardingBlockedEventsTo": shop.id}
    assert running.refused("PATCH", path, wanted, token="admin")[:2] == (403, "forbidden")
    assert running.api("GET", path)["settings"]["forwardingBlockedEventsTo"] == ""
    running.api("PATCH", path, wanted, token="member")
    kept = running.api("PATCH", path, {**wanted, "track": {"allowUnplannedEvents": False}}, token="admin")
    assert kept["settings"]["forwardingBlockedEventsTo"] == shop.id
    assert running.api("PATCH", path, {"forwardingBlockedEventsTo": ""}, token="admin")
    assert running.refused("PATCH", path, {"forwardingBlockedEventsTo": "none"}, token="admin")[0] == 404
