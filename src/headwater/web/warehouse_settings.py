"""The settings of one warehouse: where it is, when and by which rules it is loaded, its models; and its end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import Route

from headwater.control import loads
from headwater.control.catalog import Kind
from headwater.control.models import Role, WarehouseEntry
from headwater.errors import InvalidRequestError
from headwater.loading.rules import Arrays, Conflicts, Reserved
from headwater.loading.schedule import Mode
from headwater.web import forms
from headwater.web.visit import Desk, Visit, action, page
from headwater.web.warehouses import attempt, found, headed

MODES: Final[Mapping[str, str]] = {
    Mode.CONTINUOUS: "All the time",
    Mode.INTERVAL: "Every so often",
    Mode.TIMES: "At times of day",
    Mode.MANUAL: "Only when asked",
}
CONFLICTS: Final[Mapping[str, str]] = {
    Conflicts.WIDEN: "Widen the column; else keep the value in _overflow",
    Conflicts.OVERFLOW: "Keep the column's type, and the value in _overflow",
    Conflicts.DROP: "Drop the value, as Segment does",
}
ARRAYS: Final[Mapping[str, str]] = {Arrays.JSON: 'JSON, such as ["a","b"]', Arrays.SEGMENT: "As Segment: [a, b]"}
RESERVED: Final[Mapping[str, str]] = {
    Reserved.PREFIX: "Keep it with _ in front",
    Reserved.DISCARD: "Discard it, as Segment does",
}


def routes(desk: Desk) -> list[Route]:
    """Return the routes of the settings page."""
    one = "/{workspace}/warehouse/{warehouse}"
    return [
        Route(f"{one}/settings", page(desk, _settings), methods=["GET"]),
        Route(f"{one}/settings", action(desk, _save, Role.OWNER), methods=["POST"]),
        Route(f"{one}/loading", action(desk, _save_loading, Role.OWNER), methods=["POST"]),
        Route(f"{one}/delete", action(desk, _delete, Role.OWNER), methods=["POST"]),
    ]


@dataclass(frozen=True, slots=True)
class _Filled:
    """What the forms say, or what is stored: `loading` by the names of its fields, as text."""

    name: str
    settings: Mapping[str, Any]
    loading: Mapping[str, str]


def _stored(warehouse: WarehouseEntry) -> _Filled:
    return _Filled(warehouse.name, warehouse.settings, _texts(warehouse))


def _texts(warehouse: WarehouseEntry) -> dict[str, str]:
    """Return how it is loaded as the fields of the form show it."""
    rules, schedule, models = warehouse.rules, warehouse.schedule, warehouse.models
    return {
        "schedule.mode": schedule.mode,
        "schedule.minutes": str(schedule.minutes),
        "schedule.times": ", ".join(schedule.times),
        "schedule.timezone": schedule.timezone,
        "keepDays": "" if warehouse.keep_days is None else str(warehouse.keep_days),
        "models.enabled": "on" if models.enabled else "",
        "models.conversions": ", ".join(models.conversions),
        "models.revenue": ", ".join(models.revenue),
        "models.windowDays": str(models.window_days),
        "rules.conflicts": rules.conflicts,
        "rules.stringCharsMax": "" if rules.string_chars_max is None else str(rules.string_chars_max),
        "rules.arrays": rules.arrays,
        "rules.reserved": rules.reserved,
        "rules.caps": "on" if rules.caps else "",
    }


async def _settings(visit: Visit) -> Response:
    return await _show(visit, _stored(await asyncio.to_thread(found, visit)))


async def _show(
    visit: Visit,
    filled: _Filled,
    *,
    error: InvalidRequestError | None = None,
    tried: Mapping[str, Any] | None = None,
    unconfirmed: bool = False,
) -> Response:
    head = await headed(visit, "settings")
    entry = await asyncio.to_thread(visit.desk.control.catalog.find, Kind.WAREHOUSE, head["warehouse"].type)
    problems = {str(error.field): str(error)} if error else {}
    fields = forms.fields(entry.options, filled.settings, problems)
    shown_there = {each.name for each in fields} | {"name"} | filled.loading.keys()
    return visit.page(
        "warehouse-settings.html",
        **head,
        entry=entry,
        name=filled.name,
        fields=fields,
        loading=filled.loading,
        preset=loads.preset_of(head["warehouse"].rules),
        choices={
            "schedule.mode": MODES,
            "rules.conflicts": CONFLICTS,
            "rules.arrays": ARRAYS,
            "rules.reserved": RESERVED,
        },
        problems=problems,
        problem=str(error) if error and error.field not in shown_there else "",
        tried=tried,
        unconfirmed=unconfirmed,
        status=422 if error or unconfirmed else 200,
    )


async def _save(visit: Visit) -> Response:
    """Change name and place, or with the button "Test connection" try what the form says and show it again."""
    warehouse = await asyncio.to_thread(found, visit)
    control, form = visit.desk.control, visit.form
    entry = await asyncio.to_thread(control.catalog.find, Kind.WAREHOUSE, warehouse.type)
    name = form.get("name", "")
    raw = {option.name: form.get(f"{forms.PREFIX}{option.name}", "") for option in entry.options}
    try:
        settings = forms.emptied(entry.options) | forms.filled(entry.options, form)
        if "test" in form:
            tried = await attempt(visit, entry, settings, warehouse.id)
            return await _show(visit, _Filled(name, settings, _texts(warehouse)), tried=tried)
        await asyncio.to_thread(
            lambda: control.warehouses.update(visit.workspace.id, warehouse.id, name=name, settings=settings)
        )
    except InvalidRequestError as error:
        return await _show(visit, _Filled(name, raw, _texts(warehouse)), error=error)
    return visit.to("warehouse", warehouse.id, "settings")


async def _save_loading(visit: Visit) -> Response:
    """Change when and by which rules it is loaded; "As Segment does" sets all rules at once."""
    warehouse = await asyncio.to_thread(found, visit)
    form = visit.form
    texts = {field: form.get(field, "").strip() for field in _texts(warehouse)}
    try:
        wanted = _loading(texts)
        if preset := form.get("preset", ""):
            wanted["rules"] = {"preset": preset}
        await asyncio.to_thread(
            lambda: visit.desk.control.warehouses.update(visit.workspace.id, warehouse.id, loading=wanted)
        )
    except InvalidRequestError as error:
        return await _show(visit, _Filled(warehouse.name, warehouse.settings, texts), error=error)
    return visit.to("warehouse", warehouse.id, "settings")


def _loading(texts: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields as the API takes them.

    Raises:
        InvalidRequestError: a number that is none.
    """
    return {
        "schedule": {
            "mode": texts["schedule.mode"],
            "minutes": _whole(texts, "schedule.minutes") or 60,
            "times": _listed(texts["schedule.times"]),
            "timezone": texts["schedule.timezone"] or "UTC",
        },
        "keepDays": _whole(texts, "keepDays"),
        "models": {
            "enabled": texts["models.enabled"] == "on",
            "conversions": _listed(texts["models.conversions"]),
            "revenue": _listed(texts["models.revenue"]),
            "windowDays": _whole(texts, "models.windowDays") or 7,
        },
        "rules": {
            "conflicts": texts["rules.conflicts"],
            "stringCharsMax": _whole(texts, "rules.stringCharsMax"),
            "arrays": texts["rules.arrays"],
            "reserved": texts["rules.reserved"],
            "caps": texts["rules.caps"] == "on",
        },
    }


def _listed(text: str) -> list[str]:
    return [name.strip() for name in text.replace("\n", ",").split(",") if name.strip()]


def _whole(texts: Mapping[str, str], field: str) -> int | None:
    """Return a whole number, None for a blank field.

    Raises:
        InvalidRequestError: it is none.
    """
    if not texts[field]:
        return None
    try:
        given = forms.number(texts[field])
    except ValueError:
        given = 0.5
    if not isinstance(given, int):
        raise InvalidRequestError("This is no whole number.", field=field)
    return given


async def _delete(visit: Visit) -> Response:
    warehouse = await asyncio.to_thread(found, visit)
    if visit.form.get("confirm", "").strip() != warehouse.name.strip():
        return await _show(visit, _stored(warehouse), unconfirmed=True)
    await asyncio.to_thread(visit.desk.control.warehouses.delete, visit.workspace.id, warehouse.id)
    return visit.to("warehouse")
