"""Braze: profiles, custom events and purchases by the user track endpoint, many a request.

Source: Braze API, User track (objects, limits of a request, errors of single objects); Identify users; User
attributes object, Event object, Purchase object; API overview (REST endpoints of the instances); API rate limits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final, Literal

import msgspec

from headwater.batching import Part, carried, told
from headwater.destinations.contract import (
    Answer,
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
from headwater.errors import ConfigError
from headwater.privacy.person import Person
from headwater.spec import conventions
from headwater.spec.event import Body, Call, Event

Instance = Literal[
    "us-01", "us-02", "us-03", "us-04", "us-05", "us-06", "us-07", "us-08", "us-10", "eu-01", "eu-02", "au-01", "id-01",
    "jp-01", "kr-01",
]  # fmt: skip
_HOSTS: Final = {
    **{f"us-{n:02}": f"https://rest.iad-{n:02}.braze.com" for n in range(1, 9)},
    "us-10": "https://rest.us-10.braze.com",
    "eu-01": "https://rest.fra-01.braze.eu",
    "eu-02": "https://rest.fra-02.braze.eu",
    "au-01": "https://rest.au-01.braze.com",
    "id-01": "https://rest.id-01.braze.com",
    "jp-01": "https://rest.jp-01.braze.com",
    "kr-01": "https://rest.kr-01.braze.com",
}
_ALIASES: Final = "aliases_to_identify"
_REQUEST_BYTES: Final = 2_000_000  # ours: Braze documents 4 MB a request
_PRODUCTS_MAX: Final = 75  # User track: purchases a request
_TEXT_CHARS_MAX: Final = 255  # Event object, Purchase object: names and texts
_QUANTITY_MAX: Final = 100  # Purchase object
# Logging custom events, Logging purchases: names that properties may not have.
_RESERVED: Final = frozenset({"time", "event_name"})
_RESERVED_OF_PURCHASES: Final = _RESERVED | {"product_id", "quantity", "price", "currency"}
_ALIAS_LABEL: Final = "anonymous_id"
_BAD_REQUEST: Final = 400
_TOO_MANY: Final = 429
_NO_ID: Final = Discarded("Braze needs a userId, an anonymousId or an e-mail address.")
_NAMELESS: Final = Discarded("A track call needs an event name.")
_NO_GROUP: Final = Discarded("A group call needs a groupId.")
_NO_ALIAS: Final = Discarded("An alias call needs a userId and a previousId.")
_TOO_LARGE: Final = Discarded("The event is larger than 2 MB, more than a request may hold.")

_TRAITS: Final[conventions.Fields] = {
    "email": ("email",),
    "first_name": ("firstName", "first_name"),
    "last_name": ("lastName", "last_name"),
    "phone": ("phone",),
    "gender": ("gender",),
    "dob": ("birthday",),
    "home_city": ("address.city",),
    "country": ("address.country",),
}
_RENAMED: Final = frozenset({"firstName", "lastName", "birthday", "address"} | _TRAITS.keys())
# User attributes object: who is meant; what somebody's browser sends as traits must not say so.
_IDENTIFIERS: Final = frozenset({"external_id", "braze_id", "user_alias", "_update_existing_only", "push_token_import"})
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_GENDERS: Final = {"male": "M", "m": "M", "female": "F", "f": "F", "other": "O", "o": "O"}

CARD = Card(
    name="Braze",
    description="Sends profiles, custom events and purchases to Braze.",
    categories=("Email marketing", "Push notifications", "SMS"),
    ordered=True,  # an event may start a canvas that reads what the identify before it set
    api="https://www.braze.com/docs/api/endpoints/user_data/post_user_track",
    mapping=(
        Rule("all calls", "userId", "external_id"),
        Rule("all calls", "traits.email, context.traits.email", "email", "Without a userId."),
        Rule("all calls", "anonymousId", "user_alias", f"Without both, under the label `{_ALIAS_LABEL}`."),
        *(Rule("identify", f"traits.{names[0]}", f"attributes.{name}") for name, names in _TRAITS.items()),
        Rule("identify", "other traits", "attributes", "As custom attributes."),
        Rule("track", "event", "events.name"),
        Rule("track, page, screen", "timestamp", "events.time"),
        Rule("track, page, screen", "properties", "events.properties"),
        Rule("page, screen", "name", "events.name", "`Viewed NAME Page`, `Loaded a Page` without a name."),
        Rule(
            "track `Order Completed`", "properties.products[].product_id", "purchases.product_id", "Else `sku`, `name`."
        ),
        Rule("track `Order Completed`", "properties.products[].price", "purchases.price"),
        Rule(
            "track `Order Completed`",
            "properties.products[].quantity",
            "purchases.quantity",
            "1 where none is; above 100 the price is that of all, and the quantity 1.",
        ),
        Rule("track `Order Completed`", "properties.currency", "purchases.currency", "USD where there is none."),
        Rule("track `Order Completed`", "other properties", "purchases.properties"),
        Rule("group", "groupId", "attributes.ab_segment_group_ID", "Set to true, as Segment does."),
        Rule("alias", "userId, previousId", "aliases_to_identify", "The alias becomes the person of the userId."),
    ),
    notes=(
        "An event without any id becomes a dead letter.",
        "Whoever has no userId yet is found by the e-mail address, so that `Email Opened` reaches the right profile.",
        "A profile known by its address only stays beside that of a userId that comes later: merge them in Braze.",
        "Traits that say who is meant, such as `braze_id`, are left out: a browser must not choose somebody else.",
        "Properties that Braze reserves are left out, such as `time`, and a `$` at the beginning of their names.",
        "Names and texts are cut at 255 characters.",
        "Braze names what it refuses of a request; the others are in.",
        "An order without products that have a price goes as a custom event.",
        "Braze has no key to recognise a repeated event by; the messageId goes along as `message_id`.",
        "After a crash an event may therefore count twice.",
        "The check sends a request without users, which Braze refuses for its key or for its emptiness.",
    ),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user fills in."""

    api_key: str = field(
        repr=False, metadata=setting("REST API key", "With users.track and users.identify.", secret=True)
    )
    region: Instance = field(
        default="us-01", metadata=setting("Instance", "As in the dashboard's address.", required=False)
    )
    endpoint: str = field(
        default="", metadata=setting("Endpoint", "For proxies and tests; empty is the service's own.", required=False)
    )


