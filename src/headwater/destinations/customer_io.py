"""Customer.io: people, objects and events by the Track API, version 2, many a request.

Source: Customer.io, Journeys Track API, Track v2: Send multiple requests (limits, answers, actions), Make a single
request (identifiers, relationships, deduplication by `id`); Find your account region.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Final, Literal
from urllib.parse import quote

import msgspec

from headwater.batching import Part, carried, told
from headwater.destinations.contract import (
    Card,
    Discarded,
    Outcome,
    Retry,
    Room,
    Rule,
    demand,
    is_spoilt,
    outcome_of,
    setting,
    settle_erasure,
)
from headwater.errors import ConfigError, DeliveryError
from headwater.privacy.person import Person
from headwater.spec import conventions
from headwater.spec.event import Body, Call, Event

_HOSTS: Final = {"us": "https://track.customer.io", "eu": "https://track-eu.customer.io"}
_BATCH: Final = "/api/v2/batch"
_REQUEST_BYTES: Final = 500 * 1_000 - 64  # Send multiple requests: 500 kB; room for the envelope
_ITEM_BYTES: Final = 32 * 1_000  # the same, each operation
# Invalid Track API requests: a person's attributes, whose request is refused beyond
_ATTRIBUTES_MAX: Final = 300
_NAME_BYTES_MAX: Final = 150
_VALUE_BYTES_MAX: Final = 1_000
_SOME_FAILED: Final = 207
_ULID: Final = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}\Z")
_ULID_LETTERS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ULID_BITS: Final = 80  # of chance, below 48 bits of time
_NO_ID: Final = Discarded("Customer.io needs a userId or an e-mail address, or an anonymousId for an event.")
_NAMELESS: Final = Discarded("A track call needs an event name.")
_NO_GROUP: Final = Discarded("A group call needs a groupId.")
_NO_ALIAS: Final = Discarded("An alias call needs a userId and a previousId.")
_TOO_LARGE: Final = Discarded("The event is larger than 32 kB, the most that Customer.io takes.")

_ATTRIBUTES: Final[conventions.Fields] = {
    "first_name": ("firstName", "first_name"),
    "last_name": ("lastName", "last_name"),
}
_CREATED: Final = ("createdAt", "created_at")
_RENAMED: Final = frozenset({"firstName", "lastName", "id", "cio_id", *_CREATED})
_ACTIONS: Final[Mapping[str, str]] = {Call.TRACK: "event", Call.PAGE: "page", Call.SCREEN: "screen"}

CARD = Card(
    name="Customer.io",
    description="Sends people, their events and the objects they belong to to Customer.io.",
    categories=("Email marketing", "Marketing automation"),
    ordered=True,  # an event may start a campaign that reads what the identify before it set
    api="https://docs.customer.io/integrations/api/track/",
    mapping=(
        Rule("all calls", "userId", "identifiers.id"),
        Rule("all calls", "traits.email, context.traits.email", "identifiers.email", "Without a userId."),
        Rule("track, page, screen", "anonymousId", "identifiers.anonymous_id", "Without a userId and an address."),
        Rule("track, page, screen", "messageId, timestamp", "id", "A ULID made of both: the same for each attempt."),
        Rule("track, page, screen", "timestamp", "timestamp", "Seconds."),
        Rule("track", "event", "name"),
        Rule("track", "properties", "attributes"),
        Rule("page", "properties.url, context.page.url, name", "name", "Customer.io matches pages by their address."),
        Rule("screen", "name", "name"),
        Rule("identify", "traits", "attributes"),
        *(Rule("identify", f"traits.{names[0]}", f"attributes.{name}") for name, names in _ATTRIBUTES.items()),
        Rule("identify, group", "traits.createdAt", "attributes.created_at", "Seconds."),
        Rule("identify", "anonymousId", "attributes.anonymous_id", "Joins what was done before."),
        Rule("group", "groupId, traits", "object_id, attributes", "An object of the settings' type, with the person."),
        Rule("alias", "userId, previousId", "primary.id, secondary.id", "Merges the second into the first."),
    ),
    notes=(
        "An identify without userId and address, or an event without any id, becomes a dead letter.",
        "Customer.io names what it refuses of a request (207); the others are in.",
        "Of a person's traits up to 300 are sent, texts up to 1,000 bytes: Customer.io would refuse more.",
        "Repeated events are recognised by their id, a ULID made of the messageId and the time.",
        "An event of more than 32 kB becomes a dead letter; a request holds up to 500 kB.",
        "In a workspace of the EU the region must be eu; the check says so.",
        "The check asks for the account's region.",
    ),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user fills in."""

    site_id: str = field(metadata=setting("Site ID", "Of the workspace's Track API credentials."))
    api_key: str = field(repr=False, metadata=setting("Track API key", "Beside the site ID.", secret=True))
    region: Literal["us", "eu"] = field(
        default="us", metadata=setting("Region", "Where the account's data resides: us or eu.", required=False)
    )
    object_type: str = field(
        default="1", metadata=setting("Object type", "The number of the type that groups become.", required=False)
    )
    endpoint: str = field(
        default="", metadata=setting("Endpoint", "For proxies and tests; empty is the service's own.", required=False)
    )


