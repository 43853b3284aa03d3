"""Privacy, for owners: find what there is of a person, suppress, delete or export it; regulations, their receipts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from headwater.control.api.regulations import begin, note_export
from headwater.control.models import Role
from headwater.control.privacy.asking import people, preview
from headwater.control.privacy.export import FORMATS, PersonExport, checked_format
from headwater.control.privacy.regulations import MANY, Regulation
from headwater.errors import HeadwaterError, InvalidRequestError
from headwater.privacy.regulation import RegulationType, Status, SubjectType
from headwater.web.rendering import HEADERS
from headwater.web.visit import Desk, Visit, action, page

ROOM: Final = "privacy"
_LISTED: Final = 50
_KINDS: Final = {
    SubjectType.EMAIL.value: "E-mail address",
    SubjectType.USER_ID.value: "User id",
    SubjectType.ANONYMOUS_ID.value: "Anonymous id",
}
_DEEDS: Final = {
    RegulationType.SUPPRESS_ONLY: "Suppress",
    RegulationType.UNSUPPRESS: "End suppression",
    RegulationType.SUPPRESS_WITH_DELETE: "Suppress and delete",
    RegulationType.DELETE_ONLY: "Delete",
    RegulationType.SUPPRESS_WITH_DELETE_INTERNAL: "Suppress and delete, here only",
    RegulationType.DELETE_INTERNAL: "Delete, here only",
}
_PLACES: Final = {
    "log.inbox": "Webhooks, as they came in",
    "log.events": "Events in the log",
    "log.rejected": "Refused requests",
    "delivery": "Dead letters and what waits for delivery",
    "schema": "Names that sources have sent",
    "source.activecampaign": "What is remembered of ActiveCampaign contacts",
}
_PILLS: Final = {
    Status.INITIALIZED: ("Waiting", ""),
    Status.RUNNING: ("Running", "warn"),
    Status.FINISHED: ("Finished", "ok"),
    Status.PARTIAL_SUCCESS: ("Partly done", "warn"),
    Status.FAILED: ("Failed", "bad"),
    Status.NOT_SUPPORTED: ("Not supported", ""),
    Status.INVALID: ("Invalid", "bad"),
}


def routes(desk: Desk) -> list[Route]:
    """Return the routes of privacy."""
    room = f"/{{workspace}}/{ROOM}"
    one = f"{room}/{{regulation}}"
    return [
        Route(room, page(desk, _page, Role.OWNER), methods=["GET"]),
        Route(f"{room}/find", action(desk, _find, Role.OWNER), methods=["POST"]),
        Route(f"{room}/ask", action(desk, _ask, Role.OWNER), methods=["POST"]),
        Route(f"{room}/export", action(desk, _export, Role.OWNER), methods=["POST"]),
        Route(one, page(desk, _one, Role.OWNER), methods=["GET"]),
        Route(f"{one}/undo", action(desk, _undo, Role.OWNER), methods=["POST"]),
    ]


async def _page(visit: Visit) -> Response:
    return await _show(visit)


async def _show(
    visit: Visit, found: dict[str, Any] | None = None, problem: HeadwaterError | None = None, status: int = 200
) -> Response:
    control, workspace_id = visit.desk.control, visit.workspace.id
    regulations = await asyncio.to_thread(control.regulations.all, workspace_id)
    return visit.page(
        "privacy.html",
        kinds=_KINDS,
        kind=visit.form.get("kind", ""),
        ids=visit.form.get("ids", ""),
        alone="alone" in visit.form,
        found=found,
        many=MANY,
        problem=str(problem) if problem else "",
        suppressed=await asyncio.to_thread(control.suppressions.count, workspace_id),
        regulations=[_row(each) for each in regulations[:_LISTED]],
        more=max(0, len(regulations) - _LISTED),
        is_running=any(not each.status.is_over for each in regulations[:_LISTED]),
        status=status,
    )


async def _find(visit: Visit) -> Response:
    """Show what there is of these people, and what can be done."""
    try:
        subjects = people(visit.form.get("kind", ""), _ids(visit))
        found = await preview(
            visit.desk.control,
            visit.desk.pipeline,
            visit.workspace.id,
            subjects,
            None,
            follows_links="alone" not in visit.form,
        )
    except HeadwaterError as error:
        return await _show(visit, problem=error, status=422)
    found["count"] = len(subjects)
    found["stores"] = [{**each, "label": _label(each["name"])} for each in found["stores"]]
    found["kinds"] = [(_KINDS[each["subjectType"]], each["subjectId"], each["isNamed"]) for each in found["linked"]]
    return await _show(visit, found)


async def _ask(visit: Visit) -> Response:
    """Make a regulation; what cannot be brought back is confirmed."""
    try:
        ids, kind = _ids(visit), visit.form.get("type", "")
        if "DELETE" in kind:
            _confirmed(visit, len(set(ids)))
        made = await asyncio.to_thread(
            visit.desk.control.regulations.create,
            visit.workspace.id,
            kind,
            visit.form.get("kind", ""),
            ids,
            follows_links="alone" not in visit.form,
        )
    except InvalidRequestError as error:
        return await _show(visit, problem=error, status=422)
    await begin(visit.desk.pipeline)
    return visit.to(ROOM, made.id)


def _confirmed(visit: Visit, count: int) -> None:
    """Return when a deletion was meant.

    Raises:
        InvalidRequestError: it was not.
    """
    if count > MANY and visit.form.get("confirm", "").replace(",", "").strip() != str(count):
        raise InvalidRequestError(f"Nothing was deleted: type {count:,}, the number of people, to delete them.")
    if "sure" not in visit.form:
        raise InvalidRequestError("Nothing was deleted: say first that it cannot be brought back.")


async def _export(visit: Visit) -> Response:
    subjects = people(visit.form.get("kind", ""), _ids(visit))
    file_format = checked_format(visit.form.get("format", "ndjson"))
    control, workspace_id = visit.desk.control, visit.workspace.id
    await asyncio.to_thread(note_export, control, workspace_id, len(subjects), file_format)
    made = PersonExport(control, visit.desk.live.reader, visit.desk.asking)
    lines = made.lines(workspace_id, subjects, file_format, follows_links="alone" not in visit.form)
    headers = {**HEADERS, "content-disposition": f'attachment; filename="person.{file_format}"'}
    return StreamingResponse(lines, media_type=FORMATS[file_format], headers=headers)


async def _one(visit: Visit) -> Response:
    """Show a regulation with its receipt."""
    wanted = visit.request.path_params["regulation"]
    found = await asyncio.to_thread(visit.desk.control.regulations.get, visit.workspace.id, wanted)
    receipt = found.receipt
    places = [_place(each) for each in receipt.get("stores", [])]
    told = [
        {"name": "", "label": f"Destination {each['name']}", **_state(each)} for each in receipt.get("destinations", [])
    ]
    return visit.page(
        "regulation.html",
        regulation=_row(found),
        places=[*places, *told],
        names={"email": "e-mail address", "user": "user id", "anonymous": "anonymous id"},
        linked={name: count for name, count in receipt.get("linked", {}).items() if count},
        search=receipt.get("search"),
        next_try=_moment(receipt.get("nextTryAt")),
        is_running=not found.status.is_over,
    )


async def _undo(visit: Visit) -> Response:
    wanted = visit.request.path_params["regulation"]
    await asyncio.to_thread(visit.desk.control.regulations.undo, visit.workspace.id, wanted)
    return visit.to(ROOM)


def _ids(visit: Visit) -> Sequence[str]:
    return [line.strip() for line in visit.form.get("ids", "").splitlines() if line.strip()]


def _row(value: Regulation) -> dict[str, Any]:
    label, kind = _PILLS[value.status]
    return {
        "id": value.id,
        "deed": _DEEDS[value.type],
        "count": value.count,
        "by": value.created_by,
        "at": value.created_at,
        "begins_at": value.begins_at if value.begins_at > value.created_at else None,
        "finished_at": value.finished_at,
        "reason": value.reason,
        "pill": {"label": label, "kind": kind},
        "erased": sum(each.get("erased", 0) for each in value.receipt.get("stores", [])),
        "can_undo": value.status is Status.INITIALIZED,
    }


def _place(value: dict[str, Any]) -> dict[str, Any]:
    counts = {name: value.get(name) for name in ("before", "erased", "after")}
    return {"name": value["name"], "label": _label(value["name"]), **counts, **_state(value)}


def _label(store: str) -> str:
    """Return what people call a place that the receipt names `log.events` or `warehouse.Embedded`."""
    return _PLACES.get(store) or store.replace("warehouse.", "Warehouse ", 1)


def _state(value: dict[str, Any]) -> dict[str, Any]:
    label, kind = _PILLS[Status(value["status"])]
    return {"pill": {"label": label, "kind": kind}, "error": value.get("error", "")}


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
