"""Mixpanel: events by the Import API in strict mode, profiles of people and groups by the Engage and Groups APIs.

Source: Mixpanel developer documentation, Import Events (limits, validation, failed records); Update Multiple Profiles
and its Limits; Batch Update Group Profiles; Identifying Users, Simplified ID Merge.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal
from urllib.parse import quote

import msgspec

from headwater.batching import Part, carried, told
from headwater.destinations.contract import (
    Answer,
    Card,
    Delivered,
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

_HOSTS: Final = {
    "us": "https://api.mixpanel.com",
    "eu": "https://api-eu.mixpanel.com",
    "in": "https://api-in.mixpanel.com",
}
_PRIVACY_HOSTS: Final = {
    "us": "https://mixpanel.com",
    "eu": "https://eu.mixpanel.com",
    "in": "https://in.mixpanel.com",
}
_DELETED_MAX: Final = 500  # End User Data Management: users of a request
_IMPORT: Final = "/import?strict=1"
_PEOPLE: Final = "/engage?verbose=1"
_GROUPS: Final = "/groups?verbose=1"
_REQUEST_BYTES: Final = 2_000_000  # Import Events: 10 MB uncompressed, 2 MB in older projects' documentation
_INSERT_ID: Final = re.compile(r"[A-Za-z0-9-]{1,36}\Z")  # Import Events: what `$insert_id` may hold
_BAD_REQUEST: Final = 400
_NO_ID: Final = Discarded("Mixpanel needs a userId or an anonymousId.")
_NAMELESS: Final = Discarded("A track call needs an event name.")
_NO_GROUP: Final = Discarded("A group call needs a groupId.")
_TOO_LARGE: Final = Discarded("The event is larger than 2 MB, the most that Mixpanel takes.")

_CONTEXT: Final[conventions.Fields] = {
    "ip": ("context.ip",),
    "$os": ("context.os.name",),
    "$os_version": ("context.os.version",),
    "$brand": ("context.device.brand",),
    "$manufacturer": ("context.device.manufacturer",),
    "$model": ("context.device.model",),
    "$carrier": ("context.network.carrier",),
    "$app_version_string": ("context.app.version",),
    "$app_build_number": ("context.app.build",),
    "$screen_width": ("context.screen.width",),
    "$screen_height": ("context.screen.height",),
    "$referrer": ("context.page.referrer",),
    "$current_url": ("context.page.url",),
    "mp_lib": ("context.library.name",),
    "locale": ("context.locale",),
    "user_agent": ("context.userAgent",),
}
_AROUND: Final[conventions.Fields] = {**_CONTEXT, **conventions.CAMPAIGN}
_TRAITS: Final[conventions.Fields] = {
    "$email": ("email",),
    "$name": ("name",),
    "$first_name": ("firstName", "first_name"),
    "$last_name": ("lastName", "last_name"),
    "$phone": ("phone",),
    "$avatar": ("avatar",),
    "$created": ("createdAt", "created_at"),
}
_RENAMED: Final = frozenset(name for names in _TRAITS.values() for name in names)

CARD = Card(
    name="Mixpanel",
    description="Sends events, user profiles and group profiles to Mixpanel.",
    calls=frozenset(Call) - {Call.ALIAS},
    categories=("Analytics",),
    api="https://docs.mixpanel.com/reference/import-events",
    mapping=(
        Rule("all calls", "userId", "$user_id, distinct_id"),
        Rule("all calls", "anonymousId", "$device_id", "Without a userId `distinct_id` is `$device:` and this."),
        Rule("track, page, screen", "messageId", "$insert_id", "Its SHA-256 where it has other than `A-Za-z0-9-`."),
        Rule("track, page, screen", "timestamp", "time", "Milliseconds."),
        Rule("track", "event", "event"),
        Rule("page, screen", "name", "event", "`Viewed NAME Page`, `Loaded a Page` without a name."),
        Rule("track, page, screen", "properties", "properties"),
        *(Rule("track, page, screen", path, name) for name, (path,) in _AROUND.items()),
        Rule("track, page, screen", "context.groupId", "the group key of the settings"),
        *(Rule("identify", f"traits.{names[0]}", f"$set.{name}") for name, names in _TRAITS.items()),
        Rule("identify", "other traits", "$set"),
        Rule("group", "groupId, traits", "$group_id, $set", "A group profile under the group key of the settings."),
    ),
    notes=(
        "For projects with Simplified ID Merge: an event that holds both ids joins them. Alias calls are not sent.",
        "An event without userId and anonymousId becomes a dead letter.",
        "Events that are refused are named by Mixpanel; the others of the request are in.",
        "Events of before 1971 or more than an hour in the future are refused by Mixpanel.",
        "Repeated events are recognised by `$insert_id`; setting a profile twice changes nothing.",
        "The check imports nothing: it sends an empty list, which needs a token that Mixpanel knows.",
    ),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user fills in."""

    token: str = field(repr=False, metadata=setting("Project token", "Of the project's settings.", secret=True))
    region: Literal["us", "eu", "in"] = field(
        default="us", metadata=setting("Region", "Where the project's data resides: us, eu or in.", required=False)
    )
    group_key: str = field(
        default="company", metadata=setting("Group key", "As the project's settings name it.", required=False)
    )
    gdpr_token: str = field(
        default="",
        repr=False,
        metadata=setting(
            "GDPR token", "An owner's, of Data & Privacy in their settings, for deleting.", secret=True, required=False
        ),
    )
    endpoint: str = field(
        default="", metadata=setting("Endpoint", "For proxies and tests; empty is the service's own.", required=False)
    )