class Destination:
    """Posts batches to `/api/v2/batch`."""

    batch_max: ClassVar[int] = 100

    def __init__(self, settings: Settings, room: Room) -> None:
        if not settings.site_id.strip() or not settings.api_key.strip():
            raise ConfigError("The site ID and the Track API key must not be empty; see Settings, API credentials.")
        self._settings, self._http = settings, room.http
        self._base = (settings.endpoint or _HOSTS[settings.region]).rstrip("/")
        token = base64.b64encode(f"{settings.site_id.strip()}:{settings.api_key.strip()}".encode()).decode()
        self._headers = {"authorization": f"Basic {token}", "content-type": "application/json"}

    async def check(self) -> None:
        """Ask for the account's region.

        Raises:
            UnauthorizedError, RetryableError, DeliveryError: the key is refused, or the region is another one.
        """
        answer = await self._http.request("GET", f"{self._base}/api/v1/accounts/region", headers=self._headers)
        demand(
            outcome_of(answer),
            "Customer.io",
            unauthorized="Customer.io refuses the credentials; compare site ID and Track API key.",
        )
        body = told(answer.body)
        region = (
            conventions.text(body, "region", "data_center") or self._settings.region
        )  # once it was called otherwise
        if region.lower() != self._settings.region:
            raise DeliveryError(f"The account's data resides in the region {region[:10]!r}; choose that one.")

    async def send(self, events: Sequence[Event]) -> list[Outcome]:
        """Send up to 100 events, in as many requests as the limits of size need."""
        return await carried(
            [self._part(event.body) for event in events],
            self._deliver,
            count_max=self.batch_max,
            bytes_max=_REQUEST_BYTES,
            too_large=_TOO_LARGE,
            unsent=lambda error: Retry(str(error), after_s=error.after_s),
            is_spoilt=is_spoilt,
        )

    async def erase(self, person: Person) -> None:
        """Delete people by id and by address.

        Source: Customer.io Track API, Delete a customer.
        """
        for each in sorted({*person.user_ids, *person.emails}):
            address = f"{self._base}/api/v1/customers/{quote(each, safe='')}"
            settle_erasure(await self._http.request("DELETE", address, headers=self._headers), "Customer.io")

    def _part(self, body: Body) -> Part | Outcome:
        made = payload(body, self._settings.object_type)
        if isinstance(made, Discarded):
            return made
        encoded = msgspec.json.encode(made)
        return Part(_BATCH, encoded) if len(encoded) < _ITEM_BYTES else _TOO_LARGE

    async def _deliver(self, path: str, bodies: Sequence[bytes]) -> list[Outcome]:
        body = b'{"batch":[%s]}' % b",".join(bodies)
        answer = await self._http.request("POST", self._base + path, body=body, headers=self._headers)
        outcomes = [outcome_of(answer)] * len(bodies)
        errors = told(answer.body).get("errors") if answer.status == _SOME_FAILED else None
        for error in errors if isinstance(errors, list) else ():
            place = error.get("batch_index") if isinstance(error, dict) else None
            if isinstance(place, int) and 0 <= place < len(bodies):
                why = conventions.text(error, "reason")[:100], conventions.text(error, "field")[:100]
                outcomes[place] = Discarded(f"Customer.io refuses the event: {' '.join(why).strip()}.", answer.status)
        return outcomes


