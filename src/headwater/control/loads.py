"""How one warehouse is loaded, as its user sets it: rules, schedule, models, and how long rows stay.

Kept as JSON with the names of the dataclasses; asked for and shown in the API's spelling.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Final, TypeVar
from zoneinfo import available_timezones

import msgspec

from headwater.control.database import Row
from headwater.errors import InvalidRequestError
from headwater.loading.rules import SEGMENT, Rules
from headwater.loading.schedule import Mode, Schedule
from headwater.models import Models
from headwater.spec.names import column_name, table_name

KEEP_DAYS_MAX: Final = 36_500  # ours: a century; beyond it None says the same
MINUTES_MAX: Final = 10_080  # ours: a week between two loads
TIMES_MAX: Final = 96  # ours, a day: every quarter of an hour; what is more often is an interval
STRING_CHARS: Final = (16, 1_000_000)  # ours: shorter cuts ids in two, an event is never longer
NAMES_MAX: Final = 100  # ours: conversions, and properties that hold revenue
WINDOW_DAYS_MAX: Final = 365  # ours
PRESETS: Final[Mapping[str, Rules]] = {"headwater": Rules(), "segment": SEGMENT}
"""Whole sets of rules by name."""

_TIME: Final = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]")
_OURS: Final = re.compile(r"_[a-z0-9_]{1,62}")

T = TypeVar("T", Rules, Schedule, Models)


def opened(kind: type[T], stored: str) -> T:
    """Return stored JSON as the engine takes it."""
    return msgspec.json.decode(stored, type=kind)


def stored(value: Rules | Schedule | Models) -> str:
    """Return a value as its column keeps it."""
    return msgspec.json.encode(value).decode()


def shape(value: Rules | Schedule | Models) -> dict[str, Any]:
    """Return it in the API's spelling."""
    return {_camel(name): each for name, each in msgspec.to_builtins(value).items()}


def checked_rules(given: Mapping[str, Any], present: Rules) -> Rules:
    """Return the rules with what is given; `preset` (`headwater`, `segment`) sets all, further members change it.

    Raises:
        InvalidRequestError: an unknown member, or a value that it cannot have; `field` is `rules.NAME`.
    """
    change = dict(given)
    preset = change.pop("preset", None)
    if preset is not None:
        if preset not in PRESETS:
            raise InvalidRequestError(f"preset is one of {', '.join(PRESETS)}", field="rules.preset")
        present = PRESETS[preset]
    rules = _changed(present, change, "rules")
    least, most = STRING_CHARS
    if rules.string_chars_max is not None and not least <= rules.string_chars_max <= most:
        told = f"stringCharsMax is a whole number from {least} to {most:,}, or null for whole strings"
        raise InvalidRequestError(told, field="rules.stringCharsMax")
    return rules


def columns_of(given: Mapping[str, Any], engine: str, row: Row | None = None) -> dict[str, Any]:
    """Return the columns that change, with their new values.

    Args:
        given: any of `rules`, `schedule`, `models` and `keepDays`, as the API has them; members not named stay.
        engine: the warehouse's type.
        row: the warehouse as it is stored; None at creation.

    Raises:
        InvalidRequestError: as the `checked_` ones.
    """
    change: dict[str, Any] = {}
    for name, value in given.items():
        if name == "rules":
            change[name] = stored(checked_rules(value, opened(Rules, row.rules) if row else Rules()))
        elif name == "schedule":
            change[name] = stored(checked_schedule(value, opened(Schedule, row.schedule) if row else Schedule()))
        elif name == "models":
            present = opened(Models, row.models) if row else Models()
            change[name] = stored(checked_models(value, present, engine))
        elif name == "keepDays":
            change["keep_days"] = checked_keep_days(value)
        else:
            raise InvalidRequestError("a warehouse is loaded by rules, schedule, models and keepDays", field=name[:60])
    return change


def preset_of(rules: Rules) -> str | None:
    """Return the name of the set that these rules are, None where they are nobody's."""
    return next((name for name, preset in PRESETS.items() if preset == rules), None)


