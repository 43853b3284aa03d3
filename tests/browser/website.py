"""The real pages on a real server: control in SQLite, events in a segment log, everything fed by the test."""

# ruff: noqa: ARG002 - Line takes what the pipeline takes and answers what the test has set

import asyncio
import socket
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import uvicorn
from starlette.applications import Starlette
from stored import Tables, reload_run

from headwater.alerts.book import Book
from headwater.alerts.channels import Messenger
from headwater.clock import now
from headwater.control import local_token
from headwater.control.accounts import Place
from headwater.control.alerting import Alerts
from headwater.control.live import Live
from headwater.control.people.oidc import Provider, Registration
from headwater.control.people.passwords import Passwords
from headwater.control.service import open_control
from headwater.control.volume import Volume
from headwater.delivery.address import Policy
from headwater.delivery.http import GuardedHttp
from headwater.errors import InvalidRequestError, NotFoundError
from headwater.eventlog.contract import Topic
from headwater.eventlog.segments import SegmentLog
from headwater.observing.seen import Seen
from headwater.spec.event import Record
from headwater.web import app as pages

SECRET = b"s" * 32
CHEAP = Passwords(kib=8, passes=1)
"""As strong as a test needs it; the real strength has a test of its own."""


class Line:
    """What the pipeline would answer; a test sets it."""

    def __init__(self) -> None:
        self.statuses: list[dict[str, Any]] = []
        self.letters: list[dict[str, Any]] = []
        self.loads: list[dict[str, Any]] = []
        self.runs: list[dict[str, Any]] = []
        self.retried: list[Any] = []
        self.tested: list[Any] = []
        self.tried: list[Any] = []
        self.replayed: list[Any] = []
        self.replay_runs: list[dict[str, Any]] = []
        self.days: list[dict[str, Any]] = []
        self.misfitting: list[dict[str, Any]] = []
        self.reloaded: list[Any] = []
        self.reload_runs: list[dict[str, Any]] = []
        self.accounts: dict[str, dict[str, Any]] = {}
        self.campaigns: list[dict[str, Any]] = []
        self.backfills: list[Any] = []

    async def connections(self):
        return {"connections": self.statuses}

    async def dead_letters(self, destination_id=None, cursor=None, count=50, *, chosen=None):
        return {"deadLetters": self._chosen(destination_id, chosen)[:count], "next": None}

    def _chosen(self, destination_id, chosen):
        found = [each for each in self.letters if destination_id in {None, each["destinationId"]}]
        return [each for each in found if all(each[name] == value for name, value in (chosen or {}).items())]

    async def dead_letter(self, dead_letter_id):
        for each in self.letters:
            if each["id"] == dead_letter_id:
                return each
        raise NotFoundError("There is no such dead letter.")

    async def retry_dead_letters(self, ids=None, destination_id=None, *, chosen=None, dry_run=False):
        gone = [each for each in self._chosen(destination_id, chosen) if ids is None or each["id"] in ids]
        if not dry_run:
            self.retried.append(ids or destination_id)
            self.letters = [each for each in self.letters if each not in gone]
        return {"count": len(gone)}

    discard_dead_letters = retry_dead_letters

    async def metrics(self, destination_id, *, since=None, until=None, granularity="hour"):
        return series(datetime.fromisoformat(since), granularity)

    async def replay(self, destination_id, *, dry_run=False, **wanted):
        self.replayed.append((destination_id, dry_run, wanted))
        return {"count": 12, "replay": replay_run(destination_id)}

    async def replays(self, destination_id=None, *, among=None):
        return {"replays": self.replay_runs}

    async def cancel_replay(self, replay_id):
        self.replay_runs = [{**each, "state": "cancelled"} for each in self.replay_runs]
        return {"cancelled": True}

    async def try_event(self, type_, settings, event, *, destination_id=None, as_is=False):
        self.tried.append((type_, event, as_is))
        exchange = {"method": "POST", "url": "https://example.com/hook", "request": '{"type":"track"}',
                    "status": 200, "answer": "ok", "durationMs": 41}  # fmt: skip
        return {"outcome": "delivered", "reason": "", "status": 200, "sent": event, "exchanges": [exchange]}

    async def resume(self, destination_id):
        for each in self.statuses:
            if each["destinationId"] == destination_id:
                each.update(state="active", reason="")
        return {"resumed": True}

    async def test_destination(self, type_, settings):
        self.tested.append((type_, settings))
        return {"ok": True, "message": "The destination answered."}

    async def sync(self, warehouse_id=None, *, wait=False, among=None):
        return {"syncs": self.runs}

    async def syncs(self, warehouse_id=None, count=50, *, among=None):
        return {"syncs": self.runs[:count]}

    async def warehouses(self):
        return {"warehouses": self.loads}

    async def test_warehouse(self, type_, settings):
        self.tested.append((type_, settings))
        return {"ok": True, "message": "The warehouse can be loaded."}

    async def row_trends(self, warehouse_id, days=30):
        return {"days": self.days}

    async def misfits(self, warehouse_id):
        return {"misfits": self.misfitting}

    async def reload(self, warehouse_id, **wanted):
        if wanted["since"] == "soon":
            raise InvalidRequestError("since is a time such as 2026-01-31", field="since")
        self.reloaded.append((warehouse_id, wanted))
        return {"reload": reload_run(warehouse_id)}

    async def reloads(self, warehouse_id=None, count=50):
        return {"reloads": self.reload_runs}

    async def cancel_reload(self, reload_id):
        self.reload_runs = [{**each, "state": "cancelled"} for each in self.reload_runs]
        return {"reload": self.reload_runs[0]}

    async def account_check(self, url, key):
        if key == "wrong":
            raise InvalidRequestError("ActiveCampaign refuses this API key.", field="apiKey")
        return {"url": url.rstrip("/"), "account": "acme"}

    async def account_settle(self, connection_id):
        return await self.account_status(connection_id)

    async def account_status(self, connection_id):
        return self.accounts.get(connection_id) or account_status()

    async def account_backfill(self, connection_id, *, since=None, campaigns=None, dry_run=False):
        self.backfills.append((connection_id, since))
        return account_run("backfill")

    async def account_reconciliation(self, connection_id):
        return {"checkedAt": None, "since": None, "campaigns": self.campaigns}


