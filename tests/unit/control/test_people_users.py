"""Users, their places in workspaces, and their sessions."""

import shutil
from datetime import timedelta

import pytest
from sqlalchemy import text

from headwater.control import local_token
from headwater.control.models import Role
from headwater.control.people.invites import Wanted
from headwater.control.people.models import Identity
from headwater.control.people.passwords import Passwords
from headwater.control.service import open_control
from headwater.errors import ConflictError, ForbiddenError, InvalidRequestError, NotFoundError

PASSWORD = "correct horse battery"
KEY = b"k" * 32


@pytest.fixture(scope="module")
def migrated(tmp_path_factory):
    """A new database, so that its making is paid for once."""
    path = tmp_path_factory.mktemp("migrated") / "control.db"
    open_control(f"sqlite:///{path}", KEY).close()
    return path


@pytest.fixture
def control(tmp_path, clock, migrated):
    shutil.copy(migrated, tmp_path / "control.db")
    opened = open_control(f"sqlite:///{tmp_path}/control.db", KEY, clock=clock, passwords=Passwords(kib=8, passes=1))
    yield opened
    opened.close()


def link(clock):
    return local_token.make(KEY, clock.at, local_token.SET_UP)


@pytest.fixture
def owner(control, workspace, clock):
    return control.credentials.set_up(link(clock), workspace.id, " Ann@Example.COM", "Ann", PASSWORD)


def add(control, workspace, email="bo@example.com", role="member", **how):
    return control.users.add(workspace.id, email, "Bo", role, **how)


def test_the_first_person_owns_the_workspace_and_may_make_others(control, workspace, owner):
    assert (owner.email, owner.name, owner.is_operator, owner.has_password) == ("ann@example.com", "Ann", True, True)
    (member,) = control.users.all(workspace.id)
    assert (member.user, member.role, member.source_ids) == (owner, Role.OWNER, None)


def test_a_set_up_link_works_once_and_for_an_hour(control, workspace, clock):
    used, unused = link(clock), link(clock)
    assert control.credentials.opens_set_up(used)
    clock.at += timedelta(minutes=59)
    control.credentials.set_up(used, workspace.id, "ann@example.com", "Ann", PASSWORD)
    for token in (used, unused, link(clock)):
        assert not control.credentials.opens_set_up(token)
        with pytest.raises(ForbiddenError):
            control.credentials.set_up(token, workspace.id, "eve@example.com", "Eve", PASSWORD)
    assert [each.user.email for each in control.users.all(workspace.id)] == ["ann@example.com"]


@pytest.mark.parametrize("change", ["late", "command", "foreign", "rubbish", "long"])
def test_no_other_link_sets_up(control, clock, change):
    token = {
        "late": link(clock),
        "command": local_token.make(KEY, clock.at).replace("hwl_", "hws_"),
        "foreign": local_token.make(b"x" * 32, clock.at, local_token.SET_UP),
        "rubbish": "hws_1_2_ÿ",
        "long": "hws_" + "9" * 10_000,
    }[change]
    clock.at += timedelta(minutes=61 if change == "late" else 0)
    assert not control.credentials.opens_set_up(token)


def test_addresses_are_one_however_they_are_written(control, workspace, owner):
    assert control.users.by_email("ANN@EXAMPLE.com ") == owner
    with pytest.raises(ConflictError):
        add(control, workspace, "Ann@example.com")


@pytest.mark.parametrize(
    "email", ["", "ann", "@example.com", "ann@", "a b@example.com", "a@b@c", "x" * 251 + "@a.b", "a\x00@b.c"]
)
def test_what_is_no_address_is_refused(control, workspace, email):
    with pytest.raises(InvalidRequestError) as refused:
        add(control, workspace, email)
    assert refused.value.field == "email"


def test_the_last_owner_stays(control, workspace, owner):
    for deed in (
        lambda: control.users.remove(workspace.id, owner.id),
        lambda: control.users.set_role(workspace.id, owner.id, "member"),
    ):
        with pytest.raises(ConflictError):
            deed()
    other = add(control, workspace, role="owner").user
    control.users.set_role(workspace.id, owner.id, "member")
    with pytest.raises(ConflictError):
        control.users.remove(workspace.id, other.id)


