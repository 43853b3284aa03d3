"""Deny by default: every route of the program against every kind of credential; nothing that is refused changes.

The tables are made from the routes themselves: what is added later is tried, too, and a route that declares no role
fails here.
"""

import asyncio
import inspect
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import msgspec
import pytest
from plane import SECRET
from starlette.applications import Starlette

from headwater.app.rpc import serving as internal_of
from headwater.control import local_token
from headwater.control.api.door import Door
from headwater.control.live import Live
from headwater.control.models import Caller, Role
from headwater.control.pipeline import Pipeline
from headwater.control.scopes import FAMILIES
from headwater.control.tokens import LOCAL, PREFIX
from headwater.eventlog.contract import Topic
from headwater.web import app as pages
from headwater.web.access import Session
from headwater.web.visit import needs_of

OPEN_TO_ALL = {
    "/api/openapi.json",
    "/api/docs",
    "/static/{path:path}",
    "/favicon.ico",
    "/sign-in",
    "/set-up",
    "/invitation/{token}",
    "/sign-in/oidc",
    "/sign-in/oidc/back",
}
"""What nobody has to be signed in for; each is a decision of its own."""
OF_OPERATORS = {"/default/settings/workspace/new"}
"""Pages that need more than a role: only who set Headwater up, and the machine's own command line, make workspaces."""
BODIES = {"POST", "PUT", "PATCH"}
AGENT = ("127.0.0.1", "test")


class Answered(Exception):  # noqa: N818 - no error
    """The status is known; what a stream would still send is not waited for."""


