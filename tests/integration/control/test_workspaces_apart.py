"""What belongs to one workspace does not exist for another: a table made from the routes of the API and the pages."""

import asyncio
import json
import re
import urllib.error
import urllib.request

import pytest
from plane import SECRET, serving, starting
from two_workspaces import CANARY, at_work, build, received

from headwater.control.api.door import Door
from headwater.control.api.examples import example_of
from headwater.control.live import Live
from headwater.control.workspaces import RESERVED
from headwater.eventlog.contract import Topic
from headwater.web import app as pages

OF_NOBODY = "nobodysIdAtAllInThisPlane"
OWN = {"metadataId", "key", "value"}  # of the catalog, which all share; words of labels
IN_BODIES = {
    "sourceId": "sourceId",
    "destinationId": "destinationId",
    "warehouseId": "warehouseId",
    "functionId": "functionId",
    "integrationId": "destinationId",
    "subjectId": "sourceId",
    "channelIds": "channelId",
    "sourceIds": "sourceId",
    "versionId": "versionId",
    "ids": "deadLetterId",
}
IN_QUERIES = {
    "sourceId": "sourceId",
    "destinationId": "destinationId",
    "functionId": "functionId",
    "fromSource": "sourceId",
    "resourceId": "sourceId",
    "userIds": "userId",
}
NO_IDS = {"messageId", "userId", "id", "metadataId", "actionId", "subjectIds", "userIds", "anonymousIds"}
"""Members of bodies whose values are no ids of ours, or only the caller's own."""


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    with starting(tmp_path_factory.mktemp("apart")) as started:
        running = started()
        first, second = build(running, "default", "plain"), build(running, "shop", CANARY)
        at_work(running, first, second)
        asyncio.run(received(running, first, second))
        yield running, first, second


def operations(running):
    """Return every operation but the streams, which do not end."""
    doors = [route.endpoint for route in running.routes if isinstance(route.endpoint, Door)]
    found = [each for door in doors for each in door.operations.values()]
    return [each for each in found if not each.path.endswith("/stream")]


def parameters(operation):
    return [each for each in re.findall(r"{(\w+)", operation.path) if each not in OWN]


def filled(operation, ids):
    return re.sub(r"{(\w+)[^}]*}", lambda found: str(ids.get(found.group(1), "http-api")), operation.path)


def body_of(operation, ids=None):
    """Return a body that the operation's model takes, with these ids where it names things."""
    if operation.body is None:
        return None
    body = example_of(operation.body)
    for member, name in IN_BODIES.items():
        if (
            ids is not None
            and member in operation.body.__struct_encode_fields__
            and (member in body or member != "ids")
        ):
            body[member] = [ids[name]] if member.endswith("ds") else ids[name]
    return body


def told(running, world, operation, path, body):
    """Return status and answer, with what differs from call to call taken out."""
    status, answer, _ = running.raw(operation.method, path, body, token=world.token)
    return status, answer.decode("utf-8", "replace")


def seen(world, answer):
    return sorted(mark for mark in world.marks() if mark.lower() in answer.lower())


def the_state(running, world):
    """Return everything that is configured in a workspace."""
    snapshot = running.control.snapshot()
    mine = [
        each
        for family in (
            "sources",
            "destinations",
            "warehouses",
            "accounts",
            "filters",
            "subscriptions",
            "functions",
            "inserts",
        )
        for each in getattr(snapshot, family)
        if each.workspace_id == world.workspace.id
    ]
    others = running.control.tokens.all(world.workspace.id), running.control.users.all(world.workspace.id)
    return mine, [each.id for each in others[0]], others[1], running.control.workspaces.get(world.workspace.id)


def test_what_is_named_by_anothers_id_is_as_if_it_did_not_exist(both):
    running, first, second = both
    before, version = the_state(running, second), running.control.version()
    running.pipeline.asked.clear()
    nobody = dict.fromkeys(second.ids, OF_NOBODY)
    checked = refused_otherwise = 0
    for operation in operations(running):
        names = parameters(operation)
        assert set(names) <= set(second.ids), (operation.path, "the table does not know this id")
        for position in range(len(names)):
            own, foreign = dict(first.ids), dict(first.ids)
            for name in names[position:]:
                own[name], foreign[name] = nobody[name], second.ids[name]
            body = body_of(operation, first.ids)
            status, answer = told(running, first, operation, filled(operation, foreign), body)
            as_nobodys = told(running, first, operation, filled(operation, own), body)
            assert status == as_nobodys[0] != 200, (operation.method, filled(operation, foreign), answer)
            is_asked_more = operation.body is not None or any(each.required for each in operation.query)
            assert status == 404 or (status in {409, 422} and is_asked_more), (operation.path, status, answer)
            refused_otherwise += status != 404
            assert not [mark for mark in seen(second, answer) if mark not in foreign.values()], (operation.path, answer)
            checked += 1
    assert checked > 100
    assert refused_otherwise < checked / 5, "too many stumble over their body before an id is looked up"
    assert the_state(running, second) == before
    assert running.control.version() == version
    ordered = json.dumps(running.pipeline.asked, default=str)
    assert not seen(second, ordered), ordered


