"""The filters of a destination: which events are sent and what is taken out, tried on an event before they count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.routing import Route

from headwater.control.models import FilterEntry
from headwater.delivery.filters import checked_filter, preview
from headwater.errors import InvalidRequestError
from headwater.spec.event import Body
from headwater.web import rules
from headwater.web.visit import Desk

_BLANK: Final = {
    "title": "",
    "if": 'event = "Email Opened"',
    "action": "DROP",
    "percent": "10",
    "path": "",
    "fields": "",
}


def routes(desk: Desk) -> list[Route]:
    """Return the routes of the filter page."""
    return rules.routes(
        desk,
        rules.Rules("filters", _BLANK, lambda control: control.filters, _written, _said, _tried, _shown),
    )


def _shown(entries: Sequence[FilterEntry]) -> list[dict[str, Any]]:
    return [{"entry": each, "does": ", then ".join(_does(act) for act in each.actions)} for each in entries]


def _does(act: Mapping[str, Any]) -> str:
    """Return in words what an action does to the events that it is about."""
    match act["type"]:
        case "SAMPLE":
            return f"sends {act['percent'] * 100:g} % of them"
        case "DROP_PROPERTIES":
            return f"removes {', '.join(_paths(act))}"
        case "ALLOW_PROPERTIES":
            return f"keeps only {', '.join(_paths(act))}"
        case _:
            return "does not send"


def _paths(act: Mapping[str, Any]) -> list[str]:
    return [f"{place}.{name}" for place, names in act["fields"].items() for name in names]


def _written(entry: FilterEntry) -> dict[str, str]:
    """Return a filter as the form shows it; it has one action there, and one that has more shows its first."""
    act = entry.actions[0]
    return {
        "title": entry.title,
        "if": entry.condition,
        "action": act["type"],
        "percent": f"{act.get('percent', 0.1) * 100:g}",
        "path": act.get("path", ""),
        "fields": "\n".join(_paths(act)) if "fields" in act else "",
    }


def _said(values: Mapping[str, str]) -> dict[str, Any]:
    return {"title": values["title"], "condition": values["if"], "actions": _actions(values)}


def _actions(values: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return what the form says as the API writes it."""
    kind = values["action"]
    if kind == "SAMPLE":
        try:
            share = float(values["percent"]) / 100
        except ValueError as error:
            raise InvalidRequestError("The share is a number from 0 to 100.", field="percent") from error
        return [{"type": kind, "percent": share, **({"path": values["path"]} if values["path"] else {})}]
    if kind in {"DROP_PROPERTIES", "ALLOW_PROPERTIES"}:
        fields: dict[str, list[str]] = {}
        for line in filter(None, map(str.strip, values["fields"].splitlines())):
            place, _, name = line.partition(".")
            fields.setdefault(place, []).append(name)
        return [{"type": kind, "fields": fields}]
    return [{"type": kind}]


def _tried(values: Mapping[str, str], event: Body) -> Body | None:
    said = _said(values)
    checked_filter(said["title"] or "Untitled", said["condition"], said["actions"])
    return preview(said["condition"], said["actions"], event)