@pytest.mark.usefixtures("owner")
def test_who_is_removed_is_forgotten_with_their_sessions_and_tokens(control, workspace):
    gone = add(control, workspace).user
    secret, _ = control.sessions.open(gone.id, "", "")
    control.users.remove(workspace.id, gone.id)
    assert control.sessions.find(secret) is None
    assert control.users.find(gone.id) is None
    with pytest.raises(NotFoundError):
        control.users.get(workspace.id, gone.id)


@pytest.mark.usefixtures("owner")
def test_a_source_admin_has_sources_of_this_workspace(control, workspace):
    source = control.sources.create(workspace.id, "website", "http-api")
    member = add(control, workspace, role="source-admin", source_ids=["website"])
    assert member.source_ids == {source.id}
    for role, chosen in (("member", ["website"]), ("source-admin", []), ("source-admin", ["none"]), ("king", None)):
        with pytest.raises((InvalidRequestError, NotFoundError)):
            control.users.set_role(workspace.id, member.user.id, role, chosen)
    assert control.users.set_role(workspace.id, member.user.id, "source-admin").source_ids is None


@pytest.mark.usefixtures("owner")
def test_a_role_change_ends_sessions_and_no_change_does_not(control, workspace):
    user = add(control, workspace).user
    secret, _ = control.sessions.open(user.id, "", "")
    control.users.set_role(workspace.id, user.id, "member")
    assert control.sessions.find(secret)
    control.users.set_role(workspace.id, user.id, "read-only")
    assert control.sessions.find(secret) is None


def test_a_password_opens_and_its_change_ends_every_session(control, owner):
    assert control.credentials.by_password("ANN@example.com", PASSWORD, "192.0.2.1") == owner
    secret, _ = control.sessions.open(owner.id, "", "")
    with pytest.raises(InvalidRequestError) as refused:
        control.credentials.change_password(owner.id, "wrong", "another good one", "")
    assert refused.value.field == "present"
    with pytest.raises(InvalidRequestError) as refused:
        control.credentials.change_password(owner.id, PASSWORD, "12345678", "")
    assert refused.value.field == "new"
    assert control.sessions.find(secret)
    control.credentials.change_password(owner.id, PASSWORD, "another good one", "")
    assert control.sessions.find(secret) is None
    assert control.credentials.by_password("ann@example.com", "another good one", "").id == owner.id
    with pytest.raises(ForbiddenError):
        control.credentials.by_password("ann@example.com", PASSWORD, "")


@pytest.mark.usefixtures("owner")
def test_unknown_people_and_wrong_passwords_are_answered_alike(control):
    said = []
    for email in ("ann@example.com", "nobody@example.com", ""):
        with pytest.raises(ForbiddenError) as refused:
            control.credentials.by_password(email, "wrong", "")
        said.append(str(refused.value))
    assert len(set(said)) == 1


@pytest.mark.usefixtures("owner")
def test_a_weaker_hash_is_replaced_when_its_password_is_used(tmp_path, clock):
    stronger = open_control(f"sqlite:///{tmp_path}/control.db", KEY, clock=clock, passwords=Passwords(kib=16, passes=1))
    before = _hash(stronger)
    stronger.credentials.by_password("ann@example.com", PASSWORD, "")
    assert "m=8," in before
    assert "m=16," in _hash(stronger)
    stronger.close()


def _hash(control):
    with control._engine.connect() as connection:
        return connection.execute(text("select password_hash from users")).scalar()


def test_a_session_is_stored_as_a_digest_and_ends_idle_old_or_revoked(control, owner, clock, tmp_path):
    secret, opened = control.sessions.open(owner.id, "192.0.2.1", "Browser\x1b[0m")
    assert len(secret) >= 43
    assert (opened.address, opened.agent) == ("192.0.2.1", "Browser?[0m")
    assert secret.encode() not in b"".join(file.read_bytes() for file in tmp_path.iterdir())
    clock.at += timedelta(hours=11)
    assert control.sessions.find(secret).id == opened.id
    clock.at += timedelta(hours=11)  # seen in between
    assert control.sessions.find(secret).id == opened.id
    clock.at += timedelta(hours=12)
    assert control.sessions.find(secret) is None
    secret, opened = control.sessions.open(owner.id, "", "")
    for _ in range(15):
        clock.at += timedelta(hours=11)
        assert control.sessions.find(secret)
    clock.at += timedelta(hours=11)
    assert control.sessions.find(secret) is None
    secret, opened = control.sessions.open(owner.id, "", "")
    control.sessions.revoke(owner.id, opened.id)
    assert control.sessions.find(secret) is None