class Destination:
    """Posts batches to `/users/track`, aliases to `/users/identify`."""

    batch_max: ClassVar[int] = 50  # Identify users: aliases a request; User track takes 75

    def __init__(self, settings: Settings, room: Room) -> None:
        if not settings.api_key.strip():
            raise ConfigError("The REST API key must not be empty; make one in Braze's settings, APIs and identifiers.")
        self._http, self._clock = room.http, room.clock
        self._base = (settings.endpoint or _HOSTS[settings.region]).rstrip("/")
        self._headers = {"authorization": f"Bearer {settings.api_key.strip()}", "content-type": "application/json"}

    async def check(self) -> None:
        """Send a request without users: it is refused, for its key or for its emptiness.

        Raises:
            UnauthorizedError, RetryableError, DeliveryError: the key is refused, or nothing speaks the API there.
        """
        answer = await self._post("events", [])
        demand(
            outcome_of(answer),
            "Braze",
            unauthorized="Braze refuses the REST API key; compare key, permissions and instance.",
            proof={_BAD_REQUEST},
        )

    async def send(self, events: Sequence[Event]) -> list[Outcome]:
        """Send up to 50 events: a request for each kind of object, and one for each order."""
        return await carried(
            [part(event.body, place) for place, event in enumerate(events)],
            self._deliver,
            count_max=self.batch_max,
            bytes_max=_REQUEST_BYTES,
            too_large=_TOO_LARGE,
            unsent=lambda error: Retry(str(error), after_s=error.after_s),
            is_spoilt=is_spoilt,
        )

    async def erase(self, person: Person) -> None:
        """Delete profiles by external id and by address; needs the key's permission `users.delete`.

        Source: Braze REST API, Delete users: up to 50 of one kind a request.
        """
        for kind, values in (("external_ids", person.user_ids), ("email_addresses", person.emails)):
            listed = sorted(values)
            for start in range(0, len(listed), self.batch_max):
                body = msgspec.json.encode({kind: listed[start : start + self.batch_max]})
                answer = await self._http.request(
                    "POST", f"{self._base}/users/delete", body=body, headers=self._headers
                )
                settle_erasure(answer, "Braze")

    async def _deliver(self, kind: str, bodies: Sequence[bytes]) -> list[Outcome]:
        answer = await self._post(kind.partition("/")[0], bodies)
        outcomes = [self._meaning(answer)] * len(bodies)
        errors = told(answer.body).get("errors") if answer.status // 100 == 2 else None  # noqa: PLR2004 - RFC 9110
        for error in errors if isinstance(errors, list) else ():
            place = error.get("index") if isinstance(error, dict) else None
            if isinstance(place, int) and place >= 0 and (len(bodies) == 1 or place < len(bodies)):
                why = conventions.text(error, "type")[:200]
                outcomes[min(place, len(bodies) - 1)] = Discarded(f"Braze refuses the event: {why}.", answer.status)
        return outcomes

    async def _post(self, kind: str, bodies: Sequence[bytes]) -> Answer:
        path = "/users/identify" if kind == _ALIASES else "/users/track"
        body = b'{"%s":[%s]}' % (kind.encode(), b",".join(bodies))
        return await self._http.request("POST", self._base + path, body=body, headers=self._headers)

    def _meaning(self, answer: Answer) -> Outcome:
        """Return what an answer means; Braze says by the second when it takes more."""
        outcome, reset = outcome_of(answer), conventions.number(answer.headers, "x-ratelimit-reset")
        if answer.status == _TOO_MANY and isinstance(outcome, Retry) and outcome.after_s is None and reset is not None:
            return replace(outcome, after_s=max(0.0, reset - self._clock().timestamp()))
        return outcome


