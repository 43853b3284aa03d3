"""Which path is which call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from headwater.simulators.activecampaign.api.answers import answer, page
from headwater.simulators.activecampaign.api.campaigns import Campaigns
from headwater.simulators.activecampaign.api.gate import Gate
from headwater.simulators.activecampaign.api.people import Contacts
from headwater.simulators.activecampaign.api.reports import Reports
from headwater.simulators.activecampaign.api.webhooks import Webhooks
from headwater.simulators.activecampaign.books import Books
from headwater.simulators.activecampaign.campaigns import LISTS
from headwater.simulators.activecampaign.simulation import Simulation

Routes = dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]]


def add_api(app: web.Application, simulation: Simulation, gate: Gate, books: Books) -> None:
    """Add every call of the API to a program."""
    for place, handler in v3(simulation, books).items():
        method, path = place.split(" ")
        app.router.add_route(method, f"/api/3/{path}", gate.v3(handler))
    app.router.add_route("*", "/api/3/{rest:.*}", gate.v3(_nowhere))
    reports = Reports(simulation, gate)
    app.router.add_get("/admin/api.php", reports.call)
    app.router.add_post("/admin/api.php", reports.call)


def v3(simulation: Simulation, books: Books) -> Routes:
    """Return the calls of v3 by method and path."""
    campaigns, contacts, webhooks = Campaigns(simulation), Contacts(books), Webhooks(simulation)
    return {
        "GET users/me": _me,
        "GET lists": _lists,
        "GET campaigns": campaigns.every,
        "GET campaigns/{id}": campaigns.one,
        "GET campaigns/{id}/links": campaigns.links,
        "GET campaigns/{id}/campaignMessage": campaigns.campaign_message,
        "GET campaigns/{id}/campaignMessages": campaigns.campaign_messages,
        "GET campaigns/{id}/campaignLists": campaigns.lists,
        "GET messages": campaigns.messages,
        "GET messages/{id}": campaigns.message,
        "GET contacts": contacts.every,
        "POST contacts": contacts.create,
        "POST contact/sync": contacts.sync,
        "GET contacts/{id}": contacts.one,
        "PUT contacts/{id}": contacts.change,
        "DELETE contacts/{id}": contacts.remove,
        "GET contacts/{id}/{part}": contacts.part,
        "GET webhook/events": webhooks.events,
        "GET webhooks": webhooks.every,
        "POST webhooks": webhooks.create,
        "GET webhooks/{id}": webhooks.one,
        "PUT webhooks/{id}": webhooks.change,
        "DELETE webhooks/{id}": webhooks.remove,
    }


async def _me(_: web.Request) -> web.Response:
    names = ("lists", "userGroup", "dealGroupTotals", "dealGroupUsers", "configs", "dealConnection", "userConfigs")
    user = {
        "username": "admin",
        "firstName": "Ada",
        "lastName": "Ferreira",
        "email": "ada.ferreira@shop.example.com",
        "phone": "",
        "signature": None,
        "links": {name: f"https://example.api-us1.com/api/3/users/1/{name}" for name in names},
        "id": "1",
    }
    return answer({"user": user})


async def _lists(request: web.Request) -> web.Response:
    rows = [
        {"stringid": name.lower().replace(", ", "-"), "userid": "1", "name": name, "cdate": None, "id": str(id_)}
        for id_, name in LISTS.items()
    ]
    return answer({"lists": page(rows, request), "meta": {"total": str(len(rows))}})


async def _nowhere(_: web.Request) -> web.Response:
    return answer({"message": "No route found"}, 404)