def test_what_a_body_or_a_query_names_is_the_workspaces_own(both):
    running, first, second = both
    before = the_state(running, second)
    checked = 0
    for operation in operations(running):
        if operation.method == "DELETE" and operation.path == "/users":
            continue  # it names members by id: `test_members_of_others_are_nobody`
        members = operation.body.__struct_encode_fields__ if operation.body else ()
        named = [each for each in members if re.search(r"[iI]ds?$", each)]
        assert set(named) <= set(IN_BODIES) | NO_IDS, (operation.path, "the table does not know this member")
        for member in set(named) & set(IN_BODIES):
            checked += 1
            for world in (second, None):
                ids = {**first.ids, IN_BODIES[member]: world.ids[IN_BODIES[member]] if world else OF_NOBODY}
                body = body_of(operation, first.ids)
                if member not in body:
                    body = {member: None} | body
                value = ids[IN_BODIES[member]]
                body[member] = [value] if member.endswith("ds") else value
                if "ids" in body and member != "ids":
                    del body["ids"]
                status, answer = told(running, first, operation, filled(operation, first.ids), body)
                assert status >= 400, (operation.path, member, answer)
                assert not [mark for mark in seen(second, answer) if mark != value], (operation.path, member, answer)
                if world is second:
                    foreign = status
            assert foreign == status, (operation.path, member)
        for query in operation.query:
            if query.name in IN_QUERIES:
                checked += 1
                value = second.ids[IN_QUERIES[query.name]]
                path = f"{filled(operation, first.ids)}?{query.name}={value}"
                _, answer = told(running, first, operation, path, body_of(operation, first.ids))
                assert not [mark for mark in seen(second, answer) if mark != value], (path, answer)
    assert checked > 20
    assert the_state(running, second) == before


def test_lists_and_figures_hold_nothing_of_another(both):
    running, first, second = both
    asked = [each for each in operations(running) if each.method == "GET"]
    hit = set()
    for operation in asked:
        for world, other in ((first, second), (second, first)):
            status, answer = told(running, world, operation, filled(operation, world.ids), None)
            assert status in {200, 404, 422}, (operation.path, answer)
            if world is first:
                assert not seen(other, answer), (operation.path, seen(other, answer))
            elif CANARY.lower() in answer.lower():
                hit.add(operation.path)
    assert len(hit) > 25, "the canary has to be where it can be seen"


def test_the_header_chooses_a_workspace_only_for_the_machines_own_token(both):
    running, first, second = both
    named = {"Headwater-Workspace": "shop"}
    assert running.http("GET", "/sources", token=first.token, headers=named)[0] == 401
    assert running.http("GET", "/sources", token=second.token, headers=named)[0] == 200
    assert running.http("GET", "/sources", token="wrong", headers=named)[0] == 401
    assert [each["slug"] for each in running.api("GET", "/workspaces", token=first.token)["workspaces"]] == ["default"]


def test_pages_of_another_workspace_are_not_found_and_own_pages_hold_nothing_of_it(both):
    running, first, second = both
    routes = pages.build(
        running.control,
        running.volume,
        Live(running.log),
        Live(running.log, Topic.REJECTED),
        running.pipeline,
        running.asking,
        session_secret=SECRET,
        public_url="http://127.0.0.1",
        open_access=False,
        alerts=running.alerts,
        seen=running.seen,
    )
    words = {each.path.split("/")[1] for each in routes} - {"", "{workspace}", "favicon.ico"}
    assert words <= RESERVED
    secret, _ = running.control.sessions.open(first.user_id, "127.0.0.1", "test")
    addresses = [
        each.path
        for each in routes
        if each.path.startswith("/{workspace}") and "GET" in (each.methods or {"GET"}) and "stream" not in each.path
    ]
    by_page = {"source": "sourceId", "destination": "destinationId", "warehouse": "warehouseId", "user": "userId"}
    by_page |= {"letter": "deadLetterId", "filter": "filterId", "subscription": "subscriptionId", "replay": "replayId"}

    def of(address, world, slug):
        ids = {name: world.ids[key] for name, key in by_page.items()}
        return re.sub(
            r"{(\w+)[^}]*}",
            lambda found: slug if found.group(1) == "workspace" else str(ids.get(found.group(1), "x")),
            address,
        )

    with serving(routes) as url:

        def page(path):
            request = urllib.request.Request(url.removesuffix("/api") + path, headers={"cookie": f"headwater={secret}"})
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                return error.code, error.read().decode()

        for address in addresses:
            status, body = page(of(address, second, "shop"))
            assert (status, seen(second, body)) == (404, []), address
            status, body = page(of(address, second, "default"))
            own = status, seen(second, body)
            assert not [mark for mark in own[1] if mark not in second.ids.values()], (address, own)
            if any(f"{{{name}" in address for name in by_page):
                assert status == 404, address
            status, body = page(of(address, first, "default"))
            assert not seen(second, body), (address, seen(second, body))
            assert status < 500, address
