"""Webhooks by API: registered, listed, changed, removed. Whether one still works, no row tells."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from headwater.simulators.activecampaign.api.answers import (
    Row,
    answer,
    missing,
    number,
    numbered,
    page,
    refused,
    sent,
)
from headwater.simulators.activecampaign.bodies import central
from headwater.simulators.activecampaign.sender import SOURCES, Address
from headwater.simulators.activecampaign.simulation import Simulation

EVENTS: Final = (
    "bounce",
    "click",
    "contact_tag_added",
    "contact_tag_removed",
    "deal_add",
    "deal_note_add",
    "deal_pipeline_add",
    "deal_stage_add",
    "deal_task_add",
    "deal_task_complete",
    "deal_tasktype_add",
    "deal_update",
    "forward",
    "list_add",
    "open",
    "reply",
    "sent",
    "share",
    "sms_reply",
    "sms_sent",
    "sms_unsub",
    "subscribe",
    "subscriber_note",
    "unsubscribe",
    "update",
)


class Webhooks:
    """Answers for the account's webhooks."""

    def __init__(self, simulation: Simulation) -> None:
        self._sender = simulation.sender

    async def events(self, _: web.Request) -> web.Response:
        """Answer `GET /webhook/events`; here the total is a number."""
        return answer({"webhookEvents": EVENTS, "meta": {"total": len(EVENTS)}})

    async def every(self, request: web.Request) -> web.Response:
        """Answer `GET /webhooks`."""
        rows = [_row(address) for address in self._sender.addresses]
        for name in ("name", "url", "listid"):
            if (wanted := request.query.get(f"filters[{name}]")) is not None:
                rows = [row for row in rows if row[name] == wanted]
        if request.query.get("orders[id]", "").upper() == "DESC":
            rows.sort(key=numbered, reverse=True)
        return answer({"webhooks": page(rows, request), "meta": {"total": str(len(rows))}})

    async def one(self, request: web.Request) -> web.Response:
        """Answer `GET /webhooks/{id}`."""
        address = self._asked(request)
        return answer({"webhook": _row(address)}) if address else missing("Webhook", request.match_info["id"])

    async def create(self, request: web.Request) -> web.Response:
        """Answer `POST /webhooks`; the URL may be of any kind."""
        given = await sent(request, "webhook")
        for name in ("name", "url"):
            if not given.get(name):
                return refused(f"The {name} is required.", f"/data/attributes/{name}", "field_missing")
        address = self._sender.add(_changed(Address(str(given["url"]), events=(), sources=()), given))
        return answer({"webhook": _row(address)}, 201)

    async def change(self, request: web.Request) -> web.Response:
        """Answer `PUT /webhooks/{id}`; a webhook that a 410 ended stays so."""
        address = self._asked(request)
        if address is None:
            return missing("Webhook", request.match_info["id"])
        return answer({"webhook": _row(_changed(address, await sent(request, "webhook")))})

    async def remove(self, request: web.Request) -> web.Response:
        """Answer `DELETE /webhooks/{id}`."""
        address = self._asked(request)
        if address is None:
            return missing("Webhook", request.match_info["id"])
        self._sender.addresses.remove(address)
        return answer({})

    def _asked(self, request: web.Request) -> Address | None:
        wanted = number(request.match_info["id"], 0)
        return next((address for address in self._sender.addresses if address.id == wanted), None)


def _changed(address: Address, given: Row) -> Address:
    """Take over what is given."""
    address.name = str(given.get("name", address.name))
    address.url = str(given.get("url", address.url))
    if isinstance(events := given.get("events"), list):
        address.events = tuple(str(event) for event in events)
    if isinstance(sources := given.get("sources"), list):
        address.sources = tuple(str(source) for source in sources if source in SOURCES)
    if "listid" in given:
        address.list_id = number(str(given["listid"]), 0)
    return address


def _row(address: Address) -> Row:
    return {
        "cdate": central(address.created_at),
        "listid": str(address.list_id),
        "name": address.name,
        "url": address.url,
        "events": list(EVENTS if address.events is None else address.events),
        "sources": list(address.sources),
        "links": [],
        "id": str(address.id),
    }
