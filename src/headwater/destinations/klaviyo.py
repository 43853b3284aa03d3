"""Klaviyo: profiles and their events by the REST API, one a request.

Source: Klaviyo API reference: Create or Update Profile, Create Event (`unique_id`, `value`, `time`), Get Accounts;
API overview (authentication, revisions, rate limits, status codes and errors).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final

import msgspec

from headwater.batching import told
from headwater.destinations.contract import (
    Answer,
    Card,
    Discarded,
    Outcome,
    Room,
    Rule,
    demand,
    outcome_of,
    setting,
    settle_erasure,
)
from headwater.errors import ConfigError
from headwater.privacy.person import Person
from headwater.spec import conventions
from headwater.spec.event import Body, Call, Event

_HOST: Final = "https://a.klaviyo.com"
_REVISION: Final = "2026-07-15"  # API versioning and deprecation policy: kept for two years
_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}\Z")  # Create or Update Profile: how a phone number must be written
_FORBIDDEN: Final = 403
_NO_ID: Final = Discarded("Klaviyo needs a userId, an anonymousId, an e-mail address or a phone number.")
_NAMELESS: Final = Discarded("A track call needs an event name.")

_TRAITS: Final[conventions.Fields] = {
    "first_name": ("firstName", "first_name"),
    "last_name": ("lastName", "last_name"),
    "organization": ("company.name", "organization"),
    "title": ("title",),
    "image": ("avatar",),
}
_LOCATION: Final[conventions.Fields] = {
    "address1": ("traits.address.street", "context.traits.address.street"),
    "city": ("traits.address.city", "context.traits.address.city"),
    "region": ("traits.address.state", "context.traits.address.state"),
    "zip": ("traits.address.postalCode", "context.traits.address.postalCode"),
    "country": ("traits.address.country", "context.traits.address.country"),
    "timezone": ("context.timezone",),
    "ip": ("context.ip",),
}
_KNOWN: Final = frozenset(path for paths in _TRAITS.values() for path in paths) | {"email", "company", "address"}

CARD = Card(
    name="Klaviyo",
    description="Sends profiles and their events to Klaviyo.",
    calls=frozenset({Call.IDENTIFY, Call.TRACK, Call.PAGE, Call.SCREEN}),
    categories=("Email marketing", "SMS"),
    ordered=True,  # an event may start a flow that reads what the identify before it set
    api="https://developers.klaviyo.com/en/reference/api_overview",
    mapping=(
        Rule("all calls", "userId", "external_id"),
        Rule("all calls", "anonymousId", "anonymous_id"),
        Rule("all calls", "traits.email, context.traits.email, properties.email", "email"),
        Rule("all calls", "traits.phone, context.traits.phone", "phone_number", "In the form +491701234567 only."),
        *(Rule("all calls", f"traits.{names[0]}", name) for name, names in _TRAITS.items()),
        *(Rule("all calls", ", ".join(paths), f"location.{name}") for name, paths in _LOCATION.items()),
        Rule("identify", "other traits", "properties"),
        Rule("track", "event", "metric.name"),
        Rule("page, screen", "name", "metric.name", "`Viewed NAME Page`, `Loaded a Page` without a name."),
        Rule("track, page, screen", "properties", "properties"),
        Rule("track, page, screen", "messageId", "unique_id", "Klaviyo takes each id once."),
        Rule("track, page, screen", "timestamp", "time"),
        Rule("track", "properties.revenue", "value", "For `Order Completed` else `total`, else `value`."),
        Rule("track", "properties.currency", "value_currency"),
    ),
    notes=(
        "An event without any id becomes a dead letter.",
        "Events go one by one: of a bulk job Klaviyo tells only later, and elsewhere, what it refused.",
        "A phone number in another form than +491701234567 becomes the property `phone`, as Klaviyo would refuse it.",
        "Consent is not touched: nobody is subscribed to a list.",
        "The key needs the scopes events:write and profiles:write.",
        "The check asks for the account; a key without the scope for that passes, as Klaviyo knows it.",
    ),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user fills in."""

    api_key: str = field(
        repr=False,
        metadata=setting("Private API key", "Begins with `pk_`; made in the account's settings.", secret=True),
    )
    endpoint: str = field(
        default="", metadata=setting("Endpoint", "For proxies and tests; empty is the service's own.", required=False)
    )


