"""Workspaces: made, named, deleted; who sees which; what region and slug decide."""

import pytest

from headwater.control.models import Caller, Role
from headwater.control.service import open_control
from headwater.control.workspaces import RESERVED
from headwater.errors import ConflictError, ForbiddenError, InvalidRequestError, NotFoundError

KEY = b"k" * 32


def test_a_new_workspace_has_a_warehouse_of_its_own(control, workspace):
    made = control.workspaces.create("The shop", "shop", "eu")
    (first,), (second,) = control.warehouses.all(workspace.id), control.warehouses.all(made.id)
    assert (made.slug, made.name, made.region) == ("shop", "The shop", "eu")
    assert (first.id, second.type) == ("embedded", "embedded")
    assert second.id not in {first.id, made.id}
    assert [each.slug for each in control.workspaces.all()] == ["default", "shop"]


@pytest.mark.parametrize("slug", ["", "Shop", "1shop", "-shop", "a b", "a/b", "ü", "a" * 64, *sorted(RESERVED)])
def test_slugs_that_are_no_part_of_an_address_or_headwaters_own_are_refused(control, slug):
    with pytest.raises(InvalidRequestError) as refused:
        control.workspaces.create("Shop", slug, "us")
    assert refused.value.field == "slug"


@pytest.mark.parametrize(("values", "field"), [((" ", "shop", "us"), "name"), (("Shop", "shop", "moon"), "region")])
def test_what_is_wrong_is_named_and_nothing_is_made(control, values, field):
    with pytest.raises(InvalidRequestError) as refused:
        control.workspaces.create(*values)
    assert refused.value.field == field
    assert len(control.workspaces.all()) == 1


def test_a_slug_is_taken_once(control):
    control.workspaces.create("Shop", "shop", "us")
    with pytest.raises(ConflictError):
        control.workspaces.create("Another", "shop", "eu")


def test_only_the_name_changes(control, workspace):
    renamed = control.workspaces.rename(workspace.id, "  Ours ")
    assert (renamed.name, renamed.slug, renamed.region) == ("Ours", workspace.slug, workspace.region)
    with pytest.raises(NotFoundError):
        control.workspaces.rename("nobodys", "x")


def test_a_workspace_goes_with_all_that_is_in_it_and_others_stay(control, workspace):
    made = control.workspaces.create("Shop", "shop", "us")
    kept = control.sources.create(workspace.id, "site", "http-api")
    source = control.sources.create(made.id, "site", "http-api")
    token, _ = control.tokens.create(made.id, "t")
    member = control.users.add(made.id, "ann@example.com", "Ann", Role.OWNER)
    both = control.users.add(made.id, "bob@example.com", "Bob", Role.OWNER)
    control.users.add(workspace.id, "bob@example.com", "Bob", Role.MEMBER)
    for confirm in ("", "Shop", workspace.slug):
        with pytest.raises(InvalidRequestError, match="shop"):
            control.workspaces.delete(made.id, confirm)
    control.workspaces.delete(made.id, "shop")
    assert control.authenticate(token) is None
    snapshot = control.snapshot()
    assert [each.id for each in snapshot.sources] == [kept.id]
    assert [each.id for each in snapshot.warehouses] == ["embedded"]
    assert source.write_keys[0] not in {key for each in snapshot.sources for key in each.write_keys}
    assert control.users.find(member.user.id) is None
    assert control.users.find(both.user.id) is not None


def test_an_empty_one_goes_unasked_and_the_last_one_never(control, workspace):
    made = control.workspaces.create("Shop", "shop", "us")
    control.workspaces.delete(workspace.id)
    with pytest.raises(ConflictError, match="only workspace"):
        control.workspaces.delete(made.id, "shop")


def test_a_start_after_default_is_gone_makes_no_other(tmp_path):
    url = f"sqlite:///{tmp_path}/control.db"
    control = open_control(url, KEY)
    made = control.workspaces.create("Shop", "shop", "us")
    control.workspaces.delete("default")
    control.close()
    again = open_control(url, KEY)
    assert [each.id for each in again.workspaces.all()] == [made.id]
    again.close()


def test_who_sees_which(control, workspace):
    made = control.workspaces.create("Shop", "shop", "us")
    ann = control.users.add(made.id, "ann@example.com", "Ann", Role.MEMBER).user.id
    member = Caller(made.id, Role.MEMBER, "session", "Ann", user_id=ann, is_operator=True)
    token = Caller(workspace.id, Role.OWNER, "token", "t")
    machine = Caller(workspace.id, Role.OWNER, "local", "command line", is_operator=True)
    assert [[each.slug for each in control.workspaces.of(who)] for who in (member, token, machine)] == [
        ["shop"],
        ["default"],
        ["default", "shop"],
    ]
    with pytest.raises(NotFoundError):
        control.workspaces.seen(member, "default")
    assert control.workspaces.seen(machine, "shop") == control.workspaces.seen(member, made.id) == made


@pytest.mark.parametrize("region", ["us", "eu"])
@pytest.mark.parametrize("widened", [False, True])
def test_the_region_of_each_workspace_decides_what_can_be_connected(tmp_path, region, widened):
    regions = {"activecampaign": ("us", "eu")} if widened else None
    control = open_control(f"sqlite:///{tmp_path}/control.db", KEY, source_regions=regions)
    made = control.workspaces.create("Shop", "shop", region)
    if region == "us" or widened:
        source = control.sources.create(made.id, "mail", "activecampaign")
        assert source.region_allowed
        narrowed = open_control(f"sqlite:///{tmp_path}/control.db", KEY)
        (found,) = narrowed.snapshot().sources
        assert found.region_allowed is (region == "us")
        narrowed.close()
    else:
        with pytest.raises(ForbiddenError, match="US workspaces; this one is EU"):
            control.sources.create(made.id, "mail", "activecampaign")
    control.close()
