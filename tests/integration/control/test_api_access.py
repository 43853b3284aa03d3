"""Deny by default: every route of the table against every kind of credential."""

import http.client
import json
from urllib.parse import urlsplit

import pytest

from headwater.control import local_token
from headwater.control.api.door import Door
from headwater.control.models import Role

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def table(running):
    """Return (method, path with made-up ids, role) of every operation, from the routes themselves."""
    found = []
    for route in running.routes:
        if route.path == "/api/openapi.json":  # the description tells nothing of anybody
            continue
        assert isinstance(route.endpoint, Door), "a route that is no Door would be open"
        for method, operation in route.endpoint.operations.items():
            path = "/".join("x" if part.startswith("{") else part for part in route.path.split("/"))
            found.append((method, path.removeprefix("/api"), operation.role))
    return found


def test_nothing_is_told_to_those_without_a_valid_token(running, clock_now):
    source = running.control.sources.create(running.workspace.id, "site", "http-api")
    revoked, entry = running.control.tokens.create(running.workspace.id, "old")
    running.control.tokens.revoke(running.workspace.id, entry.id)
    foreign = local_token.make(b"the key of another installation", clock_now)
    wrong = ["", "hwt_", "hwt_" + "x" * 43, source.write_keys[0], revoked, foreign, running.tokens["owner"] + "x"]
    for method, path, _ in table(running):
        for token in wrong:
            body = {} if method in {"POST", "PATCH"} else None
            assert running.refused(method, path, body, token=token)[:2] == (401, "unauthorized"), (method, path)
    owner = running.tokens["owner"]
    assert running.refused("GET", f"/sources?token={owner}&access_token={owner}", token="")[0] == 401
    for scheme in (f"Basic {owner}", owner, f"bearer{owner}", "Bearer", "Bearer "):
        assert running.http("GET", "/sources", token="", headers={"authorization": scheme})[0] == 401


def test_a_role_that_is_too_low_is_forbidden_before_the_body_is_looked_at(running):
    for method, path, needed in table(running):
        for role in Role:
            status, *_ = (
                running.http(method, path, {"x": 1} if method in {"POST", "PATCH"} else None, token=role)
                if ("stream" not in path)
                else (200,)
            )
            assert (status == 403) == (not role.includes(needed)), (method, path, role)
            assert status < 500, (method, path, role)


def test_every_change_needs_more_than_reading(running):
    harmless = {"/query", "/queries/x", "/destination/filters/preview"}  # they ask, by POST, and end what asks
    assert not [
        (method, path)
        for method, path, role in table(running)
        if method != "GET" and role is Role.READ_ONLY and path not in harmless
    ]


def test_unknown_ids_are_not_found_everywhere(running):
    for method, path, _ in table(running):
        if "x" in path.split("/") and method in {"GET", "DELETE"}:
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


def test_who_may_only_read_sees_no_write_key(running):
    running.control.sources.create(running.workspace.id, "site", "http-api")
    assert running.api("GET", "/sources", token="read-only")["sources"][0]["writeKeys"] == []
    assert len(running.api("GET", "/sources", token="member")["sources"][0]["writeKeys"]) == 1
