"""Events and visits of contacts: switched on and named by API, sent to the tracker, read back from a contact."""

from __future__ import annotations

import json
from typing import Any, Final

from aiohttp import web

from headwater.simulators.activecampaign.api.answers import answer, missing, page, refused, sent
from headwater.simulators.activecampaign.books import Books
from headwater.simulators.activecampaign.simulation import Simulation

NAME_CHARS_MAX: Final = 32
EVENT_KEY: Final = "simulated-event-key"
ACTID: Final = "25000001"


class Tracking:
    """Answers for event and site tracking, and as the tracker itself."""

    def __init__(self, simulation: Simulation, books: Books) -> None:
        self._account, self._books = simulation.account, books
        self._on = {"eventTracking": True, "siteTracking": True}
        self._names: list[str] = ["__pagevisit", "__redir"]
        self._domains: list[str] = []

    async def state(self, request: web.Request) -> web.Response:
        """Answer `GET /eventTracking` and `GET /siteTracking`."""
        name = request.path.rsplit("/", 1)[-1]
        return answer({name: {"enabled": self._on[name], "actid": ACTID, "eventkey": EVENT_KEY}})

    async def turn(self, request: web.Request) -> web.Response:
        """Answer `PUT /eventTracking` and `PUT /siteTracking`."""
        name = request.path.rsplit("/", 1)[-1]
        self._on[name] = bool((await sent(request, name)).get("enabled"))
        return await self.state(request)

    async def names(self, request: web.Request) -> web.Response:
        """Answer `GET /eventTrackingEvents`."""
        rows = [{"name": name} for name in self._names]
        return answer({"eventTrackingEvents": page(rows, request), "meta": {"total": str(len(rows))}})

    async def add_name(self, request: web.Request) -> web.Response:
        """Answer `POST /eventTrackingEvents`."""
        name = str((await sent(request, "eventTrackingEvent")).get("name", ""))
        if not name:
            return refused("The name is required.", "/data/attributes/name", "field_missing")
        if name in self._names:
            return refused("The event already exists.", "/data/attributes/name", "duplicate")
        self._names.append(name)
        return answer({"eventTrackingEvent": {"name": name}}, 201)

    async def remove_name(self, request: web.Request) -> web.Response:
        """Answer `DELETE /eventTrackingEvents/{name}`."""
        name = request.match_info["name"]
        if name not in self._names:
            return missing("EventTrackingEvent", name)
        self._names.remove(name)
        return answer({})

    async def add_domain(self, request: web.Request) -> web.Response:
        """Answer `POST /siteTrackingDomains`."""
        name = str((await sent(request, "siteTrackingDomain")).get("name", ""))
        self._domains.append(name)
        return answer({"siteTrackingDomain": {"name": name}}, 201)

    async def domains(self, _: web.Request) -> web.Response:
        """Answer `GET /siteTrackingDomains`."""
        return answer({"siteTrackingDomains": [{"name": name} for name in self._domains]})

    async def event(self, request: web.Request) -> web.Response:
        """Answer `POST /event` of the tracker: 200 whatever comes of it, and no time but now."""
        given = {name: str(value) for name, value in (await request.post()).items()}
        if not self._on["eventTracking"]:
            return _told(0, "Event tracking is not enabled")
        if given.get("actid") != ACTID or given.get("key") != EVENT_KEY:
            return _told(0, "Invalid account or key")
        name = given.get("event", "")
        strict = self._account.switches.trackcmp == "strict"
        if not name or (strict and (len(name) > NAME_CHARS_MAX or name not in self._names)):
            return _told(0, "Event does not exist")
        found = self._books.with_email(_email(given.get("visit", "")))
        if not found:
            return _told(0, "Contact not found")
        self._books.track(found[0], name, given.get("eventdata", ""))
        return _told(1, "Event spawned")

    async def visit(self, request: web.Request) -> web.Response:
        """Answer `GET /visit` of the tracker: a pixel, whether or not it counted."""
        query = request.query
        found = self._books.with_email(query.get("e", ""))
        if self._on["siteTracking"] and query.get("actid") == ACTID and found:
            self._books.track(found[0], "__pagevisit", query.get("u", ""))
        return web.Response(body=_PIXEL, content_type="image/gif")


def _email(visit: str) -> str:
    try:
        parsed: Any = json.loads(visit)
    except ValueError:
        return ""
    return str(parsed.get("email", "")) if isinstance(parsed, dict) else ""


def _told(success: int, message: str) -> web.Response:
    return answer({"success": success, "message": message})


_PIXEL: Final = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")
