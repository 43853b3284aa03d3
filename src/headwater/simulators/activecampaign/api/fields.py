"""Custom fields, their values, and the companies that contacts belong to."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from headwater.simulators.activecampaign.api.answers import Row, answer, missing, number, page, refused, sent, whole
from headwater.simulators.activecampaign.books import Books
from headwater.simulators.activecampaign.people import FIELD_TAGS

COMPANY_FIELDS: Final = (("1", "Industry", "text"), ("2", "Number of employees", "number"))
"""Custom fields of companies: number, label, type."""


class Fields:
    """Answers for custom fields."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._fields = {
            id_: _field(id_, tag.replace("_", " ").title(), tag, "listbox" if tag == "INTERESTS" else "text")
            for id_, tag in FIELD_TAGS.items()
        }
        self._relations: list[Row] = [{"field": id_, "relid": "0", "dorder": "0", "id": id_} for id_ in FIELD_TAGS]
        self._options: dict[str, Row] = {}

    async def every(self, request: web.Request) -> web.Response:
        """Answer `GET /fields` with relations and options beside them."""
        rows = list(self._fields.values())
        if (tag := request.query.get("filters[perstag]")) is not None:
            rows = [row for row in rows if row["perstag"] == tag.upper()]
        beside = {"fieldOptions": list(self._options.values()), "fieldRels": self._relations}
        meta = {"total": str(len(rows)), "selected": None}
        return answer({**beside, "fields": page(rows, request), "meta": meta})

    async def create(self, request: web.Request) -> web.Response:
        """Answer `POST /fields`; a title can be there once, and the tag is written large."""
        given = await sent(request, "field")
        title = str(given.get("title", ""))
        if not title or not given.get("type"):
            return refused("The title and type are required.", "/data/attributes/title", "field_missing")
        if any(row["title"].lower() == title.lower() for row in self._fields.values()):
            return refused("The field title already exists.", "/data/attributes/title", "duplicate")
        id_ = str(next(self._books.ids))
        tag = str(given.get("perstag") or title).upper().replace(" ", "_")
        self._fields[id_] = _field(id_, title, tag, str(given["type"]))
        return answer({"field": {**self._fields[id_], "ordernum": 1}}, 201)

    async def relate(self, request: web.Request) -> web.Response:
        """Answer `POST /fieldRels`: shows a field on a list, 0 for all."""
        given = await sent(request, "fieldRel")
        if str(given.get("field")) not in self._fields:
            return missing("Field", given.get("field"))
        row = {"field": str(given["field"]), "relid": str(given.get("relid", "0")), "id": str(next(self._books.ids))}
        self._relations.append({**row, "dorder": "0"})
        return answer({"fieldRel": row}, 201)

    async def options(self, request: web.Request) -> web.Response:
        """Answer `POST /fieldOption/bulk`."""
        given = (await whole(request)).get("fieldOptions")
        rows = [{**each, "id": str(next(self._books.ids))} for each in given] if isinstance(given, list) else []
        self._options |= {row["id"]: row for row in rows}
        return answer({"fieldOptions": rows}, 201)

    async def remove_option(self, request: web.Request) -> web.Response:
        """Answer `DELETE /fieldOptions/{id}`: 200 with nothing in it, as recorded."""
        self._options.pop(request.match_info["id"], None)
        return web.Response(headers={"X-Ac-Error": "Code 9001"})

    async def values(self, request: web.Request) -> web.Response:
        """Answer `GET /fieldValues` with its two filters."""
        field, value = request.query.get("filters[fieldid]", ""), request.query.get("filters[val]", "")
        rows = self._books.values_of(field, value)
        return answer({"fieldValues": page(rows, request), "meta": {"total": str(len(rows))}})

    async def set_value(self, request: web.Request) -> web.Response:
        """Answer `POST /fieldValues`."""
        given = await sent(request, "fieldValue")
        id_, field = number(str(given.get("contact")), 0), str(given.get("field"))
        if not self._books.exists(id_):
            return missing("Subscriber", id_)
        if field not in self._fields:
            return missing("Field", field)
        row = self._books.set_field(id_, field, str(given.get("value", "")))
        return answer({"contacts": [{"id": str(id_)}], "fieldValue": row}, 201)

    async def change_value(self, request: web.Request) -> web.Response:
        """Answer `PUT /fieldValues/{id}`."""
        row_id, given = request.match_info["id"], await sent(request, "fieldValue")
        owner = self._books.owner_of(number(row_id, 0))
        found = [row for row in self._books.field_values(owner) if row["id"] == row_id] if owner else []
        if not found:
            return missing("FieldValue", row_id)
        row = self._books.set_field(owner, found[0]["field"], str(given.get("value", "")))
        return answer({"contacts": [{"id": str(owner)}], "fieldValue": row})


