from datetime import timedelta

import pytest

from headwater.control import local_token
from headwater.control.models import Role
from headwater.errors import ConflictError, InvalidRequestError, NotFoundError

KEY = b"k" * 32


def test_a_token_is_shown_once_and_only_its_hash_is_stored(control, workspace, tmp_path):
    token, entry = control.tokens.create(workspace.id, "ci", "member")
    caller = control.authenticate(token)
    assert (caller.workspace_id, caller.role, caller.token_id) == (workspace.id, Role.MEMBER, entry.id)
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("control.db*"))
    assert token.encode() not in stored
    assert token.removeprefix("hwt_").encode() not in stored
    assert token.startswith(entry.prefix)


def test_only_the_whole_token_is_accepted(control, workspace):
    token, _ = control.tokens.create(workspace.id, "ci")
    for wrong in ("", "hwt_", token[:-1], token[4:], f"{token}x", f" {token}", token.swapcase()):
        assert control.authenticate(wrong) is None
    assert control.authenticate(token) is not None


@pytest.mark.parametrize(
    "rubbish", ["hwl_", "hwl_1_2", "hwl_9999999999_aa_bb", "ÿ", "\ud800", "x" * 10_000, "hwl_é_é_é"]
)
def test_rubbish_is_nobody(control, rubbish):
    assert control.authenticate(rubbish) is None


def test_a_revoked_token_is_worthless_at_once(control, workspace):
    token, entry = control.tokens.create(workspace.id, "ci")
    assert control.tokens.is_valid(entry.id)
    control.tokens.revoke(workspace.id, "ci")
    assert control.authenticate(token) is None
    assert not control.tokens.is_valid(entry.id)
    assert control.tokens.all(workspace.id) == []
    with pytest.raises(NotFoundError):
        control.tokens.revoke(workspace.id, entry.id)


def test_a_name_that_two_tokens_have_revokes_neither(control, workspace):
    _, first = control.tokens.create(workspace.id, "ci")
    control.tokens.create(workspace.id, "ci")
    with pytest.raises(ConflictError):
        control.tokens.revoke(workspace.id, "ci")
    assert control.tokens.revoke(workspace.id, first.id) == first


def test_when_a_token_was_last_used_is_known_to_a_minute_without_waking_the_other_processes(control, workspace, clock):
    token, _ = control.tokens.create(workspace.id, "ci")
    before = control.version()
    control.authenticate(token)
    first = control.tokens.all(workspace.id)[0].last_used_at
    control.authenticate(token)
    assert control.tokens.all(workspace.id)[0].last_used_at == first
    clock.at += timedelta(minutes=2)
    control.authenticate(token)
    assert control.tokens.all(workspace.id)[0].last_used_at > first
    assert control.version() == before


def test_unknown_roles_are_refused(control, workspace):
    with pytest.raises(InvalidRequestError):
        control.tokens.create(workspace.id, "ci", "admin")


def test_who_holds_the_secret_key_is_an_owner_for_five_minutes(control, clock):
    token = local_token.make(KEY, clock())
    assert control.authenticate(token).role is Role.OWNER
    clock.at += timedelta(minutes=6)
    assert control.authenticate(token) is None
    assert control.authenticate(local_token.make(b"another key", clock())) is None
    assert control.authenticate(local_token.make(KEY, clock() + timedelta(days=1))) is None


def test_roles_include_those_below_them():
    assert [[role.includes(needed) for needed in Role] for role in Role] == [
        [True, False, False, False],
        [True, True, False, False],
        [True, True, True, False],
        [True, True, True, True],
    ]
