"""How the service writes its answers: JSON with every id and counter as text, escaped slashes, and its own errors."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiohttp import web

Row = dict[str, Any]

LIMIT: Final = 20  # rows of a page when nothing is asked for
LIMIT_MAX: Final = 100  # whatever is asked for


def answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    r"""Return JSON as the service spells it: ASCII, `/` as `\/`."""
    text = json.dumps(body, separators=(",", ":")).replace("/", "\\/")
    return web.Response(text=text, status=status, content_type="application/json", headers=headers)


def missing(model: str, id_: object) -> web.Response:
    """Return the 404 with the service's internal name of what is not there."""
    return answer({"message": f"No Result found for {model} with id {id_}"}, 404)


def refused(title: str, pointer: str, code: str, detail: str = "") -> web.Response:
    """Return a 422 with its one error."""
    error = {"title": title, "detail": detail, "code": code, "source": {"pointer": pointer}}
    return answer({"errors": [error]}, 422)


def page(rows: Sequence[Any], request: web.Request) -> Sequence[Any]:
    """Return the part that `limit` (cut at 100) and `offset` ask for."""
    limit = min(number(request.query.get("limit"), LIMIT), LIMIT_MAX)
    offset = number(request.query.get("offset"), 0)
    return rows[offset : offset + limit]


def number(text: str | None, default: int) -> int:
    """Return a number that somebody sent, else the default."""
    return int(text) if text and text.isdecimal() else default


def numbered(row: Mapping[str, Any]) -> int:
    """Return a row's id as a number, to sort by."""
    return int(row["id"])


async def sent(request: web.Request, name: str) -> Row:
    """Return the member `name` of the body, {} where it is not there or no JSON object."""
    try:
        body = json.loads(await request.read())
    except ValueError:
        return {}
    found = body.get(name) if isinstance(body, dict) else None
    return found if isinstance(found, dict) else {}


async def whole(request: web.Request) -> Row:
    """Return the body, {} where it is no JSON object."""
    try:
        body = json.loads(await request.read())
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
