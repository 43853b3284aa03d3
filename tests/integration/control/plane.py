import asyncio
import contextlib
import ipaddress
import json
import socket
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec
import uvicorn
from answers import Held, whole
from starlette.applications import Starlette
from trail import Law
from warehouse_desk import WarehouseDesk

from headwater.alerts.book import Book
from headwater.alerts.channels import Messenger
from headwater.control import api
from headwater.control.alerting import Alerts
from headwater.control.api.models.destinations import ConnectionState
from headwater.control.api.models.letters import DeadLetter
from headwater.control.api.rates import Speeds
from headwater.control.live import Live
from headwater.control.models import Role
from headwater.control.service import open_control
from headwater.control.volume import Volume
from headwater.delivery.address import Policy
from headwater.delivery.http import GuardedHttp
from headwater.errors import ConflictError, InvalidRequestError, NotFoundError, QueryError, RetryableError
from headwater.eventlog.contract import Topic
from headwater.eventlog.memory import MemoryLog
from headwater.observing.seen import Seen
from headwater.spec.event import Record
from headwater.warehouses.contract import CatalogTable, Result

SECRET = b"k" * 32
API_KEY = "0123456789abcdef" * 4
"""The one key that the account of the stand-in takes."""


class PipelineDesk(WarehouseDesk):
    """Stands in for another process: keeps dead letters, and remembers what it was asked for."""

    HANGS_S = 60

    def __init__(self):
        super().__init__()
        self.asked = []
        self.letters = {}
        self.runs = []
        self.states = []
        self.outcome = "delivered"
        self.is_down = False
        self.is_account_away = self.is_hanging = self.is_slow = False
        self.complaints_max = 1_000
        self.control = None
        self.webhooks = {}
        self.seen = []
        self.run = None
        self.ending = "done"
        self.differences = []

    def _note(self, name, **arguments):
        if self.is_down:
            raise RetryableError("The pipeline role does not answer yet; try again in a moment.")
        self.asked.append((name, arguments))

    async def connections(self):
        self._note("connections")
        return {"connections": [whole(ConnectionState, each) for each in self.states]}

    async def metrics(self, destination_id, *, since=None, until=None, granularity="hour"):
        self._note("metrics", destination_id=destination_id, since=since, until=until, granularity=granularity)
        point = {"received": 9, "filtered": {"FILTERED_BY_RULES": 2}, "deliveredFirstTry": 4, "deliveredOnRetry": 1}
        point |= {"retried": 3, "failed": 1, "discarded": 0, "p50S": 0.1, "p95S": 0.2, "p99S": 0.3}
        return {"granularity": granularity, "points": [{"at": since, **point}], "totals": point}

    async def dead_letters(self, destination_id=None, cursor=None, count=50, *, chosen=None):
        self._note("dead_letters", destination_id=destination_id, cursor=cursor, count=count, chosen=chosen)
        return {"deadLetters": [whole(DeadLetter, each) for each in self.letters.values()], "next": None}

    async def dead_letter(self, dead_letter_id):
        if dead_letter_id not in self.letters:
            raise NotFoundError("There is no such dead letter.")
        return whole(DeadLetter, self.letters[dead_letter_id])

    async def retry_dead_letters(self, ids=None, destination_id=None, *, chosen=None, dry_run=False):
        self._note("retry", ids=ids, destination_id=destination_id, chosen=chosen, dry_run=dry_run)
        return {"count": len(ids or self.letters)}

    async def discard_dead_letters(self, ids=None, destination_id=None, *, chosen=None, dry_run=False):
        self._note("discard", ids=ids, destination_id=destination_id, chosen=chosen, dry_run=dry_run)
        return {"count": len(ids or self.letters)}

    async def resume(self, destination_id):
        self._note("resume", destination_id=destination_id)
        return {"resumed": True}

    async def replay(self, destination_id, **how):
        self._note("replay", destination_id=destination_id, **how)
        run = _replay(1, destination_id, "running")
        if not how["dry_run"]:
            self.runs = [run]
        return {"count": 3, "replay": run}

    async def replays(self, destination_id=None, *, among=None):
        found = [run for run in self.runs if destination_id in {None, run["destinationId"]}]
        found = [run for run in found if among is None or run["destinationId"] in among]
        self.runs = [run | {"state": "done", "passed": 10} if run["state"] == "running" else run for run in self.runs]
        return {"replays": found}

    async def cancel_replay(self, replay_id):
        self._note("cancel_replay", replay_id=replay_id)
        self.runs = [run | {"state": "cancelled"} for run in self.runs]
        return {"cancelled": True}

    async def try_event(self, type_, settings, event, *, destination_id=None, as_is=False):
        self._note("try", type_=type_, settings=dict(settings), event=event, destination_id=destination_id, as_is=as_is)
        exchange = {"method": "POST", "url": "https://example.com/", "request": "{}", "status": 200, "answer": "ok"}
        told = {"outcome": self.outcome, "reason": "", "status": 200, "sent": event, "advice": ""}
        return {**told, "exchanges": [{**exchange, "durationMs": 5}]}

    async def run_function(self, kind, code, settings, event):
        self._note("run_function", kind=kind, code=code, settings=dict(settings), event=event)
        return {"kind": "sent", "value": {**event, "userId": "changed"}, "message": "", "log": ["hello"]}

    async def test_destination(self, type_, settings):
        self._note("test", type_=type_, settings=dict(settings))
        return {"ok": True, "message": "The destination answered."}

    async def accounts(self):
        self._note("accounts")
        return {"accounts": []}

    async def account_check(self, url, key):
        self._note("check", url=url, key=key)
        if self.is_hanging:
            await asyncio.sleep(self.HANGS_S)
        if not url.startswith("https://"):
            raise InvalidRequestError("An account's address begins with https://.", field="accountUrl")
        if key != API_KEY:
            raise InvalidRequestError("ActiveCampaign refuses this API key.", field="apiKey")
        return {"url": url.rstrip("/").lower(), "account": url.removeprefix("https://").partition(".")[0]}

    async def account_settle(self, connection_id):
        self._note("settle", connection_id=connection_id)
        return self._status(connection_id)

    async def account_status(self, connection_id):
        self._note("status", connection_id=connection_id)
        if self.is_hanging:
            await asyncio.sleep(self.HANGS_S)
        return self._status(connection_id)

    def _status(self, connection_id):
        """Return what a worker would say that sees what is stored, and reaches ActiveCampaign unless told otherwise."""
        found = {each.id: each for each in self.control.snapshot().accounts}
        if connection_id not in found:
            raise NotFoundError("This connection is not known yet.")
        webhook = "ok" if found[connection_id].active else "off"
        left = self.is_account_away and webhook == "off"  # wanted away, and still there
        self.webhooks[connection_id] = webhook
        self.seen.append((found[connection_id].url, webhook))
        return {
            "state": "waiting" if webhook == "ok" else "off",
            "message": "Ready, waiting for the first event.",
            "webhook": {
                "state": webhook,
                "id": "5" if left or webhook == "ok" else "",
                "address": "https://host/webhooks/activecampaign/••••",
                "repairs": 0,
                "message": "ActiveCampaign does not answer." if left else "",
            },
            "lastEvent": None,
            "lag": {"inbox": 0, "oldestS": 0.0},
            "budget": {"perSecond": 5, "lastMinute": 3, "total": 40, "throttled": 1, "waiting": 0, "pausedS": 0},
            "identities": {"known": 9, "withUserId": 4, "fallbacks": 5},
            "backfill": self.run,
            "reconciliation": None,
            "warnings": [{"code": "tracking_off", "message": "Open tracking is off.", "campaignId": "7"}],
        }

    async def account_backfill(self, connection_id, *, since=None, campaigns=None, dry_run=False):
        self._note("backfill", connection_id=connection_id, since=since, campaigns=campaigns, dry_run=dry_run)
        if dry_run:
            what = {"dryRun": True, "kind": "backfill", "since": since, "campaigns": {"total": 2, "done": 0}}
            return what | {"rows": 900, "calls": 30, "etaS": 6, "message": "It would read about 900 rows."}
        if self.run is not None and self.run["state"] == "running":
            raise ConflictError("A back-fill is running already; wait for it or cancel it.")
        self.run = _run("backfill", "running")
        return self.run

    async def account_reconcile(self, connection_id, *, campaigns=None):
        self._note("reconcile", connection_id=connection_id, campaigns=campaigns)
        self.run = _run("reconciliation", "running")
        return self.run

    async def account_cancel(self, connection_id, run_id):
        self._note("cancel", connection_id=connection_id, run_id=run_id)
        if self.run is None or self.run["id"] != run_id:
            raise NotFoundError("There is no such run.")
        self.run = {**self.run, "state": "cancelled"}
        return self.run

    async def account_runs(self, connection_id, count=20):
        self._note("runs", connection_id=connection_id, count=count)
        if (
            not self.is_slow and self.run is not None and self.run["state"] == "running"
        ):  # each look finds it further on
            rows = self.run["rows"] + 500
            done = rows >= 1_000
            campaigns = {"total": 2, "done": 2 if done else 1}
            state = self.ending if done else "running"
            self.run = {**self.run, "rows": rows, "campaigns": campaigns, "state": state, "etaS": 0 if done else 90}
        return {"runs": [] if self.run is None else [self.run]}

    async def account_reconciliation(self, connection_id):
        self._note("reconciliation", connection_id=connection_id)
        return {"campaigns": list(self.differences)}

    async def account_complaints(self, connection_id, rows):
        if self.complaints_max == 0:
            raise RetryableError("The inbox takes nothing now; try again.")
        self.complaints_max -= 1
        self._note("complaints", connection_id=connection_id, rows=list(rows))
        return {"count": len(rows)}

    async def unmapped(self, source_id=None, count=50, **_among):
        self._note("unmapped", source_id=source_id, count=count)
        return {"unmapped": [{"inboxSeq": 3, "sourceId": "s", "reason": "no type", "receivedAt": "2026-01-01T00:00Z"}]}

    async def unmapped_one(self, inbox_seq):
        self._note("unmapped_one", inbox_seq=inbox_seq)
        source = self.control.snapshot().sources[0].id
        known = {"inboxSeq": inbox_seq, "sourceId": source, "reason": "no type", "body": "a=b"}
        return {**known, "receivedAt": "2026-01-01T00:00Z", "contentType": "application/x-www-form-urlencoded"}

    async def retry_unmapped(self, source_id=None, **_among):
        self._note("retry_unmapped", source_id=source_id)
        return {"mapped": 1, "stillUnmapped": 2}


