"""Many contacts in one request, through ActiveCampaign's import.

The import is taken over at once and done within minutes; that is what *delivered* means here. It cannot put anybody
back on a list that was left.

Source: ActiveCampaign, API v3 reference, Bulk import contacts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from headwater.activecampaign.client import Client, RefusedError
from headwater.activecampaign.values import members, text
from headwater.batching import requests
from headwater.budget import Budget, Priority
from headwater.destinations.activecampaign.traits import Wanted
from headwater.destinations.contract import Delivered, Outcome
from headwater.errors import DeliveryError, RetryableError, UnauthorizedError

COUNT_MIN: Final = 10
"""API v3: fewer are better sent one by one."""
COUNT_MAX: Final = 250
"""API v3: contacts of one import."""
PER_S: Final = 1
"""ours: 60 imports a minute, of the 100 that the API takes."""
_BYTES_MAX: Final = 350_000  # users report that bodies of more than 400 KB are refused
_BASICS: Final = {"firstName": "first_name", "lastName": "last_name", "phone": "phone"}


@dataclass(frozen=True, slots=True)
class Contact:
    """One contact of an import.

    Attributes:
        values: its custom fields, as `fieldValues`.
    """

    wish: Wanted
    values: Sequence[dict[str, str]]

    def row(self) -> dict[str, Any]:
        """Return it in the import's spelling."""
        row: dict[str, Any] = {"email": self.wish.email}
        row |= {_BASICS[name]: value for name, value in self.wish.basics.items()}
        if self.wish.tags:
            row["tags"] = list(self.wish.tags)
        if self.values:
            row["fields"] = [{"id": int(each["field"]), "value": each["value"]} for each in self.values]
        for name, wanted in (("subscribe", "1"), ("unsubscribe", "2")):
            if chosen := [{"listid": int(id_)} for id_, status in self.wish.lists if status == wanted]:
                row[name] = chosen
        return row


class Imports:
    """Sends contacts in bulk."""

    def __init__(self, client: Client, budget: Budget) -> None:
        """Take the client, and the bucket of imports alone."""
        self._client, self._budget = client, budget

    async def send(self, contacts: Sequence[Contact]) -> list[Outcome | None]:
        """Return what became of each contact, in order; None for those that have to be sent one by one.

        Raises:
            RetryableError, UnauthorizedError: nothing was sent.
        """
        rows = [contact.row() for contact in contacts]
        sizes = [len(msgspec.json.encode(row)) + 1 for row in rows]
        ends: list[Outcome | None] = [None] * len(rows)
        for number, places in enumerate(requests(sizes, count_max=COUNT_MAX, bytes_max=_BYTES_MAX)):
            try:
                outcomes = await self._imported([rows[place] for place in places])
            except (RetryableError, UnauthorizedError):
                if number == 0:
                    raise
                return ends
            for place, outcome in zip(places, outcomes, strict=True):
                ends[place] = outcome
        return ends

    async def _imported(self, rows: list[dict[str, Any]]) -> list[Outcome | None]:
        """Send one request, and once more without the contacts that spoil it: one bad contact refuses all."""
        spoilt = await self._refused(rows)
        if spoilt is None:
            return [Delivered()] * len(rows)
        # It is not documented how a contact is named, so nobody is given up here: alone, each gets its own answer.
        rest = [place for place in range(len(rows)) if place not in spoilt]
        is_taken = bool(spoilt and rest) and await self._refused([rows[place] for place in rest]) is None
        return [Delivered() if is_taken and place not in spoilt else None for place in range(len(rows))]

    async def _refused(self, rows: list[dict[str, Any]]) -> set[int] | None:
        """Return None once an import is taken over, else the places that it names."""
        await self._budget.turn(Priority.NORMAL)
        try:
            answer = await self._client.post("import/bulk_import", {"contacts": rows}, priority=Priority.NORMAL)
        except RefusedError as error:
            answer = {"failureReasons": [], **error.told}
        if answer is None:
            raise DeliveryError("ActiveCampaign has no import at this address; check the API URL.")
        if "failureReasons" not in answer:
            return None
        by_email = {str(row["email"]).lower(): place for place, row in enumerate(rows)}
        named = [text(failure.get("contact")) for failure in members(answer["failureReasons"])]
        places = {by_email.get(who.lower(), int(who) if who.isascii() and who.isdecimal() else -1) for who in named}
        return {place for place in places if 0 <= place < len(rows)}
