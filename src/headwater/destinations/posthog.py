"""PostHog: events, people and groups by the batch endpoint of its cloud or of an installation of your own.

Source: PostHog documentation, POST-only public endpoints (batch, `$identify`, `$groupidentify`, `$create_alias`,
limits); Ingestion pipeline, deduplication by `uuid`; posthog/posthog, capture service (answers).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal
from urllib.parse import quote

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
from headwater.errors import ConfigError, RetryableError, UnsupportedError
from headwater.privacy.person import Person
from headwater.spec import conventions
from headwater.spec.event import Body, Call, Event

_HOSTS: Final = {"us": "https://us.i.posthog.com", "eu": "https://eu.i.posthog.com"}
_APP_HOSTS: Final = {"us": "https://us.posthog.com", "eu": "https://eu.posthog.com"}
_DELETED_MAX: Final = 1_000  # Persons API, bulk delete: ids of a request
_REQUEST_BYTES: Final = 20 * 1024 * 1024 - 1_024  # POST-only public endpoints: 20 MB; room for the envelope
_IDS: Final = uuid.UUID("6f1a8a0c-7a35-5d57-9f0e-0c3c6c1a2f44")  # ours: the name space of ids made of messageIds
_NO_ID: Final = Discarded("PostHog needs a userId or an anonymousId.")
_NAMELESS: Final = Discarded("A track call needs an event name.")
_NO_GROUP: Final = Discarded("A group call needs a groupId.")
_NO_ALIAS: Final = Discarded("An alias call needs a userId and a previousId.")
_TOO_LARGE: Final = Discarded("The event is larger than 20 MB, the most that PostHog takes.")
_OVER_QUOTA: Final = Retry("PostHog dropped the events: the project is over its quota.", 200)

_NAMES: Final[Mapping[str, str]] = {
    Call.IDENTIFY: "$identify",
    Call.GROUP: "$groupidentify",
    Call.ALIAS: "$create_alias",
    Call.PAGE: "$pageview",
    Call.SCREEN: "$screen",
}
_CONTEXT: Final[conventions.Fields] = {
    "$ip": ("context.ip",),
    "$current_url": ("context.page.url",),
    "$pathname": ("context.page.path",),
    "$referrer": ("context.page.referrer",),
    "title": ("context.page.title",),
    "$raw_user_agent": ("context.userAgent",),
    "$os": ("context.os.name",),
    "$os_version": ("context.os.version",),
    "$device_id": ("context.device.id",),
    "$device_type": ("context.device.type",),
    "$device_manufacturer": ("context.device.manufacturer",),
    "$device_model": ("context.device.model",),
    "$app_name": ("context.app.name",),
    "$app_version": ("context.app.version",),
    "$app_build": ("context.app.build",),
    "$network_carrier": ("context.network.carrier",),
    "$screen_width": ("context.screen.width",),
    "$screen_height": ("context.screen.height",),
    "$locale": ("context.locale",),
    "$timezone": ("context.timezone",),
    "$lib": ("context.library.name",),
    "$lib_version": ("context.library.version",),
}
_AROUND: Final[conventions.Fields] = {**_CONTEXT, **conventions.CAMPAIGN}

CARD = Card(
    name="PostHog",
    description="Sends events, people and groups to PostHog.",
    categories=("Analytics",),
    ordered=True,  # an identify joins two people; what is sent before and after it decides whose an event is
    api="https://posthog.com/docs/api/capture",
    mapping=(
        Rule("all calls", "userId, anonymousId", "distinct_id", "The first that is there."),
        Rule("all calls", "messageId", "uuid", "As it is where it is a UUID, else a UUID made of it."),
        Rule("all calls", "timestamp", "timestamp"),
        *(Rule("all calls", path, f"properties.{name}") for name, (path,) in _AROUND.items()),
        Rule("track", "event", "event"),
        Rule("track, page, screen", "properties", "properties"),
        *(Rule(call, "", "event", f"Always `{name}`.") for call, name in _NAMES.items()),
        Rule("page", "name", "properties.name"),
        Rule("screen", "name", "properties.$screen_name"),
        Rule("identify", "traits", "$set"),
        Rule("identify", "anonymousId", "$anon_distinct_id", "Beside a userId: joins the two."),
        Rule("track, page, screen", "context.traits", "$set"),
        Rule("track, page, screen", "context.groupId", "$groups", "Under the group type of the settings."),
        Rule("group", "groupId, traits", "$group_key, $group_set", "Under the group type of the settings."),
        Rule("alias", "previousId", "alias", "Becomes the person of the userId."),
    ),
    notes=(
        "An event without userId and anonymousId becomes a dead letter.",
        "PostHog recognises a repeated event by its id, name, time and person.",
        "Where an event has no address, PostHog is told not to take the server's: no place is made up.",
        "PostHog refuses a whole request for one bad event; it is halved until that one stands alone.",
        "Over its quota PostHog answers that it dropped the events: they are tried again.",
        "The check asks for feature flags, which needs a key that PostHog knows and changes nothing.",
    ),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user fills in."""

    api_key: str = field(
        repr=False, metadata=setting("Project API key", "Begins with `phc_`, for writing only.", secret=True)
    )
    region: Literal["us", "eu"] = field(
        default="us", metadata=setting("Region", "Of PostHog's cloud: us or eu.", required=False)
    )
    group_type: str = field(
        default="company", metadata=setting("Group type", "What groups of group calls are called.", required=False)
    )
    personal_api_key: str = field(
        default="",
        repr=False,
        metadata=setting(
            "Personal API key", "With the scope person:write, for deleting people.", secret=True, required=False
        ),
    )
    project_id: str = field(
        default="", metadata=setting("Project id", "A number, for deleting people.", required=False)
    )
    endpoint: str = field(
        default="", metadata=setting("Endpoint", "Of your own installation; empty is PostHog's cloud.", required=False)
    )


