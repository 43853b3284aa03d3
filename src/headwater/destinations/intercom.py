"""Intercom: people, companies and what people did, by the REST API.

Source: Intercom developer documentation, REST API 2.13: Create contact (conflict), Update a contact, Submit a data
event (duplicates, metadata), Create or update a company, Attach a contact to a company, Rate limiting, Identify an
admin.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final, Literal
from urllib.parse import quote

import msgspec

from headwater.batching import told
from headwater.destinations.contract import (
    Answer,
    Card,
    Delivered,
    Discarded,
    Outcome,
    Retry,
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

_HOSTS: Final = {
    "us": "https://api.intercom.io",
    "eu": "https://api.eu.intercom.io",
    "au": "https://api.au.intercom.io",
}
_VERSION: Final = "2.13"
_METADATA_MAX: Final = 20  # Submit a data event: keys of metadata
_FOREIGN: Final = re.compile(r"""[.$~`!@#%^&*'{}|\\"\0]+""")  # Set up event tracking: what no key of metadata holds
_TEXT_CHARS_MAX: Final = 255  # Data attributes: texts are cut there
_CONFLICT: Final = 409
_NOT_FOUND: Final = 404
_TOO_MANY: Final = 429
_EXISTING: Final = re.compile(r"id=([0-9A-Za-z]+)")
_CENTS: Final = 100
_NO_ID: Final = Discarded("Intercom needs a userId or an e-mail address.")
_NAMELESS: Final = Discarded("A track call needs an event name.")
_NO_GROUP: Final = Discarded("A group call needs a groupId.")
_UNKNOWN: Final = "Intercom does not know the person; send an identify first."

_TRAITS: Final[conventions.Fields] = {
    "email": ("email",),
    "name": ("name",),
    "phone": ("phone",),
    "avatar": ("avatar",),
}
_COMPANY: Final[conventions.Fields] = {
    "name": ("name",),
    "plan": ("plan",),
    "website": ("website",),
    "industry": ("industry",),
}
_COMPANY_NUMBERS: Final[conventions.Fields] = {
    "size": ("employees", "size"),
    "monthly_spend": ("monthlySpend", "monthly_spend"),
}

CARD = Card(
    name="Intercom",
    description="Sends people, their companies and events to Intercom.",
    calls=frozenset({Call.IDENTIFY, Call.TRACK, Call.GROUP}),
    categories=("Customer support", "Email marketing"),
    ordered=True,  # an event of a person whom Intercom does not know yet is refused
    api="https://developers.intercom.com/docs/references/rest-api/api.intercom.io",
    mapping=(
        Rule("identify", "userId", "external_id"),
        *(Rule("identify", f"traits.{names[0]}", name) for name, names in _TRAITS.items()),
        Rule("identify", "traits.firstName, traits.lastName", "name", "Without a `name`."),
        Rule("identify", "traits.createdAt", "signed_up_at", "Seconds."),
        Rule("identify", "traits", "custom_attributes", "Those that the settings name."),
        Rule("track", "userId", "user_id"),
        Rule("track", "traits.email, context.traits.email, properties.email", "email", "Without a userId."),
        Rule("track", "event", "event_name"),
        Rule("track", "timestamp", "created_at", "Seconds."),
        Rule("track", "properties", "metadata", "Texts, numbers and booleans, up to 20; in names `_` for punctuation."),
        Rule("track", "properties.revenue, properties.currency", "metadata.price", "In cents."),
        Rule("track", "messageId", "metadata.message_id"),
        Rule("group", "groupId", "company_id", "The person of the userId is attached to the company."),
        *(Rule("group", f"traits.{names[0]}", name) for name, names in (*_COMPANY.items(), *_COMPANY_NUMBERS.items())),
        Rule("group", "traits.createdAt", "remote_created_at", "Seconds."),
        Rule("group", "traits", "custom_attributes", "Those that the settings name."),
    ),
    notes=(
        "Custom attributes must exist in Intercom; name those that do, the others stay out.",
        "A person is created, or updated where Intercom has one with the same id or address.",
        "An event of somebody whom Intercom does not know becomes a dead letter; an identify makes the person known.",
        "Intercom recognises a repeated event by person, name and second: two of the same second count as one.",
        "Intercom allows 10,000 requests a minute and says when to go on.",
        "The check asks who the access token belongs to.",
    ),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user fills in."""

    access_token: str = field(
        repr=False, metadata=setting("Access token", "Of an app of yours, Developer Hub.", secret=True)
    )
    region: Literal["us", "eu", "au"] = field(
        default="us", metadata=setting("Region", "Where the workspace is hosted: us, eu or au.", required=False)
    )
    attributes: tuple[str, ...] = field(
        default=(),
        metadata=setting("Custom attributes", "Traits that exist as attributes in Intercom.", required=False),
    )
    endpoint: str = field(
        default="", metadata=setting("Endpoint", "For proxies and tests; empty is the service's own.", required=False)
    )


class Destination:
    """Creates or updates people and companies, and submits events, one by one."""

    batch_max: ClassVar[int] = 1

    def __init__(self, settings: Settings, room: Room) -> None:
        if not settings.access_token.strip():
            raise ConfigError("The access token must not be empty; the app's page in the Developer Hub shows it.")
        self._attributes, self._http, self._clock = settings.attributes, room.http, room.clock
        self._base = (settings.endpoint or _HOSTS[settings.region]).rstrip("/")
        self._headers = {
            "authorization": f"Bearer {settings.access_token.strip()}",
            "accept": "application/json",
            "content-type": "application/json",
            "intercom-version": _VERSION,
        }

    async def check(self) -> None:
        """Ask who the token belongs to.

        Raises:
            UnauthorizedError, RetryableError, DeliveryError: the token is refused, or nothing speaks the API there.
        """
        demand(
            outcome_of(await self._ask("GET", "/me")),
            "Intercom",
            unauthorized="Intercom refuses the access token; compare token and region.",
        )

    async def send(self, events: Sequence[Event]) -> list[Outcome]:
        """Send one event, in one request or a few."""
        return [await self._deliver(event.body) for event in events]

    async def erase(self, person: Person) -> None:
        """Delete contacts by user id and by address; Intercom keeps what is deleted for seven days.

        Source: Intercom REST API: Get a contact by external ID, Search contacts, Delete a contact.
        """
        for user in sorted(person.user_ids):
            found = await self._ask("GET", f"/contacts/find_by_external_id/{quote(user, safe='')}")
            settle_erasure(found, "Intercom")
            await self._remove([told(found.body)])
        for email in sorted(person.emails):
            query = {"query": {"field": "email", "operator": "=", "value": email}, "pagination": {"per_page": 150}}
            found = await self._ask("POST", "/contacts/search", query)
            settle_erasure(found, "Intercom")
            await self._remove(told(found.body).get("data"))

    async def _remove(self, contacts: Any) -> None:
        for contact in contacts if isinstance(contacts, list) else []:
            if isinstance(contact, dict) and (id_ := conventions.text(contact, "id")):
                settle_erasure(await self._ask("DELETE", f"/contacts/{quote(id_, safe='')}"), "Intercom")

    async def _deliver(self, body: Body) -> Outcome:
        match body.get("type"):
            case Call.IDENTIFY:
                made = person(body, self._attributes)
                return await self._upsert(made) if "external_id" in made or "email" in made else _NO_ID
            case Call.GROUP:
                return await self._group(body) if conventions.text(body, "groupId") else _NO_GROUP
        if not conventions.event_name(body):
            return _NAMELESS
        acted = action(body)
        if "user_id" not in acted and "email" not in acted:
            return _NO_ID
        answer = await self._ask("POST", "/events", acted)
        return Discarded(_UNKNOWN, answer.status) if answer.status == _NOT_FOUND else self._meaning(answer)

    async def _upsert(self, made: Body) -> Outcome:
        """Create a person; a conflict names the one who is there, who is updated."""
        answer = await self._ask("POST", "/contacts", made)
        existing = _EXISTING.search(answer.body.decode("utf-8", "replace")) if answer.status == _CONFLICT else None
        if existing is not None:
            answer = await self._ask("PUT", f"/contacts/{existing[1]}", made)
        return self._meaning(answer)

    async def _group(self, body: Body) -> Outcome:
        """Create or update a company, and attach the person who is known."""
        answer = await self._ask("POST", "/companies", company(body, self._attributes))
        user, known = conventions.user_id(body), conventions.text(told(answer.body), "id")
        outcome = self._meaning(answer)
        if not user or not known or not isinstance(outcome, Delivered):
            return outcome
        found = await self._ask("GET", f"/contacts/find_by_external_id/{quote(user, safe='')}")
        if found.status == _NOT_FOUND:
            return Discarded(_UNKNOWN, found.status)
        contact, outcome = conventions.text(told(found.body), "id"), self._meaning(found)
        if not contact or not isinstance(outcome, Delivered):
            return outcome
        return self._meaning(await self._ask("POST", f"/contacts/{quote(contact, safe='')}/companies", {"id": known}))

    async def _ask(self, method: str, path: str, body: Body | None = None) -> Answer:
        encoded = b"" if body is None else msgspec.json.encode(body)
        return await self._http.request(method, self._base + path, body=encoded, headers=self._headers)

    def _meaning(self, answer: Answer) -> Outcome:
        """Return what an answer means; Intercom says by the second when it takes more."""
        outcome, reset = outcome_of(answer), conventions.number(answer.headers, "x-ratelimit-reset")
        if answer.status == _TOO_MANY and isinstance(outcome, Retry) and outcome.after_s is None and reset is not None:
            return replace(outcome, after_s=max(0.0, reset - self._clock().timestamp()))
        if isinstance(outcome, Discarded):
            errors = told(answer.body).get("errors")
            first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
            code = conventions.text(first, "code")[:100]
            return replace(outcome, reason=f"Intercom refuses the event: {code}.") if code else outcome
        return outcome


def person(body: Body, attributes: Sequence[str]) -> Body:
    """Return an identify call as a contact."""
    traits = conventions.person_traits(body)
    made: Body = {"role": "user", **conventions.picked({"id": conventions.user_id(body)}, {"external_id": ("id",)})}
    made |= {name: each for name, paths in _TRAITS.items() if (each := conventions.text(traits, *paths))}
    parts = conventions.text(traits, "firstName", "first_name"), conventions.text(traits, "lastName", "last_name")
    if "name" not in made and any(parts):
        made["name"] = " ".join(part for part in parts if part)
    return made | _signed_up(traits, "signed_up_at") | _custom(traits, attributes)


def company(body: Body, attributes: Sequence[str]) -> Body:
    """Return a group call as a company."""
    traits = conventions.mapping(body, "traits")
    made: Body = {"company_id": conventions.text(body, "groupId")}
    made |= {name: each for name, paths in _COMPANY.items() if (each := conventions.text(traits, *paths))}
    numbers = {name: conventions.number(traits, *paths) for name, paths in _COMPANY_NUMBERS.items()}
    made |= {name: each for name, each in numbers.items() if each is not None}
    return made | _signed_up(traits, "remote_created_at") | _custom(traits, attributes)


def action(body: Body) -> Body:
    """Return a track call as a data event."""
    user, address = conventions.user_id(body), conventions.email(body)
    who = {"user_id": user} if user else {"email": address} if address else {}
    metadata: Body = {"message_id": conventions.text(body, "messageId")}
    if (revenue := conventions.revenue(body)) is not None:
        metadata["price"] = {"amount": round(revenue * _CENTS), "currency": conventions.currency(body).lower()}
    plain = _named(_plain(conventions.mapping(body, "properties")))
    metadata |= {name: plain[name] for name in list(plain)[: _METADATA_MAX - len(metadata)] if name not in metadata}
    return {
        "event_name": conventions.event_name(body),
        "created_at": conventions.epoch_s(body),
        **who,
        "metadata": metadata,
    }


def _named(plain: Body) -> Body:
    """Return metadata whose keys Intercom takes; what it shows as a date, by the key's end, is a time in seconds."""
    named: Body = {}
    for given, each in plain.items():
        name = _FOREIGN.sub("_", given)
        is_date = name.endswith("_date") and isinstance(each, str)
        seconds = conventions.epoch_s({"timestamp": each}) if is_date else 0
        if name:
            named[name] = seconds if seconds > 0 else each
    return named


def _custom(traits: Any, attributes: Sequence[str]) -> Body:
    plain = _plain({name: traits[name] for name in attributes if name in traits})
    return {"custom_attributes": plain} if plain else {}


def _signed_up(traits: Any, member: str) -> Body:
    moment = conventions.text(traits, "createdAt", "created_at")
    seconds = conventions.epoch_s({"timestamp": moment}) if moment else 0
    return {member: seconds} if seconds > 0 else {}


def _plain(given: Any) -> Body:
    """Return the texts, numbers and booleans; texts cut as Intercom cuts them."""
    cut = {name: each[:_TEXT_CHARS_MAX] if isinstance(each, str) else each for name, each in given.items()}
    return {name: each for name, each in cut.items() if isinstance(each, str | int | float)}
