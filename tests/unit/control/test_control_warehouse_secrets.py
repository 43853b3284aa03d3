"""A stored secret is sent nowhere else: with another host, account or bucket it has to be entered again."""

from dataclasses import dataclass, field

import pytest

from headwater.control import options
from headwater.control.models import MASKED
from headwater.errors import InvalidRequestError


def named(label, *, secret=False, **more):
    return {"label": label, "secret": secret, "required": False, **more}


@dataclass(frozen=True)
class Settings:
    host: str = field(default="", metadata=named("Host"))
    port: int = field(default=5432, metadata=named("Port"))
    database: str = field(default="", metadata=named("Database"))
    endpoint: str = field(default="", metadata=named("Endpoint"))
    upstream: str = field(default="", metadata=named("Upstream", place=True))
    billing_account: str = field(default="", metadata=named("Billing account", place=False))
    password: str = field(default="", metadata=named("Password", secret=True))
    token: str = field(default="", metadata=named("Token", secret=True))


STORED = {"host": "db.example.com", "port": 5432, "endpoint": "https://s3.example.com/a", "password": "p"}


def kept(**given):
    values = options.checked(Settings, given, STORED)
    options.keep_secrets_home(Settings, given, STORED, values)
    return values


@pytest.mark.parametrize(
    "given",
    [
        {"host": "evil.example.com"},
        {"host": "evil.example.com", "password": MASKED},
        {"host": "evil.example.com", "token": "new"},
        {"port": 5433},
        {"endpoint": "https://evil.example.com/a"},
        {"endpoint": "http://s3.example.com/a"},
        {"endpoint": "https://s3.example.com@evil.example.com/a"},
        {"endpoint": ""},
        {"upstream": "x"},
    ],
)
def test_a_stored_secret_does_not_move(given):
    with pytest.raises(InvalidRequestError, match="Enter Password again") as refused:
        kept(**given)
    assert refused.value.field == "settings.password"


@pytest.mark.parametrize(
    "given",
    [
        {"database": "other"},
        {"host": " DB.example.com"},
        {"endpoint": "https://s3.example.com/b"},
        {"billing_account": "x"},
        {"token": "new"},
        {"host": "other.example.com", "password": "q"},
        {"host": "other.example.com", "password": ""},
    ],
)
def test_what_stays_at_its_place_or_is_entered_again_is_taken(given):
    expected = {**STORED, **given}
    assert kept(**given) == expected


def test_at_creation_there_is_nothing_to_keep():
    options.keep_secrets_home(Settings, {"host": "a"}, None, {"host": "a"})


def test_a_destination_keeps_its_secret_home_too(control, workspace):
    control.sources.create(workspace.id, "site", "http-api")
    settings = {"url": "https://example.com/a", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
    hook = control.destinations.create(workspace.id, "site", "webhook", settings=settings)
    control.destinations.update(workspace.id, hook.id, settings={"url": "https://example.com/b"})
    for moved in ({"url": "https://example.org/b"}, {"url": "https://example.org/b", "secret": MASKED}):
        with pytest.raises(InvalidRequestError, match="Enter Signing secret again"):
            control.destinations.update(workspace.id, hook.id, settings=moved)
        with pytest.raises(InvalidRequestError, match="Enter Signing secret again"):
            control.destinations.merged_settings(workspace.id, "webhook", moved, hook.id)
    again = {"url": "https://example.org/b", "secret": settings["secret"]}
    assert control.destinations.update(workspace.id, hook.id, settings=again).settings["url"] == again["url"]


def test_settings_are_tried_only_as_what_they_are(control, workspace):
    (warehouse,) = control.warehouses.all(workspace.id)
    tried = control.warehouses.merged_settings(workspace.id, "embedded", {}, warehouse.id)
    assert tried == {}
    with pytest.raises(InvalidRequestError, match="is of the type embedded") as refused:
        control.warehouses.merged_settings(workspace.id, "duckdb", {"path": "x"}, warehouse.id)
    assert refused.value.field == "metadataId"


@pytest.mark.parametrize(
    "place",
    [
        "169.254.169.254",
        " 169.254.170.2 ",
        "2852039166",
        "0xa9fea9fe",
        "169.16689662",
        "::ffff:169.254.169.254",
        "fd00:ec2::254",
        "[fd00:ec2::254]",
        "fe80::1",
        "100.100.100.200",
        "metadata.google.internal",
        "Metadata.Google.Internal.",
        "http://169.254.169.254/latest",
        "http://[fd00:ec2::254]:80/",
        "http://u@169.254.169.254:80",
    ],
)
def test_the_address_where_clouds_give_away_credentials_is_no_warehouse(place):
    for name in ("host", "endpoint", "upstream"):
        with pytest.raises(InvalidRequestError, match="own network") as refused:
            options.refuse_metadata(Settings, {name: place})
        assert refused.value.field == f"settings.{name}"


@pytest.mark.parametrize(
    "place", ["", "localhost", "10.1.2.3", "127.0.0.1", "::1", "fd12::1", "db.example.com", "http://192.168.0.2:9000"]
)
def test_other_private_addresses_are_where_warehouses_live(place):
    options.refuse_metadata(Settings, {"host": place, "endpoint": place, "port": 5432})