class Destination:
    """Posts batches to `/batch/`."""

    batch_max: ClassVar[int] = 100

    def __init__(self, settings: Settings, room: Room) -> None:
        if not settings.api_key.strip():
            raise ConfigError("The project API key must not be empty; it begins with `phc_`.")
        self._settings, self._http = settings, room.http
        self._base = (settings.endpoint or _HOSTS[settings.region]).rstrip("/")
        self._key = msgspec.json.encode(settings.api_key.strip())

    async def check(self) -> None:
        """Ask for the feature flags of nobody.

        Raises:
            UnauthorizedError, RetryableError, DeliveryError: the key is refused, or nothing speaks the API there.
        """
        demand(
            outcome_of(await self._post("/flags/?v=2", b'{"distinct_id":"headwater","api_key":%s}' % self._key)),
            "PostHog",
            unauthorized="PostHog does not know the project API key; compare key and region.",
        )

    async def send(self, events: Sequence[Event]) -> list[Outcome]:
        """Send up to 100 events in one request."""
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
        """Delete people with their events and recordings, by both ids; needs a personal key and the project's id.

        Source: PostHog API reference, Persons, bulk delete; events and recordings go with the next weekly clean-up.
        """
        key, project = self._settings.personal_api_key.strip(), self._settings.project_id.strip()
        if not key or not project:
            raise UnsupportedError("Fill in a personal API key and the project id, or delete the person in PostHog.")
        listed = sorted(person.user_ids | person.anonymous_ids)
        if not listed:
            raise UnsupportedError("PostHog deletes by user id or anonymous id only; delete the person there.")
        base = (self._settings.endpoint or _APP_HOSTS[self._settings.region]).rstrip("/")
        url = f"{base}/api/projects/{quote(project, safe='')}/persons/bulk_delete/"
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        for start in range(0, len(listed), _DELETED_MAX):
            some = listed[start : start + _DELETED_MAX]
            wanted = {"distinct_ids": some, "delete_events": True, "delete_recordings": True}
            answer = await self._http.request("POST", url, body=msgspec.json.encode(wanted), headers=headers)
            settle_erasure(answer, "PostHog", unknown=())  # 404 is a wrong project here
            if told(answer.body).get("deletion_errors"):
                raise RetryableError("PostHog could not delete some of them; it is asked again.")

    def _part(self, body: Body) -> Part | Outcome:
        made = payload(body, self._settings.group_type)
        return Part("/batch/", msgspec.json.encode(made)) if isinstance(made, dict) else made

    async def _deliver(self, path: str, bodies: Sequence[bytes]) -> list[Outcome]:
        return [meaning(await self._post(path, b'{"batch":[%s],"api_key":%s}' % (b",".join(bodies), self._key)))] * len(
            bodies
        )

    async def _post(self, path: str, body: bytes) -> Answer:
        return await self._http.request(
            "POST", self._base + path, body=body, headers={"content-type": "application/json"}
        )


def payload(body: Body, group_type: str) -> Body | Discarded:
    """Return the event as PostHog takes it, or why it cannot be sent."""
    person, name = conventions.person_id(body), _NAMES.get(str(body.get("type"))) or conventions.event_name(body)
    if not person:
        return _NO_ID
    if not name:
        return _NAMELESS
    own = _own(body, group_type)
    if isinstance(own, Discarded):
        return own
    properties: Body = conventions.picked(body, _AROUND)
    if "$ip" not in properties:
        properties["$geoip_disable"] = True
    properties |= own
    return {
        "event": name,
        "distinct_id": person,
        "uuid": event_uuid(body),
        "timestamp": conventions.timestamp(body),
        "properties": properties,
    }


def _own(body: Body, group_type: str) -> Body | Discarded:
    """Return the properties that belong to the kind of call."""
    match body.get("type"):
        case Call.IDENTIFY:
            user, anonymous = conventions.user_id(body), conventions.anonymous_id(body)
            joined = {"$anon_distinct_id": anonymous} if user and anonymous and user != anonymous else {}
            return {"$set": dict(conventions.person_traits(body)), **joined}
        case Call.GROUP:
            key, traits = conventions.text(body, "groupId"), dict(conventions.mapping(body, "traits"))
            return {"$group_type": group_type, "$group_key": key, "$group_set": traits} if key else _NO_GROUP
        case Call.ALIAS:
            user, previous = conventions.user_id(body), conventions.text(body, "previousId")
            return {"distinct_id": user, "alias": previous} if user and previous else _NO_ALIAS
    own: Body = dict(conventions.mapping(body, "properties"))
    if (person := conventions.mapping(body, "context.traits")) != {}:
        own["$set"] = dict(person)
    if (group := conventions.text(body, "context.groupId")) != "":
        own["$groups"] = {group_type: group}
    if (label := conventions.text(body, "name")) != "" and body.get("type") != Call.TRACK:
        own["$screen_name" if body.get("type") == Call.SCREEN else "name"] = label
    return own


def event_uuid(body: Body) -> str:
    """Return the messageId where it is a UUID, else a UUID that is the same for the same messageId."""
    given = conventions.text(body, "messageId")
    try:
        return str(uuid.UUID(given))
    except ValueError:
        return str(uuid.uuid5(_IDS, given))


def meaning(answer: Answer) -> Outcome:
    """Return what an answer means for every event of its request."""
    limited = told(answer.body).get("quota_limited")
    if isinstance(limited, list) and "events" in limited and answer.status == _OVER_QUOTA.status:
        return _OVER_QUOTA
    return outcome_of(answer)
