"""Amplitude: events and user properties by the HTTP V2 API, many a request.

Source: Amplitude, HTTP V2 API (keys of an event, limits, answers, deduplication); Batch and retry HTTP V2 API
requests (resending the rest of a refused request).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
    Unauthorized,
    demand,
    is_spoilt,
    outcome_of,
    setting,
    settle_erasure,
)
from headwater.errors import ConfigError, UnsupportedError
from headwater.privacy.person import Person
from headwater.spec import conventions
from headwater.spec.event import Body, Call, Event

_HOSTS: Final = {"us": "https://api2.amplitude.com", "eu": "https://api.eu.amplitude.com"}
_PRIVACY_HOSTS: Final = {"us": "https://amplitude.com", "eu": "https://analytics.eu.amplitude.com"}
_DELETED_MAX: Final = 100  # User Privacy API: users of a request
_REQUEST_BYTES: Final = 1_000_000 - 1_024  # HTTP V2 API: under 1 MB; room for the envelope
_BAD_REQUEST: Final = 400
_TOO_MANY: Final = 429
_THROTTLED_S: Final = 30.0  # HTTP V2 API: how long a throttled user or device pauses
_ID_CHARS_MIN: Final = 1  # the API's own default of 5 refuses short ids of a database
_NO_ID: Final = Discarded("Amplitude needs a userId, an anonymousId or a context.device.id.")
_NAMELESS: Final = Discarded("A track call needs an event name.")
_NO_GROUP: Final = Discarded("A group call needs a groupId.")
_TOO_LARGE: Final = Discarded("The event is larger than 1 MB, the most that Amplitude takes.")

# What an answer names the refused events by, and what that means.
_REFUSED: Final = {
    "events_with_invalid_fields": "a field is invalid",
    "events_with_missing_fields": "a field is missing",
    "events_with_invalid_id_lengths": "an id is too short or too long",
    "silenced_events": "its device is silenced",
}

_CONTEXT: Final[conventions.Fields] = {
    "app_version": ("context.app.version",),
    "platform": ("context.device.type", "context.os.name"),
    "os_name": ("context.os.name",),
    "os_version": ("context.os.version",),
    "device_brand": ("context.device.brand",),
    "device_manufacturer": ("context.device.manufacturer",),
    "device_model": ("context.device.model",),
    "carrier": ("context.network.carrier",),
    "language": ("context.locale",),
    "country": ("context.location.country",),
    "region": ("context.location.region",),
    "city": ("context.location.city",),
    "location_lat": ("context.location.latitude",),
    "location_lng": ("context.location.longitude",),
    "ip": ("context.ip",),
    "user_agent": ("context.userAgent",),
    "session_id": ("integrations.Amplitude.session_id", "integrations.Amplitude.sessionId"),
}
_PAGE: Final[conventions.Fields] = {
    "page_url": ("context.page.url",),
    "page_path": ("context.page.path",),
    "page_title": ("context.page.title",),
    "referrer": ("context.page.referrer",),
}
_NUMBERS: Final = frozenset({"location_lat", "location_lng", "session_id"})

CARD = Card(
    name="Amplitude",
    description="Sends events, user properties and groups to Amplitude.",
    calls=frozenset(Call) - {Call.ALIAS},
    categories=("Analytics",),
    api="https://amplitude.com/docs/apis/analytics/http-v2",
    mapping=(
        Rule("all calls", "userId", "user_id"),
        Rule("all calls", "context.device.id, anonymousId", "device_id"),
        Rule("all calls", "messageId", "insert_id", "Amplitude ignores a repeated one for 7 days."),
        Rule("all calls", "timestamp", "time", "Milliseconds."),
        *(Rule("all calls", ", ".join(paths), name) for name, paths in _CONTEXT.items()),
        Rule("track", "event", "event_type"),
        Rule("track", "properties", "event_properties"),
        Rule("track", "properties.revenue", "revenue", "For `Order Completed` else `total`, else `value`."),
        Rule("page, screen", "name", "event_type", "`Viewed NAME Page`, `Loaded a Page` without a name."),
        *(Rule("track, page, screen", path, f"event_properties.{name}") for name, (path,) in _PAGE.items()),
        *(Rule("all but group", path, f"event_properties.{name}") for name, (path,) in conventions.CAMPAIGN.items()),
        Rule("track, page, screen", "context.groupId", "groups", "Under the group type of the settings."),
        Rule("identify", "traits", "user_properties.$set", "As a `$identify` event."),
        Rule("group", "groupId, traits", "groups, group_properties.$set", "As a `$groupidentify` event."),
    ),
    notes=(
        "An event without any id becomes a dead letter.",
        "Amplitude refuses a whole request for one bad event and names it: the others are sent again at once.",
        "More than 30 events a second of one user or device are throttled; only these events are tried again later.",
        "A group call names the group; events belong to it through `context.groupId`.",
        "Alias calls are not sent: Amplitude joins devices to users by itself.",
        "The check sends a request without events: why it is refused tells whether Amplitude knows the key.",
    ),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user fills in."""

    api_key: str = field(repr=False, metadata=setting("API key", "Of the project, for writing only.", secret=True))
    region: Literal["us", "eu"] = field(
        default="us", metadata=setting("Region", "Where the project's data resides: us or eu.", required=False)
    )
    group_type: str = field(
        default="company", metadata=setting("Group type", "What groups of group calls are called.", required=False)
    )
    secret_key: str = field(
        default="",
        repr=False,
        metadata=setting("Secret key", "Of the project, for deleting people.", secret=True, required=False),
    )
    endpoint: str = field(
        default="", metadata=setting("Endpoint", "For proxies and tests; empty is the service's own.", required=False)
    )


