"""Look up many contacts in one request, although it is not written anywhere how several ids are told.

The ways are tried in order, and the first whose answer holds several that were asked for, and no others, is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from headwater.activecampaign import values
from headwater.activecampaign.client import Client
from headwater.budget import Priority
from headwater.errors import DeliveryError, RetryableError, UnauthorizedError
from headwater.sources.activecampaign.api import resources
from headwater.sources.activecampaign.api.rows import ContactRow

_WAYS: Final[tuple[Callable[[Sequence[str]], Mapping[str, str]], ...]] = (
    lambda ids: {"ids": ",".join(ids)},
    lambda ids: {f"ids[{index}]": id_ for index, id_ in enumerate(ids)},
)
_ONE_BY_ONE: Final = len(_WAYS)
_SAMPLE: Final = 3  # ours: contacts read one by one to see whether those that are missing exist


class Lookup:
    """Reads contacts by their ids, at most as many as one page holds."""

    def __init__(self, client: Client) -> None:
        """Take the client of the account."""
        self._client = client
        self._way: int | None = None  # which of `_WAYS` is known to work

    async def contacts(self, ids: Sequence[str], priority: Priority) -> list[ContactRow]:
        """Return those that exist."""
        if len(ids) == 1 or self._way == _ONE_BY_ONE:
            return await self._each(ids, priority)
        if self._way is not None:
            return (await self._together(ids, self._way, priority))[0]
        best: list[ContactRow] = []
        for way in range(len(_WAYS)):
            found, is_sure = await self._tried(ids, way, priority)
            if is_sure:
                self._way = way
                return found
            best = max(best, found, key=len)
        return best + await self._missing(ids, {row.id for row in best}, priority)

    async def _missing(self, ids: Sequence[str], found: set[str], priority: Priority) -> list[ContactRow]:
        """Return what no way has found: nothing, if the first few are not there when they are asked for alone."""
        rest = [id_ for id_ in ids if id_ not in found]
        sample = await self._each(rest[:_SAMPLE], priority)
        if not sample:
            return []
        self._way = _ONE_BY_ONE
        return sample + await self._each(rest[_SAMPLE:], priority)

    async def _tried(self, ids: Sequence[str], way: int, priority: Priority) -> tuple[list[ContactRow], bool]:
        try:
            return await self._together(ids, way, priority)
        except (RetryableError, UnauthorizedError):
            raise
        except DeliveryError:  # it does not know this way to ask
            return [], False

    async def _together(self, ids: Sequence[str], way: int, priority: Priority) -> tuple[list[ContactRow], bool]:
        """Return the contacts that one request finds, and whether the request was understood for sure."""
        query = {"status": "-1", "limit": str(len(ids)), **_WAYS[way](ids)}
        answer = await self._client.listed("contacts", query, priority=priority)
        rows = [resources.contact(row) for row in values.members(answer.get("contacts"))]
        asked = set(ids)
        found = [row for row in rows if row.id in asked]
        # whoever ignores the question answers with the first of all contacts, which may be asked for by chance
        is_all = len(found) == len(rows) and (values.total(answer) or 0) <= len(ids)
        return found, is_all and len(found) > 1

    async def _each(self, ids: Sequence[str], priority: Priority) -> list[ContactRow]:
        answers = [await self._client.get(f"contacts/{id_}", holds="contact", priority=priority) for id_ in ids]
        rows = (values.member(answer, "contact") for answer in answers)
        return [resources.contact(row) for row in rows if row is not None]
