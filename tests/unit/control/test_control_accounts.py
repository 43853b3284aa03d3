"""Accounts: which write keys may be used, where the events go, and what is kept of the secrets."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from headwater.control import database
from headwater.control.accounts import Place, checked_key
from headwater.control.catalog import Kind
from headwater.control.models import MASKED
from headwater.control.service import open_control
from headwater.errors import ConfigError, ConflictError, ForbiddenError, InvalidRequestError, NotFoundError

KEY = "0123456789abcdef" * 4
ACME = Place("https://acme.api-us1.com", "acme")
OTHER = Place("https://other.api-us1.com", "other")


@pytest.fixture
def email(control, workspace):
    return control.sources.create(workspace.id, "email", "activecampaign", settings={"time_zone": "Europe/Berlin"})


@pytest.fixture
def website(control, workspace):
    return control.sources.create(workspace.id, "website", "http-api")


@pytest.fixture
def connect(control, workspace):
    def connected(source, place=ACME, key=KEY, **how):
        return control.accounts.connect(workspace.id, place, api_key=key, source_id=source.id, **how)

    return connected


def another_workspace(tmp_path, region="us"):
    """Add a second workspace with one source and return that source's write key."""
    engine = database.open_engine(f"sqlite:///{tmp_path}/control.db")
    with database.changing(engine) as connection:
        values = {"id": "w2", "slug": "second", "name": "Second", "region": region, "created_at": "2026-01-01T00:00Z"}
        connection.execute(database.workspaces.insert().values(values))
    control = open_control(f"sqlite:///{tmp_path}/control.db", b"k" * 32)
    return control.sources.create("w2", "theirs", "http-api")


def secret_of(control, source):
    return next(each for each in control.snapshot().sources if each.id == source.id)


def test_an_account_is_connected_masked_for_people_and_open_for_the_engines(
    control, workspace, email, connect, tmp_path
):
    made = connect(email)
    assert (made.url, made.name, made.source_id) == (ACME.url, "acme", email.id)
    assert (made.enabled, made.active, made.api_key) == (True, True, MASKED)
    assert made.settings["time_zone"] == "Europe/Berlin"
    assert control.accounts.all(workspace.id) == [made] == [control.accounts.get(workspace.id, made.id)]
    (opened,) = control.snapshot().accounts
    assert (opened.id, opened.api_key) == (made.id, KEY)
    assert KEY not in repr(opened)
    assert KEY.encode() not in b"".join(path.read_bytes() for path in tmp_path.glob("control.db*"))


def test_a_write_key_leads_to_its_source(control, workspace, email, website):
    for source in (email, website):
        found = control.accounts.target(workspace.id, f" {source.write_keys[0]}\n")
        assert found.id == source.id


@pytest.mark.parametrize(("key", "told"), [("", "required"), ("x" * 32, "No source"), ("  ", "required")])
def test_a_write_key_of_no_source_is_refused(control, workspace, email, key, told):
    with pytest.raises(InvalidRequestError, match=told) as refused:
        control.accounts.target(workspace.id, key)
    assert refused.value.field == "writeKey"
    assert email.write_keys[0] not in str(refused.value)


def test_a_write_key_of_a_disabled_source_is_refused_with_its_name(control, workspace, website):
    control.sources.update(workspace.id, website.id, enabled=False)
    with pytest.raises(InvalidRequestError, match=r"website.*is disabled") as refused:
        control.accounts.target(workspace.id, website.write_keys[0])
    assert refused.value.field == "writeKey"


def test_a_write_key_that_was_taken_away_is_refused(control, workspace, website):
    control.sources.add_write_key(workspace.id, website.id)
    control.sources.remove_write_key(workspace.id, website.id, website.write_keys[0])
    with pytest.raises(InvalidRequestError, match="No source"):
        control.accounts.target(workspace.id, website.write_keys[0])


def test_a_write_key_of_another_workspace_is_refused_like_an_unknown_one(control, workspace, tmp_path):
    theirs = another_workspace(tmp_path)
    with pytest.raises(InvalidRequestError) as foreign:
        control.accounts.target(workspace.id, theirs.write_keys[0])
    with pytest.raises(InvalidRequestError) as unknown:
        control.accounts.target(workspace.id, "x" * 32)
    assert str(foreign.value) == str(unknown.value)


def test_a_write_key_of_another_region_is_refused_by_the_region_and_nothing_else(control, workspace, tmp_path):
    theirs = another_workspace(tmp_path, "eu")
    with pytest.raises(InvalidRequestError, match="region EU, this one is in US") as refused:
        control.accounts.target(workspace.id, theirs.write_keys[0])
    assert not {word for word in ("theirs", "second", "w2", theirs.id) if word in str(refused.value)}


