"""Members, roles, invitations and tokens over the API, in Segment's shapes."""

import urllib.request
from datetime import UTC, datetime

import pytest

from headwater.control.people.invites import Invites, Post
from headwater.errors import NotFoundError, RetryableError

OWNER_ROLE = "1WDUuRLxv84rrfCNUwvkrRtkxnS"


def test_roles_are_told_as_segment_does(shared):
    roles = shared.api("GET", "/roles", token="read-only")["roles"]
    assert [(each["id"], each["name"]) for each in roles] == [
        (OWNER_ROLE, "Workspace Owner"),
        ("member", "Workspace Member"),
        ("source-admin", "Source Admin"),
        ("read-only", "Source Read-only"),
    ]
    assert all(each["description"] for each in roles)


@pytest.fixture
def people(running):
    """Two owners and a member."""
    add, workspace = running.control.users.add, running.workspace.id
    return [
        add(workspace, f"{name}@example.com", name.title(), role).user
        for name, role in (("ann", "owner"), ("ben", "owner"), ("cal", "member"))
    ]


def test_permissions_are_replaced_and_added_to(running, people):
    control, workspace, cal = running.control, running.workspace.id, people[2]
    site, shop = (control.sources.create(workspace, slug, "http-api") for slug in ("site", "shop"))
    path = f"/users/{cal.id}/permissions"

    def of(*ids):
        return [{"roleId": "source-admin", "resources": [{"id": each, "type": "SOURCE"} for each in ids]}]

    changed = running.api("PUT", path, {"permissions": of("site")})["permissions"]
    resource = {"id": site.id, "type": "SOURCE", "labels": []}
    assert changed == [{"roleId": "source-admin", "roleName": "Source Admin", "resources": [resource]}]
    added = running.api("POST", path, {"permissions": of(shop.id)})["permissions"]
    assert {each["id"] for each in added[0]["resources"]} == {site.id, shop.id}
    whole = [{"id": workspace, "type": "WORKSPACE", "labels": []}]
    owner = {"roleId": OWNER_ROLE, "resources": [{"id": workspace, "type": "WORKSPACE"}]}
    assert running.api("POST", path, {"permissions": [owner]})["permissions"][0]["resources"] == whole
    user = running.api("GET", f"/users/{cal.id}", token="member")["user"]
    assert (user["email"], user["role"], user["sourceIds"]) == ("cal@example.com", "owner", None)


@pytest.fixture(scope="module")
def known(shared):
    """A member of the shared workspace."""
    return shared.control.users.add(shared.workspace.id, "dan@example.com", "Dan", "member").user


@pytest.mark.parametrize(
    ("permissions", "refusal"),
    [
        ([], (422, "invalid_field", "permissions")),
        ([{"roleId": "admin", "resources": []}], (422, "invalid_field", "roleId")),
        ([{"roleId": "member", "resources": [{"id": "site", "type": "SOURCE"}]}], (422, "invalid_field", "resources")),
        ([{"roleId": "member", "resources": [{"id": "x", "type": "SPACE"}]}], (422, "invalid_field", "resources")),
        ([{"roleId": "owner", "resources": [{"id": "x", "type": "WORKSPACE"}]}], (404, "not_found", None)),
        ([{"roleId": "source-admin", "resources": [{"id": "x", "type": "SOURCE"}]}], (404, "not_found", None)),
        ([{"roleId": "member", "labels": [{"key": "a", "value": "b"}]}], (422, "invalid_field", "labels")),
        ([{"roleId": "member", "isOperator": True}], (422, "unknown_field", "permissions[0].isOperator")),
    ],
)
def test_wrong_permissions_change_nothing(shared, known, permissions, refusal):
    before = shared.control.version()
    assert shared.refused("PUT", f"/users/{known.id}/permissions", {"permissions": permissions}) == refusal
    assert shared.control.version() == before


