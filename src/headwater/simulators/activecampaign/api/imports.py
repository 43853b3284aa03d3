"""Contacts in bulk: all of a request or none, done later, and no webhook tells of it."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any, Final

from aiohttp import web

from headwater.simulators.activecampaign.api.answers import Row, answer, whole
from headwater.simulators.activecampaign.books import Books

CONTACTS_MAX: Final = 250
"""Of one request."""


class Imports:
    """Answers for imports."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._batches: dict[str, list[int]] = {}
        self._ids = count(1)

    async def create(self, request: web.Request) -> web.Response:
        """Answer `POST /import/bulk_import`: one bad contact refuses all."""
        contacts = (await whole(request)).get("contacts")
        if not isinstance(contacts, list) or not 0 < len(contacts) <= CONTACTS_MAX:
            return answer({"success": 0, "message": f"Send 1 to {CONTACTS_MAX} contacts", "failureReasons": []}, 400)
        failures = [
            {"contact": place, "failureReason": "The email address is not valid"}
            for place, contact in enumerate(contacts)
            if not (isinstance(contact, dict) and "@" in str(contact.get("email", "")))
        ]
        if failures:
            return answer({"success": 0, "message": "Invalid contacts", "failureReasons": failures}, 400)
        batch = f"{next(self._ids):032x}"
        self._batches[batch] = [self._take(contact) for contact in contacts]
        queued = {"Success": 1, "queued_contacts": len(contacts), "batchId": batch}
        return answer({**queued, "message": "Contact import queued"})

    def _take(self, given: dict[str, Any]) -> int:
        email = str(given["email"])
        found = self._books.with_email(email)
        id_ = found[0] if found else self._books.create(email)
        contact = self._books.contact(id_)
        changed = replace(
            contact,
            first_name=str(given.get("first_name", contact.first_name)),
            last_name=str(given.get("last_name", contact.last_name)),
            phone=str(given.get("phone", contact.phone)),
        )
        self._books.change(changed)
        for name in given.get("tags", []):
            self._books.add_tag(id_, self._books.tag_called(str(name)))
        for value in given.get("fields", []):
            self._books.set_field(id_, str(value.get("id")), str(value.get("value", "")))
        left = self._books.lists_of(id_)
        for each in given.get("subscribe", []):
            if left.get(str(each.get("listid"))) != "2":  # who left cannot be brought back by an import
                self._books.set_list(id_, str(each.get("listid")), "1")
        for each in given.get("unsubscribe", []):
            self._books.set_list(id_, str(each.get("listid")), "2")
        return id_

    async def every(self, _: web.Request) -> web.Response:
        """Answer `GET /import/bulk_import`."""
        return answer({"outstanding": [], "recentlyCompleted": [{"batchId": batch} for batch in self._batches]})

    async def one(self, request: web.Request) -> web.Response:
        """Answer `GET /import/info`."""
        ids = self._batches.get(request.query.get("batchId", ""))
        if ids is None:
            return answer({"success": 0, "message": "Batch not found"}, 400)
        body: Row = {"status": "completed", "success": [str(id_) for id_ in ids], "failure": []}
        return answer(body)