async def ask(app, method, path, headers=None, body=b"", query=b""):
    """Return (status, headers) of one request to an ASGI app, without a network."""
    sent = [(name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
    if body:
        sent.append((b"content-length", str(len(body)).encode()))
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http"}
    scope |= {"path": path, "raw_path": path.encode(), "query_string": query, "root_path": "", "headers": sent}
    scope |= {"client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "state": {}}
    parts = [{"type": "http.request", "body": body, "more_body": False}]
    started = []

    async def receive():
        return parts.pop() if parts else {"type": "http.disconnect"}

    async def send(message):
        if message["type"] == "http.response.start":
            started.append(message)
            raise Answered

    try:
        await app(scope, receive, send)
    except* Answered:
        pass
    names = {name.decode(): value.decode("latin-1") for name, value in started[0]["headers"]}
    return started[0]["status"], names


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    from plane import starting

    with starting(tmp_path_factory.mktemp("table")) as started:
        running = started()
        control, workspace = running.control, running.workspace.id
        for slug in ("site", "shop"):
            control.sources.create(workspace, slug, "http-api")
        yield running


@pytest.fixture(scope="module")
def operations(plane):
    """Return (method, path with ids of real things, operation) of every operation."""
    source = plane.control.sources.get(plane.workspace.id, "site")
    hook = plane.control.destinations.create(
        plane.workspace.id, source.id, "webhook", name="Hook", settings={"url": "https://example.com"}
    )
    real = {"sourceId": "site", "destinationId": hook.id}
    found = []
    for route in plane.routes:
        if route.path in OPEN_TO_ALL:
            continue
        assert isinstance(route.endpoint, Door), f"{route.path} is no Door: it would be open"
        for method, operation in route.endpoint.operations.items():
            assert isinstance(operation.role, Role), f"{method} {route.path} declares no role"
            path = route.path.replace(":path}", "}")
            for name in route.param_convertors:
                path = path.replace("{" + name + "}", real.get(name, "x"))
            found.append((method, path, operation))
    return found


def bearer(token):
    return {"authorization": f"Bearer {token}", "content-type": "application/json"}


def trial(plane, tried):
    """Return [(what was tried, status)] for (method, path, headers, note); the configuration stays as it was."""
    app = Starlette(routes=plane.routes)
    before = plane.control.version()

    async def all_of_them():
        return [
            (note, (await ask(app, method, path, headers, b"{}" if method in BODIES else b""))[0])
            for method, path, headers, note in tried
        ]

    answers = asyncio.run(all_of_them())
    assert plane.control.version() == before
    return answers


def test_no_operation_answers_to_what_is_no_valid_token(plane, operations):
    control, workspace = plane.control, plane.workspace.id
    source = control.sources.get(workspace, "site")
    owner = plane.tokens["owner"]
    revoked, entry = control.tokens.create(workspace, "old")
    control.tokens.revoke(workspace, entry.id)
    expired, _ = control.tokens.create(workspace, "short", expires_at=datetime.now(UTC) + timedelta(seconds=0.05))
    leaver = control.users.add(workspace, "leaver@example.com", "Leaver", "owner")
    orphan, _ = control.tokens.create(
        workspace, "orphan", maker=Caller(workspace, Role.OWNER, "s", "Leaver", user_id=leaver.user.id)
    )
    control.users.add(workspace, "stays@example.com", "Stays", "owner")
    control.users.remove(workspace, leaver.user.id)
    cookie = control.sessions.open_for_token(entry.id, workspace, *AGENT)[0]
    time.sleep(0.06)  # the short-lived token has ended
    wrong = {
        "none": {},
        "malformed": {"authorization": owner},
        "another scheme": {"authorization": f"Basic {owner}"},
        "empty": bearer(""),
        "prefix only": bearer(PREFIX),
        "unknown": bearer(PREFIX + "x" * 43),
        "cut": bearer(owner[:-1]),
        "expired": bearer(expired),
        "revoked": bearer(revoked),
        "of a member who left": bearer(orphan),
        "write key": bearer(source.write_keys[0]),
        "another installation's": bearer(local_token.make(b"another key" * 4, datetime.now(UTC))),
        "a session": {"cookie": f"headwater={cookie}"},
        "a session's secret": bearer(cookie),
    }
    tried = [
        (method, path, headers, (kind, method, path))
        for method, path, _ in operations
        for kind, headers in wrong.items()
    ]
    assert len(tried) > 1_000
    assert [each for each in trial(plane, tried) if each[1] != 401] == []


def test_each_operation_needs_the_role_that_it_declares(plane, operations):
    tried = [
        (method, path, bearer(plane.tokens[role]), (role, operation.role, method, path))
        for method, path, operation in operations
        for role in Role
        if not role.includes(operation.role)
    ]
    assert {note[0] for *_, note in tried} == {Role.READ_ONLY, Role.SOURCE_ADMIN, Role.MEMBER}
    assert [each for each in trial(plane, tried) if each[1] != 403] == []


def test_each_operation_opens_to_the_role_that_it_declares(plane, operations):
    """The same table the other way round: without it, a door that refuses everybody would pass."""
    app = Starlette(routes=plane.routes)

    async def status(method, path, role):
        return (await ask(app, method, path, bearer(plane.tokens[role]), b'{"\\u0000": 1}'))[0]

    async def all_of_them():
        return [
            (method, path, operation.role)
            for method, path, operation in operations
            if method in {"GET", *BODIES} and await status(method, path, operation.role) in {401, 403}
        ]

    assert asyncio.run(all_of_them()) == []


def test_a_token_reaches_no_family_that_its_scopes_do_not_name(plane, operations):
    create = plane.control.tokens.create
    narrow = {family: create(plane.workspace.id, family, only=[f"{family}:write"])[0] for family in FAMILIES}
    reading = {family: create(plane.workspace.id, family, only=[f"{family}:read"])[0] for family in FAMILIES}
    tried = []
    for method, path, operation in operations:
        family, _, deed = operation.scope.partition(":")
        assert family in FAMILIES, f"{operation.scope} is missing in control/scopes.py"
        other = narrow["echo" if family != "echo" else "roles"]
        tried.append((method, path, bearer(other), ("another family", method, path)))
        if deed == "write":
            tried.append((method, path, bearer(reading[family]), ("reading only", method, path)))
    assert [each for each in trial(plane, tried) if each[1] != 403] == []


def test_a_source_admin_changes_no_other_source(plane, operations):
    of_shop, _ = plane.control.tokens.create(plane.workspace.id, "shop", "source-admin", source_ids=["shop"])
    of_site, _ = plane.control.tokens.create(plane.workspace.id, "site", "source-admin", source_ids=["site"])
    scoped = [each for each in operations if each[2].role is Role.SOURCE_ADMIN]
    tried = [(method, path, bearer(of_shop), (method, path)) for method, path, _ in scoped]
    foreign = trial(plane, tried)
    assert [each for each in foreign if each[1] not in {403, 404}] == []
    assert {status for (_, path), status in foreign if "site" in path or path == "/api/sources"} == {403}

    async def own():
        app = Starlette(routes=plane.routes)
        paths = [(method, path) for method, path, _ in scoped if "/sources/site" in path and method in BODIES]
        return [(await ask(app, method, path, bearer(of_site), b'{"x": 1}'))[0] for method, path in paths]

    assert set(asyncio.run(own())) == {422}  # let in, and then the body is refused


def test_the_ids_of_another_workspace_do_not_exist(plane, operations):
    """A token that belongs to a workspace that has nothing: whatever is named by id is 404."""
    from sqlalchemy import insert

    from headwater.control.database import changing, workspaces

    with changing(plane.control._engine) as connection:
        row = {"id": "other", "slug": "other", "name": "Other", "region": "us", "created_at": "2026-01-01T00:00:00Z"}
        connection.execute(insert(workspaces).values(row))
    owner = plane.control.tokens.create("other", "owner")[0]
    tried = [
        (method, path, bearer(owner), (method, path))
        for method, path, _ in operations
        if ("/site" in path or plane.control.destinations.all(plane.workspace.id)[0].id in path)
        and method in {"GET", "DELETE"}
    ]
    assert len(tried) > 15
    assert [each for each in trial(plane, tried) if each[1] != 404] == []


# -- pages ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(plane):
    """Return the routes of the pages, behind a sign-in."""
    return pages.build(
        plane.control,
        plane.volume,
        Live(plane.log),
        Live(plane.log, Topic.REJECTED),
        plane.pipeline,
        plane.asking,
        session_secret=SECRET,
        public_url="http://127.0.0.1",
        open_access=False,
        alerts=plane.alerts,
        seen=plane.seen,
    )


@pytest.fixture(scope="module")
def addresses(site):
    """Return (method, path, role) of every page and form that needs a session."""
    found = []
    for route in site:
        if route.path in OPEN_TO_ALL:
            continue
        needs = needs_of(route.endpoint)
        assert needs is not None, f"{route.path} declares no role and is not among those open to all"
        path = route.path.replace(":path}", "}").replace("{workspace}", "default").replace("{source}", "site")
        for name in route.param_convertors:
            path = path.replace("{" + name + "}", "x")
        found += [(method, path, needs) for method in sorted(route.methods - {"HEAD"})]
    return found


def signed_in(control, token_id, workspace_id):
    """Return the headers and the form's token of a session."""
    secret = control.sessions.open_for_token(token_id, workspace_id, *AGENT)[0]
    csrf = Session(Caller(workspace_id, Role.OWNER, token_id, ""), secret).csrf
    return {"cookie": f"headwater={secret}", "host": "127.0.0.1"}, csrf


def visits(site, tried, control):
    """Return [(note, status, location)] of (method, path, headers, csrf, note); the configuration stays as it was."""
    app, before = Starlette(routes=site), control.version()
    kind = {"content-type": "application/x-www-form-urlencoded"}

    async def all_of_them():
        found = []
        for method, path, headers, csrf, note in tried:
            form = urlencode({"csrf": csrf}).encode() if method == "POST" else b""
            status, answer = await ask(app, method, path, headers | kind, form)
            found.append((note, status, answer.get("location", "")))
        return found

    found = asyncio.run(all_of_them())
    assert control.version() == before
    return found


def test_no_page_opens_to_who_is_not_signed_in(plane, site, addresses):
    control, workspace = plane.control, plane.workspace.id
    token, entry = control.tokens.create(workspace, "gone")
    ended, csrf = signed_in(control, entry.id, workspace)
    control.tokens.revoke(workspace, entry.id)
    wrong = {
        "none": ({}, ""),
        "malformed": ({"cookie": "headwater=%00; headwater"}, ""),
        "unknown": ({"cookie": "headwater=" + "x" * 43}, ""),
        "too long": ({"cookie": "headwater=" + "x" * 10_000}, ""),
        "its token was revoked": (ended, csrf),
        "an API token": (bearer(plane.tokens["owner"]), ""),
        "an API token as cookie": ({"cookie": f"headwater={plane.tokens['owner']}"}, ""),
    }
    tried = [
        (method, path, {"host": "127.0.0.1", **headers}, csrf, (kind, method, path))
        for method, path, _ in addresses
        for kind, (headers, csrf) in wrong.items()
    ]
    assert token
    assert len(tried) > 400
    answers = visits(site, tried, control)
    assert [each for each in answers if not (each[1] == 303 and each[2].startswith("/sign-in"))] == []


def test_each_page_and_form_needs_the_role_that_it_declares(plane, site, addresses):
    control, workspace = plane.control, plane.workspace.id
    sessions = {}
    for role in Role:
        sessions[role] = signed_in(control, control.tokens.create(workspace, role, role)[1].id, workspace)
    weak = [
        (method, path, *sessions[role], (role, method, path))
        for method, path, needs in addresses
        for role in Role
        if not role.includes(needs)
    ]
    assert [each for each in visits(site, weak, control) if each[1] != 403] == []
    opened = [(method, path, *sessions[needs], (method, path)) for method, path, needs in addresses if method == "GET"]
    assert [each for each in visits(site, opened, control) if each[1] in {303, 403} and "sign-in" in each[2]] == []
    assert {path for (_, path), status, _ in visits(site, opened, control) if status == 403} == OF_OPERATORS
    operator = signed_in(control, LOCAL, workspace)
    made = [("GET", path, *operator, path) for path in OF_OPERATORS]
    assert [each[1] for each in visits(site, made, control)] == [200]


def test_a_source_admin_gets_no_form_of_another_source(plane, site, addresses):
    control, workspace = plane.control, plane.workspace.id
    made = control.tokens.create(workspace, "shop only", "source-admin", source_ids=["shop"])[1]
    session = signed_in(control, made.id, workspace)
    tried = [
        (method, path, *session, (method, path))
        for method, path, needs in addresses
        if needs is Role.SOURCE_ADMIN and (method == "POST" or "/new/" in path)
    ]
    answers = visits(site, tried, control)
    assert len(answers) > 10
    assert [each for each in answers if each[1] not in {403, 404}] == []
    assert {status for (_, path), status, _ in answers if "/site" in path} == {403}


def test_no_form_is_taken_without_its_sessions_token(plane, site, addresses):
    control, workspace = plane.control, plane.workspace.id
    owner = control.tokens.create(workspace, "forms")[1]
    mine, _ = signed_in(control, owner.id, workspace)
    _, others = signed_in(control, owner.id, workspace)
    tried = [
        (method, path, mine, csrf, (kind, path))
        for method, path, _ in addresses
        for kind, csrf in {"none": "", "another session's": others}.items()
        if method == "POST"
    ]
    crossed = [
        ("POST", path, mine | {"sec-fetch-site": "cross-site"}, "", ("cross-site", path))
        for method, path, _ in addresses
        if method == "POST"
    ]
    assert [each for each in visits(site, tried + crossed, control) if each[1] != 403] == []


# -- between the program's own processes ------------------------------------------------------------------------------


def test_no_internal_address_answers_to_anything_but_the_internal_token(plane):
    app = internal_of(plane.pipeline, "the internal token")
    names = [name for name, _ in inspect.getmembers(Pipeline, inspect.iscoroutinefunction)]
    assert len(names) > 20
    wrong = {
        "none": {},
        "an owner's token": bearer(plane.tokens["owner"]),
        "a local token": bearer(local_token.make(SECRET, datetime.now(UTC))),
        "cut": bearer("the internal toke"),
        "another scheme": {"authorization": "the internal token"},
    }

    async def all_of_them():
        return [
            (kind, name, (await ask(app, "POST", f"/internal/{name}", headers, b"{}"))[0])
            for name in names
            for kind, headers in wrong.items()
        ]

    asked = len(plane.pipeline.asked)
    assert [each for each in asyncio.run(all_of_them()) if each[2] != 404] == []
    assert len(plane.pipeline.asked) == asked
    body = msgspec.json.encode({})
    right, _ = asyncio.run(ask(app, "POST", "/internal/connections", bearer("the internal token"), body))
    assert right == 200
