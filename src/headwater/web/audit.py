"""The audit trail for owners: who changed what, what was there before; found, opened, taken along as a file."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from headwater.control.api.audit import note_export
from headwater.control.audit.exporting import FORMATS, lines
from headwater.control.audit.trail import Entry, Wanted
from headwater.control.models import Role
from headwater.errors import InvalidRequestError
from headwater.web.rendering import HEADERS
from headwater.web.visit import Desk, Visit, action, page

ROOM: Final = "audit"
_SHOWN: Final = 50
_DIGITS_MAX: Final = 18
_BOOKKEEPING: Final = frozenset({"id", "workspace_id", "created_at", "updated_at"})  # the entry itself tells them
_CHOOSERS: Final = ("actor", "type", "resource_type", "resource_id", "since", "until")


def routes(desk: Desk) -> list[Route]:
    """Return the routes of the audit trail."""
    room = f"/{{workspace}}/{ROOM}"
    return [
        Route(room, page(desk, _page, Role.OWNER), methods=["GET"]),
        Route(f"{room}/export", action(desk, _export, Role.OWNER), methods=["POST"]),
        Route(f"{room}/verify", action(desk, _verify, Role.OWNER), methods=["POST"]),
    ]


async def _page(visit: Visit) -> Response:
    return await _show(visit, visit.request.query_params)


async def _show(visit: Visit, given: Mapping[str, str], checked: Mapping[str, Any] | None = None) -> Response:
    chosen = {name: given[name] for name in _CHOOSERS if given.get(name)}
    try:
        wanted, problem = _wanted(visit, chosen), ""
    except InvalidRequestError as error:
        wanted, problem = _wanted(visit, {}), str(error)
    text = given.get("before", "")
    before = int(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS_MAX else None
    audit = visit.desk.control.audit
    found = await asyncio.to_thread(audit.page, wanted, _SHOWN + 1, before)
    return visit.page(
        "audit.html",
        entries=[_shown(entry) for entry in found[:_SHOWN]],
        older=str(found[_SHOWN - 1].seq) if len(found) > _SHOWN else "",
        chosen=chosen,
        choices=await asyncio.to_thread(audit.choices, wanted),
        problem=problem,
        checked=checked,
        status=422 if problem else 200,
    )


async def _export(visit: Visit) -> Response:
    file_format = visit.form.get("format", "")
    if file_format not in FORMATS:
        raise InvalidRequestError(f"A file is {' or '.join(FORMATS)}.", field="format")
    wanted = _wanted(visit, visit.form)
    await asyncio.to_thread(note_export, visit.desk.control, visit.workspace.id, file_format)
    return StreamingResponse(
        lines(visit.desk.control.audit.all(wanted), file_format),
        media_type=FORMATS[file_format],
        headers={**HEADERS, "content-disposition": f'attachment; filename="audit.{file_format}"'},
    )


async def _verify(visit: Visit) -> Response:
    found = await asyncio.to_thread(visit.desk.control.audit.verify)
    checked = {"ok": found.broken_at is None, "entries": found.entries, "at": found.broken_at, "reason": found.reason}
    return await _show(visit, {}, {**checked, "hash": found.head})


def _wanted(visit: Visit, chosen: Mapping[str, str]) -> Wanted:
    until = _day(chosen.get("until", ""))
    return Wanted(
        visit.workspace.id,
        since=_day(chosen.get("since", "")),
        until=until + timedelta(days=1) if until else None,
        resource_id=chosen.get("resource_id", ""),
        resource_type=chosen.get("resource_type", ""),
        actor=chosen.get("actor", ""),
        type=chosen.get("type", ""),
        with_installation=visit.session.caller.is_operator,
    )


def _day(text: str) -> datetime | None:
    """Return the beginning of a day in UTC.

    Raises:
        InvalidRequestError: it is no date.
    """
    if not text:
        return None
    try:
        found = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
    except ValueError:
        raise InvalidRequestError("A day is written such as 2026-01-31.", field="since") from None
    if found.date() == date.max:
        raise InvalidRequestError("A day is written such as 2026-01-31.", field="until")
    return found


def _shown(entry: Entry) -> dict[str, Any]:
    return {
        "entry": entry,
        "who": entry.actor_email or entry.actor_name or entry.actor_id or "Headwater",
        "changes": [
            {
                "what": f"{each['resourceType'].replace('_', ' ').capitalize()} {each['resourceName']}".strip(),
                "change": each["change"],
                "had": bool(each.get("before")),
                "has": bool(each.get("after")),
                "columns": _columns(each.get("before") or {}, each.get("after") or {}),
            }
            for each in entry.changes
        ],
        "more": json.dumps(entry.more, ensure_ascii=False, indent=2) if entry.more else "",
    }


def _columns(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return (name, before, after) of what differs; of settings and other objects, member by member."""
    found = []
    for name in dict.fromkeys((*before, *after)):
        if name in _BOOKKEEPING:
            continue
        old, new = before.get(name), after.get(name)
        if isinstance(old or {}, dict) and isinstance(new or {}, dict) and (old or new):
            old, new = old or {}, new or {}
            found += [
                (f"{name}.{member}", _text(old.get(member)), _text(new.get(member)))
                for member in dict.fromkeys((*old, *new))
                if old.get(member) != new.get(member)
            ]
            if old == new or not any(each[0].startswith(f"{name}.") for each in found):
                found.append((name, _text(old), _text(new)))
        elif old != new or name not in before or name not in after:
            found.append((name, _text(old), _text(new)))
        else:  # a secret: masked on both sides
            found.append((name, _text(old), "another secret"))
    return [each for each in found if each[1] or each[2]]


def _text(value: Any) -> str:
    if value in (None, "", {}, []):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
