"""The pages Members and Access tokens, as a browser posts to them."""

import re
import urllib.error

import pytest


def csrf_of(html):
    return re.search(r'name="csrf" value="([^"]+)"', html)[1]


def test_somebody_is_invited_gets_another_role_and_is_removed(running, page):
    control, workspace = running.control, running.workspace.id
    site = control.sources.create(workspace, "site", "http-api")
    empty = page("/settings/members")
    assert "Nobody has an account yet" in empty
    form = {"csrf": csrf_of(empty), "role": "source-admin", f"source.{site.id}": "on"}
    told = page("/settings/members/invite", email="Ann@example.com", **form)
    secret = re.search(r"/invitation/(hwi_[\w-]+)", told)[1]
    assert secret not in page("/settings/members")
    (invitation,) = control.invites.all(workspace)
    assert (invitation.email, invitation.source_ids) == ("ann@example.com", {site.id})
    again = page(f"/settings/members/invitations/{invitation.id}/renew", csrf=form["csrf"])
    second = re.search(r"/invitation/(hwi_[\w-]+)", again)[1]
    assert (control.invites.find(secret), second != secret) == (None, True)
    ann = control.invites.accept(second, "<b>Ann</b>", None)
    listed = page("/settings/members")
    assert ("&lt;b&gt;Ann&lt;/b&gt;" in listed, "<b>Ann</b>" in listed) == (True, False)
    page(f"/settings/members/{ann}/role", csrf=form["csrf"], role="owner", **{f"source.{site.id}": "on"})
    assert (control.users.get(workspace, ann).role, control.users.get(workspace, ann).source_ids) == ("owner", None)
    with pytest.raises(urllib.error.HTTPError) as refused:
        page(f"/settings/members/{ann}/remove", csrf=form["csrf"])
    assert (refused.value.code, b"last owner" in refused.value.read()) == (409, True)
    control.users.add(workspace, "ben@example.com", "Ben", "owner")
    with pytest.raises(urllib.error.HTTPError) as unnamed:  # a source that was unticked is not all of them
        page(f"/settings/members/{ann}/role", csrf=form["csrf"], role="source-admin")
    assert (unnamed.value.code, control.users.get(workspace, ann).role) == (422, "owner")
    page(f"/settings/members/{ann}/role", csrf=form["csrf"], role="source-admin", every="on")
    assert (control.users.get(workspace, ann).role, control.users.get(workspace, ann).source_ids) == (
        "source-admin",
        None,
    )
    secret = control.sessions.open(ann, "127.0.0.1", "test")[0]
    page(f"/settings/members/{ann}/sessions", csrf=form["csrf"])
    assert control.sessions.find(secret) is None
    assert "Ann" not in page(f"/settings/members/{ann}/remove", csrf=form["csrf"])


def test_an_invitation_is_taken_back_and_a_wrong_address_is_told_beside_the_field(running, page):
    csrf = csrf_of(page("/settings/members"))
    with pytest.raises(urllib.error.HTTPError) as refused:
        page("/settings/members/invite", csrf=csrf, email="nobody", role="member")
    told = refused.value.read().decode()
    assert (refused.value.code, "This is no e-mail address" in told, 'value="nobody"' in told) == (422, True, True)
    page("/settings/members/invite", csrf=csrf, email="a@example.com", role="member")
    (invitation,) = running.control.invites.all(running.workspace.id)
    page(f"/settings/members/invitations/{invitation.id}/revoke", csrf=csrf)
    assert running.control.invites.all(running.workspace.id) == []


def test_a_token_is_shown_once_and_revoked(running, page):
    tokens, workspace = running.control.tokens, running.workspace.id
    csrf = csrf_of(page("/settings/tokens"))
    chosen = {"role": "member", "expires": "90", "scope.sources:write": "on"}
    told = page("/settings/tokens", csrf=csrf, name="ci", **chosen)
    secret = re.search(r'data-reveal="(hwt_[\w-]+)"', told)[1]
    assert running.control.authenticate(secret).scopes == {"sources:write"}
    (made,) = (each for each in tokens.all(workspace) if each.name == "ci")
    assert (made.expires_at - made.created_at).days in {89, 90}
    listed = page("/settings/tokens")
    assert (secret in listed, made.prefix in listed, "only sources:write" in listed) == (False, True, True)
    with pytest.raises(urllib.error.HTTPError) as refused:
        page("/settings/tokens", csrf=csrf, name="", **chosen)
    assert (refused.value.code, b"name is required" in refused.value.read()) == (422, True)
    page(f"/settings/tokens/{made.id}/revoke", csrf=csrf)
    assert running.control.authenticate(secret) is None
    with pytest.raises(urllib.error.HTTPError) as gone:
        page(f"/settings/tokens/{made.id}/revoke", csrf=csrf)
    assert gone.value.code == 404