def test_members_are_removed_together_but_never_the_last_owner(running, people):
    ann, ben, cal = people
    for query in ("", "userIds=", "userIds=nobody", f"userIds={cal.id}&userIds=nobody"):
        assert running.refused("DELETE", f"/users?{query}")[0] in {404, 422}
    assert running.refused("DELETE", f"/users?userIds={ann.id}&userIds={ben.id}")[:2] == (409, "conflict")
    assert running.refused("PUT", "/users/nobody/permissions", {"permissions": [{"roleId": "member"}]})[0] == 404
    assert len(running.api("GET", "/users")["users"]) == 3
    assert running.api("DELETE", f"/users?userIds[0]={ann.id}&userIds[1]={cal.id}") == {"status": "SUCCESS"}
    assert [each["id"] for each in running.api("GET", "/users")["users"]] == [ben.id]
    demoted = {"permissions": [{"roleId": "member"}]}
    assert running.refused("PUT", f"/users/{ben.id}/permissions", demoted)[:2] == (409, "conflict")


def test_an_owner_ends_the_sessions_of_a_member(running, people):
    cal = people[2]
    secret, _ = running.control.sessions.open(cal.id, "127.0.0.1", "test")
    assert running.api("DELETE", f"/users/{cal.id}/sessions") == {"count": 1}
    assert running.control.sessions.find(secret) is None


def test_an_invitation_is_told_once_renewed_and_taken_back(running):
    control = running.control
    control.sources.create(running.workspace.id, "site", "http-api")
    permission = {"roleId": "source-admin", "resources": [{"id": "site", "type": "SOURCE"}]}
    wanted = {"email": "Dee@Example.com ", "permissions": [permission]}
    status, answer, _ = running.http("POST", "/invites", {"invites": [wanted, {"email": "eve@example.com"}]})
    assert (status, answer["data"]["emails"]) == (201, ["dee@example.com", "eve@example.com"])
    first = answer["data"]["invitations"][0]
    assert (first["role"], first["isMailed"], first["isExpired"]) == ("source-admin", False, False)
    secret = first["link"].rpartition("/invitation/")[2]
    listed = running.api("GET", "/invites")
    assert listed["invites"] == ["dee@example.com", "eve@example.com"]
    assert secret not in str(listed)
    renewed = running.api("POST", f"/invites/{first['id']}/renew")["invitation"]["link"].rpartition("/")[2]
    assert control.invites.find(secret) is None
    assert control.invites.find(renewed).email == "dee@example.com"
    assert running.api("DELETE", "/invites?emails=DEE@example.com") == {"status": "SUCCESS"}
    assert control.invites.find(renewed) is None
    assert running.refused("DELETE", "/invites?emails=dee@example.com")[:2] == (404, "not_found")
    assert running.refused("POST", f"/invites/{first['id']}/renew")[:2] == (404, "not_found")


@pytest.mark.usefixtures("people")
def test_an_invitation_lets_in_once_and_changes_nobody_who_is_here_already(running):
    control, workspace = running.control, running.workspace.id
    assert running.refused("POST", "/invites", {"invites": [{"email": "CAL@example.com"}]})[:2] == (409, "conflict")
    link = running.http("POST", "/invites", {"invites": [{"email": "new@example.com"}]})[1]["data"]["invitations"][0]
    secret = link["link"].rpartition("/")[2]
    user_id = control.invites.accept(secret, "New", "a hash")
    assert control.users.get(workspace, user_id).user.email == "new@example.com"
    assert control.invites.find(secret) is None
    with pytest.raises(NotFoundError, match="was used or has expired"):
        control.invites.accept(secret, "Again", "another hash")
    assert len(control.users.all(workspace)) == 4
    assert running.api("GET", "/invites")["invites"] == []


@pytest.mark.parametrize("email", ["", "no address", "a@b\r\nBcc: c@d.example", "x" * 300 + "@example.com"])
def test_nobody_is_invited_when_one_address_is_wrong(shared, email):
    body = {"invites": [{"email": "good@example.com"}, {"email": email}]}
    assert shared.refused("POST", "/invites", body) == (422, "invalid_field", "email")
    assert shared.api("GET", "/invites")["invites"] == []