class Destination:
    """Posts profiles to `/api/profile-import` and events to `/api/events`, one by one."""

    batch_max: ClassVar[int] = 1

    def __init__(self, settings: Settings, room: Room) -> None:
        if not settings.api_key.strip():
            raise ConfigError("The private API key must not be empty; it begins with `pk_`.")
        self._http, self._base = room.http, (settings.endpoint or _HOST).rstrip("/")
        self._headers = {
            "authorization": f"Klaviyo-API-Key {settings.api_key.strip()}",
            "accept": "application/vnd.api+json",
            "content-type": "application/vnd.api+json",
            "revision": _REVISION,
        }

    async def check(self) -> None:
        """Ask for the account.

        Raises:
            UnauthorizedError, RetryableError, DeliveryError: the key is refused, or nothing speaks the API there.
        """
        answer = await self._http.request("GET", f"{self._base}/api/accounts", headers=self._headers)
        if answer.status != _FORBIDDEN:
            demand(outcome_of(answer), "Klaviyo", unauthorized="Klaviyo refuses the private API key; copy it again.")

    async def send(self, events: Sequence[Event]) -> list[Outcome]:
        """Post one profile or event."""
        return [await self._deliver(event.body) for event in events]

    async def erase(self, person: Person) -> None:
        """Ask for the deletion of profiles by address; needs the key's scope `data-privacy:write`.

        Source: Klaviyo Data Privacy API, Request Profile Deletion.
        """
        for email in sorted(person.emails):
            profile_ = {"data": {"type": "profile", "attributes": {"email": email}}}
            job = {"data": {"type": "data-privacy-deletion-job", "attributes": {"profile": profile_}}}
            address = f"{self._base}/api/data-privacy-deletion-jobs"
            body = msgspec.json.encode(job)
            settle_erasure(await self._http.request("POST", address, body=body, headers=self._headers), "Klaviyo")

    async def _deliver(self, body: Body) -> Outcome:
        attributes = profile(body)
        if not attributes:
            return _NO_ID
        if body.get("type") == Call.IDENTIFY:
            return await self._post("/api/profile-import", {"type": "profile", "attributes": attributes})
        if not conventions.event_name(body):
            return _NAMELESS
        return await self._post("/api/events", {"type": "event", "attributes": action(body, attributes)})

    async def _post(self, path: str, resource: Body) -> Outcome:
        encoded = msgspec.json.encode({"data": resource})
        return meaning(await self._http.request("POST", self._base + path, body=encoded, headers=self._headers))


def profile(body: Body) -> Body:
    """Return what is told of the person, empty without any id."""
    traits, address = conventions.person_traits(body), conventions.email(body)
    phone = conventions.text(traits, "phone")
    ids = {
        "external_id": conventions.user_id(body),
        "anonymous_id": conventions.anonymous_id(body),
        "email": address,
        "phone_number": phone if _E164.match(phone) else "",
    }
    made: Body = {name: each for name, each in ids.items() if each}
    if not made:
        return {}
    made |= {name: each for name, paths in _TRAITS.items() if (each := conventions.text(traits, *paths))}
    place = {name: each for name, paths in _LOCATION.items() if (each := conventions.text(body, *paths))}
    if place:
        made["location"] = place
    own = _own(traits, phone_is_taken="phone_number" in made)
    if own and body.get("type") == Call.IDENTIFY:
        made["properties"] = own
    return made


def _own(traits: Mapping[str, Any], *, phone_is_taken: bool) -> Body:
    taken = _KNOWN | {"phone"} if phone_is_taken else _KNOWN
    return {name: each for name, each in traits.items() if name not in taken}


def action(body: Body, person: Body) -> Body:
    """Return a track, page or screen call as an event of a person."""
    made: Body = {
        "metric": {"data": {"type": "metric", "attributes": {"name": conventions.event_name(body)}}},
        "profile": {"data": {"type": "profile", "attributes": person}},
        "properties": dict(conventions.mapping(body, "properties")),
        "time": conventions.timestamp(body),
        "unique_id": conventions.text(body, "messageId"),
    }
    if body.get("type") == Call.TRACK and (revenue := conventions.revenue(body)) is not None:
        made |= {"value": revenue, "value_currency": conventions.currency(body)}
    return made


def meaning(answer: Answer) -> Outcome:
    """Return what an answer means; Klaviyo says which member of a request is wrong."""
    outcome = outcome_of(answer)
    errors = told(answer.body).get("errors")
    if isinstance(outcome, Discarded) and isinstance(errors, list) and errors and isinstance(errors[0], dict):
        code, member = conventions.text(errors[0], "code")[:100], conventions.text(errors[0], "source.pointer")[:100]
        return replace(outcome, reason=f"Klaviyo refuses the event: {f'{code} {member}'.strip()}.")
    return outcome
