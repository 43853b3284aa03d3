"""Where Segment's calls keep what every tool asks for: who, when, how much.

Each reader looks at the documented places in turn and takes the first that holds something usable; none raises for
an event of the wrong shape.

Source: Segment spec, common fields; identify and group traits; e-commerce properties.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from headwater.spec.event import Body, Call

EMAIL: Final = ("traits.email", "context.traits.email", "properties.email")
"""Where an e-mail address is looked for."""

Fields = Mapping[str, Sequence[str]]
"""What a tool calls a field, and the dotted paths where Segment's calls may hold it, in turn."""

CAMPAIGN: Final[Fields] = {
    "utm_source": ("context.campaign.source",),
    "utm_medium": ("context.campaign.medium",),
    "utm_campaign": ("context.campaign.name",),
    "utm_term": ("context.campaign.term",),
    "utm_content": ("context.campaign.content",),
}
"""The campaign as web analytics spell it."""

_ORDERS: Final = frozenset({"order completed", "completed order"})  # the second is the older spec's


def value(body: Mapping[str, Any], *paths: str) -> Any:
    """Return what stands at the first dotted path that holds anything but null; None when none does."""
    for path in paths:
        found: Any = body
        for name in path.split("."):
            found = found.get(name) if isinstance(found, Mapping) else None
        if found is not None:
            return found
    return None


def text(body: Mapping[str, Any], *paths: str) -> str:
    """Return the first text or number that is not blank, trimmed; "" when there is none."""
    for path in paths:
        found = value(body, path)
        if isinstance(found, str | int | float) and not isinstance(found, bool) and (trimmed := str(found).strip()):
            return trimmed
    return ""


def number(body: Mapping[str, Any], *paths: str) -> int | float | None:
    """Return the first finite number, also when it is written as text; None when there is none."""
    for path in paths:
        found = value(body, path)
        if isinstance(found, bool) or not isinstance(found, str | int | float):
            continue
        try:
            amount = float(found)
        except (ValueError, OverflowError):
            continue
        if math.isfinite(amount):
            return found if isinstance(found, int) else int(amount) if amount.is_integer() else amount
    return None


def mapping(body: Mapping[str, Any], *paths: str) -> Mapping[str, Any]:
    """Return the first object; an empty one when there is none."""
    for path in paths:
        found = value(body, path)
        if isinstance(found, Mapping):
            return found
    return {}


def picked(body: Mapping[str, Any], fields: Fields) -> dict[str, Any]:
    """Return those fields of which the body holds a text, number, boolean or list that is not blank."""
    found = {name: value(body, *paths) for name, paths in fields.items()}
    return {name: each for name, each in found.items() if each not in (None, "") and not isinstance(each, Mapping)}


def email(body: Body) -> str:
    """Return the person's e-mail address as it was sent; "" when none of the documented places holds one."""
    return next((found for path in EMAIL if "@" in (found := text(body, path))), "")


def user_id(body: Body) -> str:
    """Return the `userId` as text; "" when there is none."""
    return text(body, "userId")


def anonymous_id(body: Body) -> str:
    """Return the `anonymousId` as text; "" when there is none."""
    return text(body, "anonymousId")


def person_id(body: Body) -> str:
    """Return the `userId`, else the `anonymousId`; "" when there is neither."""
    return user_id(body) or anonymous_id(body)


def event_name(body: Body) -> str:
    """Return what a tool that knows only named events calls this one.

    A track call's `event`; for the others Segment's names: `Viewed Home Page`, `Viewed Home Screen`, and without a
    name `Loaded a Page`, `Loaded a Screen`.
    """
    kind, name = str(body.get("type", "")), text(body, "name", "properties.name")
    match kind:
        case Call.TRACK:
            return text(body, "event")
        case Call.PAGE | Call.SCREEN:
            thing = kind.capitalize()
            return f"Viewed {name} {thing}" if name else f"Loaded a {thing}"
        case _:
            return kind.capitalize()


def person_traits(body: Body) -> Mapping[str, Any]:
    """Return what the call tells about the person: an identify call's `traits`, else `context.traits`."""
    if body.get("type") == Call.IDENTIFY:
        return mapping(body, "traits", "context.traits")
    return mapping(body, "context.traits")


def happened_at(body: Body) -> datetime:
    """Return when the event happened: the corrected `timestamp`, else its arrival, in UTC."""
    for name in ("timestamp", "receivedAt"):
        try:
            moment = datetime.fromisoformat(str(body[name]))
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        except (KeyError, ValueError, OverflowError):  # the first day of year 1 has no UTC in the far east
            continue
    return datetime.fromtimestamp(0, UTC)


def epoch_ms(body: Body) -> int:
    """Return when the event happened, in whole milliseconds since 1970."""
    return round(happened_at(body).timestamp() * 1000)


def epoch_s(body: Body) -> int:
    """Return when the event happened, in whole seconds since 1970."""
    return int(happened_at(body).timestamp())


def is_order(body: Body) -> bool:
    """Tell whether this is the track call for a completed order."""
    return body.get("type") == Call.TRACK and text(body, "event").casefold() in _ORDERS


def revenue(body: Body) -> int | float | None:
    """Return the money of a track call: `revenue`; for a completed order else its `total`, else its `value`."""
    others = ("properties.total", "properties.value") if is_order(body) else ()
    return number(body, "properties.revenue", *others)


def currency(body: Body) -> str:
    """Return the three letters of the `currency`, in capitals; `USD` where there are none, as Segment assumes."""
    code = text(body, "properties.currency").upper()
    return code if len(code) == 3 and code.isascii() and code.isalpha() else "USD"  # noqa: PLR2004 - ISO 4217


def products(body: Body) -> list[Mapping[str, Any]]:
    """Return the `products` of an e-commerce call; what is no object is left out."""
    found = value(body, "properties.products")
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []


def timestamp(body: Body) -> str:
    """Return when the event happened, ISO 8601 in UTC with milliseconds."""
    return happened_at(body).isoformat(timespec="milliseconds").replace("+00:00", "Z")