class Destination:
    """Posts events to `/import`, people to `/engage`, groups to `/groups`."""

    batch_max: ClassVar[int] = 200

    def __init__(self, settings: Settings, room: Room) -> None:
        if not settings.token.strip():
            raise ConfigError("The project token must not be empty; Mixpanel shows it in the project's settings.")
        self._settings, self._http = settings, room.http
        self._base = (settings.endpoint or _HOSTS[settings.region]).rstrip("/")
        token = base64.b64encode(f"{settings.token.strip()}:".encode()).decode()
        self._headers = {"authorization": f"Basic {token}", "content-type": "application/json"}

    async def check(self) -> None:
        """Import an empty list.

        Raises:
            UnauthorizedError, RetryableError, DeliveryError: the token is refused, or nothing speaks the API there.
        """
        answer = await self._post(_IMPORT, [])
        demand(
            outcome_of(answer),
            "Mixpanel",
            unauthorized="Mixpanel does not know the project token; compare token and region.",
            proof={_BAD_REQUEST},
        )

    async def send(self, events: Sequence[Event]) -> list[Outcome]:
        """Send up to 200 events: a request for what was done, one for people, one for groups."""
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
        """Request the deletion of people with their events, by both ids; needs a token of its own.

        Source: Mixpanel developer documentation, GDPR API, Create a Deletion.
        """
        if not self._settings.gdpr_token.strip():
            raise UnsupportedError("Fill in a GDPR token in the settings, or delete the person in Mixpanel.")
        listed = [*sorted(person.user_ids), *(f"$device:{each}" for each in sorted(person.anonymous_ids))]
        if not listed:
            raise UnsupportedError("Mixpanel deletes by user id or device id only; delete the person there.")
        base = (self._settings.endpoint or _PRIVACY_HOSTS[self._settings.region]).rstrip("/")
        token = quote(self._settings.token.strip(), safe="")
        headers = {"authorization": f"Bearer {self._settings.gdpr_token.strip()}", "content-type": "application/json"}
        for start in range(0, len(listed), _DELETED_MAX):
            wanted = {"distinct_ids": listed[start : start + _DELETED_MAX], "compliance_type": "GDPR"}
            url = f"{base}/api/app/data-deletions/v3.0/?token={token}"
            answer = await self._http.request("POST", url, body=msgspec.json.encode(wanted), headers=headers)
            settle_erasure(answer, "Mixpanel")

    def _part(self, body: Body) -> Part | Outcome:
        if not conventions.person_id(body):
            return _NO_ID
        match body.get("type"):
            case Call.IDENTIFY:
                made, path = profile(body, self._settings.token.strip()), _PEOPLE
            case Call.GROUP:
                if not conventions.text(body, "groupId"):
                    return _NO_GROUP
                made, path = group(body, self._settings.token.strip(), self._settings.group_key), _GROUPS
            case _:
                if not conventions.event_name(body):
                    return _NAMELESS
                made, path = action(body, self._settings.group_key), _IMPORT
        return Part(path, msgspec.json.encode(made))

    async def _deliver(self, path: str, bodies: Sequence[bytes]) -> list[Outcome]:
        answer = await self._post(path, bodies)
        outcome = meaning(answer)
        failed = told(answer.body).get("failed_records") if answer.status == _BAD_REQUEST else None
        if not isinstance(failed, list) or not failed:
            return [outcome] * len(bodies)
        outcomes: list[Outcome] = [Delivered(answer.status)] * len(bodies)
        for record in (each for each in failed if isinstance(each, dict)):
            place = record.get("index")
            if isinstance(place, int) and 0 <= place < len(bodies):
                member = str(record.get("field", ""))[:100]
                outcomes[place] = Discarded(f"Mixpanel refuses the event: {member} is invalid.", answer.status)
        return outcomes

    async def _post(self, path: str, bodies: Sequence[bytes]) -> Answer:
        return await self._http.request(
            "POST", self._base + path, body=b"[%s]" % b",".join(bodies), headers=self._headers
        )


