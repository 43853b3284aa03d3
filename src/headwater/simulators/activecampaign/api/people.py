"""Contacts as v3 tells them: looked up by ids or address, walked through by id, with lists, tags and fields."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from headwater.simulators.activecampaign.api.answers import (
    Row,
    answer,
    missing,
    number,
    page,
    refused,
    sent,
)
from headwater.simulators.activecampaign.bodies import central, central_wall
from headwater.simulators.activecampaign.books import Books
from headwater.simulators.activecampaign.people import Contact

_MODEL: Final = "Subscriber"
_RELATED: Final = (
    "bounceLogs",
    "contactAutomations",
    "contactData",
    "contactGoals",
    "contactLists",
    "contactLogs",
    "contactTags",
    "contactDeals",
    "deals",
    "fieldValues",
    "geoIps",
    "notes",
    "organization",
    "plusAppend",
    "trackingLogs",
    "scoreValues",
    "accountContacts",
)


class Contacts:
    """Answers for who is in the account."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def every(self, request: web.Request) -> web.Response:
        """Answer `GET /contacts`."""
        ids = self._wanted(request)
        shown = page(ids, request)
        rows = [self._row(id_) for id_ in shown]
        body: Row = {"scoreValues": []}
        if "contactLists" in request.query.get("include", ""):
            body["contactLists"] = [row for id_ in shown for row in self._books.contact_lists(id_)]
        meta = {"total": str(len(ids)), "page_input": {"segmentid": 0, "formid": 0, "listid": 0, "tagid": 0}}
        return answer({**body, "contacts": rows, "meta": {**meta, "queryLog": []}})

    def _wanted(self, request: web.Request) -> Sequence[int]:
        """Return the ids that a request asks for, in its order."""
        query, books = request.query, self._books
        given = [text for name, text in query.items() if name == "ids" or name.startswith("ids[")]
        ids: Iterable[int]
        if given:
            ids = sorted({number(text.strip(), 0) for each in given for text in each.split(",")})
        elif (email := query.get("email")) is not None:
            ids = books.with_email(email)
        elif query.get("status") == "2":
            ids = sorted(books.account.left)
        else:
            ids = range(1, books.newest + 1)
        above, below = number(query.get("id_greater"), 0), number(query.get("id_less"), books.newest + 1)
        found = [id_ for id_ in ids if above < id_ < below and books.exists(id_)]
        if (after := _instant(query.get("filters[updated_after]"))) is not None:
            found = [id_ for id_ in found if books.updated_at(id_) > after]
        if (status := query.get("status", "-1")) in {"1", "2"}:
            found = [id_ for id_ in found if books.status(id_) == status]
        if (text := query.get("email_like", query.get("search"))) is not None:
            found = [id_ for id_ in found if text.lower() in books.contact(id_).email.lower()]
        if (list_id := query.get("listid")) is not None:
            found = [id_ for id_ in found if list_id in books.lists_of(id_)]
        order = query.get("orders[id]", query.get("orders[cdate]", "ASC"))
        return found if order.upper() != "DESC" else found[::-1]

    async def one(self, request: web.Request) -> web.Response:
        """Answer `GET /contacts/{id}` with what belongs to it beside it."""
        id_ = self._asked(request)
        if not id_:
            return missing(_MODEL, request.match_info["id"])
        beside = {
            "contactAutomations": [],
            "contactLists": self._books.contact_lists(id_),
            "deals": [],
            "fieldValues": self._books.field_values(id_),
            "geoIps": [],
            "accountContacts": self._books.account_contacts(id_),
        }
        return answer({**beside, "contact": self._row(id_)})

    async def create(self, request: web.Request) -> web.Response:
        """Answer `POST /contacts`: an address can be there once."""
        given = await sent(request, "contact")
        if not given.get("email"):
            return refused("The email is required.", "/data/attributes/email", "field_missing")
        if self._books.with_email(str(given["email"])):
            title = "Email address already exists in the system"
            return refused(title, "/data/attributes/email", "duplicate")
        id_ = self._books.create(str(given["email"]))
        return self._written(id_, given, 201)

    async def sync(self, request: web.Request) -> web.Response:
        """Answer `POST /contact/sync`: creates a contact, or changes the one with this address."""
        given = await sent(request, "contact")
        if not given.get("email"):
            return refused("The email is required.", "/data/attributes/email", "field_missing")
        found = self._books.with_email(str(given["email"]))
        id_ = found[0] if found else self._books.create(str(given["email"]))
        return self._written(id_, given, 200 if found else 201)

    async def change(self, request: web.Request) -> web.Response:
        """Answer `PUT /contacts/{id}`."""
        id_, given = self._asked(request), await sent(request, "contact")
        if not id_:
            return missing(_MODEL, request.match_info["id"])
        others = [other for other in self._books.with_email(str(given.get("email", ""))) if other != id_]
        if given.get("email") and others:
            return refused("Email address already exists in the system", "/data/attributes/email", "duplicate")
        return self._written(id_, given, 200)

    def _written(self, id_: int, given: Row, status: int) -> web.Response:
        contact = self._books.contact(id_)
        changed = replace(
            contact,
            email=str(given.get("email", contact.email)),
            first_name=str(given.get("firstName", contact.first_name)),
            last_name=str(given.get("lastName", contact.last_name)),
            phone=str(given.get("phone", contact.phone)),
        )
        self._books.change(changed)
        for value in given.get("fieldValues", []):
            self._books.set_field(id_, str(value.get("field")), str(value.get("value", "")))
        return answer({"fieldValues": self._books.field_values(id_), "contact": self._row(id_)}, status)

    async def remove(self, request: web.Request) -> web.Response:
        """Answer `DELETE /contacts/{id}`."""
        id_ = self._asked(request)
        if not id_:
            return missing(_MODEL, request.match_info["id"])
        self._books.delete(id_)
        return answer({})

    async def part(self, request: web.Request) -> web.Response:
        """Answer `GET /contacts/{id}/...` for what has rows of its own."""
        id_, name = self._asked(request), request.match_info["part"]
        if not id_:
            return missing(_MODEL, request.match_info["id"])
        rows = {
            "contactTags": self._books.contact_tags,
            "contactLists": self._books.contact_lists,
            "fieldValues": self._books.field_values,
            "bounceLogs": self._books.bounce_logs,
            "trackingLogs": self._books.tracking_logs,
            "accountContacts": self._books.account_contacts,
        }.get(name)
        return answer({name: rows(id_) if rows else []}) if name in _RELATED else answer({}, 400)

    def _asked(self, request: web.Request) -> int:
        id_ = number(request.match_info["id"], 0)
        return id_ if self._books.exists(id_) else 0

    def _row(self, id_: int) -> Row:
        books, contact = self._books, self._books.contact(id_)
        created, updated = books.created_at, books.updated_at(id_)
        local, _, domain = contact.email.partition("@")
        return {
            "cdate": central(created),
            "email": contact.email,
            "phone": contact.phone,
            "firstName": contact.first_name,
            "lastName": contact.last_name,
            "orgid": "0",
            "orgname": "",
            "segmentio_id": books.account.user_id(contact),
            "bounced_hard": "0",
            "bounced_soft": "0",
            "bounced_date": None,
            "ip": "0",
            "ua": "",
            "hash": f"{id_:032x}",
            "socialdata_lastcheck": None,
            "email_local": local,
            "email_domain": domain,
            "sentcnt": "0",
            "rating_tstamp": None,
            "gravatar": "0",
            "deleted": "0",
            "anonymized": "0",
            "adate": None,
            "udate": central(updated),
            "edate": None,
            "deleted_at": None,
            "created_utc_timestamp": central_wall(created),  # no UTC in spite of its name
            "updated_utc_timestamp": central_wall(updated),
            "created_timestamp": central_wall(created),
            "updated_timestamp": central_wall(updated),
            "created_by": None,
            "updated_by": None,
            "email_empty": not contact.email,
            "mpp_tracking": "1" if contact.on_apple else "0",
            "scoreValues": [],
            "accountContacts": [row["id"] for row in books.account_contacts(id_)],
            "links": _links(contact),
            "id": str(id_),
            "organization": None,
        }


def _links(contact: Contact) -> Row:
    return {name: f"https://example.api-us1.com/api/3/contacts/{contact.id}/{name}" for name in _RELATED}


def _instant(text: str | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(text.replace(" ", "+")) if text else None
    except ValueError:
        try:
            found = datetime.fromisoformat(text) if text else None
        except ValueError:
            return None
    return found if found is None or found.tzinfo else found.replace(tzinfo=UTC)