class Destination:
    """Posts batches to `/2/httpapi`."""

    batch_max: ClassVar[int] = 100

    def __init__(self, settings: Settings, room: Room) -> None:
        if not settings.api_key.strip():
            raise ConfigError("The API key must not be empty; Amplitude shows it in the project's settings.")
        self._settings, self._http = settings, room.http
        self._url = f"{(settings.endpoint or _HOSTS[settings.region]).rstrip('/')}/2/httpapi"
        self._key = msgspec.json.encode(settings.api_key.strip())

    async def check(self) -> None:
        """Send a request without events: it is refused, for its key or for its emptiness.

        Raises:
            UnauthorizedError, RetryableError, DeliveryError: the key is refused, or nothing speaks the API there.
        """
        answer = await self._post([])
        demand(
            meaning(answer),
            "Amplitude",
            unauthorized="Amplitude does not know the API key; compare key and region.",
            proof={_BAD_REQUEST},
        )

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
        """Request the deletion of users by user id; needs the project's secret key.

        Source: Amplitude, User Privacy API: up to 100 users a request; booleans are texts.
        """
        if not self._settings.secret_key.strip():
            raise UnsupportedError("Fill in the project's secret key in the settings, or delete the person there.")
        if not person.user_ids:
            raise UnsupportedError("Amplitude deletes by user id only; delete the person there by Amplitude ID.")
        base = (self._settings.endpoint or _PRIVACY_HOSTS[self._settings.region]).rstrip("/")
        keys = f"{self._settings.api_key.strip()}:{self._settings.secret_key.strip()}"
        token = base64.b64encode(keys.encode()).decode()
        headers = {"authorization": f"Basic {token}", "content-type": "application/json"}
        listed = sorted(person.user_ids)
        for start in range(0, len(listed), _DELETED_MAX):
            users = listed[start : start + _DELETED_MAX]
            wanted = {"user_ids": users, "requester": "headwater", "ignore_invalid_id": "True"}
            answer = await self._http.request(
                "POST", f"{base}/api/2/deletions/users", body=msgspec.json.encode(wanted), headers=headers
            )
            settle_erasure(answer, "Amplitude")

    def _part(self, body: Body) -> Part | Outcome:
        made = payload(body, self._settings.group_type)
        return Part("events", msgspec.json.encode(made)) if isinstance(made, dict) else made

    async def _deliver(self, to: str, bodies: Sequence[bytes]) -> list[Outcome]:
        answer = await self._post(bodies)
        refused = refusals(answer, len(bodies))
        rest = [place for place in range(len(bodies)) if place not in refused]
        if refused and rest:
            refused |= zip(rest, await self._deliver(to, [bodies[place] for place in rest]), strict=True)
        return [refused.get(place, meaning(answer)) for place in range(len(bodies))]

    async def _post(self, bodies: Sequence[bytes]) -> Answer:
        body = b'{"options":{"min_id_length":%d},"events":[%s],"api_key":%s}' % (
            _ID_CHARS_MIN,
            b",".join(bodies),
            self._key,
        )
        return await self._http.request("POST", self._url, body=body, headers={"content-type": "application/json"})


