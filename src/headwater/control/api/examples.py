"""Examples of bodies, made from their models."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import UnionType
from typing import Any, Final, Literal, get_args, get_origin

import msgspec

EXAMPLES: Final = {
    "CreateSource.metadataId": "http-api",
    "CreateWarehouse.metadataId": "postgres",
    "Validation.metadataId": "postgres",
    "Validation.settings": {"host": "db.example.com", "database": "events", "user": "headwater"},
    "accountUrl": "https://acme.api-us1.com",
    "at": "2026-01-31T08:00:00Z",
    "code": "async function onTrack(event) { return event; }",
    "email": "ann@example.com",
    "emails": ["ann@example.com"],
    "event": {"type": "track", "event": "Order Completed", "userId": "user-1", "properties": {"total": 12}},
    "from": "2026-01-31T00:00:00Z",
    "if": 'type = "track"',
    "metadataId": "webhook",
    "name": "Shop",
    "payload": {"type": "track", "event": "Order Completed", "userId": "user-1"},
    "region": "eu",
    "role": "member",
    "settings": {"url": "https://example.com/events"},
    "slug": "shop",
    "sourceId": "shop",
    "sql": "select count(*) from shop.tracks",
    "timezone": "Europe/Berlin",
    "trigger": 'type = "track"',
}
"""Values of members by name; where a model is named, too, it is of that one alone."""

_PLAIN: Final[Mapping[Any, Any]] = {str: "text", int: 1, float: 1.0, bool: True, dict: {}}


def example_of(model: type[msgspec.Struct]) -> dict[str, Any]:
    """Return a body with the members that have to be there, or with the first of those that may."""
    members = msgspec.structs.fields(model)
    chosen = [each for each in members if each.required] or members[:1]
    return {each.encode_name: _of_member(model, each) for each in chosen}


def _of_member(model: type[msgspec.Struct], member: msgspec.structs.FieldInfo) -> Any:
    particular = f"{model.__name__}.{member.encode_name}"
    if particular in EXAMPLES:
        return EXAMPLES[particular]
    found = EXAMPLES.get(member.encode_name)
    return _of_type(member.type) if found is None or not _fits(found, member.type) else found


def _fits(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def _of_type(kind: Any) -> Any:
    if isinstance(kind, type):
        return _of_class(kind)
    inner = get_args(kind)
    if isinstance(kind, UnionType):
        return _of_type(inner[0])
    if get_origin(kind) is Literal:
        return inner[0]
    return {} if issubclass(get_origin(kind) or str, dict) else [_of_type(inner[0])]


def _of_class(kind: type) -> Any:
    if issubclass(kind, msgspec.Struct):
        return example_of(kind)
    if issubclass(kind, Enum):
        return next(iter(kind)).value
    return _PLAIN.get(kind, "text")
