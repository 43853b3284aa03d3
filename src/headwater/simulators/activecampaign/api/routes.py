"""Which path is which call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from headwater.simulators.activecampaign.api.answers import answer
from headwater.simulators.activecampaign.api.campaigns import Campaigns
from headwater.simulators.activecampaign.api.fields import Companies, Fields
from headwater.simulators.activecampaign.api.gate import Gate
from headwater.simulators.activecampaign.api.imports import Imports
from headwater.simulators.activecampaign.api.labels import Labels
from headwater.simulators.activecampaign.api.people import Contacts
from headwater.simulators.activecampaign.api.reports import Reports
from headwater.simulators.activecampaign.api.tracking import Tracking
from headwater.simulators.activecampaign.api.webhooks import Webhooks
from headwater.simulators.activecampaign.books import Books
from headwater.simulators.activecampaign.simulation import Simulation

Routes = dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]]


def add_api(app: web.Application, simulation: Simulation, gate: Gate, books: Books) -> None:
    """Add every call of the API to a program."""
    tracking = Tracking(simulation, books)
    app.router.add_post("/event", gate.tracker(tracking.event))
    app.router.add_get("/visit", gate.tracker(tracking.visit))
    for place, handler in {**emails(simulation), **contacts(books), **labels(books), **tracked(tracking)}.items():
        method, path = place.split(" ")
        app.router.add_route(method, f"/api/3/{path}", gate.v3(handler))
    app.router.add_route("*", "/api/3/{rest:.*}", gate.v3(_nowhere))
    reports = Reports(simulation, gate)
    app.router.add_get("/admin/api.php", reports.call)
    app.router.add_post("/admin/api.php", reports.call)


def emails(simulation: Simulation) -> Routes:
    """Return the calls about campaigns and webhooks, by method and path."""
    campaigns, webhooks = Campaigns(simulation), Webhooks(simulation)
    return {
        "GET users/me": _me,
        "GET campaigns": campaigns.every,
        "GET campaigns/{id}": campaigns.one,
        "GET campaigns/{id}/links": campaigns.links,
        "GET campaigns/{id}/campaignMessage": campaigns.campaign_message,
        "GET campaigns/{id}/campaignMessages": campaigns.campaign_messages,
        "GET campaigns/{id}/campaignLists": campaigns.lists,
        "GET messages": campaigns.messages,
        "GET messages/{id}": campaigns.message,
        "GET webhook/events": webhooks.events,
        "GET webhooks": webhooks.every,
        "POST webhooks": webhooks.create,
        "GET webhooks/{id}": webhooks.one,
        "PUT webhooks/{id}": webhooks.change,
        "DELETE webhooks/{id}": webhooks.remove,
    }


def contacts(books: Books) -> Routes:
    """Return the calls about contacts."""
    people, imports = Contacts(books), Imports(books)
    return {
        "GET contacts": people.every,
        "POST contacts": people.create,
        "POST contact/sync": people.sync,
        "GET contacts/{id}": people.one,
        "PUT contacts/{id}": people.change,
        "DELETE contacts/{id}": people.remove,
        "GET contacts/{id}/{part}": people.part,
        "POST import/bulk_import": imports.create,
        "GET import/bulk_import": imports.every,
        "GET import/info": imports.one,
    }


def labels(books: Books) -> Routes:
    """Return the calls about tags, lists, custom fields and companies."""
    marks, fields, companies = Labels(books), Fields(books), Companies(books)
    return {
        "GET tags": marks.tags,
        "POST tags": marks.create_tag,
        "GET tags/{id}": marks.tag,
        "POST contactTags": marks.add,
        "DELETE contactTags/{id}": marks.remove,
        "GET lists": marks.lists,
        "POST lists": marks.create_list,
        "GET lists/{id}": marks.list,
        "POST contactLists": marks.put_on_list,
        "GET fields": fields.every,
        "POST fields": fields.create,
        "POST fieldRels": fields.relate,
        "POST fieldOption/bulk": fields.options,
        "DELETE fieldOptions/{id}": fields.remove_option,
        "GET fieldValues": fields.values,
        "POST fieldValues": fields.set_value,
        "PUT fieldValues/{id}": fields.change_value,
        "GET accounts": companies.every,
        "POST accounts": companies.create,
        "GET accounts/{id}": companies.one,
        "PUT accounts/{id}": companies.change,
        "GET accounts/{id}/accountCustomFieldData": companies.data,
        "GET accountCustomFieldMeta": companies.meta,
        "GET accountContacts": companies.contacts,
        "POST accountContacts": companies.join,
        "PUT accountContacts/{id}": companies.move,
        "DELETE accountContacts/{id}": companies.leave,
    }


def tracked(tracking: Tracking) -> Routes:
    """Return the calls about tracking."""
    return {
        "GET eventTracking": tracking.state,
        "PUT eventTracking": tracking.turn,
        "GET eventTrackingEvents": tracking.names,
        "POST eventTrackingEvents": tracking.add_name,
        "DELETE eventTrackingEvents/{name}": tracking.remove_name,
        "GET siteTracking": tracking.state,
        "PUT siteTracking": tracking.turn,
        "GET siteTrackingDomains": tracking.domains,
        "POST siteTrackingDomains": tracking.add_domain,
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


async def _nowhere(_: web.Request) -> web.Response:
    return answer({"message": "No route found"}, 404)