@pytest.mark.parametrize("type_", ["http-api", "activecampaign"])
def test_outside_its_regions_no_account_is_connected_unless_the_operator_widens_it(tmp_path, type_):
    url = f"sqlite:///{tmp_path}/eu.db"
    widened = open_control(url, b"k" * 32, region="eu", source_regions={"activecampaign": ("us", "eu")})
    workspace = widened.workspaces.get()
    source = widened.sources.create(workspace.id, "source", type_)
    assert widened.accounts.target(workspace.id, source.write_keys[0]).id == source.id
    made = widened.accounts.connect(workspace.id, ACME, api_key=KEY, source_id=source.id)
    assert made.active
    narrowed = open_control(url, b"k" * 32)
    with pytest.raises(ForbiddenError, match='SOURCE_REGIONS="activecampaign=us,eu"'):
        narrowed.accounts.target(workspace.id, source.write_keys[0])
    assert (narrowed.accounts.get(workspace.id, made.id).enabled, narrowed.snapshot().accounts[0].active) == (
        True,
        False,
    )


def test_a_source_takes_one_account_and_the_other_is_named(control, workspace, email, website, connect):
    connect(email)
    with pytest.raises(ConflictError, match=r"email.*acme already"):
        connect(email, OTHER)
    other = connect(website, OTHER)
    with pytest.raises(ConflictError, match=r"email.*acme already"):
        control.accounts.update(workspace.id, other.id, source_id=email.id)
    assert [each.source_id for each in control.accounts.all(workspace.id)] == [email.id, website.id]


def test_connecting_the_same_account_again_enters_everything_anew(control, workspace, email, website, connect):
    first = connect(email)
    control.accounts.update(workspace.id, first.id, enabled=False)
    again = connect(website, key="f" * 64)
    assert (again.id, again.source_id, again.enabled) == (first.id, website.id, True)
    (opened,) = control.snapshot().accounts
    assert opened.api_key == "f" * 64


def test_an_ordinary_source_gets_a_webhook_address_for_as_long_as_it_has_the_account(
    control, workspace, website, email, connect, clock
):
    assert secret_of(control, website).webhook_secret == ""
    made = connect(website)
    secret = secret_of(control, website).webhook_secret
    assert len(secret) == 32
    control.accounts.update(workspace.id, made.id, source_id=email.id)
    left = secret_of(control, website)
    assert left.webhook_secret == ""
    assert left.webhook_secrets(clock()) == (secret,)  # what is under way is still taken
    assert left.webhook_secrets(clock() + timedelta(hours=25)) == ()


def test_forgetting_an_account_leaves_its_source_as_it_was(control, workspace, website, email, connect):
    made, other = connect(website), connect(email, OTHER)
    before = secret_of(control, email).webhook_secret
    for each in (made, other):
        control.accounts.delete(workspace.id, each.id)
        with pytest.raises(NotFoundError):
            control.accounts.delete(workspace.id, each.id)
    assert secret_of(control, website).webhook_secret == ""
    assert secret_of(control, email).webhook_secret == before
    assert control.snapshot().accounts == ()


def test_an_address_that_another_connection_has_is_a_conflict(control, workspace, email, website, connect):
    connect(email)
    other = connect(website, OTHER)
    with pytest.raises(ConflictError, match=ACME.url):
        control.accounts.update(workspace.id, other.id, place=ACME)
    assert control.accounts.update(workspace.id, other.id, place=OTHER).url == OTHER.url


def test_settings_are_those_of_a_source_of_this_type(control, workspace, email, connect):
    made = connect(email)
    changed = control.accounts.update(workspace.id, made.id, settings={"include_contact": "none"})
    assert (changed.settings["include_contact"], changed.settings["time_zone"]) == ("none", "Europe/Berlin")
    assert control.sources.get(workspace.id, email.id).settings == changed.settings
    control.sources.update(workspace.id, email.id, settings={"delivered": "off"})
    assert control.snapshot().accounts[0].settings["delivered"] == "off"


def test_settings_of_an_account_on_an_ordinary_source_are_kept_with_the_account(control, workspace, website, connect):
    made = connect(website, settings={"time_zone": "Asia/Tokyo"})
    assert made.settings == {"time_zone": "Asia/Tokyo"}
    assert control.sources.get(workspace.id, website.id).settings == {}
    again = connect(website, settings={"delivered": "off"})
    assert again.settings == {"time_zone": "Asia/Tokyo", "delivered": "off"}


def test_settings_move_along_from_a_source_of_this_type_to_an_ordinary_one(control, workspace, email, website, connect):
    made = connect(email)
    moved = control.accounts.update(workspace.id, made.id, source_id=website.id)
    assert moved.settings == {"time_zone": "Europe/Berlin"}


