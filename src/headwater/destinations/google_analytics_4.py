"""Google Analytics 4: events of a web data stream by the Measurement Protocol, one a request.

Source: Google Analytics, Measurement Protocol reference (fields, limits, reserved names); Send Measurement Protocol
events (timestamps, limitations); Validate events; Recommended events (names and parameters of e-commerce);
Analytics help, Best practices to avoid sending personally identifiable information.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar, Final, Literal
from urllib.parse import urlencode

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
)
from headwater.errors import ConfigError, DeliveryError
from headwater.spec import conventions
from headwater.spec.event import Body, Call, Event

_HOSTS: Final = {"us": "https://www.google-analytics.com", "eu": "https://region1.google-analytics.com"}
_AGE_MAX: Final = timedelta(hours=72)  # Send Measurement Protocol events: older ones get another time
_BODY_BYTES_MAX: Final = 130_000  # Measurement Protocol limitations: smaller than 130 kB
_PARAMETERS_MAX: Final = 25  # Measurement Protocol limitations, an event
_ITEMS_MAX: Final = 200  # Recommended events
_NAME_CHARS_MAX: Final = 40  # Measurement Protocol limitations, of events and parameters
_TEXT_CHARS_MAX: Final = 100  # Measurement Protocol limitations, of a parameter's value
_WEB_TEXT_CHARS_MAX: Final = {"page_location": 1_000, "page_referrer": 420, "page_title": 300}  # the same
# Best practices to avoid sending personally identifiable information: addresses, also as they stand in a URL.
_ADDRESS: Final = re.compile(r"[\w.+-]{1,64}(?:@|%40)[\w.-]{1,255}")
_ADDRESS_CHARS_MAX: Final = 64 + 3 + 255
_HIDDEN: Final = "(address)"
_MEASUREMENT_ID: Final = re.compile(r"G-[A-Z0-9]{4,20}\Z")
_NO_ID: Final = Discarded(
    "Google Analytics needs a client id: an anonymousId, a userId or the integration's client_id."
)
_NAMELESS: Final = Discarded("A track call needs an event name with a letter of A to Z.")
_NO_GROUP: Final = Discarded("A group call needs a groupId.")
_TOO_OLD: Final = Discarded("The event is older than 72 hours; Google Analytics would give it another time.")
_TOO_LARGE: Final = Discarded("The event is larger than 130 kB, the most that Google Analytics takes.")

# The e-commerce calls of Segment's spec, and the recommended events.
_EVENTS: Final = {
    "order completed": "purchase",
    "completed order": "purchase",
    "order refunded": "refund",
    "products searched": "search",
    "product list viewed": "view_item_list",
    "product clicked": "select_item",
    "product viewed": "view_item",
    "product added": "add_to_cart",
    "product removed": "remove_from_cart",
    "product added to wishlist": "add_to_wishlist",
    "cart viewed": "view_cart",
    "checkout started": "begin_checkout",
    "payment info entered": "add_payment_info",
    "promotion viewed": "view_promotion",
    "promotion clicked": "select_promotion",
    "signed up": "sign_up",
    "signed in": "login",
}
_SHOPPING: Final = frozenset(_EVENTS.values()) - {"search", "sign_up", "login"}
_PARAMETERS: Final = {
    "order_id": "transaction_id",
    "query": "search_term",
    "list_id": "item_list_id",
    "category": "item_category",
    "promotion_id": "promotion_id",
    "payment_method": "payment_type",
}
_ITEM: Final[conventions.Fields] = {
    "item_id": ("product_id", "sku"),
    "item_name": ("name",),
    "item_brand": ("brand",),
    "item_category": ("category",),
    "item_variant": ("variant",),
    "coupon": ("coupon",),
    "price": ("price",),
    "quantity": ("quantity",),
    "index": ("position",),
}
_NUMBERS: Final = frozenset({"price", "quantity", "index"})
_PAGE: Final[conventions.Fields] = {
    "page_location": ("properties.url", "context.page.url"),
    "page_referrer": ("properties.referrer", "context.page.referrer"),
    "page_title": ("properties.title", "context.page.title"),
}
_SESSION: Final = ("integrations.Google Analytics 4.session_id", "properties.session_id", "context.session_id")
_CLIENT: Final = ("integrations.Google Analytics 4.client_id", "anonymousId", "userId")
# Measurement Protocol reference, reserved names: of events, and how neither event nor parameter may begin.
_RESERVED_EVENTS: Final = frozenset({
    "ad_activeview", "ad_click", "ad_exposure", "ad_query", "ad_reward", "adunit_exposure", "app_background",
    "app_clear_data", "app_exception", "app_install", "app_remove", "app_store_refund",
    "app_store_subscription_cancel", "app_store_subscription_convert", "app_store_subscription_renew", "app_update",
    "app_upgrade", "dynamic_link_app_open", "dynamic_link_app_update", "dynamic_link_first_open", "error",
    "first_open", "first_visit", "in_app_purchase", "notification_dismiss", "notification_foreground",
    "notification_open", "notification_receive", "os_update", "session_start", "session_start_with_rollout",
    "user_engagement",
})  # fmt: skip
_RESERVED: Final = ("firebase_", "ga_", "google_", "gtag")

CARD = Card(
    name="Google Analytics 4",
    description="Sends events to a web data stream of Google Analytics 4.",
    calls=frozenset({Call.TRACK, Call.PAGE, Call.SCREEN, Call.GROUP}),
    categories=("Analytics",),
    api="https://developers.google.com/analytics/devguides/collection/protocol/ga4",
    mapping=(
        Rule("all calls", ", ".join(_CLIENT), "client_id", "The first that is there; an e-mail address is hashed."),
        Rule("all calls", "userId", "user_id", "An e-mail address is hashed."),
        Rule("all calls", "timestamp", "timestamp_micros", "Not older than 72 hours."),
        Rule("all calls", "context.ip", "ip_override"),
        Rule("all calls", ", ".join(_SESSION), "params.session_id"),
        Rule("all calls", "properties.engagement_time_msec", "params.engagement_time_msec", "1 where there is none."),
        *(Rule("all calls", ", ".join(paths), f"params.{name}") for name, paths in _PAGE.items()),
        *(Rule(f"track `{given.title()}`", "", "name", f"`{name}`.") for given, name in _EVENTS.items()),
        Rule("track", "event", "name", "Lower case, `_` for other than letters and digits, up to 40 characters."),
        Rule("track", "properties", "params", "Texts, numbers and booleans; texts up to 100 characters."),
        *(Rule("track (e-commerce)", f"properties.{given}", f"params.{name}") for given, name in _PARAMETERS.items()),
        Rule("track (e-commerce)", "properties.revenue", "params.value", "For an order else `total`, else `value`."),
        Rule("track (e-commerce)", "properties.currency", "params.currency", "USD where there is none."),
        *(
            Rule("track (e-commerce)", f"properties.products[].{' or '.join(paths)}", f"params.items[].{name}")
            for name, paths in _ITEM.items()
        ),
        Rule("page", "", "name", "Always `page_view`."),
        Rule("screen", "name", "params.screen_name", "As `screen_view`."),
        Rule("group", "groupId", "params.group_id", "As `join_group`."),
    ),
    notes=(
        "Google answers 204 to everything, also to a wrong secret and to events it throws away: delivered means sent.",
        "The check asks the validation server, which looks at the form of a request and not at the secret.",
        "Events older than 72 hours become dead letters, because Google would give them another time.",
        "Traits are not sent: Google's terms forbid addresses and names. For the same reason there is no identify.",
        "An id that is an e-mail address, as those of ActiveCampaign's events are, is sent as its salted SHA-256.",
        f"An e-mail address within another text, such as a page's URL, is replaced by `{_HIDDEN}`.",
        "Repeated events are counted twice, except purchases: they are recognised by `transaction_id`.",
        "The messageId goes along as the parameter `message_id`.",
        "At most 25 parameters an event, in the order they were sent; nested objects and lists are left out.",
        "Names that Google reserves, such as `session_start`, get the prefix `event_`.",
    ),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user fills in."""

    measurement_id: str = field(metadata=setting("Measurement ID", "Of the web data stream, such as G-ABC123DEF4."))
    api_secret: str = field(
        repr=False, metadata=setting("API secret", "Made in the data stream, Measurement Protocol.", secret=True)
    )
    region: Literal["us", "eu"] = field(
        default="us", metadata=setting("Region", "Where Google collects: us, or eu to stay in the EU.", required=False)
    )
    endpoint: str = field(
        default="", metadata=setting("Endpoint", "For proxies and tests; empty is the service's own.", required=False)
    )