def payload(body: Body, group_type: str) -> Body | Discarded:
    """Return the event as Amplitude takes it, or why it cannot be sent."""
    user, device = conventions.user_id(body), conventions.text(body, "context.device.id", "anonymousId")
    if not user and not device:
        return _NO_ID
    what = (
        _identified(body, group_type) if body.get("type") in {Call.IDENTIFY, Call.GROUP} else _acted(body, group_type)
    )
    if isinstance(what, Discarded):
        return what
    return {
        **({"user_id": user} if user else {}),
        **({"device_id": device} if device else {}),
        "time": conventions.epoch_ms(body),
        "insert_id": conventions.text(body, "messageId"),
        **_context(body),
        **what,
    }


def _identified(body: Body, group_type: str) -> Body | Discarded:
    if body.get("type") == Call.IDENTIFY:
        return {"event_type": "$identify", "user_properties": {"$set": dict(conventions.person_traits(body))}}
    group = conventions.text(body, "groupId")
    if not group:
        return _NO_GROUP
    properties = {"$set": dict(conventions.mapping(body, "traits"))}
    return {"event_type": "$groupidentify", "groups": {group_type: group}, "group_properties": properties}


def _acted(body: Body, group_type: str) -> Body | Discarded:
    name = conventions.event_name(body)
    if not name:
        return _NAMELESS
    around = conventions.picked(body, {**_PAGE, **conventions.CAMPAIGN})
    what: Body = {"event_type": name, "event_properties": {**around, **conventions.mapping(body, "properties")}}
    if (group := conventions.text(body, "context.groupId")) != "":
        what["groups"] = {group_type: group}
    if body.get("type") == Call.TRACK and (revenue := conventions.revenue(body)) is not None:
        what["revenue"] = revenue
    return what


def _context(body: Body) -> Body:
    """Return what is known of device and place; of the wrong type it would cost the whole event."""
    found: Body = {name: conventions.text(body, *paths) for name, paths in _CONTEXT.items() if name not in _NUMBERS}
    found |= {name: conventions.number(body, *_CONTEXT[name]) for name in _NUMBERS}
    return {name: each for name, each in sorted(found.items()) if each not in {"", None}}


def refusals(answer: Answer, count: int) -> dict[int, Outcome]:
    """Return what became of the events that an answer names, by their place in the request."""
    body = told(answer.body)
    if answer.status == _TOO_MANY:
        throttled = Retry("Amplitude takes 30 events a second of one user or device.", answer.status, _THROTTLED_S)
        return dict.fromkeys(_places(body.get("throttled_events"), count), throttled)
    refused: dict[int, Outcome] = {}
    for member, why in _REFUSED.items() if answer.status == _BAD_REQUEST else ():
        named = body.get(member)
        lists = named.items() if isinstance(named, Mapping) else [("", named)]
        for what, places in lists:
            reason = f"Amplitude refuses the event: {why}{f' ({what[:100]})' if what else ''}."
            refused |= dict.fromkeys(_places(places, count), Discarded(reason, answer.status))
    return refused


def _places(named: Any, count: int) -> list[int]:
    found = named if isinstance(named, list) else []
    return [place for place in found if isinstance(place, int) and 0 <= place < count]


def meaning(answer: Answer) -> Outcome:
    """Return what an answer means for every event of its request; Amplitude tells of a wrong key with 400."""
    if answer.status == _BAD_REQUEST and b"api key" in answer.body.lower().replace(b"_", b" "):
        return Unauthorized("HTTP 400: invalid API key", answer.status)  # the answer repeats the key: it is left out
    return outcome_of(answer)
