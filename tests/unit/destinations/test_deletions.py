"""What services are asked when a person is to be deleted, and what their answers mean."""

import asyncio
import json

import pytest

from headwater.delivery.engine import build
from headwater.destinations.contract import Erases
from headwater.errors import DeliveryError, RetryableError, UnauthorizedError
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


def told(kind, settings, status=200):
    service = Service(status)
    _, destination = build(kind, {"endpoint": "https://s.example"} | settings, room(service))
    assert isinstance(destination, Erases)
    asyncio.run(destination.erase(ANN))
    return service.asked


KEYS = {
    "braze": {"api_key": "k", "region": "us-01"},
    "customer_io": {"site_id": "s", "api_key": "k"},
    "hubspot": {"access_token": "k"},
    "klaviyo": {"api_key": "k"},
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


def test_a_webhook_gets_segments_event_of_type_delete():
    service = Service()
    _, destination = build("webhook", {"url": "https://s.example/hook"}, room(service))
    asyncio.run(destination.erase(ANN))
    assert [body for _, _, body in service.asked] == [
        {"type": "delete", "userId": "ann/1"},
        {"type": "delete", "anonymousId": "a1"},
        {"type": "delete", "traits": {"email": "ann@x.org"}},
    ]


@pytest.mark.parametrize("kind", ["customer_io", "hubspot", "klaviyo"])
@pytest.mark.parametrize(
    ("status", "error"), [(503, RetryableError), (429, RetryableError), (401, UnauthorizedError), (400, DeliveryError)]
)
def test_what_a_service_does_not_take_is_told(kind, status, error):
    with pytest.raises(error) as raised:
        told(kind, KEYS[kind], status)
    assert "ann" not in str(raised.value)


@pytest.mark.parametrize("kind", ["customer_io", "hubspot", "klaviyo"])
def test_whom_a_service_does_not_know_is_deleted_there(kind):
    assert told(kind, KEYS[kind], 404)


@pytest.mark.parametrize("kind", ["amplitude", "kafka", "slack", "segment"])
def test_services_without_a_deletion_that_we_know_say_so(kind):
    from headwater import shelf

    assert not hasattr(shelf.take("headwater.destinations", kind).Destination, "erase")