class Destination:
    """Posts events one by one to `/mp/collect`: a request is about one client."""

    batch_max: ClassVar[int] = 1

    def __init__(self, settings: Settings, room: Room) -> None:
        if not _MEASUREMENT_ID.match(settings.measurement_id.strip()):
            raise ConfigError("The measurement ID must look like G-ABC123DEF4; the data stream's page shows it.")
        if not settings.api_secret.strip():
            raise ConfigError("The API secret must not be empty; make one in the data stream's settings.")
        self._http, self._clock = room.http, room.clock
        self._base = (settings.endpoint or _HOSTS[settings.region]).rstrip("/")
        named = {"measurement_id": settings.measurement_id.strip(), "api_secret": settings.api_secret.strip()}
        self._query, self._salt = urlencode(named), named["measurement_id"]

    async def check(self) -> None:
        """Have a sample validated; nothing is collected.

        Raises:
            UnauthorizedError, RetryableError, DeliveryError: what the validation server says.
        """
        sample = {"client_id": "headwater", "events": [{"name": "headwater_check", "params": {}}]}
        answer = await self._post("/debug/mp/collect", msgspec.json.encode(sample))
        demand(
            outcome_of(answer),
            "Google Analytics",
            unauthorized="Google Analytics refuses the API secret; compare it and the measurement ID.",
        )
        if told(answer.body).get("validationMessages"):
            raise DeliveryError("Google Analytics finds the request invalid; compare the measurement ID.")

    async def send(self, events: Sequence[Event]) -> list[Outcome]:
        """Post one event."""
        return [await self._deliver(event.body) for event in events]

    async def _deliver(self, body: Body) -> Outcome:
        if conventions.happened_at(body) < self._clock() - _AGE_MAX:
            return _TOO_OLD
        made = payload(body, self._salt)
        if isinstance(made, Discarded):
            return made
        encoded = msgspec.json.encode(made)
        if len(encoded) >= _BODY_BYTES_MAX:
            return _TOO_LARGE
        return outcome_of(await self._post("/mp/collect", encoded))

    async def _post(self, path: str, body: bytes) -> Answer:
        url = f"{self._base}{path}?{self._query}"
        return await self._http.request("POST", url, body=body, headers={"content-type": "application/json"})


