"""What an identify call says of a contact. Pure: no network, no memory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from headwater.spec import conventions
from headwater.spec.event import Body

BASICS: Final = {
    "firstName": ("firstName", "first_name"),
    "lastName": ("lastName", "last_name"),
    "phone": ("phone",),
}
"""The contact's own fields, and the traits that fill them, in turn."""

_RESERVED: Final = frozenset({"email", "firstname", "lastname", "phone", "tags", "tagsreset", "lists"})
_STATUSES: Final = {"active": "1", "unsubscribed": "2"}
_MANY: Final = frozenset({"listbox", "checkbox"})
_TRUE: Final = frozenset({"1", "true"})
_NO_WORD: Final = re.compile(r"[\W_]+")
_ADDRESS: Final = re.compile(r"[^\s@]+@[^\s@]+")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a contact shall be like.

    Attributes:
        basics: by the names of API v3.
        others: traits that may be custom fields.
        tags: to be added, each once.
        resets: whether all tags are taken away before.
        lists: list id and status ("1" on it, "2" off it).
        wrong: what was asked of lists and cannot be done, as sentences.
    """

    email: str
    basics: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    resets: bool = False
    lists: tuple[tuple[str, str], ...] = ()
    wrong: tuple[str, ...] = ()

    @property
    def has_name(self) -> bool:
        """Whether there is a first or last name: without, no contact is created where names are required."""
        return bool(self.basics.get("firstName") or self.basics.get("lastName"))


def wanted(body: Body, email: str) -> Wanted:
    """Return what an identify call says of the contact with this address.

    A `name` alone is split at its first space. Source: Segment, ActiveCampaign destination, identify.
    """
    traits = conventions.person_traits(body)
    basics = {name: found for name, keys in BASICS.items() if (found := conventions.text(traits, *keys))}
    if not basics.keys() & {"firstName", "lastName"} and (name := conventions.text(traits, "name")):
        first, _, last = name.partition(" ")
        basics |= {"firstName": first} | ({"lastName": last.strip()} if last.strip() else {})
    lists, wrong = _lists(traits.get("lists"))
    return Wanted(
        email=email,
        basics=basics,
        others={key: value for key, value in traits.items() if plain(key) not in _RESERVED},
        tags=_tags(traits.get("tags")),
        resets=conventions.text({"reset": str(traits.get("tagsReset", ""))}, "reset").casefold() in _TRUE,
        lists=lists,
        wrong=wrong,
    )


def plain(name: str) -> str:
    """Return a name without case and word breaks: `shirtSize`, `%SHIRT_SIZE%` and `shirt size` are the same."""
    return _NO_WORD.sub("", name).casefold()


def is_reserved(name: str) -> bool:
    """Tell whether a custom field is called like one of the contact's own: it is never written."""
    return plain(name) in _RESERVED


def is_address(text: str) -> bool:
    """Tell whether a text looks like an e-mail address."""
    return _ADDRESS.fullmatch(text) is not None


def written(value: Any, type_: str) -> str | None:
    """Return a trait as a custom field of this type takes it; None for what no field takes.

    Several choices are `||a||b||`, dates `YYYY-MM-DD`, times ISO 8601. Source: ActiveCampaign, API v3, custom fields.
    """
    if isinstance(value, list):
        chosen = [text for each in value if (text := _scalar(each))]
        return f"||{'||'.join(chosen)}||" if chosen else ""
    found = _scalar(value)
    if found and type_ in _MANY and not found.startswith("||"):
        return f"||{found}||"
    if found and type_ in {"date", "datetime"}:
        return _moment(found, type_)
    return found


def event_value(body: Body) -> str:
    """Return what is kept with a tracked event: `properties.acValue`, also a level deeper, as in Segment's sample."""
    found = conventions.value(body, "properties.acValue", "properties.properties.acValue")
    if isinstance(found, dict | list):
        return msgspec.json.encode(found).decode()
    return _scalar(found) or ""


def _scalar(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).strip() if isinstance(value, str | int | float) else None


def _moment(text: str, type_: str) -> str:
    """Return a date or time in the service's spelling; what is none as it is: the service decides."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    if type_ == "date":
        return f"{at:%Y-%m-%d}"
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).isoformat(timespec="seconds")


def _tags(value: Any) -> tuple[str, ...]:
    given = value if isinstance(value, list) else [value]
    return tuple(dict.fromkeys(text for each in given if (text := _scalar(each))))


def _lists(value: Any) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Return what is wanted of lists, the last word for each, and what is wrong with the rest."""
    if value is None:
        return (), ()
    if not isinstance(value, list):
        return (), ("`lists` is no array of objects with `id` and `status`.",)
    found: dict[str, str] = {}
    wrong = []
    for each in value:
        id_ = conventions.text(each, "id") if isinstance(each, Mapping) else ""
        status = each.get("status") if isinstance(each, Mapping) else None
        if not id_.isascii() or not id_.isdecimal():
            wrong.append("An entry of `lists` has no `id` that is a number.")
        elif not isinstance(status, str) or status not in _STATUSES:
            wrong.append(f"The status for list {id_} is neither `active` nor `unsubscribed`.")
        else:
            found[id_] = _STATUSES[status]
    return tuple(found.items()), tuple(dict.fromkeys(wrong))
