"""A small ActiveCampaign account over HTTP, for what history needs: counters, reports page by page, contacts.

What happened in it is laid down by the test, row by row, so that what must come out is known. And the desk around a
`History`: an inbox that keeps what is put into it, and a ledger that counts it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import web

from headwater.activecampaign.address import normalised
from headwater.budget import Budget, Budgets, Priority
from headwater.delivery.address import Policy
from headwater.delivery.http import GuardedHttp
from headwater.sources.activecampaign.api.account import AccountApi
from headwater.sources.activecampaign.api.connected import Connected
from headwater.sources.activecampaign.history.history import History
from headwater.sources.activecampaign.history.pace import Pace
from headwater.sources.activecampaign.history.runs import Runs
from headwater.sources.activecampaign.memory.ledger import Count
from headwater.sources.activecampaign.occurrence import Kind
from headwater.sources.activecampaign.records import Person, Report, ReportRecord, decode
from headwater.sources.activecampaign.times import report_moment
from headwater.sources.contract import Account, Room

PRESENT = datetime(2025, 7, 1, 12, tzinfo=UTC)
KEY = "made-up-key"
NO_NETWORK = Policy(networks=(ipaddress.ip_network("127.0.0.0/8"),))
REPORTS = {
    "campaign_report_open_list": "opens",
    "campaign_report_bounce_list": "bounces",
    "campaign_report_unsubscription_list": "unsubscribes",
    "campaign_report_unopen_list": "recipients",
}
KINDS = {
    Report.OPENS: Kind.OPEN,
    Report.CLICKS: Kind.CLICK,
    Report.BOUNCES: Kind.BOUNCE,
    Report.UNSUBSCRIBES: Kind.UNSUBSCRIBE,
    Report.RECIPIENTS: Kind.DELIVERED,
}
Key = tuple[str, str, str, str]
"""Report, campaign, contact, link."""


@dataclass
class MadeUpCampaign:
    """What happened in one campaign; `hidden` contacts are counted, but no report shows them (they were deleted)."""

    id: str
    sent_at: datetime
    recipients: list[str] = field(default_factory=list)
    opens: dict[str, tuple[datetime, int]] = field(default_factory=dict)
    clicks: dict[tuple[str, str], datetime] = field(default_factory=dict)
    bounces: dict[str, datetime] = field(default_factory=dict)
    unsubscribes: dict[str, datetime] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    type: str = "single"

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Return the rows of a report, the oldest first."""
        if name == "recipients":
            return [
                row(contact) for contact in self.recipients if contact not in self.opens and contact not in self.hidden
            ]
        if name == "opens":
            return [row(who, at, times=times) for who, (at, times) in self.opens.items() if who not in self.hidden]
        happened = {"bounces": self.bounces, "unsubscribes": self.unsubscribes}[name]
        rows = [row(who, at) for who, at in happened.items() if who not in self.hidden]
        return (
            [{**each, "tstamp": each["tstamp"][:10], "type": "hard", "code": "5.1.1"} for each in rows]
            if name == "bounces"
            else rows
        )

    def links(self) -> list[dict[str, Any]]:
        """Return the report of links, with the pixel that is among them."""
        urls = sorted({url for _, url in self.clicks})
        found = [
            {
                "id": str(number),
                "link": url,
                "name": "",
                "info": [row(who, at) for (who, to), at in self.clicks.items() if to == url and who not in self.hidden],
            }
            for number, url in enumerate(urls, 1)
        ]
        return [{"id": "99", "link": "open", "name": "Read Tracker", "info": [row(who) for who in self.opens]}, *found]

    def counters(self) -> dict[str, str]:
        """Return the campaign as API v3 shows it."""
        counted = {
            "send_amt": len(self.recipients),
            "opens": sum(times for _, times in self.opens.values()),
            "uniqueopens": len(self.opens),
            "linkclicks": len(self.clicks),
            "uniquelinkclicks": len(self.clicks),
            "subscriberclicks": len({who for who, _ in self.clicks}),
            "hardbounces": len(self.bounces),
            "softbounces": 0,
            "unsubscribes": len(self.unsubscribes),
        }
        return {
            "id": self.id,
            "name": f"Campaign {self.id}",
            "type": self.type,
            "status": "5",
            "sdate": self.sent_at.isoformat(),
            "ldate": self.sent_at.isoformat(),
            "message_id": f"7{self.id}",
            **{name: str(count) for name, count in counted.items()},
        }

    def truth(self) -> set[Key]:
        """Return everything that a report shows."""
        seen = [("bounces", who, "") for who in self.bounces] + [("unsubscribes", who, "") for who in self.unsubscribes]
        seen += [("opens", who, "") for who in self.opens] + [("clicks", who, url) for who, url in self.clicks]
        seen += [("recipients", who, "") for who in self.recipients if who not in self.opens]
        return {(report, self.id, who, link) for report, who, link in seen if who not in self.hidden}


