"""Everything that happened, line by line: what a test compares with what arrived."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

import msgspec
from aiohttp import web

from headwater.simulators.activecampaign.account import Account
from headwater.simulators.activecampaign.people import Contact
from headwater.simulators.activecampaign.results import Occurrence, Result

LINES_AT_ONCE: Final = 2_000


class Truth:
    """Tells of one account."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._who: dict[int, dict[str, Any]] = {}

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Answer `GET /truth`: NDJSON, a line an occurrence; `?kind=open,click` for some kinds only."""
        kinds = set(request.query.get("kind", "").split(",")) - {""}
        response = web.StreamResponse(headers={"content-type": "application/x-ndjson"})
        await response.prepare(request)
        lines = self.lines(kinds)
        while text := b"".join(islice(lines, LINES_AT_ONCE)):
            await response.write(text)
            await asyncio.sleep(0)
        await response.write_eof()
        return response

    def lines(self, kinds: set[str]) -> Iterator[bytes]:
        """Yield the lines, campaign by campaign; all kinds where none is named."""
        for place, result in enumerate(list(self._account.results.values())):
            self._who.clear()
            if not kinds or "delivered" in kinds:
                at_s = int(result.sent_at.timestamp())
                yield from (
                    _line(self._delivered(result, id_, at_s, place))
                    for id_ in result.recipients
                    if id_ not in result.bounces
                )
            for occurrence in result.occurrences():
                for told in self._told(result, occurrence, place):
                    if not kinds or told["kind"] in kinds:
                        yield _line(told)

    def _delivered(self, result: Result, id_: int, at_s: int, place: int) -> dict[str, Any]:
        return {
            "kind": "delivered",
            **self._where(id_, at_s, place),
            "campaign_id": result.campaign.id,
            "message_id": result.campaign.message(id_).id,
            "first": True,
            "machine": False,
            "due": False,
            "webhooks": 0,
            "arrived": 0,
            "reported": True,
        }

    def _told(self, result: Result, occurrence: Occurrence, place: int) -> Iterator[dict[str, Any]]:
        """Yield an occurrence; a complaint is one besides being an unsubscribe."""
        detail, id_ = occurrence.detail, occurrence.contact_id
        tied = not detail.by_admin
        line = {
            "kind": detail.kind,
            **self._where(id_, occurrence.at_s, place),
            "campaign_id": result.campaign.id if tied else 0,
            "message_id": result.campaign.message(id_).id if tied else 0,
            "link_id": detail.link.id if detail.link else 0,
            "link_url": detail.link.url if detail.link else "",
            "agent": detail.agent,
            "machine": detail.by_machine,
            "reason": detail.reason,
            "bounce_type": detail.bounce[0],
            "bounce_code": detail.bounce[1],
            "initiated_by": detail.initiator,
            "first": detail.first,
            "due": detail.due,
            "webhooks": occurrence.sent,
            "arrived": occurrence.arrived,
            "reported": detail.is_shown,
        }
        yield line
        if detail.is_complaint:
            yield {**line, "kind": "complaint"}

    def _where(self, id_: int, at_s: int, place: int) -> dict[str, Any]:
        person = self._who.get(id_) or self._who.setdefault(id_, self._person(id_, place))
        return {"at": f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%dT%H:%M:%S}Z", "contact_id": id_, **person}

    def _person(self, id_: int, place: int) -> dict[str, Any]:
        now = self._account.people[id_]
        then: Contact = self._account.as_of(now, place)
        return {
            "email": then.email,
            "email_now": self._account.as_of(now).email,
            "user_id": self._account.user_id(then),
            "deleted": self._account.is_deleted(now),
            "list_ids": then.list_ids,
        }


def _line(told: dict[str, Any]) -> bytes:
    return msgspec.json.encode(told) + b"\n"
