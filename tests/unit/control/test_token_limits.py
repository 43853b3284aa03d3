"""What narrows a token: time, scopes, sources, and what its maker may do themselves."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.control import scopes
from headwater.control.acting import Actor, Kind, acting
from headwater.control.grants import Grant
from headwater.control.models import Caller, Role
from headwater.errors import ForbiddenError, InvalidRequestError, NotFoundError

SOURCES = st.none() | st.frozensets(st.sampled_from("abc"))
GRANTS = st.builds(
    lambda role, ids: Grant(role, ids if role is Role.SOURCE_ADMIN else None), st.sampled_from(Role), SOURCES
)
NARROWED = st.frozensets(st.sampled_from(sorted(scopes.SCOPES)), max_size=4)


def may(grant, needed, source):
    return Caller("w", grant.role, "t", "", source_ids=grant.source_ids).may(needed, "sources:write", source)


@given(GRANTS, GRANTS, st.sampled_from(Role), st.sampled_from(["", "a", "b", "z"]))
def test_what_is_within_is_what_both_may_and_what_is_beside_no_more_than_either(one, other, needed, source):
    both = may(one, needed, source) and may(other, needed, source)
    either = may(one, needed, source) or may(other, needed, source)
    assert may(one.within(other), needed, source) is both
    assert may(one.beside(other), needed, source) is either


@given(NARROWED, NARROWED)
def test_scopes_cover_what_they_open(held, wanted):
    def opens(narrowed):
        caller = Caller("w", Role.OWNER, "t", "", scopes=narrowed)
        return {scope for scope in scopes.SCOPES if caller.may(Role.READ_ONLY, scope)}

    assert scopes.covers(held, wanted) is (opens(wanted) <= opens(held))


def test_a_token_ends_when_its_time_is_up(control, workspace, clock):
    ends = clock() + timedelta(days=90)
    token, entry = control.tokens.create(workspace.id, "ci", expires_at=ends)
    clock.at = ends - timedelta(minutes=1)
    assert control.authenticate(token) is not None
    clock.at = ends
    assert control.authenticate(token) is None
    assert not control.tokens.is_valid(entry.id)
    assert control.tokens.caller(entry.id) is None
    assert [each.expires_at for each in control.tokens.all(workspace.id)] == [ends]


def test_an_end_lies_ahead_and_within_ten_years(control, workspace, clock):
    for away in (timedelta(0), timedelta(seconds=-1), timedelta(days=3_651)):
        with pytest.raises(InvalidRequestError, match="expiresAt"):
            control.tokens.create(workspace.id, "ci", expires_at=clock() + away)
    assert control.tokens.all(workspace.id) == []


def test_only_known_scopes_and_sources_are_taken(control, workspace):
    for wrong in ("sources", "sources:delete", "nothing:read", "*", ""):
        with pytest.raises(InvalidRequestError, match="is no scope"):
            control.tokens.create(workspace.id, "ci", only=[wrong])
    with pytest.raises(NotFoundError):
        control.tokens.create(workspace.id, "ci", "source-admin", source_ids=["nothing"])
    control.sources.create(workspace.id, "site", "http-api")
    for role in ("owner", "member", "read-only"):
        with pytest.raises(InvalidRequestError):
            control.tokens.create(workspace.id, "ci", role, source_ids=["site"])
    assert control.tokens.all(workspace.id) == []


def test_a_token_is_worth_what_its_maker_may_and_ends_with_their_membership(control, workspace, clock):
    control.users.add(workspace.id, "first@example.com", "First", "owner")
    user = control.users.add(workspace.id, "ann@example.com", "Ann", "owner").user
    site = control.sources.create(workspace.id, "site", "http-api")
    control.sources.create(workspace.id, "shop", "http-api")
    maker = Caller(workspace.id, Role.OWNER, "session", "Ann", user_id=user.id, email=user.email)
    with acting(Actor(Kind.USER, user.id, user.name, user.email)):
        token, entry = control.tokens.create(workspace.id, "ci", maker=maker)
    assert (entry.user_id, entry.created_by) == (user.id, "ann@example.com")
    assert control.authenticate(token).role is Role.OWNER
    control.users.set_role(workspace.id, user.id, "source-admin", ["site"])
    caller = control.authenticate(token)
    assert (caller.role, caller.source_ids) == (Role.SOURCE_ADMIN, {site.id})
    control.users.remove(workspace.id, user.id)
    assert control.authenticate(token) is None
    clock.at += timedelta(minutes=1)
    control.users.add(workspace.id, "ann@example.com", "Ann", "owner")
    assert control.authenticate(token) is None


def test_nobody_makes_a_token_that_may_more_than_they_themselves(control, workspace, clock):
    control.sources.create(workspace.id, "site", "http-api")
    create = control.tokens.create
    member = Caller(workspace.id, Role.MEMBER, "m", "m")
    narrowed = Caller(workspace.id, Role.OWNER, "n", "n", scopes=frozenset({"tokens:write", "sources:read"}))
    of_none = Caller(workspace.id, Role.SOURCE_ADMIN, "s", "s", source_ids=frozenset())
    ends = clock() + timedelta(days=1)
    short = control.authenticate(create(workspace.id, "short", expires_at=ends)[0])
    before = control.tokens.all(workspace.id)
    for maker, wanted in (
        (member, {"role": "owner"}),
        (narrowed, {}),
        (narrowed, {"only": ["sources:write"]}),
        (of_none, {"role": "source-admin"}),
        (of_none, {"role": "source-admin", "source_ids": ["site"]}),
        (short, {}),
        (short, {"expires_at": ends + timedelta(seconds=1)}),
    ):
        with pytest.raises(ForbiddenError):
            create(workspace.id, "more", maker=maker, **wanted)
    assert control.tokens.all(workspace.id) == before
    create(workspace.id, "a", maker=narrowed, only=["tokens:read", "sources:read"])
    create(workspace.id, "b", maker=short, expires_at=ends)
