import re

import pytest

from headwater.control.models import MASKED
from headwater.control.service import open_control
from headwater.errors import ConflictError, ForbiddenError, InvalidRequestError, NotFoundError


def test_a_new_source_has_one_write_key_and_is_loaded_into_every_warehouse(control, workspace):
    second = control.warehouses.create(workspace.id, "embedded", name="Second")
    made = control.sources.create(workspace.id, "my-site", "http-api", name="My site")
    assert re.fullmatch(r"[A-Za-z0-9]{32}", *made.write_keys)
    assert (made.type, made.schema_name, made.enabled, made.webhook_secret) == ("http-api", "my_site", True, "")
    assert [each.source_ids for each in control.warehouses.all(workspace.id)] == [(made.id,), (made.id,)]
    assert control.snapshot().schemas(control.warehouses.get(workspace.id, second.id)) == {made.id: "my_site"}


def test_a_source_is_found_by_segments_catalog_id_and_by_slug(control, workspace):
    made = control.sources.create(workspace.id, "activecampaign", "XE0vf1bTDh")
    assert made.type == "activecampaign"
    assert control.sources.get(workspace.id, "activecampaign") == made == control.sources.get(workspace.id, made.id)


def test_a_source_with_webhooks_has_a_secret_of_at_least_128_bits_that_is_not_stored_readably(
    control, workspace, tmp_path
):
    made = control.sources.create(workspace.id, "activecampaign", "activecampaign")
    assert len(made.webhook_secret) == 32  # of 62 characters: 190 bits
    assert made.webhook_secret.encode() not in b"".join(p.read_bytes() for p in tmp_path.glob("control.db*"))
    assert made.webhook_secret not in repr(made)
    assert control.snapshot().sources[0].webhook_secret == made.webhook_secret
    assert control.sources.rotate_webhook_secret(workspace.id, made.id).webhook_secret != made.webhook_secret


@pytest.mark.parametrize(
    "slug",
    [
        *("", " ", "Upper", "1st", "a b", 'a"b', "a'b", "a.b", "ä", "a" * 64, "-a", "a\n", "<script>"),
        *("public", "pg_catalog", "pg-x", "main", "information_schema", "information-schema", "default", "system"),
    ],
)
def test_a_slug_that_is_no_schema_name_is_refused(control, workspace, slug):
    with pytest.raises(InvalidRequestError) as refused:
        control.sources.create(workspace.id, slug, "http-api")
    assert refused.value.field == "slug"
    assert control.sources.all(workspace.id) == []


@pytest.mark.parametrize("taken", ["my-site", "my_site"])
def test_a_slug_whose_schema_is_taken_is_a_conflict(control, workspace, taken):
    control.sources.create(workspace.id, "my-site", "http-api")
    with pytest.raises(ConflictError):
        control.sources.create(workspace.id, taken, "http-api")


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\x00b", "a\nb", "a\u202eb", "zero\u200bwidth", "\ud800"])
def test_a_name_that_cannot_be_read_is_refused(control, workspace, name):
    with pytest.raises(InvalidRequestError) as refused:
        control.sources.create(workspace.id, "site", "http-api", name=name)
    assert refused.value.field == "name"


def test_names_in_every_script_are_welcome(control, workspace):
    for number, name in enumerate(["Website", "ウェブ", "موقع", "<script>alert(1)</script>", "O'Brien; drop table"]):
        assert control.sources.create(workspace.id, f"s{number}", "http-api", name=name).name == name


def test_an_unknown_type_is_not_found(control, workspace):
    with pytest.raises(NotFoundError):
        control.sources.create(workspace.id, "site", "no-such-type")


def test_a_source_type_is_connected_only_in_its_regions_unless_the_operator_widens_it(tmp_path):
    url = f"sqlite:///{tmp_path}/eu.db"
    control = open_control(url, b"k" * 32, region="eu")
    workspace = control.workspaces.get()
    with pytest.raises(ForbiddenError, match="only in US"):
        control.sources.create(workspace.id, "activecampaign", "activecampaign")
    assert control.sources.create(workspace.id, "site", "http-api").region_allowed
    widened = open_control(url, b"k" * 32, source_regions={"activecampaign": ("us", "eu")})
    made = widened.sources.create(workspace.id, "activecampaign", "activecampaign")
    assert made.region_allowed
    narrowed = open_control(url, b"k" * 32)
    assert not narrowed.sources.get(workspace.id, made.id).region_allowed
    assert narrowed.workspaces.get().region == "eu"  # fixed at creation


def test_write_keys_are_added_and_removed_but_one_stays(control, workspace):
    made = control.sources.create(workspace.id, "site", "http-api")
    first = made.write_keys[0]
    both = control.sources.add_write_key(workspace.id, made.id).write_keys
    assert both[0] == first
    assert len(set(both)) == 2
    assert control.sources.remove_write_key(workspace.id, made.id, first).write_keys == both[1:]
    with pytest.raises(ConflictError):
        control.sources.remove_write_key(workspace.id, made.id, both[1])
    with pytest.raises(NotFoundError):
        control.sources.remove_write_key(workspace.id, made.id, first)


def test_every_change_grows_the_version_and_a_refused_one_does_not(control, workspace):
    seen = [control.version()]
    made = control.sources.create(workspace.id, "site", "http-api")
    seen.append(control.version())
    control.sources.update(workspace.id, made.id, enabled=False)
    seen.append(control.version())
    with pytest.raises(ConflictError):
        control.sources.create(workspace.id, "site", "http-api")
    assert control.version() == seen[-1]
    control.sources.delete(workspace.id, made.id)
    seen.append(control.version())
    assert seen == sorted(set(seen))
    assert control.snapshot().version == seen[-1]


def test_a_deleted_source_takes_its_keys_and_destinations_along(control, workspace):
    made = control.sources.create(workspace.id, "site", "http-api")
    control.destinations.create(workspace.id, made.id, "webhook", settings={"url": "https://example.com/"})
    control.sources.delete(workspace.id, made.id)
    assert control.snapshot().sources == control.snapshot().destinations == ()
    for again in (control.sources.delete, control.sources.add_write_key):
        with pytest.raises(NotFoundError):
            again(workspace.id, made.id)


def test_nothing_of_one_workspace_is_found_from_another(control, workspace):
    made = control.sources.create(workspace.id, "site", "http-api")
    settings = {"url": "https://example.com/", "secret": "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
    to = control.destinations.create(workspace.id, made.id, "webhook", settings=settings)
    warehouse = control.warehouses.all(workspace.id)[0]
    other = "another-workspace"
    for refused in (
        lambda: control.sources.get(other, made.id),
        lambda: control.sources.update(other, made.id, enabled=False),
        lambda: control.sources.delete(other, made.id),
        lambda: control.sources.add_write_key(other, made.id),
        lambda: control.destinations.create(other, made.id, "webhook", settings=settings),
        lambda: control.destinations.update(other, to.id, enabled=False),
        lambda: control.destinations.delete(other, to.id),
        lambda: control.destinations.merged_settings(other, "webhook", settings, to.id),
        lambda: control.warehouses.connect(other, warehouse.id, made.id),
        lambda: control.warehouses.delete(other, warehouse.id),
    ):
        with pytest.raises(NotFoundError):
            refused()
    assert control.sources.get(workspace.id, made.id) == made
    assert control.destinations.get(workspace.id, to.id).settings["secret"] == MASKED