def row(contact: str, at: datetime = PRESENT, *, times: int = 1) -> dict[str, Any]:
    """Return a row of a v1 report; its time is US Central (in summer)."""
    central = (at - timedelta(hours=5)).strftime("%Y-%m-%d %H:%M:%S")
    return {"subscriberid": contact, "email": f"c{contact}@example.org", "tstamp": central, "times": str(times)}


def sent(id_: str, days_ago: float, people: int, *, first: int = 1) -> MadeUpCampaign:
    """Return a campaign to some people: a third opens, some of them click, a few bounce or leave."""
    at = PRESENT - timedelta(days=days_ago)
    everybody = [str(first + number) for number in range(people)]
    campaign = MadeUpCampaign(id_, at, everybody)
    for number, who in enumerate(everybody):
        when = at + timedelta(seconds=60 + number)
        if number % 3 == 0:
            campaign.opens[who] = (when, 1 + number % 2)
        if number % 9 == 0:
            campaign.clicks[who, "https://example.org/a"] = when
        if number % 18 == 0:
            campaign.clicks[who, "https://example.org/b?x=1"] = when
        if number % 50 == 1 and who not in campaign.opens:
            campaign.bounces[who] = when
        if number % 40 == 3:
            campaign.unsubscribes[who] = when
    return campaign


@dataclass
class MadeUpAccount:
    """The account: campaigns, how it pages, and how it misbehaves."""

    campaigns: dict[str, MadeUpCampaign]
    page_rows: int = 20
    left_lists: list[dict[str, str]] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    status: int = 200
    before_page: Any = None
    url: str = ""

    async def campaigns_page(self, request: web.Request) -> web.Response:
        """Serve the campaigns with their counters."""
        self.calls["campaigns"] += 1
        offset, limit = int(request.query.get("offset", "0")), min(int(request.query.get("limit", "20")), 100)
        rows = [each.counters() for each in self.campaigns.values()]
        return self._answer({"campaigns": rows[offset : offset + limit], "meta": {"total": str(len(rows))}})

    async def campaign(self, request: web.Request) -> web.Response:
        """Serve one campaign."""
        self.calls["campaign"] += 1
        found = self.campaigns.get(request.match_info["id"])
        if found is None:
            return web.json_response({"message": "No Result found for Campaign"}, status=404)
        return self._answer({"campaign": found.counters()})

    async def message(self, request: web.Request) -> web.Response:
        """Serve one email."""
        self.calls["message"] += 1
        return self._answer({"message": {"id": request.match_info["id"], "subject": "Hello %FIRSTNAME%"}})

    async def contacts(self, request: web.Request) -> web.Response:
        """Serve contacts by their ids, or who left a list, as one page."""
        self.calls["contacts"] += 1
        if "ids" in request.query:
            rows = [{"id": id_, "email": f"c{id_}@example.org"} for id_ in request.query["ids"].split(",")]
            return self._answer({"contacts": [{**each, "segmentio_id": f"u{each['id']}"} for each in rows]})
        if request.query.get("id_greater", "0") != "0":
            return self._answer({"contacts": [], "contactLists": []})
        ids = {each["contact"] for each in self.left_lists}
        contacts = [{"id": id_, "email": f"c{id_}@example.org"} for id_ in sorted(ids, key=int)]
        return self._answer({"contacts": contacts, "contactLists": self.left_lists})

    async def report(self, request: web.Request) -> web.Response:
        """Serve a page of a v1 report."""
        asked = {**request.query, **{name: str(value) for name, value in (await request.post()).items()}}
        action, page = asked["api_action"], int(asked.get("page", "1"))
        self.calls[action] += 1
        campaign = self.campaigns.get(asked["campaignid"])
        if self.before_page is not None:
            await self.before_page(campaign, action, page)
        if campaign is None:
            rows = []
        elif action == "campaign_report_link_list":
            rows = campaign.links() if page == 1 else []
        else:
            rows = campaign.rows(REPORTS[action])[self.page_rows * (page - 1) : self.page_rows * page]
        if not rows:
            return self._answer(
                {"result_code": 0, "result_message": "Failed: Nothing is returned", "result_output": "json"}
            )
        head = {"result_code": 1, "result_message": "Success: Something is returned", "result_output": "json"}
        return self._answer({**{str(number): each for number, each in enumerate(rows)}, **head})

    def _answer(self, body: dict[str, Any]) -> web.Response:
        if self.status != 200:
            return web.json_response({"message": "Forbidden"}, status=self.status)
        return web.Response(text=json.dumps(body).replace("/", "\\/"), content_type="application/json")

    def truth(self) -> set[Key]:
        """Return everything that the reports show."""
        return set().union(*(each.truth() for each in self.campaigns.values()))


