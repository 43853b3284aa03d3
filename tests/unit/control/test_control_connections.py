import ipaddress
import runpy
from pathlib import Path

import pytest

from headwater import shelf
from headwater.control.models import MASKED
from headwater.control.service import open_control
from headwater.delivery.address import Policy
from headwater.errors import ConfigError, ForbiddenUrlError, InvalidRequestError, NotFoundError

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SETTINGS = {"url": "https://example.com/hook", "secret": SECRET}


@pytest.fixture
def source(control, workspace):
    return control.sources.create(workspace.id, "site", "http-api")


@pytest.fixture
def destination(control, workspace, source):
    return control.destinations.create(workspace.id, source.slug, "webhook", settings=SETTINGS)


def test_a_secret_is_masked_when_shown_open_in_the_snapshot_and_sealed_in_the_file(control, destination, tmp_path):
    assert destination.settings == {"url": SETTINGS["url"], "secret": MASKED}
    assert dict(control.snapshot().destinations[0].settings) == SETTINGS
    assert SECRET.encode() not in b"".join(path.read_bytes() for path in tmp_path.glob("control.db*"))


def test_a_masked_secret_sent_back_keeps_what_is_stored(control, workspace, destination):
    control.destinations.update(
        workspace.id, destination.id, settings={"url": "https://example.com/new", "secret": MASKED}
    )
    assert dict(control.snapshot().destinations[0].settings) == {**SETTINGS, "url": "https://example.com/new"}


def test_settings_that_are_not_named_stay(control, workspace, destination):
    control.destinations.update(workspace.id, destination.id, settings={"url": "https://example.com/new"})
    assert control.snapshot().destinations[0].settings["secret"] == SECRET


def test_settings_are_tried_out_with_the_stored_secret(control, workspace, destination):
    given = {"url": "https://example.com/try", "secret": MASKED}
    merged = control.destinations.merged_settings(workspace.id, "webhook", given, destination.id)
    assert merged == {**SETTINGS, "url": "https://example.com/try"}


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({}, "settings.url"),
        ({"url": ""}, "settings.url"),
        ({"url": None}, "settings.url"),
        ({"url": 7}, "settings.url"),
        ({"url": ["https://example.com"]}, "settings.url"),
        ({"url": "https://example.com/" + "x" * 9_000}, "settings.url"),
        ({**SETTINGS, "role": "owner"}, "settings.role"),
        ({**SETTINGS, "secret": {"a": 1}}, "settings.secret"),
    ],
)
def test_wrong_settings_are_refused_by_name(control, workspace, source, settings, field):
    with pytest.raises(InvalidRequestError) as refused:
        control.destinations.create(workspace.id, source.id, "webhook", settings=settings)
    assert refused.value.field == field
    assert control.destinations.all(workspace.id) == []


URLS = (
    *(
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://x",
        "//example.com",
        "https://",
        "https:///x",
        "example.com",
    ),
    *(
        "https://u:p@example.com/",
        "https://a b/",
        "https://example.com:0x/",
        "https://example.com:65536/",
        "https://[::1",
    ),
    *("https://2130706433/", "https://0x7f000001/", "https://127.1/", "https://exa\r\nmple.com/", "https://a\\@b/"),
)
INTERNAL = (
    "https://127.0.0.1/",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://10.0.0.1",
    "https://1.1.1.1:22/",
)


@pytest.mark.parametrize("url", [*URLS, *INTERNAL])
def test_an_address_that_no_call_may_have_is_refused_when_it_is_saved(tmp_path, url):
    strict = open_control(f"sqlite:///{tmp_path}/strict.db", b"k" * 32, policy=Policy())
    workspace = strict.workspaces.get()
    source = strict.sources.create(workspace.id, "site", "http-api")
    made = strict.destinations.create(workspace.id, source.id, "webhook", settings=SETTINGS)
    for attempt in (
        lambda: strict.destinations.create(workspace.id, source.id, "webhook", settings={"url": url}),
        lambda: strict.destinations.update(workspace.id, made.id, settings={"url": url}),
        lambda: strict.destinations.merged_settings(workspace.id, "webhook", {"url": url}),
    ):
        with pytest.raises(ForbiddenUrlError) as refused:
            attempt()
        assert refused.value.field == "settings.url"