class Companies:
    """Answers for accounts, which are the companies of contacts."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._names: dict[int, str] = {}
        self._values: dict[int, dict[str, str]] = {}

    async def every(self, request: web.Request) -> web.Response:
        """Answer `GET /accounts`; `search` finds also what only begins so."""
        part = request.query.get("search", "").lower()
        rows = [self._row(id_) for id_, name in self._names.items() if part in name.lower()]
        return answer({"accounts": page(rows, request), "meta": {"total": str(len(rows))}})

    async def create(self, request: web.Request) -> web.Response:
        """Answer `POST /accounts`: names are unique."""
        given = await sent(request, "account")
        name = str(given.get("name", ""))
        if not name:
            return refused("The account name was not provided.", "/data/attributes/name", "field_missing")
        if name.lower() in (known.lower() for known in self._names.values()):
            return refused("The account name already exists.", "/data/attributes/name", "duplicate")
        id_ = next(self._books.ids)
        self._names[id_] = name
        self._write(id_, given)
        return answer({"account": self._row(id_)}, 201)

    async def change(self, request: web.Request) -> web.Response:
        """Answer `PUT /accounts/{id}`."""
        id_, given = number(request.match_info["id"], 0), await sent(request, "account")
        if id_ not in self._names:
            return missing("CustomerAccount", id_)
        self._write(id_, given)
        return answer({"account": self._row(id_)})

    async def meta(self, request: web.Request) -> web.Response:
        """Answer `GET /accountCustomFieldMeta`."""
        rows = [{"id": id_, "fieldLabel": label, "fieldType": type_} for id_, label, type_ in COMPANY_FIELDS]
        return answer({"accountCustomFieldMeta": page(rows, request), "meta": {"total": len(rows)}})

    async def data(self, request: web.Request) -> web.Response:
        """Answer `GET /accounts/{id}/accountCustomFieldData`."""
        id_ = number(request.match_info["id"], 0)
        rows = [
            {"id": f"{id_}{field}", "accountId": id_, "customFieldId": int(field), "fieldValue": value}
            for field, value in self._values.get(id_, {}).items()
        ]
        return answer({"customerAccountCustomFieldData": rows})

    def _write(self, id_: int, given: Row) -> None:
        fields = given.get("fields", [])
        values = {str(each.get("customFieldId")): str(each.get("fieldValue", "")) for each in fields}
        self._values[id_] = self._values.get(id_, {}) | values

    async def one(self, request: web.Request) -> web.Response:
        """Answer `GET /accounts/{id}`."""
        id_ = number(request.match_info["id"], 0)
        return answer({"account": self._row(id_)}) if id_ in self._names else missing("CustomerAccount", id_)

    def _row(self, id_: int) -> Row:
        contacts = sum(account == id_ for _, account, _ in self._books.companies.values())
        return {
            "name": self._names[id_],
            "accountUrl": "",
            "contactCount": str(contacts),
            "dealCount": "0",
            "id": str(id_),
        }

    async def contacts(self, request: web.Request) -> web.Response:
        """Answer `GET /accountContacts`."""
        only, of = request.query.get("filters[contact]"), request.query.get("filters[account]")
        rows = [row for id_ in self._books.companies for row in self._books.account_contacts(id_)]
        rows = [row for row in rows if only in {None, row["contact"]} and of in {None, row["account"]}]
        return answer({"accountContacts": page(rows, request), "meta": {"total": str(len(rows))}})

    async def join(self, request: web.Request) -> web.Response:
        """Answer `POST /accountContacts`: a contact belongs to one company only."""
        given = await sent(request, "accountContact")
        id_, account_id = number(str(given.get("contact")), 0), number(str(given.get("account")), 0)
        if not self._books.exists(id_):
            return missing("Subscriber", id_)
        if account_id not in self._names:
            return missing("CustomerAccount", account_id)
        if id_ in self._books.companies:
            title = "The contact is already associated with an account."
            return refused(title, "/data/attributes/account,contact", "field_invalid")
        self._books.companies[id_] = (next(self._books.ids), account_id, str(given.get("jobTitle", "")))
        return answer({"accountContact": self._books.account_contacts(id_)[0]}, 201)

    async def move(self, request: web.Request) -> web.Response:
        """Answer `PUT /accountContacts/{id}`."""
        given, row_id = await sent(request, "accountContact"), number(request.match_info["id"], 0)
        for id_, (own, account_id, title) in self._books.companies.items():
            if own == row_id:
                moved = number(str(given.get("account", "")), account_id)
                self._books.companies[id_] = (own, moved, str(given.get("jobTitle", title)))
                return answer({"accountContact": self._books.account_contacts(id_)[0]})
        return missing("CustomerAccountSubscriber", row_id)

    async def leave(self, request: web.Request) -> web.Response:
        """Answer `DELETE /accountContacts/{id}`."""
        row_id = number(request.match_info["id"], 0)
        owner = next((id_ for id_, (own, *_) in self._books.companies.items() if own == row_id), None)
        if owner is None:
            return missing("CustomerAccountSubscriber", row_id)
        del self._books.companies[owner]
        return answer({})


def _field(id_: str, title: str, tag: str, type_: str) -> Row:
    return {"title": title, "descript": "", "type": type_, "perstag": tag, "ordernum": "1", "visible": "1", "id": id_}