def payload(body: Body, salt: str) -> Body | Discarded:
    """Return the event as the Measurement Protocol takes it, or why it cannot be sent; see `disguised` for `salt`."""
    client, name = disguised(conventions.text(body, *_CLIENT), salt), event_name(body)
    if not client:
        return _NO_ID
    if not name:
        return _NAMELESS
    if name == "join_group" and body.get("type") == Call.GROUP and not conventions.text(body, "groupId"):
        return _NO_GROUP
    ids = {"user_id": disguised(conventions.user_id(body), salt), "ip_override": conventions.text(body, "context.ip")}
    return {
        "client_id": client,
        **{member: each for member, each in ids.items() if each},
        "timestamp_micros": conventions.epoch_ms(body) * 1_000,
        "events": [{"name": name, "params": parameters(body, name)}],
    }


def disguised(given: str, salt: str) -> str:
    """Return an id, and for one that holds an e-mail address its SHA-256: the same for the same person and salt.

    Source: Google Analytics, Best practices to avoid sending personally identifiable information (SHA-256 at least,
    with a salt of eight characters or more).
    """
    if not _ADDRESS.search(given):
        return given
    return hashlib.sha256(f"{salt}\0{given.casefold()}".encode()).hexdigest()


def event_name(body: Body) -> str:
    """Return what Google Analytics calls this event; "" when nothing of the name is left."""
    match body.get("type"):
        case Call.PAGE:
            return "page_view"
        case Call.SCREEN:
            return "screen_view"
        case Call.GROUP:
            return "join_group"
    given = conventions.text(body, "event")
    name = _EVENTS.get(given.casefold()) or _spelled(given).lower()
    is_reserved = name in _RESERVED_EVENTS or name.startswith(_RESERVED)
    return f"event_{name}"[:_NAME_CHARS_MAX] if is_reserved else name