def _replay(number, destination_id, state):
    return {
        "id": number,
        "destinationId": destination_id,
        "sourceId": "s",
        "state": state,
        "total": 10,
        "passed": 4,
        "selected": 3,
        "delivered": 2,
        "retrying": 1,
        "dead": 0,
        "filtered": {},
        "ratePerS": 500.0,
        "etaS": 6.0,
        "startedAt": "2026-01-01T00:00:00+00:00",
        "finishedAt": None,
        "selection": {"since": None, "until": None, "event": None, "userId": None},
    }


def _run(kind, state):
    return {
        "id": "r1",
        "kind": kind,
        "state": state,
        "since": None,
        "campaigns": {"total": 2, "done": 0},
        "rows": 0,
        "filled": 0,
        "calls": 3,
        "etaS": 180,
        "startedAt": "2026-01-01T00:00:00Z",
        "endedAt": None,
        "message": "",
    }


@dataclass(frozen=True)
class Question:
    """One that is being answered."""

    id: str
    warehouse_id: str
    sql: str
    started_at: datetime = datetime(2026, 11, 23, tzinfo=UTC)


class Asking:
    """Gives one result, whatever was asked, and notes the questions."""

    TABLES = (("site", "tracks"), ("site", "users"))

    def __init__(self):
        self.tables = [CatalogTable(*each, (("id", "VARCHAR"),)) for each in self.TABLES]
        self.wrong = ""
        self.asked, self.open, self.cancelled = [], [], []

    def run(self, warehouse_id, sql, rows_max=1, **how):
        self.asked.append((warehouse_id, sql, rows_max, how))
        return Result(("n", "big"), ("BIGINT", "HUGEINT"), ((1, 2**70),), truncated=False, duration_ms=1)

    def export(self, warehouse_id, sql, target, file_format, **how):
        self.asked.append((warehouse_id, sql, file_format, how))
        if "wrong" in sql:
            raise QueryError("The query is wrong.")
        target.write_text("n\n1\n")
        return 1

    def catalog(self, _warehouse_id):
        if self.wrong:
            raise QueryError(self.wrong)
        return self.tables

    def running(self, warehouse_id=None):
        return [each for each in self.open if warehouse_id in (None, each.warehouse_id)]

    def cancel(self, query_id, _warehouse_id):
        self.cancelled.append(query_id)
        return True


