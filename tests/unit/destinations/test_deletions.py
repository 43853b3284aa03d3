"""What services are asked when a person is to be deleted, and what their answers mean."""

import asyncio
import json

import pytest

from headwater.delivery.engine import build
from headwater.destinations.contract import Erases
from headwater.errors import DeliveryError, RetryableError, UnauthorizedError, UnsupportedError
from headwater.outgoing import Answer
from headwater.privacy.person import Person
from rooms import room

ANN = Person(frozenset({"ann/1"}), frozenset({"a1"}), frozenset({"ann@x.org"}))


class Service:
    """Keeps what it is asked, and answers with one status."""

    def __init__(self, status=200):
        self.status, self.asked = status, []

    async def request(self, method, url, *, body=b"", headers=None):
        assert headers
        self.asked.append((method, url.partition("://")[2].partition("/")[2], json.loads(body) if body else None))
        return Answer(self.status, {}, b"{}")


def told(kind, settings, status=200, person=ANN):
    service = Service(status)
    elsewhere = {} if kind == "segment" else {"endpoint": "https://s.example"}
    _, destination = build(kind, elsewhere | settings, room(service))
    assert isinstance(destination, Erases)
    asyncio.run(destination.erase(person))
    return service.asked


KEYS = {
    "braze": {"api_key": "k", "region": "us-01"},
    "customer_io": {"site_id": "s", "api_key": "k"},
    "hubspot": {"access_token": "k"},
    "klaviyo": {"api_key": "k"},
    "amplitude": {"api_key": "k", "secret_key": "s"},
    "mixpanel": {"token": "t", "gdpr_token": "g"},
    "posthog": {"api_key": "k", "personal_api_key": "p", "project_id": "7"},
    "segment": {"write_key": "w", "public_api_token": "t", "public_api_url": "https://s.example/api"},
    "intercom": {"access_token": "k"},
}


def test_each_service_is_asked_as_it_documents():
    assert told("braze", {"api_key": "k"}) == [
        ("POST", "users/delete", {"external_ids": ["ann/1"]}),
        ("POST", "users/delete", {"email_addresses": ["ann@x.org"]}),
    ]
    assert told("customer_io", KEYS["customer_io"]) == [
        ("DELETE", "api/v1/customers/ann%2F1", None),
        ("DELETE", "api/v1/customers/ann%40x.org", None),
    ]
    ((method, path, body),) = told("hubspot", KEYS["hubspot"])
    assert (method, path.endswith("gdpr-delete")) == ("POST", True)
    assert body == {"objectId": "ann@x.org", "idProperty": "email"}
    ((_, path, body),) = told("klaviyo", KEYS["klaviyo"])
    assert path == "api/data-privacy-deletion-jobs"
    assert body["data"]["attributes"]["profile"]["data"]["attributes"] == {"email": "ann@x.org"}


def test_services_of_analytics_are_asked_by_the_ids_they_know():
    assert told("amplitude", KEYS["amplitude"]) == [
        (
            "POST",
            "api/2/deletions/users",
            {"user_ids": ["ann/1"], "requester": "headwater", "ignore_invalid_id": "True"},
        )
    ]
    assert told("mixpanel", KEYS["mixpanel"]) == [
        (
            "POST",
            "api/app/data-deletions/v3.0/?token=t",
            {"distinct_ids": ["ann/1", "$device:a1"], "compliance_type": "GDPR"},
        )
    ]
    assert told("posthog", KEYS["posthog"]) == [
        (
            "POST",
            "api/projects/7/persons/bulk_delete/",
            {"distinct_ids": ["a1", "ann/1"], "delete_events": True, "delete_recordings": True},
        )
    ]
    assert told("segment", KEYS["segment"]) == [
        (
            "POST",
            "api/regulations",
            {"regulationType": "DELETE_ONLY", "subjectType": "USER_ID", "subjectIds": ["ann/1"]},
        )
    ]


class Contacts(Service):
    """Intercom with two contacts."""

    async def request(self, method, url, *, body=b"", headers=None):
        await super().request(method, url, body=body, headers=headers)
        if "find_by_external_id" in url:
            return Answer(200, {}, b'{"type":"contact","id":"c1"}')
        if "search" in url:
            return Answer(200, {}, b'{"data":[{"id":"c1"},{"id":"c2"}]}')
        return Answer(200 if self.asked.count(self.asked[-1]) == 1 else 404, {}, b"{}")


def test_intercom_deletes_whom_it_finds_by_id_and_by_address():
    service = Contacts()
    _, destination = build("intercom", KEYS["intercom"] | {"endpoint": "https://s.example"}, room(service))
    asyncio.run(destination.erase(ANN))
    assert [(method, path) for method, path, _ in service.asked] == [
        ("GET", "contacts/find_by_external_id/ann%2F1"),
        ("DELETE", "contacts/c1"),
        ("POST", "contacts/search"),
        ("DELETE", "contacts/c1"),
        ("DELETE", "contacts/c2"),
    ]


@pytest.mark.parametrize("kind", ["amplitude", "mixpanel", "posthog", "segment"])
def test_without_a_key_for_it_or_an_id_the_person_is_to_be_deleted_there(kind):
    keys = {"api_key", "token", "write_key"}
    with pytest.raises(UnsupportedError, match=r"Fill in .*, or delete"):
        told(kind, {name: value for name, value in KEYS[kind].items() if name in keys})
    with pytest.raises(UnsupportedError, match="there"):
        told(kind, KEYS[kind], person=Person(emails=frozenset({"ann@x.org"})))


def test_a_webhook_gets_segments_event_of_type_delete():
    service = Service()
    _, destination = build("webhook", {"url": "https://s.example/hook"}, room(service))
    asyncio.run(destination.erase(ANN))
    assert [body for _, _, body in service.asked] == [
        {"type": "delete", "userId": "ann/1"},
        {"type": "delete", "anonymousId": "a1"},
        {"type": "delete", "traits": {"email": "ann@x.org"}},
    ]


@pytest.mark.parametrize("kind", sorted(KEYS.keys() - {"braze"}))
@pytest.mark.parametrize(
    ("status", "error"), [(503, RetryableError), (429, RetryableError), (401, UnauthorizedError), (400, DeliveryError)]
)
def test_what_a_service_does_not_take_is_told(kind, status, error):
    with pytest.raises(error) as raised:
        told(kind, KEYS[kind], status)
    assert "ann" not in str(raised.value)


@pytest.mark.parametrize("kind", ["customer_io", "hubspot", "klaviyo", "intercom", "amplitude"])
def test_whom_a_service_does_not_know_is_deleted_there(kind):
    assert told(kind, KEYS[kind], 404)


@pytest.mark.parametrize("kind", ["kafka", "slack", "files"])
def test_services_without_a_deletion_that_we_know_say_so(kind):
    from headwater import shelf

    assert not hasattr(shelf.take("headwater.destinations", kind).Destination, "erase")
