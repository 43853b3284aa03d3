"""Read identify calls: which user an e-mail address belongs to. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from headwater.limits import USER_ID_CHARS_MAX
from headwater.sources.activecampaign.mapping.contacts import is_address
from headwater.sources.activecampaign.people.contact_book import Learnt
from headwater.spec.times import EPOCH, parse_time

_MILLISECONDS: Final = 1_000


class _Call(msgspec.Struct):
    """Only what is needed; anything may be sent in these members, so nothing is expected of them."""

    type: Any = None
    userId: Any = None  # noqa: N815 - as it is spelled in the log
    traits: Any = None
    context: Any = None
    timestamp: Any = None
    receivedAt: Any = None  # noqa: N815


_decode = msgspec.json.Decoder(_Call).decode


def learnt(lines: Iterable[bytes]) -> Iterator[Learnt]:
    """Yield what identify calls tell, one stored line each; what is no such call, or names no e-mail, is left out.

    A call counts as made at its `timestamp`, but never after it arrived: a clock that is years ahead must not win for
    years.
    """
    for line in lines:
        try:
            call = _decode(line)
        except msgspec.MsgspecError:
            continue
        if call.type != "identify" or not _is_user_id(call.userId):
            continue
        email = _email(call)
        if email:
            yield Learnt(email, call.userId, _at_ms(call))


def _is_user_id(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and len(value) <= USER_ID_CHARS_MAX


def _email(call: _Call) -> str:
    context = call.context if isinstance(call.context, dict) else {}
    for traits in (call.traits, context.get("traits")):
        email = traits.get("email") if isinstance(traits, dict) else None
        if isinstance(email, str) and is_address(email.strip()):
            return email.strip()
    return ""


def _at_ms(call: _Call) -> int:
    said = [instant for instant in (parse_time(call.timestamp), parse_time(call.receivedAt)) if instant]
    return int((min(said) - EPOCH).total_seconds() * _MILLISECONDS) if said else 0