def parameters(body: Body, name: str) -> Body:
    """Return up to 25 parameters of an event, those that reports need first, and its items."""
    chosen: Body = {"engagement_time_msec": conventions.number(body, "properties.engagement_time_msec") or 1}
    chosen |= conventions.picked({"id": conventions.text(body, *_SESSION)}, {"session_id": ("id",)})
    chosen |= conventions.picked(body, _PAGE)
    chosen["message_id"] = conventions.text(body, "messageId")
    properties = conventions.mapping(body, "properties")
    match body.get("type"):
        case Call.SCREEN:
            chosen["screen_name"] = conventions.text(body, "name", "properties.name")
        case Call.GROUP:
            return _bounded({**chosen, "group_id": conventions.text(body, "groupId")})
        case Call.TRACK if name in _SHOPPING:
            amount = conventions.revenue(body)
            chosen |= {"currency": conventions.currency(body)} | ({} if amount is None else {"value": amount})
    renamed = _PARAMETERS if name in _SHOPPING | {"search"} else {}
    own = {renamed.get(given, _spelled(given)): each for given, each in properties.items()}
    own = {given: each for given, each in own.items() if given and not given.startswith(_RESERVED)}
    bounded = _bounded({**own, **chosen} if len(own) + len(chosen) <= _PARAMETERS_MAX else {**chosen, **own, **chosen})
    if name in _SHOPPING and (items := _items(body)):
        bounded["items"] = items
    return bounded


def _items(body: Body) -> list[Body]:
    """Return the products; a call about one product has it in its properties."""
    found = conventions.products(body) or [conventions.mapping(body, "properties")]
    items = [_bounded(conventions.picked(product, _ITEM)) for product in found[:_ITEMS_MAX]]
    for item in items:
        numbers = {name: conventions.number(item, name) for name in _NUMBERS & set(item)}
        item.update({name: each for name, each in numbers.items() if each is not None})
    return [item for item in items if "item_id" in item or "item_name" in item]


def _bounded(chosen: Mapping[str, Any]) -> Body:
    """Return what Google Analytics takes of parameters: plain values, not too long, not too many."""
    plain: Body = {}
    for name, each in chosen.items():
        if isinstance(each, str) and each:
            most = _WEB_TEXT_CHARS_MAX.get(name, _TEXT_CHARS_MAX)
            plain[name] = _ADDRESS.sub(_HIDDEN, each[: most + _ADDRESS_CHARS_MAX])[:most]
        elif isinstance(each, bool | int | float):
            plain[name] = each
        if len(plain) == _PARAMETERS_MAX:
            break
    return plain


def _spelled(name: str) -> str:
    """Return a name of letters, digits and `_` that begins with a letter, up to 40 characters; "" when none is left."""
    return re.sub(r"[^A-Za-z0-9]+", "_", name).lstrip("_0123456789").rstrip("_")[:_NAME_CHARS_MAX]
