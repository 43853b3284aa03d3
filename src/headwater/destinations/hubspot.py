"""HubSpot: contacts by the CRM API, what they did as custom event completions, one a request.

Source: HubSpot developer documentation: CRM API, Contacts (update by `idProperty=email`, create, conflict); Send
custom event completions; Account information; API usage guidelines and limits; Error handling.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final
from urllib.parse import quote

import msgspec

from headwater.batching import told
from headwater.destinations.contract import (
    Answer,
    Card,
    Discarded,
    Outcome,
    Retry,
    Room,
    Rule,
    Skipped,
    demand,
    outcome_of,
    retry_after_s,
    setting,
    settle_erasure,
)
from headwater.errors import ConfigError
from headwater.privacy.person import Person
from headwater.spec import conventions
from headwater.spec.event import Body, Call, Event

_HOST: Final = "https://api.hubapi.com"
_CONTACTS: Final = "/crm/v3/objects/contacts"
_EVENTS: Final = "/events/v3/send"
_PER_S: Final = 9.0  # API usage guidelines: 100 requests in 10 seconds, for the smallest accounts
_WINDOW_S: Final = 10.0  # the same: how long a private app that asked too often waits
_DAY_RESET_S: Final = 3_600.0  # ours: over the daily limit, look once an hour
_NOT_FOUND: Final = 404
_CONFLICT: Final = 409
_EXISTING: Final = re.compile(r"Existing ID: (\d{1,20})")  # Contacts: what a conflict says
_TOO_MANY: Final = 429
_LATER: Final = frozenset({423, 477})  # Error handling: locked, account moves
# Send custom event occurrences, Limits: a request beyond one of them fails.
_PROPERTIES_MAX: Final = 50
_NAME_CHARS_MAX: Final = 50
_TEXT_CHARS_MAX: Final = 256
_ADDRESS_CHARS_MAX: Final = 1_024  # of URL and referrer
_NO_EMAIL: Final = Discarded("HubSpot needs an e-mail address.")
_NAMELESS: Final = Discarded("A track call needs an event name.")
_UNMAPPED: Final = Skipped("The settings name no HubSpot event for it.")

_TRAITS: Final[conventions.Fields] = {
    "firstname": ("firstName", "first_name"),
    "lastname": ("lastName", "last_name"),
    "phone": ("phone",),
    "jobtitle": ("title",),
    "company": ("company.name", "company"),
    "website": ("website",),
    "address": ("address.street",),
    "city": ("address.city",),
    "state": ("address.state",),
    "zip": ("address.postalCode",),
    "country": ("address.country",),
}

CARD = Card(
    name="HubSpot",
    description="Sends contacts and custom events to HubSpot.",
    calls=frozenset({Call.IDENTIFY, Call.TRACK}),
    categories=("CRM", "Marketing automation"),
    ordered=True,  # an event of a contact whom HubSpot does not know creates one without what the identify tells
    rate_per_s=_PER_S,
    api="https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/guide",
    mapping=(
        Rule("identify", "traits.email, context.traits.email", "email", "The contact is found by it."),
        *(Rule("identify", f"traits.{names[0]}", f"properties.{name}") for name, names in _TRAITS.items()),
        Rule("identify", "other traits", "properties", "Those that the settings name, under their names in HubSpot."),
        Rule("track", "context.traits.email, properties.email", "email"),
        Rule("track", "event", "eventName", "As the settings spell it."),
        Rule("track", "timestamp", "occurredAt"),
        Rule("track", "messageId", "uuid"),
        Rule("track", "properties", "properties", "Texts, numbers and booleans; see below."),
    ),
    notes=(
        "HubSpot knows people by their e-mail address; an event without one becomes a dead letter.",
        "A contact is updated, or created where there is none.",
        "Custom events must be defined in HubSpot; name them in the settings, other events are not sent.",
        "Properties must exist in HubSpot, for contacts and for events; an event with an unknown one is refused.",
        "Of an event's properties the first 50 are sent, with names in lower case and `_`.",
        "Texts are cut at 256 characters, those of a URL or referrer at 1,024: HubSpot would refuse longer ones.",
        "HubSpot names a repeated event by its `uuid`, and may count it again.",
        "Groups are not sent: companies are found by HubSpot's own ids only.",
        "Of the account's requests, 100 in 10 seconds, up to 90 are used; set a higher rate for larger accounts.",
        "The check asks for the account's details, which any private app may.",
    ),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user fills in."""

    access_token: str = field(
        repr=False, metadata=setting("Access token", "Of a private app, begins with `pat-`.", secret=True)
    )
    events: Mapping[str, str] = field(
        default_factory=dict,
        metadata=setting(
            "Events", "Names of events, and of the custom events in HubSpot, such as pe123_signed_up.", required=False
        ),
    )
    properties: Mapping[str, str] = field(
        default_factory=dict,
        metadata=setting("Contact properties", "Traits, and the properties they become in HubSpot.", required=False),
    )
    endpoint: str = field(
        default="", metadata=setting("Endpoint", "For proxies and tests; empty is the service's own.", required=False)
    )


