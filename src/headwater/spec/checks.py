"""What makes a call acceptable. Each refusal has a discard code, Segment's where it has one.

Pure and quick: the usual event passes a handful of type comparisons; only a bad one is explained.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from headwater.errors import InvalidEventError
from headwater.limits import MESSAGE_ID_CHARS_MAX, USER_ID_CHARS_MAX
from headwater.spec.event import Body, Call


def check(call: Any, event: Body) -> None:
    """Pass when `event` is a good call of type `call`; missing optional members are fine.

    Raises:
        InvalidEventError: the code, the member and a sentence for people.
    """
    try:
        checked = _CHECKS[call]
    except (KeyError, TypeError):
        raise _unknown_type(call) from None
    user_id = event.get("userId")
    if type(user_id) is not str or not 0 < len(user_id) <= USER_ID_CHARS_MAX or event.get("anonymousId") is not None:
        _check_ids(event, call)
    message_id = event.get("messageId")
    if message_id is not None and (type(message_id) is not str or len(message_id) > MESSAGE_ID_CHARS_MAX):
        raise _bad_message_id(message_id)
    checked(event)


def _check_ids(event: Body, call: str) -> None:
    user_id, anonymous_id = event.get("userId"), event.get("anonymousId")
    if user_id is None and anonymous_id is None:
        raise InvalidEventError("no_user_anon_id", f"A {call} call needs a userId or an anonymousId.", field="userId")
    _check_optional_id("userId", user_id)
    _check_optional_id("anonymousId", anonymous_id)


def _check_optional_id(field: str, value: Any) -> None:
    if value is None:
        return
    if type(value) is not str or not value:
        raise InvalidEventError("id_not_string", f"{field} must be a string that is not empty.", field=field)
    if len(value) > USER_ID_CHARS_MAX:
        message = f"{field} has {len(value):,} characters; the limit is {USER_ID_CHARS_MAX}."
        raise InvalidEventError("id_too_long", message, field=field)


def _check_needed_id(event: Body, field: str, call: str) -> None:
    if event.get(field) is None:
        raise InvalidEventError("id_required", f"A {call} call needs {field}.", field=field)
    _check_optional_id(field, event[field])


def _check_object(event: Body, field: str) -> None:
    value = event.get(field)
    if value is not None and type(value) is not dict:
        raise InvalidEventError(f"{field}_not_object", f"{field} must be an object.", field=field)


def _check_track(event: Body) -> None:
    name = event.get("event")
    if type(name) is not str or not name or name.isspace():
        raise _bad_event_name(name)
    if type(event.get("properties")) is not dict:
        _check_object(event, "properties")


def _check_page(event: Body) -> None:
    for field in ("name", "category"):
        value = event.get(field)
        if value is not None and (type(value) is not str or not value):
            message = f"{field} must be a string that is not empty, or absent."
            raise InvalidEventError(f"{field}_not_string", message, field=field)
    _check_object(event, "properties")


def _check_identify(event: Body) -> None:
    _check_object(event, "traits")


def _check_group(event: Body) -> None:
    _check_needed_id(event, "groupId", Call.GROUP)
    _check_object(event, "traits")


def _check_alias(event: Body) -> None:
    _check_needed_id(event, "previousId", Call.ALIAS)
    _check_needed_id(event, "userId", Call.ALIAS)


_CHECKS: Final[dict[str, Callable[[Body], None]]] = {
    "track": _check_track,
    "identify": _check_identify,
    "page": _check_page,
    "screen": _check_page,
    "group": _check_group,
    "alias": _check_alias,
}


def _bad_event_name(name: Any) -> InvalidEventError:
    if name is None or (isinstance(name, str) and not name.strip()):
        return InvalidEventError("event_not_defined", "A track call needs the event's name.", field="event")
    return InvalidEventError("event_not_string", "event must be a string.", field="event")


def _bad_message_id(message_id: Any) -> InvalidEventError:
    if not isinstance(message_id, str):
        return InvalidEventError("message_id_not_string", "messageId must be a string.", field="messageId")
    message = f"messageId has {len(message_id):,} characters; the limit is {MESSAGE_ID_CHARS_MAX}."
    return InvalidEventError("message_id_too_long", message, field="messageId")


def _unknown_type(call: Any) -> InvalidEventError:
    known = ", ".join(_CHECKS)
    if call is None:
        return InvalidEventError("type_required", f"The item has no type. Use one of {known}.", field="type")
    return InvalidEventError("unknown_type", f"The item's type is unknown. Use one of {known}.", field="type")
