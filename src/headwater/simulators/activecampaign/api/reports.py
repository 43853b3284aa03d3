"""The reports of API v1: who opened, clicked, bounced, left or did none of it; first times and counts, no repeats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from headwater.simulators.activecampaign.api.answers import Row, answer, number
from headwater.simulators.activecampaign.api.gate import Gate
from headwater.simulators.activecampaign.bodies import central, central_wall
from headwater.simulators.activecampaign.results import Result, Tally
from headwater.simulators.activecampaign.simulation import Simulation

_NOTHING: Final = "Failed: Nothing is returned"
TRACKER: Final = 900_000_000  # ids of the pseudo-links that stand for the tracking pixel begin here


class Reports:
    """Answers `/admin/api.php`, GET and POST."""

    def __init__(self, simulation: Simulation, gate: Gate) -> None:
        self._simulation, self._gate = simulation, gate
        self._actions = {
            "campaign_report_open_list": self._opens,
            "campaign_report_unopen_list": self._unopens,
            "campaign_report_bounce_list": self._bounces,
            "campaign_report_unsubscription_list": self._unsubscribes,
        }

    async def call(self, request: web.Request) -> web.Response:
        """Answer one call; the key and all else may be in the query or in a form."""
        asked = {**request.query, **{name: str(value) for name, value in (await request.post()).items()}}
        if asked.get("api_key") != self._simulation.settings.api_key:
            return _result(0, "You are not authorized to access this file")
        if (trouble := self._gate.trouble()) is not None:
            return trouble
        action = asked.get("api_action", "")
        result = self._simulation.account.results.get(number(asked.get("campaignid"), 0))
        if action not in {*self._actions, "campaign_report_link_list", "campaign_report_totals"}:
            return _result(0, f"Invalid API action: {action}")
        return _result(0, "Campaign does not exist") if result is None else self._report(action, result, asked)

    def _report(self, action: str, result: Result, asked: Row) -> web.Response:
        message_id, page = number(asked.get("messageid"), 0), max(number(asked.get("page"), 1), 1)
        if action == "campaign_report_totals":
            return _result(1, more=totals(result))
        if action == "campaign_report_link_list":
            return self._links(result, message_id, page)
        rows = list(self._actions[action](result, message_id, page))
        return _result(1, rows=rows) if rows else _result(0, _NOTHING)

    def _part(self, places: Sequence[int], page: int) -> Sequence[int]:
        """Return a page of something; everything where pages are switched off, whatever was asked for."""
        size = self._simulation.account.switches.report_page
        return places[(page - 1) * size : page * size] if size else places

    def _of(self, result: Result, contacts: Sequence[int], message_id: int) -> Sequence[int]:
        """Return the places of the contacts that got this message, all for 0."""
        if not message_id:
            return range(len(contacts))
        return [place for place, id_ in enumerate(contacts) if result.campaign.message(id_).id == message_id]

    def _email(self, contact_id: int) -> str:
        contact = self._simulation.account.people.get(contact_id)
        return self._simulation.account.as_of(contact).email if contact else ""

    def _counted(self, tally: Tally, places: Sequence[int]) -> Iterator[Row]:
        for place in places:
            at = datetime.fromtimestamp(tally.firsts[place], UTC)
            yield {
                "subscriberid": str(tally.contacts[place]),
                "email": self._email(tally.contacts[place]),
                "tstamp": central_wall(at),
                "times": str(tally.times[place]),
                "tstamp_iso": central(at),
            }

    def _opens(self, result: Result, message_id: int, page: int) -> Iterator[Row]:
        places = self._part(self._of(result, result.opens.contacts, message_id), page)
        yield from self._counted(result.opens, places)

    def _unopens(self, result: Result, message_id: int, page: int) -> Iterator[Row]:
        gone = result.opens, result.bounces
        contacts = [id_ for id_ in result.recipients if not any(id_ in tally for tally in gone)]
        for place in self._part(self._of(result, contacts, message_id), page):
            yield {"subscriberid": str(contacts[place]), "email": self._email(contacts[place])}

    def _bounces(self, result: Result, message_id: int, page: int) -> Iterator[Row]:
        tally = result.bounces
        for place in self._part(self._of(result, tally.contacts, message_id), page):
            id_ = tally.contacts[place]
            kind, code, reason = result.bounced[id_]
            yield {
                "id": str(result.campaign.id * 1_000_000 + place + 1),
                "email": self._email(id_),
                "subscriberid": str(id_),
                "listid": str(result.campaign.list_id),
                "campaignid": str(result.campaign.id),
                "messageid": str(result.campaign.message(id_).id),
                "tstamp": central_wall(datetime.fromtimestamp(tally.firsts[place], UTC))[:10],
                "type": kind,
                "code": code,
                "counted": "1",
                "reason": reason,
                "descript": reason,
            }

    def _unsubscribes(self, result: Result, message_id: int, page: int) -> Iterator[Row]:
        tally = result.unsubscribes
        places = self._part(self._of(result, tally.contacts, message_id), page)
        for row in self._counted(tally, places):
            row.pop("times")
            yield {
                **row,
                "listid": str(result.campaign.list_id),
                "campaignid": str(result.campaign.id),
                "unsubreason": result.reasons[int(row["subscriberid"])],
            }

    def _links(self, result: Result, message_id: int, page: int) -> web.Response:
        """Return the links: a page goes through the contacts of one link after the other."""
        campaign = result.campaign
        places = {link.id: self._of(result, result.clicks[link.id].contacts, message_id) for link in campaign.links}
        every = [(link_id, place) for link_id, found in places.items() for place in found]
        shown = [every[at] for at in self._part(range(len(every)), page)]
        opens = self._part(self._of(result, result.opens.contacts, message_id), page)
        if not shown and (page > 1 or not opens):
            return _result(0, _NOTHING)
        rows: list[Row] = [
            {
                "id": str(TRACKER + campaign.id),
                "name": "Read Tracker",
                "link": "open",
                "tracked": "1",
                "a_unique": str(len(result.opens)),
                "a_total": str(result.opens.total),
                # The pixel is a link like any other to the service; its first page is enough to be mistaken for clicks.
                "info": list(self._counted(result.opens, opens if page == 1 else [])),
            }
        ]
        for link in campaign.links:
            tally = result.clicks[link.id]
            rows.append(
                {
                    "id": str(link.id),
                    "name": "",
                    "link": link.url,
                    "tracked": "1",
                    "a_unique": str(len(tally)),
                    "a_total": str(tally.total),
                    "info": list(self._counted(tally, [place for id_, place in shown if id_ == link.id])),
                }
            )
        return _result(1, rows=rows)


def totals(result: Result) -> Row:
    """Return the counters of one campaign, as text."""
    hard = sum(kind == "hard" for kind, *_ in result.bounced.values())
    counters = {
        "send_amt": len(result.recipients),
        "total_amt": len(result.recipients),
        "opens": result.opens.total,
        "uniqueopens": len(result.opens),
        "linkclicks": sum(tally.total for tally in result.clicks.values()),
        "uniquelinkclicks": sum(len(tally) for tally in result.clicks.values()),
        "subscriberclicks": len(result.clickers),
        "forwards": 0,
        "uniqueforwards": 0,
        "hardbounces": hard,
        "softbounces": len(result.bounces) - hard,
        "unsubscribes": len(result.unsubscribes),
        "unsubreasons": sum(bool(reason) for reason in result.reasons.values()),
        "updates": 0,
        "socialshares": 0,
        "replies": 0,
        "uniquereplies": 0,
    }
    return {name: str(count) for name, count in counters.items()}


def _result(code: int, message: str = "Success: Something is returned", **members: Any) -> web.Response:
    rows: list[Row] = members.get("rows", [])
    body: Row = {str(place): row for place, row in enumerate(rows)} | members.get("more", {})
    return answer({**body, "result_code": code, "result_message": message, "result_output": "json"})