def test_wrong_settings_are_refused_and_nothing_is_stored(control, workspace, website, connect):
    with pytest.raises(InvalidRequestError) as refused:
        connect(website, settings={"nothing": 1})
    assert refused.value.field == "settings.nothing"
    assert control.accounts.all(workspace.id) == []
    assert secret_of(control, website).webhook_secret == ""


def test_settings_of_every_kind_survive_storing(control, website, connect):
    settings_class = control.catalog.find(Kind.SOURCE, "activecampaign").settings_class
    values = {option.name: option.default for option in control.catalog.find(Kind.SOURCE, "activecampaign").options}
    made = connect(website, settings=values)
    assert made.settings == values
    assert settings_class(**control.snapshot().accounts[0].settings) == settings_class(**values)


def test_a_disabled_source_takes_its_account_off_and_back(control, workspace, email, connect):
    made = connect(email)
    control.sources.update(workspace.id, email.id, enabled=False)
    off = control.accounts.get(workspace.id, made.id)
    assert (off.enabled, off.active) == (True, False)
    control.sources.update(workspace.id, email.id, enabled=True)
    assert control.accounts.get(workspace.id, made.id).active


@pytest.mark.parametrize("key", ["", "   ", "a b", "ключ", "a\nb", "x" * 501, "a\x00b"])
def test_what_is_no_api_key_is_refused(key):
    with pytest.raises(InvalidRequestError) as refused:
        checked_key(key)
    assert refused.value.field == "apiKey"
    assert checked_key(f" {KEY}\n") == KEY


def test_a_rotated_secret_overlaps_for_a_day_and_a_second_rotation_ends_the_first_address(
    control, workspace, email, connect, clock
):
    made = connect(email)
    first = secret_of(control, email).webhook_secret
    control.accounts.rotate_secret(workspace.id, made.id)
    second = secret_of(control, email)
    assert second.webhook_secrets(clock()) == (second.webhook_secret, first)
    assert second.webhook_secrets(clock() + timedelta(hours=24)) == (second.webhook_secret,)
    control.sources.rotate_webhook_secret(workspace.id, email.id)
    third = secret_of(control, email)
    assert third.webhook_secrets(clock()) == (third.webhook_secret, second.webhook_secret)
    control.sources.rotate_webhook_secret(workspace.id, email.id, at_once=True)
    fourth = secret_of(control, email)
    assert fourth.webhook_secrets(clock()) == (fourth.webhook_secret,)
    assert len({first, second.webhook_secret, third.webhook_secret, fourth.webhook_secret}) == 4


def test_a_former_secret_is_not_stored_readably(control, workspace, email, tmp_path):
    former = email.webhook_secret
    changed = control.sources.rotate_webhook_secret(workspace.id, email.id)
    assert former.encode() not in b"".join(path.read_bytes() for path in tmp_path.glob("control.db*"))
    assert former not in repr(changed)


def test_a_source_without_webhooks_has_no_secret_to_rotate(control, workspace, website):
    with pytest.raises(InvalidRequestError, match="receives no webhooks"):
        control.sources.rotate_webhook_secret(workspace.id, website.id)


def test_nothing_of_an_account_is_found_from_another_workspace(control, workspace, email, website, connect):
    made = connect(email)
    other = "another-workspace"
    for refused in (
        lambda: control.accounts.get(other, made.id),
        lambda: control.accounts.update(other, made.id, enabled=False),
        lambda: control.accounts.delete(other, made.id),
        lambda: control.accounts.rotate_secret(other, made.id),
        lambda: control.accounts.connect(other, ACME, api_key=KEY, source_id=website.id),
    ):
        with pytest.raises(NotFoundError):
            refused()
    assert control.accounts.all(other) == []
    assert control.accounts.of_source(other, email.id) is None
    assert control.accounts.get(workspace.id, made.id) == made


def test_a_deleted_source_takes_its_account_along(control, workspace, email, connect):
    connect(email)
    control.sources.delete(workspace.id, email.id)
    assert control.accounts.all(workspace.id) == []
    assert control.snapshot().accounts == ()


def test_an_altered_key_in_the_database_is_told_at_the_start(control, email, connect, tmp_path):
    made = connect(email)
    engine = database.open_engine(f"sqlite:///{tmp_path}/control.db")
    with engine.begin() as connection:
        sealed = connection.execute(text("select webhook_secret from sources")).scalar_one()
        connection.execute(text("update accounts set api_key = :sealed"), {"sealed": sealed})
    with pytest.raises(ConfigError, match=f"api_key of {made.id} was altered"):
        control.snapshot()