class Destination:
    """Updates or creates contacts and sends event completions, one by one."""

    batch_max: ClassVar[int] = 1

    def __init__(self, settings: Settings, room: Room) -> None:
        if not settings.access_token.strip():
            raise ConfigError("The access token must not be empty; the private app's page in HubSpot shows it.")
        self._settings, self._http = settings, room.http
        self._base = (settings.endpoint or _HOST).rstrip("/")
        self._headers = {
            "authorization": f"Bearer {settings.access_token.strip()}",
            "content-type": "application/json",
        }

    async def check(self) -> None:
        """Ask for the account's details.

        Raises:
            UnauthorizedError, RetryableError, DeliveryError: the token is refused, or nothing speaks the API there.
        """
        demand(
            outcome_of(await self._ask("GET", "/account-info/v3/details")),
            "HubSpot",
            unauthorized="HubSpot refuses the access token; copy it again from the private app.",
        )

    async def send(self, events: Sequence[Event]) -> list[Outcome]:
        """Send one event, in one request or a few."""
        return [await self._deliver(event.body) for event in events]

    async def erase(self, person: Person) -> None:
        """Delete contacts by address; HubSpot then refuses the address for good, also one that it did not know.

        Source: HubSpot CRM API, Permanently delete a contact (GDPR-compliant).
        """
        for email in sorted(person.emails):
            wanted = {"objectId": email, "idProperty": "email"}
            settle_erasure(await self._ask("POST", f"{_CONTACTS}/gdpr-delete", wanted), "HubSpot")

    async def _deliver(self, body: Body) -> Outcome:
        address = conventions.email(body)
        if body.get("type") == Call.IDENTIFY:
            return await self._upsert(address, contact(body, self._settings.properties)) if address else _NO_EMAIL
        name = conventions.event_name(body)
        if not name:
            return _NAMELESS
        event = self._settings.events.get(name)
        if not event:
            return _UNMAPPED
        return meaning(await self._ask("POST", _EVENTS, completion(body, event, address))) if address else _NO_EMAIL

    async def _upsert(self, address: str, properties: Body) -> Outcome:
        """Update a contact; create one where there is none.

        A conflict then names the contact that has the address, as a further one or because somebody was quicker.
        """
        path = f"{_CONTACTS}/{quote(address, safe='')}?idProperty=email"
        made = {"properties": properties}
        answer = await self._ask("PATCH", path, made)
        if answer.status == _NOT_FOUND:
            answer = await self._ask("POST", _CONTACTS, {"properties": {"email": address, **properties}})
        if answer.status == _CONFLICT:
            existing = _EXISTING.search(answer.body.decode("utf-8", "replace"))
            answer = await self._ask("PATCH", f"{_CONTACTS}/{existing[1]}" if existing else path, made)
        return meaning(answer)

    async def _ask(self, method: str, path: str, body: Body | None = None) -> Answer:
        encoded = b"" if body is None else msgspec.json.encode(body)
        return await self._http.request(method, self._base + path, body=encoded, headers=self._headers)


def contact(body: Body, properties: Mapping[str, str]) -> Body:
    """Return the properties of a contact: HubSpot's own, and those that the settings name."""
    traits = conventions.person_traits(body)
    made: Body = {name: each for name, paths in _TRAITS.items() if (each := conventions.text(traits, *paths))}
    return made | _plain({name: traits.get(trait) for trait, name in properties.items()})


def completion(body: Body, event: str, address: str) -> Body:
    """Return a track call as the completion of a custom event."""
    properties = _plain({_spelled(name): each for name, each in conventions.mapping(body, "properties").items()})
    return {
        "eventName": event,
        "email": address,
        "occurredAt": conventions.timestamp(body),
        "uuid": conventions.text(body, "messageId"),
        "properties": {name: _cut(name, each) for name, each in list(properties.items())[:_PROPERTIES_MAX]},
    }


def _spelled(name: str) -> str:
    """Return a name as HubSpot spells those of properties; "" when nothing is left."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).lstrip("_0123456789")[:_NAME_CHARS_MAX].rstrip("_")


def _cut(name: str, each: Any) -> Any:
    most = _ADDRESS_CHARS_MAX if name.endswith(("url", "referrer")) else _TEXT_CHARS_MAX
    return each[:most] if isinstance(each, str) else each


def _plain(given: Mapping[str, Any]) -> Body:
    return {name: each for name, each in given.items() if name and isinstance(each, str | int | float)}


def meaning(answer: Answer) -> Outcome:
    """Return what an answer means; HubSpot tells which limit was reached and what it refuses."""
    outcome, body = outcome_of(answer), told(answer.body)
    if answer.status in _LATER:
        return Retry(f"HTTP {answer.status}", answer.status, retry_after_s(answer.headers) or _WINDOW_S)
    if answer.status == _TOO_MANY and isinstance(outcome, Retry) and outcome.after_s is None:
        return replace(outcome, after_s=_DAY_RESET_S if body.get("policyName") == "DAILY" else _WINDOW_S)
    category = conventions.text(body, "category")[:100]
    if isinstance(outcome, Discarded) and category:
        return replace(outcome, reason=f"HubSpot refuses the event: {category}.")
    return outcome