def checked_schedule(given: Mapping[str, Any], present: Schedule) -> Schedule:
    """Return the schedule with what is given; times are sorted and each stands once.

    Raises:
        InvalidRequestError: an unknown member, time or zone; `field` is `schedule.NAME`.
    """
    schedule = _changed(present, given, "schedule")
    if not 1 <= schedule.minutes <= MINUTES_MAX:
        raise InvalidRequestError(f"minutes is a whole number from 1 to {MINUTES_MAX:,}", field="schedule.minutes")
    for time in schedule.times:
        if not _TIME.fullmatch(time):
            raise InvalidRequestError("times are of the form 06:30, from 00:00 to 23:59", field="schedule.times")
    times = tuple(sorted(set(schedule.times)))
    if len(times) > TIMES_MAX:
        raise InvalidRequestError(f"a day has at most {TIMES_MAX} times; use an interval", field="schedule.times")
    if schedule.mode is Mode.TIMES and not times:
        raise InvalidRequestError("name at least one time, such as 06:30", field="schedule.times")
    if schedule.timezone not in {"UTC", *available_timezones()}:
        raise InvalidRequestError("timezone is a name such as Europe/Berlin or UTC", field="schedule.timezone")
    return replace(schedule, times=times)


def checked_models(given: Mapping[str, Any], present: Models, engine: str = "") -> Models:
    """Return the models with what is given; events and properties may be named as they are sent.

    Args:
        given: members as the API has them.
        present: what stays where nothing is given.
        engine: the warehouse's type.

    Raises:
        InvalidRequestError: an unknown member, too many names, or a window out of bounds; `field` is `models.NAME`.
    """
    models = _changed(present, given, "models")
    for name, names in (("conversions", models.conversions), ("revenue", models.revenue)):
        if len(names) > NAMES_MAX or not all(0 < len(each.strip()) <= NAMES_MAX for each in names):
            told = f"{name} has at most {NAMES_MAX} names of 1 to {NAMES_MAX} characters"
            raise InvalidRequestError(told, field=f"models.{name}")
    if not 1 <= models.window_days <= WINDOW_DAYS_MAX:
        raise InvalidRequestError(
            f"windowDays is a whole number from 1 to {WINDOW_DAYS_MAX}", field="models.windowDays"
        )
    return replace(
        models,
        conversions=tuple(dict.fromkeys(table_of(name, engine) for name in models.conversions)),
        revenue=tuple(dict.fromkeys(column_of(name, engine) for name in models.revenue)),
    )


def checked_keep_days(given: int | None) -> int | None:
    """Return for how many days rows stay, None for ever.

    Raises:
        InvalidRequestError: out of bounds.
    """
    if given is not None and not 1 <= given <= KEEP_DAYS_MAX:
        told = f"keepDays is a whole number from 1 to {KEEP_DAYS_MAX:,}, or null to keep all rows"
        raise InvalidRequestError(told, field="keepDays")
    return given


def table_of(name: str, engine: str = "") -> str:
    """Return the table that a name means: that of an event of this name; one that begins with `_` is named as it is.

    Args:
        name: a table, or an event as it is sent.
        engine: the warehouse's type, for the words that it alone reserves.
    """
    return name if _OURS.fullmatch(name) else table_name(name, engine)


def column_of(name: str, engine: str = "") -> str:
    """Return the column that a name means: that of a property of this name, nested ones with dots; as `table_of`."""
    return name if _OURS.fullmatch(name) else column_name(*name.split("."), engine=engine)


def _changed(present: T, given: Mapping[str, Any], field: str) -> T:
    """Return a value with the members that are given."""
    names = {_camel(each.name): each.name for each in fields(present)}
    members = msgspec.to_builtins(present)
    for name, value in given.items():
        if name not in names:
            raise InvalidRequestError(f"{field} has {', '.join(names)}", field=f"{field}.{name[:60]}")
        members[names[name]] = value
        try:
            msgspec.convert({names[name]: value}, type(present))
        except msgspec.ValidationError as error:
            reason = str(error).partition(" - at ")[0]
            raise InvalidRequestError(f"{name}: {reason}", field=f"{field}.{name}") from None
    return msgspec.convert(members, type(present))


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