@dataclass
class Running:
    """A control plane behind a real uvicorn, and how to talk to it."""

    url: str
    control: object
    workspace: object
    log: MemoryLog
    volume: Volume
    pipeline: PipelineDesk
    routes: list
    tokens: dict = field(default_factory=dict)
    asking: Asking = field(default_factory=Asking)
    alerts: Alerts = None
    seen: Seen = None

    def __post_init__(self):
        self.law = Law(self.control)

    def http(self, method, path, body=None, *, token="owner", headers=None):
        status, answer, headers = self.raw(method, path, body, token=token, headers=headers)
        return status, json.loads(answer or b"null"), headers

    def raw(self, method, path, body=None, *, token="owner", headers=None):
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        sent = dict(headers or {})
        if raw is not None:
            sent.setdefault("content-type", "application/json")
        if token:
            sent["authorization"] = f"Bearer {self.tokens.get(token, token)}"
        request = urllib.request.Request(self.url + path, raw, sent, method=method)
        with self.law.held(method) as answered:
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    answered.append(answer.status)
                    return answer.status, answer.read(), answer.headers
            except urllib.error.HTTPError as error:
                answered.append(error.code)
                return error.code, error.read(), error.headers

    def api(self, method, path, body=None, **how):
        status, answer, _ = self.http(method, path, body, **how)
        assert status == 200, (status, answer)
        return answer["data"]

    def refused(self, method, path, body=None, **how):
        """Return (status, type, field) of a refusal."""
        status, answer, _ = self.http(method, path, body, **how)
        (error,) = answer["errors"]
        assert error["message"]
        return status, error["type"], error.get("field")

    async def append(self, source_id, *events, topic=Topic.EVENTS):
        records = [Record(str(event.get("messageId", "")), msgspec.json.encode(event)) for event in events]
        return await self.log.append(topic, source_id, datetime.now(UTC), records)


