"""Campaigns, their emails and links, as v3 tells them."""

from __future__ import annotations

from operator import itemgetter
from typing import Final

from aiohttp import web

from headwater.simulators.activecampaign.api.answers import Row, answer, missing, number, numbered, page
from headwater.simulators.activecampaign.api.reports import TRACKER, totals
from headwater.simulators.activecampaign.bodies import central
from headwater.simulators.activecampaign.campaigns import LISTS, Message
from headwater.simulators.activecampaign.results import Result
from headwater.simulators.activecampaign.simulation import Simulation

_RELATED: Final = (
    "user",
    "automation",
    "campaignMessage",
    "campaignMessages",
    "links",
    "aggregateRevenues",
    "campaignLists",
)
_ORDERS: Final = ("id", "sdate", "ldate", "cdate", "mdate", "name")


class Campaigns:
    """Answers for what was sent so far."""

    def __init__(self, simulation: Simulation) -> None:
        self._account = simulation.account

    async def every(self, request: web.Request) -> web.Response:
        """Answer `GET /campaigns`."""
        rows = [self._row(result) for result in self._account.results.values()]
        if (status := request.query.get("filters[status]")) is not None:
            rows = [row for row in rows if row["status"] == status]
        for name in _ORDERS:
            if (order := request.query.get(f"orders[{name}]")) is not None:
                rows.sort(key=numbered if name == "id" else itemgetter(name), reverse=order.upper() == "DESC")
        return answer({"campaigns": page(rows, request), "meta": {"total": str(len(rows))}})

    async def one(self, request: web.Request) -> web.Response:
        """Answer `GET /campaigns/{id}`, with its emails beside it."""
        result = self._asked(request)
        if result is None:
            return missing("Campaign", request.match_info["id"])
        return answer({"campaignMessages": _campaign_messages(result), "campaign": self._row(result)})

    async def campaign_messages(self, request: web.Request) -> web.Response:
        """Answer `GET /campaigns/{id}/campaignMessages`."""
        result = self._asked(request)
        if result is None:
            return missing("Campaign", request.match_info["id"])
        return answer({"campaignMessages": _campaign_messages(result)})

    async def campaign_message(self, request: web.Request) -> web.Response:
        """Answer `GET /campaigns/{id}/campaignMessage`, the first where there are two."""
        result = self._asked(request)
        if result is None:
            return missing("Campaign", request.match_info["id"])
        return answer({"campaignMessage": _campaign_messages(result)[0]})

    async def messages(self, request: web.Request) -> web.Response:
        """Answer `GET /messages`."""
        rows = [_message(result, message) for result in self._account.results.values() for message in _emails(result)]
        return answer({"messages": page(rows, request), "meta": {"total": str(len(rows))}})

    async def message(self, request: web.Request) -> web.Response:
        """Answer `GET /messages/{id}`."""
        wanted = number(request.match_info["id"], 0)
        for result in self._account.results.values():
            for message in _emails(result):
                if message.id == wanted:
                    return answer({"message": _message(result, message)})
        return missing("Message", request.match_info["id"])

    async def links(self, request: web.Request) -> web.Response:
        """Answer `GET /campaigns/{id}/links`; the tracking pixel is among them, for each email and for all."""
        result = self._asked(request)
        if result is None:
            return missing("Campaign", request.match_info["id"])
        emails = _emails(result)
        rows = [
            _link(result, TRACKER + result.campaign.id + 10_000_000 * place, message_id, "open", "Read Tracker")
            for place, message_id in enumerate([0, *(message.id for message in emails)])
        ]
        rows += [_link(result, link.id, emails[0].id, link.url, "") for link in result.campaign.links]
        return answer({"links": rows, "meta": {"total": str(len(rows))}})

    async def lists(self, request: web.Request) -> web.Response:
        """Answer `GET /campaigns/{id}/campaignLists`."""
        result = self._asked(request)
        if result is None:
            return missing("Campaign", request.match_info["id"])
        id_ = result.campaign.list_id
        row = {"campaignid": str(result.campaign.id), "listid": str(id_), "list": LISTS[id_], "id": str(id_)}
        return answer({"campaignLists": [row]})

    def _asked(self, request: web.Request) -> Result | None:
        return self._account.results.get(number(request.match_info["id"], 0))

    def _row(self, result: Result) -> Row:
        campaign, sent = result.campaign, central(result.sent_at)
        tracked = "1" if campaign.is_tracked else "0"
        return {
            "type": campaign.type,
            "userid": "1",
            "segmentid": "0",
            "bounceid": "-1",
            "realcid": "0",
            "sendid": str(campaign.id),
            "threadid": "0",
            "seriesid": "0",
            "formid": "0",
            "basetemplateid": "",
            "basemessageid": "0",
            "addressid": "1",
            "source": "web",
            "name": campaign.name,
            "cdate": sent,
            "mdate": sent,
            "sdate": sent,
            "ldate": sent,
            "status": "5",
            "public": "1",
            "tracklinks": "all" if campaign.is_tracked else "0",
            "tracklinksanalytics": "0",
            "trackreads": tracked,
            "split_type": "subject" if campaign.type == "split" else "",
            "analytics_campaign_name": "",
            "deletestamp": None,
            **totals(result),
            "created_by": None,
            "updated_by": None,
            "links": {name: f"https://example.api-us1.com/api/3/campaigns/{campaign.id}/{name}" for name in _RELATED},
            "id": str(campaign.id),
            "user": "1",
            "automation": None,
        }


def _emails(result: Result) -> tuple[Message, ...]:
    return result.campaign.messages


def _campaign_messages(result: Result) -> list[Row]:
    share = 100 // len(_emails(result))
    return [
        {
            "campaignid": str(result.campaign.id),
            "messageid": str(message.id),
            "percentage": str(share),
            "sourcesize": "18432",
            "initial_split_percentage": str(share),
            "subject": message.subject,
            "id": str(message.id + 7),
            "campaign": str(result.campaign.id),
            "message": str(message.id),
        }
        for message in _emails(result)
    ]


def _message(result: Result, message: Message) -> Row:
    return {
        "userid": "1",
        "cdate": central(result.sent_at),
        "mdate": central(result.sent_at),
        "name": result.campaign.name,
        "fromname": "The Tea Shop",
        "fromemail": "news@shop.example.com",
        "reply2": "news@shop.example.com",
        "priority": "3",
        "charset": "utf-8",
        "encoding": "quoted-printable",
        "format": "mime",
        "subject": message.subject,
        "preheader_text": "",
        "hidden": "0",
        "id": str(message.id),
        "user": "1",
    }


def _link(result: Result, id_: int, message_id: int, link: str, name: str) -> Row:
    return {
        "campaignid": str(result.campaign.id),
        "messageid": str(message_id),
        "link": link,
        "name": name,
        "ref": "",
        "tracked": "1",
        "id": str(id_),
        "campaign": str(result.campaign.id),
        "message": str(message_id) if message_id else None,
    }
