"""Destination filters: which events of a connection are sent, and what is taken out of those that are.

All conditions are asked about the event as it arrived. What then applies is done in one order, whatever the order of
the filters: sample, drop, drop properties, allow properties. A filter that cannot be read or decided lets nothing
through.

Source: Segment, Destination Filters; Destination Filter Query Language.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from headwater import fql
from headwater.delivery.connection import Filter
from headwater.errors import InvalidRequestError
from headwater.spec import paths
from headwater.spec.event import Body, Event
from headwater.spec.paths import Names

FILTERED_BY_RULES: Final = "FILTERED_BY_RULES"  # Segment's code

FILTERS_MAX: Final = 10  # Segment: of one destination
TITLE_CHARS_MAX: Final = 64  # Segment
ACTIONS_MAX: Final = 4  # ours: each kind once
FIELDS_MAX: Final = 300  # ours: paths in one action; as many properties as Segment's schema shows
SECTIONS: Final = ("properties", "context", "traits")
"""The objects of an event whose members a filter may take out; ids, times and the type are out of its reach."""

_Step = Callable[[Body], Body | None]  # None: dropped
_ORDER: Final = ("SAMPLE", "DROP", "DROP_PROPERTIES", "ALLOW_PROPERTIES")


@dataclass(frozen=True, slots=True)
class _Rule:
    condition: fql.Condition
    steps: Sequence[tuple[int, _Step]]


class Filters:
    """The enabled filters of one connection, ready to be applied."""

    def __init__(self, filters: Sequence[Filter]) -> None:
        """Read the filters; one that is wrong closes the way for every event."""
        self._rules: list[_Rule] = []
        self._is_closed = False
        for each in filters:
            if each.enabled:
                try:
                    self._rules.append(_rule(each.condition, each.actions))
                except InvalidRequestError:
                    self._is_closed = True

    def __call__(self, event: Event) -> Event | str:
        """Return the event as it may be sent, the same one when nothing is taken out; else the reason against it."""
        if self._is_closed:
            return FILTERED_BY_RULES
        if not self._rules:
            return event
        body = _applied(self._rules, event.body)
        if body is None:
            return FILTERED_BY_RULES
        return event if body is event.body else dataclasses.replace(event, line=msgspec.json.encode(body), body=body)


def checked_filter(title: str, condition: str, actions: Sequence[Mapping[str, Any]]) -> None:
    """Return when a filter can be saved.

    Raises:
        InvalidRequestError: naming the member: `title`, `if`, `actions`, `actions.0.percent`.
    """
    if not title.strip() or len(title) > TITLE_CHARS_MAX:
        raise InvalidRequestError(f"A filter has a title of 1 to {TITLE_CHARS_MAX} characters.", field="title")
    _rule(condition, actions)


def preview(condition: str, actions: Sequence[Mapping[str, Any]], body: Body) -> Body | None:
    """Return what a filter would leave of an event, None when it would not be sent.

    Raises:
        InvalidRequestError: the filter cannot be read.
    """
    return _applied([_rule(condition, actions)], body)


def _applied(rules: Sequence[_Rule], body: Body) -> Body | None:
    try:
        steps = [step for rule in rules if rule.condition(body) for step in rule.steps]
    except fql.EvaluationError:
        return None
    changed: Body | None = body
    for _, step in sorted(steps, key=lambda each: each[0]):
        if changed is None:
            return None
        changed = step(changed)
    return changed


def _rule(condition: str, actions: Sequence[Mapping[str, Any]]) -> _Rule:
    compiled = fql.parse(condition)
    if not 1 <= len(actions) <= ACTIONS_MAX:
        raise InvalidRequestError(f"A filter has 1 to {ACTIONS_MAX} actions.", field="actions")
    return _Rule(compiled, [_action(action, f"actions.{place}") for place, action in enumerate(actions)])


def _action(action: Mapping[str, Any], at: str) -> tuple[int, _Step]:
    kind = action.get("type")
    if kind not in _ORDER:
        raise InvalidRequestError(f"An action's type is one of {', '.join(_ORDER)}.", field=f"{at}.type")
    make = {"SAMPLE": _sample, "DROP": _drop, "DROP_PROPERTIES": _drop_properties}.get(kind, _allow_properties)
    return _ORDER.index(kind), make(action, at)


def _drop(_action: Mapping[str, Any], _at: str) -> _Step:
    return lambda _: None


def _sample(action: Mapping[str, Any], at: str) -> _Step:
    percent, path = action.get("percent"), action.get("path")
    if isinstance(percent, bool) or not isinstance(percent, int | float) or not 0 <= percent <= 1:
        raise InvalidRequestError("`percent` is the share that is sent, from 0 to 1.", field=f"{at}.percent")
    names = _names(path, f"{at}.path") if path not in (None, "") else ("messageId",)

    def step(body: Body) -> Body | None:
        value = paths.read(body, names)
        return body if _share(body.get("messageId") if value is None else value) < percent else None

    return step


def _share(value: Any) -> float:
    """Return a number in 0..1 that is the same for the same value, always and everywhere."""
    digest = hashlib.blake2b(msgspec.json.encode(value, order="sorted"), digest_size=6).digest()
    return int.from_bytes(digest) / 2**48


def _drop_properties(action: Mapping[str, Any], at: str) -> _Step:
    removed = [(section, *names) for section, each in _fields(action, at).items() for names in each]

    def step(body: Body) -> Body:
        for names in removed:
            if names[0] in body:
                body = paths.without(body, names)
        return body

    return step


def _allow_properties(action: Mapping[str, Any], at: str) -> _Step:
    allowed = _fields(action, at)

    def step(body: Body) -> Body:
        kept = {section: paths.only(body[section], each) for section, each in allowed.items() if section in body}
        return {**body, **kept}

    return step


def _fields(action: Mapping[str, Any], at: str) -> dict[str, list[Names]]:
    """Return the paths that an action names in each section."""
    fields, at = action.get("fields"), f"{at}.fields"
    if not isinstance(fields, Mapping) or not fields:
        raise InvalidRequestError('`fields` names members, such as {"properties": ["coupon"]}.', field=at)
    found: dict[str, list[Names]] = {}
    for section, members in fields.items():
        if section not in SECTIONS:
            raise InvalidRequestError(f"Fields are taken out of {', '.join(SECTIONS)}.", field=f"{at}.{section}")
        if not isinstance(members, list | tuple):
            raise InvalidRequestError('List the members, such as ["coupon"].', field=f"{at}.{section}")
        found[section] = [_names(member, f"{at}.{section}") for member in members]
    if sum(map(len, found.values())) > FIELDS_MAX:
        raise InvalidRequestError(f"An action names at most {FIELDS_MAX} members.", field=at)
    return found


def _names(path: Any, at: str) -> Names:
    if not isinstance(path, str):
        raise InvalidRequestError("A path is a text, such as `userId` or `address.city`.", field=at)
    try:
        return paths.names_of(path)
    except ValueError as error:
        raise InvalidRequestError(str(error), field=at) from error
