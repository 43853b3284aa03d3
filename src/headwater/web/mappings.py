"""The field mappings of a destination: for which events which fields are set, tried on an event before they count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from starlette.routing import Route

from headwater.control import subscriptions
from headwater.control.models import SubscriptionEntry
from headwater.errors import InvalidRequestError
from headwater.spec.event import Body
from headwater.web import forms, rules
from headwater.web.visit import Desk

_BLANK: Final = {
    "name": "",
    "trigger": 'type = "track"',
    "fields": '{\n  "properties.campaign": {"@path": "$.properties.campaign_name"}\n}',
}


def routes(desk: Desk) -> list[Route]:
    """Return the routes of the mapping page."""
    return rules.routes(
        desk,
        rules.Rules("mappings", _BLANK, lambda control: control.subscriptions, _written, _said, _tried, tuple),
    )


def _written(entry: SubscriptionEntry) -> dict[str, str]:
    return {"name": entry.name, "trigger": entry.trigger, "fields": forms.pretty(entry.fields)}


def _said(values: Mapping[str, str]) -> dict[str, Any]:
    return {"name": values["name"], "trigger": values["trigger"], "fields": _fields(values["fields"])}


def _fields(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise InvalidRequestError(f"The fields are no JSON object: {error}.", field="fields") from error


def _tried(values: Mapping[str, str], event: Body) -> Mapping[str, Any] | None:
    return subscriptions.preview(values["trigger"], _fields(values["fields"]), event)