@contextlib.contextmanager
def serving(routes, app=None):
    """Yield the base path of an API whose routes these are, or of an app of theirs."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app or Starlette(routes=routes), log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/api"
    finally:
        server.should_exit = True
        server.force_exit = True
        thread.join(20)


def alerts_of(control, path):
    """Return the alerts of a control plane that reaches loopback only, and has no mail server."""
    policy = Policy((ipaddress.ip_network("127.0.0.0/8"),))
    return Alerts(control, Book(path), Messenger(GuardedHttp(policy), None, "http://127.0.0.1"), "http://127.0.0.1")


@contextlib.contextmanager
def starting(directory):
    """Yield a function that starts a control plane in a region."""
    with contextlib.ExitStack() as stack:

        def started(region="us", requests_per_s=10_000, guesses_per_s=10_000):
            control = open_control(f"sqlite:///{directory}/{region}.db", SECRET, region=region)
            workspace = control.workspaces.get()
            log, pipeline, asking = MemoryLog(), PipelineDesk(), Asking()
            pipeline.control = control
            volume = Volume(log, directory / f"volume-{region}.db")

            alerts = alerts_of(control, directory / f"alerts-{region}.sqlite")
            seen = Seen(directory)
            parts = api.Parts(control, pipeline, asking, alerts, Live(log), Live(log, Topic.REJECTED), volume, seen)
            routes = api.build(parts, Speeds(requests_per_s, guesses_per_s))
            tokens = {role: control.tokens.create(workspace.id, role, role)[0] for role in Role}
            stack.callback(alerts.book.close)
            stack.callback(control.close)
            stack.callback(volume.close)
            held = Held(Starlette(routes=routes), routes)
            stack.callback(held.verdict)
            url = stack.enter_context(serving(routes, held))
            return Running(url, control, workspace, log, volume, pipeline, routes, tokens, asking, alerts, seen)

        yield started