class Mail:
    """Keeps what is sent, or refuses it."""

    def __init__(self, error=None):
        self.sent, self.error = [], error

    def send(self, recipients, subject, text):
        if self.error:
            raise self.error
        self.sent.append((list(recipients), subject, text))


@pytest.mark.parametrize("error", [None, RetryableError("The mail server does not answer.")])
def test_a_link_is_mailed_where_there_is_a_mail_server_and_shown_in_any_case(running, error):
    mailer = Mail(error)
    running.control.invites = Invites(
        running.control._engine, lambda: datetime.now(UTC), Post("https://hw.example/", mailer)
    )
    sent = running.http("POST", "/invites", {"invites": [{"email": "dee@example.com"}]})[1]["data"]["invitations"][0]
    assert sent["isMailed"] is (error is None)
    assert sent["link"].startswith("https://hw.example/invitation/hwi_")
    assert [(to, sent["link"] in text) for to, _, text in mailer.sent] == (
        [] if error else [(["dee@example.com"], True)]
    )


def test_a_token_is_made_shown_once_listed_and_revoked_at_once(running):
    body = {"name": "ci", "role": "member", "scopes": ["sources:read"], "expiresAt": "2030-01-31T08:00:00Z"}
    status, answer, headers = running.http("POST", "/tokens", body)
    made = answer["data"]["token"]
    assert (status, headers["cache-control"]) == (201, "no-store")
    assert (made["role"], made["scopes"], made["expiresAt"][:10]) == ("member", ["sources:read"], "2030-01-31")
    running.tokens["ci"] = made["secret"]
    assert running.api("GET", "/sources", token="ci")["sources"] == []
    assert running.refused("GET", "/destinations", token="ci")[:2] == (403, "forbidden")
    assert running.refused("POST", "/tokens", {"name": "x", "role": "read-only"}, token="ci")[:2] == (403, "forbidden")
    told = running.raw("GET", f"/tokens/{made['id']}")[1] + running.raw("GET", "/tokens")[1]
    assert made["secret"].encode() not in told
    assert made["prefix"].encode() in told
    assert running.api("DELETE", f"/tokens/{made['id']}") == {"status": "SUCCESS"}
    assert running.refused("GET", "/sources", token="ci")[:2] == (401, "unauthorized")
    for method in ("GET", "DELETE"):
        assert running.refused(method, f"/tokens/{made['id']}")[:2] == (404, "not_found")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"role": "admin"}, "role"),
        ({"name": " "}, "name"),
        ({"scopes": ["sources:admin"]}, "scopes"),
        ({"sourceIds": []}, "sourceIds"),
        ({"role": "source-admin", "sourceIds": []}, "sourceIds"),
        ({"expiresAt": "tomorrow"}, "expiresAt"),
        ({"expiresAt": "2030-01-31T08:00:00"}, "expiresAt"),
        ({"expiresAt": "2001-01-31T08:00:00Z"}, "expiresAt"),
        ({"userId": "somebody"}, "userId"),
        ({"workspaceId": "another"}, "workspaceId"),
        ({"secret": "mine"}, "secret"),
    ],
)
def test_a_token_that_is_asked_for_wrongly_is_not_made(shared, change, field):
    before = len(shared.control.tokens.all(shared.workspace.id))
    status, _, told = shared.refused("POST", "/tokens", {"name": "ci", "role": "member", **change})
    assert (status, told) == (422, field)
    assert len(shared.control.tokens.all(shared.workspace.id)) == before


def test_a_stream_ends_within_seconds_of_its_tokens_end(running):
    secret, entry = running.control.tokens.create(running.workspace.id, "tail", "read-only")
    request = urllib.request.Request(f"{running.url}/events/stream", headers={"authorization": f"Bearer {secret}"})
    with urllib.request.urlopen(request, timeout=10) as stream:
        assert stream.readline() == b": connected\n"
        running.control.tokens.revoke(running.workspace.id, entry.id)
        while stream.read1():  # ends, though nothing arrives: the socket's own deadline would raise
            pass