def action(body: Body, group_key: str) -> Body:
    """Return a track, page or screen call as the Import API takes it."""
    properties: Body = conventions.picked(body, _AROUND)
    properties |= conventions.mapping(body, "properties")
    if (belongs := conventions.text(body, "context.groupId")) != "":
        properties[group_key] = belongs
    properties |= {"time": conventions.epoch_ms(body), "$insert_id": insert_id(body), "distinct_id": _distinct(body)}
    ids = {"$user_id": conventions.user_id(body), "$device_id": conventions.anonymous_id(body)}
    properties |= {name: each for name, each in ids.items() if each}
    return {"event": conventions.event_name(body), "properties": properties}


def profile(body: Body, token: str) -> Body:
    """Return an identify call as the Engage API takes it; without an address the profile keeps its place."""
    traits = conventions.person_traits(body)
    others = {name: each for name, each in traits.items() if name not in _RENAMED}
    chosen = {**others, **conventions.picked(traits, _TRAITS)}
    address = conventions.text(body, "context.ip") or "0"  # `0` keeps Mixpanel from taking the server's address
    return {"$token": token, "$distinct_id": _distinct(body), "$ip": address, "$set": chosen}


def group(body: Body, token: str, group_key: str) -> Body:
    """Return a group call as the Groups API takes it."""
    name, traits = conventions.text(body, "groupId"), dict(conventions.mapping(body, "traits"))
    if "name" in traits:
        traits["$name"] = traits.pop("name")
    return {"$token": token, "$group_key": group_key, "$group_id": name, "$set": traits}


def insert_id(body: Body) -> str:
    """Return the messageId, or 36 characters of its SHA-256 where Mixpanel would not take it."""
    given = conventions.text(body, "messageId")
    return given if _INSERT_ID.match(given) else hashlib.sha256(given.encode()).hexdigest()[:36]


def _distinct(body: Body) -> str:
    return conventions.user_id(body) or f"$device:{conventions.anonymous_id(body)}"


def meaning(answer: Answer) -> Outcome:
    """Return what an answer means for every event of its request; profiles are refused with 200 and `status` 0."""
    body = told(answer.body)
    if body.get("status") == 0 and "error" in body and not isinstance(outcome_of(answer), Retry | Unauthorized):
        reason = f"HTTP {answer.status}: Mixpanel refuses a profile."
        return Discarded(reason, _BAD_REQUEST, str(body["error"])[:1_000])
    return outcome_of(answer)