@asynccontextmanager
async def serving(account: MadeUpAccount) -> AsyncIterator[MadeUpAccount]:
    """Run the account."""
    app = web.Application()
    app.router.add_get("/api/3/campaigns", account.campaigns_page)
    app.router.add_get("/api/3/campaigns/{id}", account.campaign)
    app.router.add_get("/api/3/messages/{id}", account.message)
    app.router.add_get("/api/3/contacts", account.contacts)
    app.router.add_route("*", "/admin/api.php", account.report)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    account.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield account
    finally:
        await runner.cleanup()


class Everybody:
    """Knows every contact: the odd ones have a user id."""

    async def people(
        self, _source_id: str, contacts: Mapping[str, str], *, priority: Priority
    ) -> tuple[Mapping[str, Person], set[str]]:
        """Answer at once."""
        assert priority is not Priority.LIVE
        return {id_: Person(f"u{id_}" if int(id_) % 2 else "", "account") for id_ in contacts}, set()


class Books:
    """The inbox and the ledger in one: what is deposited is counted at once, each occurrence once."""

    def __init__(self) -> None:
        self.records: list[ReportRecord] = []
        self.seen: dict[str, set[Key]] = defaultdict(set)
        self.fails_at: int | None = None

    async def deposit(self, source_id: str, bodies: Sequence[bytes]) -> None:
        """Take records; the n-th call is a crash where the test wants one."""
        if self.fails_at is not None:
            self.fails_at -= 1
            if self.fails_at < 0:
                raise asyncio.CancelledError
        for body in bodies:
            record = decode(body)
            self.records.append(record)
            start = datetime.fromisoformat(record.since) if record.since else None
            for each in record.rows:
                at = report_moment(each.at, PRESENT) if each.at else None
                if start is None or at is None or at.epoch_s + at.slack_s >= start.timestamp():
                    self.seen[source_id].add((record.report.value, record.campaign.id, each.contact_id, each.link_url))

    def webhook(self, source_id: str, *keys: Key) -> None:
        """Let something be known through webhooks."""
        self.seen[source_id].update(keys)

    def counts(self, source_id: str) -> dict[str, dict[Kind, Count]]:
        """Return what is known; whoever opened got the email, and who bounced did not."""
        found: dict[tuple[str, Kind], set[tuple[str, str]]] = defaultdict(set)
        for report, campaign, who, link in frozenset(self.seen[source_id]):
            found[campaign, KINDS[Report(report)]].add((who, link))
            if report == "opens":
                found[campaign, Kind.DELIVERED].add((who, ""))
        counts: dict[str, dict[Kind, Count]] = defaultdict(dict)
        for (campaign, kind), pairs in found.items():
            bounced = found.get((campaign, Kind.BOUNCE), set()) if kind is Kind.DELIVERED else set()
            count = len(pairs - bounced)
            counts[campaign][kind] = Count(len({who for who, _ in pairs - bounced}), count, count)
        return counts


