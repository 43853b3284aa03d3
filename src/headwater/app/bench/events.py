"""Stored events for the load: a seeded mix of calls, with properties that come and go as they do in the field."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any, Final

SEED: Final = 20261123
AT: Final = "2026-11-23T12:00:00.000Z"
NAMES: Final = (
    "Email Delivered",
    "Email Opened",
    "Email Link Clicked",
    "Email Unsubscribed",
    "Product Viewed",
    "Product Added",
    "Order Completed",
    "Signed Up",
)
_STEMS: Final = ("campaign", "link", "list", "order", "product", "revenue", "user agent", "isMachine", "contactId")
_CALLS: Final = ("track",) * 8 + ("page", "identify")  # four of five events are tracks
_KINDS: Final = "sifbt"  # string, integer, float, boolean, time
_SHAPES: Final = 20_000  # different events; what comes after repeats them under new ids
_PEOPLE: Final = 50_000
_MARK: Final = b'"messageId":"'
_CONTEXT: Final = {
    "ip": "203.0.113.61",
    "library": {"name": "analytics-python", "version": "2.3.5"},
    "userAgent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)",
}


def lines(count: int) -> Iterator[bytes]:
    """Yield stored events as lines of JSON without their newline; each id stands once."""
    cut = [_cut(event) for event in _events(min(count, _SHAPES))]
    for number in range(count):
        head, tail = cut[number % _SHAPES]
        yield b"%sbench-%012x%s" % (head, number, tail)


def message_id(number: int) -> str:
    """Return the id of the event of a number."""
    return f"bench-{number:012x}"


def kinds() -> dict[str, dict[str, str]]:
    """Return the kinds of the members of `properties` and `traits`, as they were drawn."""
    chance = _chance()
    tracks = {key: kind for name in NAMES for key, kind in _properties(chance, name).items()}
    return {"properties": tracks | _properties(chance, "Page"), "traits": _properties(chance, "Identify")}


def _events(count: int) -> Iterator[dict[str, Any]]:
    chance = _chance()
    members = {name: _properties(chance, name) for name in (*NAMES, "Page", "Identify")}
    for number in range(count):
        call = chance.choice(_CALLS)
        name = chance.choice(NAMES) if call == "track" else call.capitalize()
        held = {key: _value(chance, kind) for key, kind in members[name].items() if chance.random() < 0.9}  # noqa: PLR2004 - a tenth is missing
        yield {
            "type": call,
            **({"event": name} if call == "track" else {}),
            **({"name": f"Page {chance.randrange(50)}"} if call == "page" else {}),
            "messageId": "",
            "userId": f"user-{chance.randrange(_PEOPLE)}",
            "anonymousId": f"anonymous-{number}",
            **dict.fromkeys(("receivedAt", "sentAt", "originalTimestamp", "timestamp"), AT),
            "traits" if call == "identify" else "properties": held,
            "context": _CONTEXT,
        }


def _chance() -> random.Random:
    return random.Random(SEED)  # noqa: S311 - seeded on purpose: every run loads the same events


def _properties(chance: random.Random, name: str) -> dict[str, str]:
    """Return the members of one event's properties and their kinds."""
    initials = "".join(word[0] for word in name.split())
    return {f"{_STEMS[n % len(_STEMS)]}{initials}{n}": chance.choice(_KINDS) for n in range(chance.randint(5, 15))}


def _value(chance: random.Random, kind: str) -> Any:
    match kind:
        case "s":
            return f"a value like many others {chance.randrange(100_000)}"
        case "i":
            return chance.randrange(1_000_000)
        case "f":
            return chance.random() * 1000 + 0.001
        case "b":
            return chance.random() < 0.5  # noqa: PLR2004 - half of them
    return f"2026-11-{chance.randint(10, 29)}T10:{chance.randint(10, 59)}:11.{chance.randint(100, 999)}Z"


def _cut(event: dict[str, Any]) -> tuple[bytes, bytes]:
    head, tail = json.dumps(event, separators=(",", ":")).encode().split(_MARK)
    return head + _MARK, tail
