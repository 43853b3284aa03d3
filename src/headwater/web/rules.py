"""What a destination's filter page and its mapping page have in common: a list, a form, an event to try it on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from headwater.control.models import Role
from headwater.control.service import Control
from headwater.delivery import samples
from headwater.errors import ConflictError, InvalidRequestError
from headwater.spec.event import Body
from headwater.web import forms
from headwater.web.destinations import found, headed
from headwater.web.visit import Desk, Handler, Visit, action, page


@dataclass(frozen=True, slots=True)
class Rules:
    """One kind of rule.

    Attributes:
        tab: the page's name in the address, and its template's.
        blank: the fields of an empty form.
        store: where they are kept: has `all`, `get`, `create`, `update` and `delete`, with what `said` returns.
        written: returns a stored rule as the form shows it.
        said: returns what the form says, as the store takes it; raises InvalidRequestError.
        tried: returns what becomes of an event, None where it is not sent or not changed; raises InvalidRequestError.
        shown: returns the stored rules as the template lists them.
    """

    tab: str
    blank: Mapping[str, str]
    store: Callable[[Control], Any]
    written: Callable[[Any], Mapping[str, str]]
    said: Callable[[Mapping[str, str]], dict[str, Any]]
    tried: Callable[[Mapping[str, str], Body], Mapping[str, Any] | None]
    shown: Callable[[Sequence[Any]], Sequence[Any]]


def routes(desk: Desk, rules: Rules) -> list[Route]:
    """Return the routes of a kind's page."""
    here = f"/{{workspace}}/destinations/{{destination}}/{rules.tab}"

    def bound(handler: Callable[[Rules, Visit], Any]) -> Handler:
        return partial(handler, rules)

    return [
        Route(here, page(desk, bound(_show)), methods=["GET"]),
        Route(here, action(desk, bound(_save), Role.SOURCE_ADMIN), methods=["POST"]),
        Route(f"{here}/{{rule}}/enable", action(desk, bound(_enable), Role.SOURCE_ADMIN), methods=["POST"]),
        Route(f"{here}/{{rule}}/delete", action(desk, bound(_delete), Role.SOURCE_ADMIN), methods=["POST"]),
    ]


async def _show(rules: Rules, visit: Visit) -> Response:
    edited = visit.request.query_params.get("rule", "")
    if not edited:
        return await _page(rules, visit, rules.blank)
    stored = await _done(rules, visit, "get", edited)
    return await _page(rules, visit, rules.written(stored), edited=edited)


async def _page(
    rules: Rules,
    visit: Visit,
    values: Mapping[str, str],
    *,
    edited: str = "",
    tried: Mapping[str, Any] | None = None,
    error: InvalidRequestError | None = None,
) -> Response:
    return visit.page(
        f"destination-{rules.tab}.html",
        **await headed(visit, rules.tab),
        rules=rules.shown(await _done(rules, visit, "all")),
        values=values,
        edited=edited,
        event=visit.form.get("event") or forms.pretty(samples.SAMPLES["email"]),
        tried=tried,
        problem=str(error) if error else "",
        field=error.field if error else "",
        status=422 if error else 200,
    )


async def _done(rules: Rules, visit: Visit, method: str, *arguments: Any, **said: Any) -> Any:
    """Return what a method of the store gives for the destination of the address."""
    destination = await asyncio.to_thread(found, visit)
    call = getattr(rules.store(visit.desk.control), method)
    return await asyncio.to_thread(call, visit.workspace.id, destination.id, *arguments, **said)


async def _save(rules: Rules, visit: Visit) -> Response:
    """Save the rule, or with the button "Try it" show what becomes of an event."""
    values = {name: visit.form.get(name, "").strip() for name in rules.blank}
    edited = visit.form.get("rule", "")
    try:
        if "try" in visit.form:
            made = rules.tried(values, forms.event(visit.form.get("event", "")))
            tried = {"kept": forms.pretty(made) if made is not None else ""}
            return await _page(rules, visit, values, edited=edited, tried=tried)
        if edited:
            await _done(rules, visit, "update", edited, **rules.said(values))
        else:
            await _done(rules, visit, "create", **rules.said(values))
    except InvalidRequestError as error:
        return await _page(rules, visit, values, edited=edited, error=error)
    except ConflictError as error:
        return await _page(rules, visit, values, error=InvalidRequestError(str(error)))
    return _back(rules, visit)


def _back(rules: Rules, visit: Visit) -> Response:
    return visit.to("destinations", visit.request.path_params["destination"], rules.tab)


async def _enable(rules: Rules, visit: Visit) -> Response:
    wanted = visit.form.get("enabled") == "true"
    await _done(rules, visit, "update", visit.request.path_params["rule"], enabled=wanted)
    return _back(rules, visit)


async def _delete(rules: Rules, visit: Visit) -> Response:
    await _done(rules, visit, "delete", visit.request.path_params["rule"])
    return _back(rules, visit)