def payload(body: Body, object_type: str) -> Body | Discarded:
    """Return the call as an operation of the Track API, or why it cannot be sent."""
    person = _person(body)
    match body.get("type"):
        case Call.IDENTIFY:
            return _identified(body, person) if person else _NO_ID
        case Call.GROUP:
            return _grouped(body, person, object_type)
        case Call.ALIAS:
            user, previous = conventions.user_id(body), conventions.text(body, "previousId")
            joined = {"primary": {"id": user}, "secondary": {"id": previous}}
            return {"type": "person", "action": "merge", **joined} if user and previous else _NO_ALIAS
    return _acted(body, person)


def _person(body: Body) -> dict[str, str]:
    if user := conventions.user_id(body):
        return {"id": user}
    address = conventions.email({**body, "properties": None})  # an address in properties may be somebody else's
    return {"email": address} if address else {}


def _identified(body: Body, person: dict[str, str]) -> Body:
    traits = conventions.person_traits(body)
    attributes = conventions.picked(traits, _ATTRIBUTES) | _created(traits)
    if anonymous := conventions.anonymous_id(body):
        attributes["anonymous_id"] = anonymous
    attributes |= {name: each for name, each in traits.items() if name not in _RENAMED | attributes.keys()}
    attributes = _bounded(attributes)
    return {"type": "person", "identifiers": person, "action": "identify", "attributes": attributes}


def _bounded(attributes: Body) -> Body:
    """Return the attributes that a request may hold, long texts cut."""
    named = [(name, each) for name, each in attributes.items() if len(name.encode()) <= _NAME_BYTES_MAX]
    return {
        name: each.encode()[:_VALUE_BYTES_MAX].decode(errors="ignore") if isinstance(each, str) else each
        for name, each in named[:_ATTRIBUTES_MAX]
    }


def _grouped(body: Body, person: dict[str, str], object_type: str) -> Body | Discarded:
    group = conventions.text(body, "groupId")
    if not group:
        return _NO_GROUP
    identifiers = {"object_type_id": object_type, "object_id": group}
    made: Body = {"type": "object", "identifiers": identifiers, "action": "identify"}
    traits = conventions.mapping(body, "traits")
    made["attributes"] = {name: each for name, each in traits.items() if name not in _CREATED} | _created(traits)
    if person:
        made["cio_relationships"] = [{"identifiers": person}]
    return made


def _created(traits: Mapping[str, Any]) -> Body:
    """Return when somebody signed up, as the seconds that Customer.io takes for a time; what is no time stays."""
    given = conventions.value(traits, *_CREATED)
    try:
        seconds = int(datetime.fromisoformat(given).timestamp()) if isinstance(given, str) else None
    except (ValueError, OverflowError):
        seconds = None
    return {} if given is None else {"created_at": given if seconds is None else seconds}


def _acted(body: Body, person: dict[str, str]) -> Body | Discarded:
    anonymous, action = conventions.anonymous_id(body), _ACTIONS.get(str(body.get("type")), "event")
    name = conventions.event_name(body)
    if action == "page":
        name = conventions.text(body, "properties.url", "context.page.url") or name
    elif action == "screen":
        name = conventions.text(body, "name", "properties.name") or name
    if not name:
        return _NAMELESS
    if not person and not anonymous:
        return _NO_ID
    what = {"id": ulid(body), "timestamp": conventions.epoch_s(body)}
    return {
        "type": "person",
        "identifiers": person or {"anonymous_id": anonymous},
        "action": action,
        "name": name,
        **what,
        "attributes": dict(conventions.mapping(body, "properties")),
    }


def ulid(body: Body) -> str:
    """Return an id by which Customer.io recognises the event: the messageId if it is a ULID, else one made of it."""
    given = conventions.text(body, "messageId")
    if _ULID.match(given):
        return given
    moment = max(0, conventions.epoch_ms(body)) << _ULID_BITS
    bits = moment | int.from_bytes(hashlib.sha256(given.encode()).digest()[: _ULID_BITS // 8], "big")
    return "".join(_ULID_LETTERS[(bits >> shift) & 31] for shift in range(125, -1, -5))