def test_a_session_is_written_at_most_once_a_minute(control, owner, clock):
    secret, _ = control.sessions.open(owner.id, "", "")
    seen = {control.sessions.find(secret).seen_at for _ in range(20)}
    assert len(seen) == 1
    clock.at += timedelta(minutes=1)
    control.sessions.find(secret)
    assert control.sessions.find(secret).seen_at not in seen
    assert control.users.find(owner.id).last_seen_at == control.sessions.find(secret).seen_at


def test_nobody_ends_sessions_of_others(control, workspace, owner):
    secret, opened = control.sessions.open(owner.id, "", "")
    other = add(control, workspace).user
    with pytest.raises(NotFoundError):
        control.sessions.revoke(other.id, opened.id)
    assert control.sessions.revoke_all(other.id) == 0
    assert control.sessions.find(secret)


def test_all_sessions_but_this_one_end(control, owner):
    opened = [control.sessions.open(owner.id, "", "") for _ in range(3)]
    assert control.sessions.revoke_all(owner.id, but=opened[1][1].id) == 2
    assert [bool(control.sessions.find(secret)) for secret, _ in opened] == [False, True, False]


@pytest.mark.parametrize("secret", ["", "x" * 10_000, "ÿ", "\ud800"])
def test_rubbish_is_nobodys_session(control, secret):
    assert control.sessions.find(secret) is None


def test_sessions_of_one_person_are_bounded(control, owner):
    opened = [control.sessions.open(owner.id, "", "")[0] for _ in range(60)]
    assert len(control.sessions.all(owner.id)) == 50
    assert control.sessions.find(opened[0]) is None
    assert control.sessions.find(opened[-1])


def identity(email="cy@example.com", subject="https://id.example.com s1", *, may_join=False):
    return Identity(subject, email, "Cy", may_join)


@pytest.mark.usefixtures("owner")
def test_whom_a_provider_vouches_for_is_let_in_only_when_they_are_known_or_invited(control, workspace):
    with pytest.raises(ForbiddenError):
        control.credentials.by_identity(identity())
    control.invites.invite(workspace.id, [Wanted("cy@example.com", "member")])
    found = control.credentials.by_identity(identity("Cy@Example.com"))
    assert (found.email, found.has_password) == ("cy@example.com", False)
    assert control.users.get(workspace.id, found.id).role is Role.MEMBER
    assert control.invites.all(workspace.id) == []
    assert control.credentials.by_identity(identity("renamed@example.com")) == found  # the subject decides


@pytest.mark.usefixtures("owner")
def test_an_allowed_domain_comes_in_to_read(control, workspace):
    found = control.credentials.by_identity(identity(may_join=True))
    assert control.users.get(workspace.id, found.id).role is Role.READ_ONLY


def test_a_known_address_is_linked_once(control, owner):
    assert control.credentials.by_identity(identity("ann@example.com")) == owner
    with pytest.raises(ConflictError):
        control.credentials.by_identity(identity("ann@example.com", "https://id.example.com s2"))


def test_a_password_that_somebody_else_may_have_chosen_ends_when_the_provider_vouches_for_the_address(
    control, workspace, owner
):
    (sent,) = control.invites.invite(workspace.id, [Wanted("cy@example.com", "member")])
    hashed = control.credentials.hashed("cy@example.com", "Cy", PASSWORD)
    cy = control.invites.accept(sent.link.rpartition("/")[2], "Cy", hashed)
    secret, _ = control.sessions.open(cy, "", "")
    assert control.credentials.by_identity(identity()).id == cy
    assert (control.sessions.find(secret), control.users.find(cy).has_password) == (None, False)
    with pytest.raises(ForbiddenError):
        control.credentials.by_password("cy@example.com", PASSWORD, "192.0.2.1")
    control.credentials.by_identity(identity(owner.email, "https://id.example.com s2"))
    assert control.users.find(owner.id).has_password


def test_nobody_comes_through_a_provider_before_the_set_up(control):
    with pytest.raises(ForbiddenError):
        control.credentials.by_identity(identity(may_join=True))
    with control._engine.connect() as connection:
        assert connection.execute(text("select count(*) from users")).scalar() == 0
