"""Forms made from the settings of a type: fields to show, and what was filled in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from headwater.control.models import MASKED
from headwater.control.options import Option
from headwater.errors import InvalidRequestError
from headwater.spec.event import Body

PREFIX: Final = "settings."
_NUMBER: Final = "number"


@dataclass(frozen=True, slots=True)
class Field:
    """One field as it is shown; a stored secret shows its mask and never itself."""

    name: str
    label: str
    hint: str
    value: str
    kind: str
    required: bool
    problem: str
    checked: bool = False
    choices: tuple[str, ...] = ()


def fields(
    options: Sequence[Option], values: Mapping[str, Any], problems: Mapping[str, str] | None = None
) -> list[Field]:
    """Return the fields of some options with the values they have now."""
    return [_field(option, values.get(option.name, option.default), problems or {}) for option in options]


def _field(option: Option, value: Any, problems: Mapping[str, str]) -> Field:
    kinds = {"boolean": "checkbox", "array": "lines", "map": "pairs"}
    plain = "password" if option.secret else "select" if option.choices else "text"
    kind = "long" if option.is_long else kinds.get(option.type, plain)
    return Field(
        name=f"{PREFIX}{option.name}",
        label=option.label,
        hint=option.description,
        value=_text(option, value),
        kind=kind,
        required=option.required,
        problem=problems.get(f"{PREFIX}{option.name}", ""),
        checked=value is True,
        choices=option.choices,
    )


def _text(option: Option, value: Any) -> str:
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, str):  # also what somebody wrote, of whatever type it should be
        return value
    if option.type == "array":
        return "\n".join(str(each) for each in value)
    if option.type == "map":
        return "\n".join(f"{name}={each}" for name, each in value.items())
    return str(value)


def filled(options: Sequence[Option], form: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings of a form, each of its type; blank optional ones are left out.

    Raises:
        InvalidRequestError: a number or a map that is none; `field` names it.
    """
    found = {}
    for option in options:
        given = form.get(f"{PREFIX}{option.name}", "")
        if option.type == "boolean":
            found[option.name] = given == "on"
        elif given.strip() or (option.required and option.type == "string"):
            found[option.name] = _value(option, given)
    return found


def emptied(options: Sequence[Option]) -> dict[str, Any]:
    """Return what a blank field means where something may be stored already: the default, where there is one."""
    return {option.name: option.default for option in options if not option.required and option.default is not None}


def _value(option: Option, given: str) -> Any:
    if option.secret and given.strip() == MASKED:
        return MASKED
    if option.type == "string":
        return given.strip()
    if option.type == "array":
        return [line.strip() for line in given.splitlines() if line.strip()]
    try:
        return number(given) if option.type == _NUMBER else _pairs(given)
    except ValueError as error:
        what = "is a number" if option.type == _NUMBER else "has one name=value a line, each name once"
        raise InvalidRequestError(f"{option.label} {what}", field=f"{PREFIX}{option.name}") from error


def _pairs(given: str) -> dict[str, str]:
    """Return the names and values of lines such as `name=value`; a value may hold further `=`.

    Raises:
        ValueError: a line without name or `=`, or a name that is there twice.
    """
    found: dict[str, str] = {}
    for line in filter(str.strip, given.splitlines()):
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not name or name in found:
            raise ValueError(line)
        found[name] = value
    return found


def number(given: str) -> int | float:
    """Return the number that somebody wrote.

    Raises:
        ValueError: it is none.
    """
    text = given.strip()
    if not text.isascii():
        raise ValueError(text)
    try:
        return int(text)
    except ValueError:
        return float(text)


def same_twice(form: Mapping[str, str], name: str = "password") -> None:
    """Return when a new password was typed the same both times, the second time as `again`.

    Raises:
        InvalidRequestError: it was not.
    """
    if form.get(name, "") != form.get("again", ""):
        raise InvalidRequestError("These are two different passwords; type the same one.", field="again")


def instant(name: str, given: str) -> str | None:
    """Return what a field holds as an instant in ISO 8601, None for nothing; without a zone UTC is meant.

    Raises:
        InvalidRequestError: it is none; names the field.
    """
    if not given.strip():
        return None
    try:
        moment = datetime.fromisoformat(given.strip())
    except ValueError as error:
        raise InvalidRequestError("This is no time; write 2026-01-31 or 2026-01-31T08:00.", field=name) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()


def event(text: str) -> Body:
    """Return the event that somebody wrote.

    Raises:
        InvalidRequestError: it is no JSON object.
    """
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise InvalidRequestError(f"The event is no JSON object: {error}.", field="event") from error


def pretty(value: Any) -> str:
    """Return JSON as people read it."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def pretty_text(text: str) -> str:
    """Return JSON text as people read it, and any other text, such as JSON that was cut short, as it is."""
    try:
        return msgspec.json.format(text, indent=2)
    except msgspec.DecodeError:
        return text