def part(body: Body, place: int) -> Part | Outcome:
    """Return the call as objects of the user track endpoint, or why it cannot be sent.

    Args:
        body: the call.
        place: tells an order from others: it may be many purchases and has a request to itself.
    """
    user, who = conventions.user_id(body), _person(body)
    if body.get("type") == Call.ALIAS:
        previous = conventions.text(body, "previousId")
        made = {"external_id": user, "user_alias": {"alias_name": previous, "alias_label": _ALIAS_LABEL}}
        return Part(_ALIASES, msgspec.json.encode(made)) if user and previous else _NO_ALIAS
    if not who:
        return _NO_ID
    match body.get("type"):
        case Call.IDENTIFY:
            return Part("attributes", msgspec.json.encode({**attributes(body), **who}))
        case Call.GROUP:
            group = conventions.text(body, "groupId")
            return (
                Part("attributes", msgspec.json.encode({**who, f"ab_segment_group_{group}": True}))
                if group
                else _NO_GROUP
            )
    if (bought := purchases(body, who)) != []:
        return Part(f"purchases/{place}", b",".join(msgspec.json.encode(each) for each in bought))
    name = conventions.event_name(body)
    return Part("events", msgspec.json.encode(action(body, who, name))) if name else _NAMELESS


def _person(body: Body) -> Body:
    if user := conventions.user_id(body):
        return {"external_id": user}
    if address := conventions.email({**body, "properties": None}):  # one in properties may be somebody else's
        return {"email": address}
    anonymous = conventions.anonymous_id(body)
    alias = {"alias_name": anonymous, "alias_label": _ALIAS_LABEL}
    return {"user_alias": alias, "_update_existing_only": False} if anonymous else {}


def attributes(body: Body) -> Body:
    """Return what an identify call tells as attributes: those that Braze knows by its names, the others by theirs."""
    traits = conventions.person_traits(body)
    made: Body = {name: each for name, each in traits.items() if name not in _RENAMED | _IDENTIFIERS}
    made |= {name: each for name, paths in _TRAITS.items() if (each := conventions.text(traits, *paths))}
    if (gender := made.pop("gender", "")) and (known := _GENDERS.get(str(gender).casefold())):
        made["gender"] = known
    if born := _DATE.match(made.pop("dob", "")):
        made["dob"] = born[0]
    return made


def action(body: Body, who: Mapping[str, Any], name: str) -> Body:
    """Return a track, page or screen call as a custom event."""
    properties = _named(body, conventions.mapping(body, "properties"), _RESERVED)
    return {**who, "name": name[:_TEXT_CHARS_MAX], "time": conventions.timestamp(body), "properties": properties}


def _named(body: Body, properties: Mapping[str, Any], reserved: frozenset[str]) -> Body:
    """Return the properties whose names Braze takes, texts cut as it wants them, and the messageId."""
    spelled = {
        name.lstrip("$")[:_TEXT_CHARS_MAX]: each[:_TEXT_CHARS_MAX] if isinstance(each, str) else each
        for name, each in properties.items()
    }
    taken = {name: each for name, each in spelled.items() if name and name not in reserved}
    return {**taken, "message_id": conventions.text(body, "messageId")}


def purchases(body: Body, who: Mapping[str, Any]) -> list[Body]:
    """Return the products of a completed order that have a name and a price, up to 75."""
    if not conventions.is_order(body):
        return []
    order = {name: each for name, each in conventions.mapping(body, "properties").items() if name != "products"}
    shared = {"time": conventions.timestamp(body), "currency": conventions.currency(body)}
    bought: list[Body] = []
    for product in conventions.products(body)[:_PRODUCTS_MAX]:
        name, price = conventions.text(product, "product_id", "sku", "name"), conventions.number(product, "price")
        if name and price is not None:
            quantity = max(1, int(conventions.number(product, "quantity") or 1))
            if quantity > _QUANTITY_MAX:
                price, quantity = conventions.number({"all": price * quantity}, "all") or price, 1
            properties = _named(body, {**order, **product}, _RESERVED_OF_PURCHASES)
            own = {"product_id": name[:_TEXT_CHARS_MAX], "price": price, "quantity": quantity, "properties": properties}
            bought.append({**who, **shared, **own})
    return bought
