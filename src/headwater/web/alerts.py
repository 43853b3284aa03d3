"""Alerts: what is wrong now and was, what people are told of, and where."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import Route

from headwater.alerts.book import Alert
from headwater.alerts.channels import ChannelKind
from headwater.alerts.rules import Rule
from headwater.errors import HeadwaterError, InvalidRequestError
from headwater.web.visit import Desk, Visit, action, page

ROOM: Final = "alerts"
_SHOWN: Final = 100
_HOUR: Final = 60
_BLANK: Final = {"name": "", "kind": "email", "to": ""}


def routes(desk: Desk) -> list[Route]:
    """Return the routes of the alerts page."""
    room = f"/{{workspace}}/{ROOM}"
    return [
        Route(room, page(desk, _page), methods=["GET"]),
        Route(f"{room}/rules/{{rule}}", action(desk, _save_rule), methods=["POST"]),
        Route(f"{room}/channels", action(desk, _add_channel), methods=["POST"]),
        Route(f"{room}/channels/{{channel}}/test", action(desk, _test_channel), methods=["POST"]),
        Route(f"{room}/channels/{{channel}}/switch", action(desk, _switch_channel), methods=["POST"]),
        Route(f"{room}/channels/{{channel}}/delete", action(desk, _delete_channel), methods=["POST"]),
    ]


async def _page(visit: Visit) -> Response:
    return await _show(visit)


async def _show(
    visit: Visit,
    *,
    values: Mapping[str, str] | None = None,
    error: HeadwaterError | None = None,
    of_rule: str = "",
    told: Mapping[str, Any] | None = None,
) -> Response:
    control, alerts, workspace_id = visit.desk.control, visit.desk.alerts, visit.workspace.id
    found = await asyncio.to_thread(alerts.book.page, workspace_id, None, _SHOWN)
    rules = await asyncio.to_thread(control.alert_rules.all, workspace_id)
    names = await asyncio.to_thread(_names, visit)
    return visit.page(
        "alerts.html",
        lasting=[_told(each) for each in found if each.ended_at is None],
        past=[_told(each) for each in found if each.ended_at is not None],
        rules=[{"rule": each, "window": _window(each), "about": names.get(each.subject_id, "")} for each in rules],
        channels=await asyncio.to_thread(control.alert_channels.all, workspace_id),
        has_mail=alerts.has_mail,
        values={**_BLANK, **(values or {})},
        problem=str(error) if error else "",
        field=getattr(error, "field", ""),
        of_rule=of_rule,
        told=told,
        status=422 if error else 200,
    )


def _names(visit: Visit) -> dict[str, str]:
    control, workspace_id = visit.desk.control, visit.workspace.id
    families = control.sources, control.destinations, control.warehouses
    return {each.id: each.name for family in families for each in family.all(workspace_id)}


def _told(alert: Alert) -> dict[str, Any]:
    """Return an alert with its times as instants."""
    ended = None if alert.ended_at is None else datetime.fromtimestamp(alert.ended_at, UTC)
    return {"alert": alert, "began": datetime.fromtimestamp(alert.began_at, UTC), "ended": ended}


def _window(rule: Rule) -> str:
    """Return a rule's window in hours, as its form shows it."""
    return f"{rule.window_minutes / _HOUR:g}" if rule.window_minutes else ""


async def _save_rule(visit: Visit) -> Response:
    rule_id, form = visit.request.path_params["rule"], visit.form
    try:
        change: dict[str, Any] = {"enabled": form.get("enabled") == "on"}
        if "threshold" in form:
            change["threshold"] = int(_number(form["threshold"], "threshold"))
        if "window" in form:
            change["window_minutes"] = round(_number(form["window"], "windowMinutes") * _HOUR)
        await asyncio.to_thread(visit.desk.control.alert_rules.update, visit.workspace.id, rule_id, **change)
    except InvalidRequestError as error:
        return await _show(visit, error=error, of_rule=rule_id)
    return visit.to(ROOM)


def _number(text: str, field: str) -> float:
    if not text.isascii() or not text.replace(".", "", 1).isdecimal() or len(text) > len("1000000.00"):
        raise InvalidRequestError("This is a number, such as 24", field=field)
    return float(text)


async def _add_channel(visit: Visit) -> Response:
    form = visit.form
    kind = ChannelKind.SLACK if form.get("kind") == ChannelKind.SLACK else ChannelKind.EMAIL
    to = form.get("to", "").strip()
    way: dict[str, Any] = {"url": to} if kind is ChannelKind.SLACK else {"recipients": to.replace(",", " ").split()}
    create = visit.desk.control.alert_channels.create
    try:
        await asyncio.to_thread(create, visit.workspace.id, kind, form.get("name", ""), **way)
    except InvalidRequestError as error:
        shown = {} if kind is ChannelKind.SLACK else {"to": to}  # the address of a webhook is a secret
        return await _show(visit, values={"name": form.get("name", ""), "kind": kind, **shown}, error=error)
    return visit.to(ROOM)


async def _test_channel(visit: Visit) -> Response:
    told = await visit.desk.alerts.test(visit.workspace.id, visit.request.path_params["channel"])
    return await _show(visit, told=told)


async def _switch_channel(visit: Visit) -> Response:
    update, channel_id = visit.desk.control.alert_channels.update, visit.request.path_params["channel"]
    await asyncio.to_thread(update, visit.workspace.id, channel_id, enabled=visit.form.get("enabled") == "true")
    return visit.to(ROOM)


async def _delete_channel(visit: Visit) -> Response:
    delete = visit.desk.control.alert_channels.delete
    await asyncio.to_thread(delete, visit.workspace.id, visit.request.path_params["channel"])
    return visit.to(ROOM)