class Website:
    """Starts, stops and starts again on the same address, with what it has stored."""

    def __init__(
        self,
        directory: Path,
        *,
        open_access: bool = False,
        registration: Registration | None = None,
        public_url: str = "",
    ) -> None:
        self.directory, self.open_access, self.registration = directory, open_access, registration
        self.line = Line()
        self.later_s = 0  # by how much the clock that judges the identity provider is ahead
        self.tables = duckdb.connect()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.public_url = public_url or self.url
        self.control = open_control(f"sqlite:///{directory / 'control.db'}", SECRET, passwords=CHEAP)
        self.workspace = self.control.workspaces.get()
        self._numbers = iter(range(1, 1_000_000))
        self.start()

    def start(self) -> None:
        ready: Future[None] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), daemon=True)
        self._thread.start()
        ready.result(timeout=30)

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(timeout=30)
        assert not self._thread.is_alive()

    def close(self) -> None:
        self.stop()
        self.control.close()
        self.tables.close()

    async def _serve(self, ready: "Future[None]") -> None:
        self.loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self.log = SegmentLog.open(self.directory / "log", disk_free_bytes_min=0, disk_reserved_bytes=0)
        self.volume = Volume(self.log, self.directory / "volume.db")
        http = GuardedHttp(Policy((ip_network("127.0.0.0/8"),)))
        messenger = Messenger(http, None, self.url)
        self.alerts = Alerts(self.control, Book(self.directory / "alerts.sqlite"), messenger, self.url)
        routes = pages.build(
            self.control,
            self.volume,
            Live(self.log),
            Live(self.log, Topic.REJECTED),
            self.line,
            Tables(self.tables),
            session_secret=SECRET,
            public_url=self.public_url,
            open_access=self.open_access,
            alerts=self.alerts,
            seen=Seen(self.directory),
            provider=Provider(self.registration, http, self._provider_clock) if self.registration else None,
        )
        config = uvicorn.Config(
            Starlette(routes=routes), port=self.port, log_level="error", timeout_graceful_shutdown=1, lifespan="off"
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server._serve())
        counting = asyncio.create_task(self.volume.run())
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        ready.set_result(None)
        await self._stopping.wait()
        server.should_exit = True
        await serving
        counting.cancel()
        with suppress(asyncio.CancelledError):
            await counting
        self.volume.close()
        self.alerts.book.close()
        await http.close()
        await self.log.close()

    def reject(self, source, *lines: dict[str, Any]) -> None:
        """Append rejections as the door writes them, and wait until they are durable and counted."""
        now = datetime.now(UTC)
        stamp = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        records = [Record("", msgspec.json.encode({"receivedAt": stamp, "count": 1, **line})) for line in lines]
        before = self.volume.summary(source.id, now).rejected
        append = self.log.append(Topic.REJECTED, source.id, now, records)
        asyncio.run_coroutine_threadsafe(append, self.loop).result(timeout=30)
        deadline = time.monotonic() + 30
        while self.volume.summary(source.id, now).rejected == before:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def token(self, role: str = "owner") -> str:
        return self.control.tokens.create(self.workspace.id, f"{role} token", role)[0]

    def _provider_clock(self) -> datetime:
        return now() + timedelta(seconds=self.later_s)

    def set_up_link(self) -> str:
        return f"/set-up?token={local_token.make(SECRET, now(), local_token.SET_UP)}"

    def owner(self, email: str = "ann@example.com", name: str = "Ann", password: str = "correct horse battery"):
        """Set Headwater up, as the first person does with the link."""
        link = local_token.make(SECRET, now(), local_token.SET_UP)
        return self.control.credentials.set_up(link, self.workspace.id, email, name, password)

    def source(self, slug: str = "activecampaign", type_: str = "activecampaign", name: str = "ActiveCampaign"):
        return self.control.sources.create(self.workspace.id, slug, type_, name=name)

    def account(self, source):
        """Connect an account to a source, as the pipeline role has checked it."""
        place = Place("https://acme.api-us1.com", "acme")
        return self.control.accounts.connect(self.workspace.id, place, api_key="k" * 72, source_id=source.id)

    def destination(self, source, name: str = "Order webhook"):
        settings = {"url": "https://example.com/hook"}
        return self.control.destinations.create(self.workspace.id, source.id, "webhook", name=name, settings=settings)

    def send(self, source, *events: dict[str, Any], ago: timedelta = timedelta(0)) -> None:
        """Append events as the door does and wait until they are durable and counted."""
        now = datetime.now(UTC) - ago
        records = []
        for event in events:
            number = next(self._numbers)
            stamp = (now + timedelta(milliseconds=number)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            body = {
                "messageId": f"message-{number:06}",
                "type": "track",
                "receivedAt": stamp,
                "timestamp": stamp,
                **event,
            }
            records.append(Record(body["messageId"], msgspec.json.encode(body)))
        append = self.log.append(Topic.EVENTS, source.id, now, records)
        asyncio.run_coroutine_threadsafe(append, self.loop).result(timeout=30)
        self.volume.catch_up(self.log.end(Topic.EVENTS))


def series(since: datetime, granularity: str) -> dict[str, Any]:
    """Return figures over time as the pipeline gives them."""
    length = {"minute": 60, "hour": 3600, "day": 86_400}[granularity]
    first = int(since.timestamp()) // length * length
    points = [
        {"at": datetime.fromtimestamp(at, UTC).isoformat(), **_figures((at // length) % 9 * 40)}
        for at in range(first, int(datetime.now(UTC).timestamp()) + 1, length)
    ]
    return {"granularity": granularity, "points": points, "totals": _figures(2_400)}


def _figures(count: int) -> dict[str, Any]:
    return {
        "received": count,
        "filtered": {"UNSUPPORTED_EVENT_TYPE": count // 10} if count else {},
        "deliveredFirstTry": count // 2,
        "deliveredOnRetry": count // 5,
        "retried": count // 5,
        "failed": count // 20,
        "discarded": 0,
        "p50S": 0.03,
        "p95S": 0.2,
        "p99S": 1.4,
    }


def replay_run(destination_id: str, **changes: Any) -> dict[str, Any]:
    """Return a replay as the pipeline tells of it."""
    run = {
        "id": 7,
        "destinationId": destination_id,
        "sourceId": "s1",
        "state": "running",
        "total": 12_000,
        "passed": 4_100,
        "selected": 900,
        "delivered": 860,
        "retrying": 30,
        "dead": 10,
        "filtered": {"NOT_SELECTED": 3_200},
        "ratePerS": 500.0,
        "startedAt": "2026-11-01T10:00:00+00:00",
        "finishedAt": None,
        "etaS": 42.0,
        "selection": {"event": "Email Opened", "userId": None, "since": "2026-10-01T00:00:00+00:00", "until": None},
    }
    return {**run, **changes}


def opened(number: int, event: str = "Email Opened", campaign: str = "Spring Launch") -> dict[str, Any]:
    """Return an email event like those of the ActiveCampaign source."""
    return {
        "event": event,
        "anonymousId": f"person{number}@example.com",
        "properties": {
            "campaign_id": "215",
            "campaign_name": campaign,
            "email_subject": f"{campaign} is here",
            "list_ids": ["3"],
            "is_machine_open": False,
            "score": number,
        },
        "context": {"traits": {"email": f"person{number}@example.com"}, "campaign": {"name": campaign}},
    }


def account_status(**changes: Any) -> dict[str, Any]:
    """Return what the worker says of an account that waits for its first event."""
    return {
        "state": "waiting",
        "message": "Ready, waiting for the first event.",
        "webhook": {
            "state": "ok",
            "id": "7",
            "address": "https://x/••••",
            "checkedAt": None,
            "repairs": 0,
            "message": "",
        },
        "lastEvent": None,
        "lag": {"inbox": 0, "oldestS": 0},
        "budget": {"perSecond": 5, "lastMinute": 12, "total": 12, "throttled": 0, "waiting": 0, "pausedS": 0},
        "identities": {"known": 3000, "withUserId": 2100, "fallbacks": 3},
        "backfill": None,
        "reconciliation": None,
        "warnings": [],
        **changes,
    }


def account_run(kind: str, **changes: Any) -> dict[str, Any]:
    """Return a run that is under way."""
    return {
        "id": f"run-{kind}",
        "kind": kind,
        "state": "running",
        "since": "2026-01-01T00:00:00+00:00" if kind == "backfill" else None,
        "campaigns": {"total": 40, "done": 13},
        "rows": 41_250,
        "filled": 40_800,
        "calls": 512,
        "etaS": 184,
        "startedAt": "2026-11-01T10:00:00+00:00",
        "endedAt": None,
        "message": "",
        **changes,
    }


def compared(name: str = "Spring Sale", number: int = 8) -> dict[str, Any]:
    """Return a campaign of the reconciliation report."""
    pair = {"activeCampaign": 2000, "headwater": 2000, "filled": 0, "why": ""}
    why = "3 are not in ActiveCampaign's report, which leaves out deleted contacts."
    opens = {"activeCampaign": 640, "headwater": 637, "filled": 13, "why": why}
    counts = dict.fromkeys(("bounces", "clicks", "unsubscribes", "delivered"), pair) | {"opens": opens}
    return {"id": str(number), "name": name, "equal": False, "counts": counts, "why": [f"opens: {why}"]}


def connection(destination, source, **changes: Any) -> dict[str, Any]:
    """Return the status of a healthy connection, as the pipeline gives it."""
    return {
        "destinationId": destination.id,
        "sourceId": source.id,
        "state": "active",
        "reason": "",
        "cursor": 1_000_000,
        "behind": 0,
        "read": 0,
        "deliveredFirstTry": 18_204,
        "deliveredOnRetry": 96,
        "filtered": {},
        "retrying": 0,
        "dead": 0,
        "dropped": 0,
        "missed": 0,
        "backlog": 0,
        "overtaken": 0,
        "heldBack": 0,
        "warnings": [],
        "lastError": None,
        "lastDeliveredAt": datetime.now(UTC).timestamp(),
        "p50S": 0.04,
        "p95S": 0.116,
        "p99S": 0.4,
        "pending": 0,
        **changes,
    }


def dead_letter(destination, source, number: int = 1, **changes: Any) -> dict[str, Any]:
    """Return a dead letter as the pipeline gives it."""
    now = datetime.now(UTC)
    return {
        "id": str(number),
        "destinationId": destination.id,
        "sourceId": source.id,
        "messageId": f"message-{number:06}",
        "type": "track",
        "event": "Email Opened",
        "attempts": 1,
        "firstAt": (now - timedelta(hours=2)).isoformat(),
        "diedAt": (now - timedelta(hours=1)).isoformat(),
        "reason": "HTTP 422",
        "status": 422,
        "advice": "The destination refuses its content: read its answer, then retry or discard.",
        "request": '{"type":"track","event":"Email Opened"}',
        "answer": '{"error":"unknown list"}',
        "body": {"type": "track", **opened(number)},
        **changes,
    }