@dataclass
class Bench:
    """A `History` with everything around it; `restart` is what a kill and a start are."""

    account: MadeUpAccount
    home: Path
    http: GuardedHttp
    books: Any = field(default_factory=Books)
    people: Any = field(default_factory=Everybody)
    now: datetime = PRESENT
    settings: dict[str, Any] = field(default_factory=dict)
    pace: Pace = field(default_factory=lambda: Pace(grace_s=0.0, steady_s=0.02, retry_s=0.05))
    history: Any = None
    task: Any = None
    enabled: bool = True
    key: str = KEY

    def connected(self) -> Connected:
        """Return the account as it is connected."""
        account = Account(
            id="conn", source_id="src", workspace_id="ws", url=self.account.url, key=self.key, enabled=self.enabled,
            webhook_url="https://headwater.example/webhooks/activecampaign/x", settings=self.settings,
        )  # fmt: skip
        return Connected(account, AccountApi(self.http, Budget(10_000), normalised(self.account.url), self.key))

    async def start(self, *, run: bool = True) -> History:
        """Open the file of the runs and begin to work."""
        room = Room(self.home, self.http, Budgets(), self.books.deposit, lambda: self.now)
        self.runs = Runs(self.home / "runs.sqlite")
        self.history = History(room, self.books, self.people, self.runs, pace=self.pace)
        self.history.use({"src": self.connected()})
        self.task = asyncio.create_task(self.history.run()) if run else None
        return self.history

    async def stop(self) -> None:
        """End it, as a kill would: nothing is told to anybody."""
        if self.task:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
        self.runs.close()

    async def ended(self, run_id: str) -> dict[str, Any]:
        """Return a run once it has ended."""
        while True:
            runs = {each["id"]: each for each in (await self.history.runs("conn", 100))["runs"]}
            if runs[run_id]["state"] in {"done", "failed", "cancelled"}:
                return runs[run_id]
            await asyncio.sleep(0.02)

    async def reconciled(self, **asked: Any) -> dict[str, Any]:
        """Return a reconciliation that was asked for once it has ended."""
        return await self.ended((await self.history.reconcile("conn", **asked))["id"])

    async def compared(self) -> dict[str, dict[str, Any]]:
        """Return the report of the last reconciliation by campaign."""
        return {each["id"]: each for each in (await self.history.reconciliation("conn"))["campaigns"]}

    async def looked(self, times: int = 1) -> dict[str, Any]:
        """Return the n-th reconciliation, which began by itself, once it has ended."""
        while len(found := await self.reconciliations()) < times:  # noqa: ASYNC110 - as a client polls
            await asyncio.sleep(0.02)
        return await self.ended(found[0]["id"])

    async def reconciliations(self) -> list[dict[str, Any]]:
        """Return the reconciliations, newest first."""
        return [each for each in (await self.history.runs("conn", 100))["runs"] if each["kind"] == "reconciliation"]


@asynccontextmanager
async def bench(account: MadeUpAccount, home: Path, **given: Any) -> AsyncIterator[Bench]:
    """Serve an account and lay a bench for its history."""
    http = GuardedHttp(NO_NETWORK, answer_bytes_max=8 << 20)
    async with serving(account):
        laid = Bench(account, home, http, **given)
        try:
            yield laid
        finally:
            if laid.history is not None:
                await laid.stop()
            await http.close()
