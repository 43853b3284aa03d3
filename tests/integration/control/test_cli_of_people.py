"""Members, invitations and narrowed tokens from the shell."""

import json

import pytest
from test_cli_of_control import runner


@pytest.fixture
def run(running, tmp_path):
    return runner(running, tmp_path)


def test_members_and_invitations_are_managed_from_the_shell(running, run):
    control, workspace = running.control, running.workspace.id
    control.sources.create(workspace, "shop", "http-api")
    for name, role in (("olivia", "owner"), ("ann", "member")):
        control.users.add(workspace, f"{name}@example.com", name.title(), role)
    status, out, err = run("invites", "create", "ben@example.com", "--role", "source-admin", "--source", "shop")
    assert (status, "/invitation/hwi_" in out, "not shown again" in err) == (0, True, True)
    assert json.loads(run("invites", "list", "--json")[1])[0]["email"] == "ben@example.com"
    assert run("invites", "revoke", "ben@example.com")[0] == 0
    assert run("users", "set-role", "ann@example.com", "source-admin", "--source", "shop")[0] == 0
    assert "shop" in run("users", "list")[1]
    status, _, err = run("users", "remove", "olivia@example.com")
    assert (status, "last owner" in err) == (1, True)
    assert json.loads(run("users", "remove", "Ann", "--json")[1]) == {"status": "SUCCESS"}
    assert [each.user.name for each in control.users.all(workspace)] == ["Olivia"]


def test_a_token_is_narrowed_from_the_shell_and_tells_who_made_it(run):
    made = ("token", "create", "--name", "ci", "--role", "member", "--scope", "sources:read", "--data-dir", "here")
    told = json.loads(run(*made, "--expires", "90d", "--json")[1])
    assert (told["role"], told["scopes"], told["sourceIds"]) == ("member", ["sources:read"], None)
    assert told["createdBy"].startswith("command line (")
    assert told["expiresAt"] is not None
    for wrong, reason in (("sources:admin", "is no scope"), ("nothing", "is no scope")):
        status, _, err = run(*made[:-4], "--scope", wrong, "--data-dir", "here")
        assert (status, reason in err) == (1, True)
    assert run(*made, "--expires", "soon")[0] == 2
