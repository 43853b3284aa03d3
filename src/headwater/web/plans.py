"""Tracking plans: listed, made, their rules changed as JSON, connected to sources; what does not fit them."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from headwater.control.api.tracking_plans import drafts_of, rule_shape
from headwater.control.models import Role
from headwater.control.protocols.plans import PlanEntry
from headwater.control.protocols.rules import RULES_MAX
from headwater.control.protocols.seen import plan_of
from headwater.errors import ConflictError, InvalidRequestError
from headwater.limits import KIB
from headwater.web import schema
from headwater.web.rendering import HEADERS
from headwater.web.visit import Desk, Visit, action, page

ROOM: Final = "tracking-plans"
_EDITED_BYTES_MAX: Final = 200 * KIB  # ours: what fits a form; longer plans are changed by file


def routes(desk: Desk) -> list[Route]:
    """Return the routes of the tracking plans."""
    room, one = f"/{{workspace}}/{ROOM}", f"/{{workspace}}/{ROOM}/{{plan}}"
    return [
        Route(room, page(desk, _list), methods=["GET"]),
        Route(room, action(desk, _create, Role.MEMBER), methods=["POST"]),
        Route(one, page(desk, _plan), methods=["GET"]),
        Route(f"{one}/rules", page(desk, _download), methods=["GET"]),
        Route(f"{one}/rules", action(desk, _save_rules, Role.MEMBER), methods=["POST"]),
        Route(f"{one}/sources", action(desk, _connect, Role.MEMBER), methods=["POST"]),
        Route(f"{one}/delete", action(desk, _delete, Role.MEMBER), methods=["POST"]),
    ]


async def _list(visit: Visit) -> Response:
    return await _show_list(visit)


async def _show_list(visit: Visit, problem: str = "") -> Response:
    control, id_ = visit.desk.control, visit.workspace.id
    plans = await asyncio.to_thread(control.tracking_plans.all, id_)
    counts = {plan.id: len(await asyncio.to_thread(control.tracking_plans.rules, id_, plan.id)) for plan in plans}
    return visit.page(
        "tracking-plans.html",
        plans=plans,
        counts=counts,
        sources=await asyncio.to_thread(control.sources.all, id_),
        name=visit.form.get("name", ""),
        problem=problem,
        status=422 if problem else 200,
    )


async def _create(visit: Visit) -> Response:
    form = visit.form
    try:
        plan = await asyncio.to_thread(_made, visit, form.get("name", ""), form.get("source", ""))
    except (InvalidRequestError, ConflictError) as error:
        return await _show_list(visit, str(error))
    return visit.to(ROOM, plan.slug)


def _made(visit: Visit, name: str, source: str) -> PlanEntry:
    control, id_ = visit.desk.control, visit.workspace.id
    found = plan_of(visit.desk.seen, control.sources.get(id_, source).id) if source else []
    return control.tracking_plans.create(id_, name, drafts=drafts_of(found[:RULES_MAX]))


async def _plan(visit: Visit) -> Response:
    return await _show(visit)


async def _show(visit: Visit, text: str | None = None, problem: str = "", *, unconfirmed: bool = False) -> Response:
    values = await asyncio.to_thread(_read, visit)
    if text is not None:
        values |= {"text": text, "is_editable": True}
    values |= {"problem": problem, "unconfirmed": unconfirmed}
    return visit.page("tracking-plan.html", **values, status=422 if problem or unconfirmed else 200)


def _read(visit: Visit) -> dict[str, Any]:
    desk, plan = visit.desk, _found(visit)
    rules = desk.control.tracking_plans.rules(visit.workspace.id, plan.id)
    text = _text(visit, plan)
    sources = desk.control.sources.all(visit.workspace.id)
    return {
        "plan": plan,
        "rules": rules,
        "text": text,
        "is_editable": len(text.encode()) <= _EDITED_BYTES_MAX,
        "connected": [each for each in sources if each.id in plan.source_ids],
        "others": [each for each in sources if each.id not in plan.source_ids],
        "names": {each.id: each.name for each in sources},
        "days": 7,
        **schema.violations(desk, list(plan.source_ids)),
    }


def _text(visit: Visit, plan: PlanEntry) -> str:
    """Return the rules as they are edited: without the times at which they were made."""
    rules = visit.desk.control.tracking_plans.rules(visit.workspace.id, plan.id)
    told = [rule_shape(each) for each in rules]
    kept = [{name: rule[name] for name in ("type", "key", "version", "jsonSchema") if name in rule} for rule in told]
    return json.dumps({"rules": kept}, indent=2, ensure_ascii=False)


def _found(visit: Visit) -> PlanEntry:
    return visit.desk.control.tracking_plans.get(visit.workspace.id, visit.request.path_params["plan"])


async def _download(visit: Visit) -> Response:
    plan = await asyncio.to_thread(_found, visit)
    text = await asyncio.to_thread(_text, visit, plan)
    named = {"content-disposition": f'attachment; filename="{plan.slug}.json"'}
    return Response(text, media_type="application/json", headers={**HEADERS, **named})


async def _save_rules(visit: Visit) -> Response:
    plan, text = await asyncio.to_thread(_found, visit), visit.form.get("rules", "")
    try:
        drafts = drafts_of(_parsed(text))
        save = visit.desk.control.tracking_plans.replace_rules
        await asyncio.to_thread(save, visit.workspace.id, plan.id, drafts)
    except InvalidRequestError as error:
        return await _show(visit, text, f"{error.field}: {error}" if error.field else str(error))
    return visit.to(ROOM, plan.slug)


def _parsed(text: str) -> Any:
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidRequestError(f"This is no JSON: {error}", field="rules") from None
    return found.get("rules") if isinstance(found, dict) else found


async def _connect(visit: Visit) -> Response:
    """Connect a source, or let it go."""
    plan, form = await asyncio.to_thread(_found, visit), visit.form
    plans = visit.desk.control.tracking_plans
    act = plans.connect if form.get("connected") == "true" else plans.disconnect
    try:
        await asyncio.to_thread(act, visit.workspace.id, plan.id, form.get("source", ""))
    except ConflictError as error:
        return await _show(visit, problem=str(error))
    return visit.to(ROOM, plan.slug)


async def _delete(visit: Visit) -> Response:
    plan = await asyncio.to_thread(_found, visit)
    if visit.form.get("confirm", "").strip() != plan.name.strip():
        return await _show(visit, unconfirmed=True)
    await asyncio.to_thread(visit.desk.control.tracking_plans.delete, visit.workspace.id, plan.id)
    return visit.to(ROOM)