@pytest.mark.parametrize("url", INTERNAL)
def test_an_endpoint_of_ones_own_is_looked_at_like_a_url(tmp_path, url):
    strict = open_control(f"sqlite:///{tmp_path}/strict.db", b"k" * 32, policy=Policy())
    workspace = strict.workspaces.get()
    bucket = {"store": "s3", "bucket": "b", "access_key": "a", "secret_key": "s", "endpoint": url}
    with pytest.raises(ForbiddenUrlError) as refused:
        strict.destinations.merged_settings(workspace.id, "files", bucket)
    assert refused.value.field == "settings.endpoint"


def test_the_operator_can_allow_a_network_of_their_own(tmp_path):
    policy = Policy((ipaddress.ip_network("10.0.0.0/8"),))
    control = open_control(f"sqlite:///{tmp_path}/allowed.db", b"k" * 32, policy=policy)
    workspace = control.workspaces.get()
    source = control.sources.create(workspace.id, "site", "http-api")
    assert control.destinations.create(workspace.id, source.id, "webhook", settings={"url": "http://10.1.2.3/"})


@pytest.mark.parametrize(
    ("type_", "settings", "told"),
    [
        ("webhook", {"url": "https://example.com", "secret": "abc"}, "signing secret must be"),
        ("webhook", {"url": "https://example.com", "headers": {"content-length": "1"}}, "is set by Headwater"),
        ("kafka", {"brokers": "nowhere", "topic": "events"}, "Brokers are"),
        ("google_analytics_4", {"measurement_id": "UA-1", "api_secret": "s"}, "must look like G-"),
    ],
)
def test_what_a_destination_itself_refuses_is_told_when_it_is_saved(
    control, workspace, source, destination, type_, settings, told
):
    with pytest.raises(InvalidRequestError, match=told):
        control.destinations.create(workspace.id, source.id, type_, settings=settings)
    assert [each.id for each in control.destinations.all(workspace.id)] == [destination.id]


@pytest.mark.parametrize("type_", shelf.names("headwater.destinations"))
def test_whatever_a_destination_is_tested_with_can_be_saved(control, workspace, source, type_):
    file = Path(__file__).parents[1] / "destinations" / f"test_{type_}.py"
    settings = runpy.run_path(str(file))["EXAMPLE"].settings
    assert control.destinations.create(workspace.id, source.id, type_, settings=settings).type == type_


def test_an_unknown_source_or_type_is_not_found(control, workspace, source):
    with pytest.raises(NotFoundError):
        control.destinations.create(workspace.id, "nothing", "webhook", settings=SETTINGS)
    with pytest.raises(NotFoundError):
        control.destinations.create(workspace.id, source.id, "nothing", settings=SETTINGS)


def test_the_first_start_makes_a_workspace_with_an_embedded_warehouse(control, workspace):
    assert (workspace.slug, workspace.region) == ("default", "us")
    assert [each.type for each in control.warehouses.all(workspace.id)] == ["embedded"]


def test_sources_are_connected_to_warehouses_and_disconnected(control, workspace, source):
    warehouse = control.warehouses.all(workspace.id)[0]
    assert control.warehouses.disconnect(workspace.id, warehouse.id, source.id).source_ids == ()
    with pytest.raises(NotFoundError):
        control.warehouses.disconnect(workspace.id, warehouse.id, source.id)
    assert control.warehouses.connect(workspace.id, warehouse.id, source.slug).source_ids == (source.id,)
    assert control.warehouses.connect(workspace.id, warehouse.id, source.id).source_ids == (source.id,)


@pytest.mark.usefixtures("destination")
def test_another_secret_key_is_refused_at_start(tmp_path):
    with pytest.raises(ConfigError, match="SECRET_KEY"):
        open_control(f"sqlite:///{tmp_path}/control.db", b"another secret key")
