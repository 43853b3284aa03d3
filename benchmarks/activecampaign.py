"""The ActiveCampaign source at work: history read back, history mapped, webhooks while contacts are looked up.

    python benchmarks/activecampaign.py backfill [--occurrences 1000000] [--report-page 100] [--api-per-s 5]
    python benchmarks/activecampaign.py map [--rows 1000000]
    python benchmarks/activecampaign.py webhooks [--rate 200] [--seconds 60]

Each prints one JSON object. The account is `headwater simulate activecampaign`, a program of its own that speaks HTTP
only; its side costs processor time of the same machine, so that it is named beside ours.

`backfill` connects an account whose history is over and reads it through the API. It stands beside the fewest calls
that the reports and the contacts can be read with, and the seconds that these take at five a second. The warehouse is
compared with what happened, occurrence by occurrence.

`map` is the same history without the account: prepared reports go through inbox, ledger and log of this process. It
stands beside the bare reading of the same reports.

`webhooks` sends clicks of people of whom nobody has heard before, and as many calls of the Tracking API beside them:
who they are is asked of the account meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import duckdb
import structlog
import uvloop

from headwater.app.bench import machine, processes
from headwater.app.bench.parts import Figures, Part
from headwater.app.bench.percentiles import percentiles_ms
from headwater.app.bench.service import Service
from headwater.eventlog.contract import Topic
from headwater.eventlog.cursors import Cursors
from headwater.eventlog.segments import SegmentLog
from headwater.ingest.inbox import InboxMapper
from headwater.sources.activecampaign.mapping import drafts
from headwater.sources.activecampaign.memory.ledger import Ledger
from headwater.sources.activecampaign.memory.remembering import OccurrenceMemory
from headwater.sources.activecampaign.people.identities import Identities
from headwater.sources.activecampaign.people.notes import CampaignNotes
from headwater.sources.activecampaign.records import ROWS_MAX, CampaignNote, Person, Report, ReportRecord, Row, encode
from headwater.sources.contract import Origin, Webhook

CALLS_PER_S = 5
CONTACTS_A_CALL = 100
CAMPAIGNS_A_CALL = 100
PER_RECIPIENT = 1.54  # of the simulated account: occurrences that its reports show, for each email sent
ROWS_PER_RECIPIENT = 1.05  # who opened stands in one report, who did not in another; some clicked, few left
RECIPIENTS_MAX = 25_000  # of one campaign
TABLES = {
    "delivered": "email_delivered",
    "open": "email_opened",
    "click": "email_link_clicked",
    "bounce": "email_bounced",
    "unsubscribe": "email_unsubscribed",
    "complaint": "email_marked_as_spam",
}
REPORT_OF = {
    "delivered": "unopen",
    "open": "open",
    "click": "link",
    "bounce": "bounce",
    "unsubscribe": "unsubscription",
}
SLUG = "activecampaign"


def say(text: str) -> None:
    """Tell whoever waits."""
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", file=sys.stderr, flush=True)


class Simulator:
    """A simulated account whose history is over; ends with its block."""

    KEY = "simulated-key"

    def __init__(self, **options: object) -> None:
        """Take its options by name."""
        self._options = {"history": "past", "live_campaigns": 0, **options}
        self.url = ""
        self.pid = 0

    def __enter__(self) -> Self:
        options = [text for name, value in self._options.items() for text in (f"--{name.replace('_', '-')}", value)]
        command = [sys.executable, "-m", "headwater", "simulate", "activecampaign", "--port", 0, *options]
        self._process = subprocess.Popen([str(each) for each in command], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        line = self._process.stdout.readline()
        self.url = next(word for word in line.split() if word.startswith("http://")).rstrip(".")
        self.pid = self._process.pid
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

    def get(self, path: str) -> Any:
        """Return what it answers."""
        request = urllib.request.Request(self.url + path, headers={"api-token": self.KEY})  # noqa: S310 - our own
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.loads(answer.read())

    def truth(self) -> Iterator[dict[str, Any]]:
        """Yield everything that happened."""
        with urllib.request.urlopen(f"{self.url}/truth", timeout=600) as answer:  # noqa: S310
            for line in answer:
                yield json.loads(line)


@dataclass
class Truth:
    """What the reports of an account show: each occurrence once, named by a number, so that a million fit in memory."""

    seen: dict[str, set[int]] = field(default_factory=lambda: {kind: set() for kind in TABLES})
    rows: Counter[tuple[int, str]] = field(default_factory=Counter)
    contacts: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, simulator: Simulator) -> Self:
        """Read the account's own account of itself."""
        truth = cls()
        for each in simulator.truth():
            link = each["link_id"] if each["kind"] == "click" else 0
            key = _key(each["campaign_id"], each["contact_id"], link)
            if each["reported"] and key not in truth.seen[each["kind"]]:
                truth.seen[each["kind"]].add(key)
                truth.contacts.add(each["contact_id"])
                if each["kind"] in REPORT_OF:
                    truth.rows[each["campaign_id"], each["kind"]] += 1
        for campaign_id, kind in [*truth.rows]:
            if kind == "open":  # the report of those who did not open names the rest
                truth.rows[campaign_id, "delivered"] -= truth.rows[campaign_id, "open"]
        return truth

    def calls_min(self, report_page: int) -> int:
        """Return the fewest calls: the list of campaigns, each page of each report that has rows, each contact once."""
        campaigns = len({campaign_id for campaign_id, _ in self.rows})
        pages = sum(math.ceil(count / (report_page or count)) for count in self.rows.values() if count > 0)
        return math.ceil(campaigns / CAMPAIGNS_A_CALL) + pages + math.ceil(len(self.contacts) / CONTACTS_A_CALL)

    def compared(self, views: Path) -> Figures:
        """Return, by kind, how many rows the warehouse has, and what is missing, twice, or never happened."""
        found: Figures = {}
        with duckdb.connect(str(views), read_only=True) as connection:
            there = {
                row[0] for row in connection.execute("select table_name from information_schema.tables").fetchall()
            }
            for kind, table in TABLES.items():
                link = "coalesce(link_id, '0')" if kind == "click" else "'0'"
                sql = f"select campaign_id, contact_id, {link} from {SLUG}.{table}"
                cursor = connection.execute(sql) if table in there else None
                count, keys = 0, set[int]()
                while cursor and (rows := cursor.fetchmany(10_000)):
                    count += len(rows)
                    keys.update(_key(*(int(text) for text in row)) for row in rows)
                wanted = self.seen[kind]
                found[kind] = {
                    "happened": len(wanted),
                    "rows": count,
                    "missing": len(wanted - keys),
                    "twice": count - len(keys),
                    "never_happened": len(keys - wanted),
                }
        return found


def _key(campaign_id: int, contact_id: int, link_id: int) -> int:
    return (campaign_id << 64) | (contact_id << 32) | link_id


def connect(service: Service, simulator: Simulator, settings: dict[str, Any] | None = None) -> str:
    """Connect the account to a source of its own; return the path of the connection."""
    source = service.api.source(SLUG, SLUG, "ActiveCampaign")
    wanted = {"accountUrl": simulator.url, "apiKey": simulator.KEY, "writeKey": source["writeKeys"][0]}
    made = service.api.call("POST", "/activecampaign/connections", {**wanted, "settings": settings or {}})
    return f"/activecampaign/connections/{made['connection']['id']}"


def used(sampler: processes.Sampler) -> Figures:
    """Return memory and processor time of each process; `rss_mb_growth` is near 0 for what is flat in the end."""
    kept = ("rss_mb_first", "rss_mb_max", "rss_mb_growth")
    return {
        name: {**{key: each[key] for key in kept}, "cpu_s": round(sampler.cpu[name], 1)}
        for name, each in sampler.figures().items()
    }


def backfill(directory: Path, arguments: argparse.Namespace) -> Figures:
    """Read an account's history back."""
    emails = arguments.occurrences / PER_RECIPIENT
    campaigns = max(2, math.ceil(emails / RECIPIENTS_MAX))
    recipients = math.ceil(emails / campaigns)
    account = {
        "contacts": recipients * 5 // 4,
        "recipients": recipients,
        "history_campaigns": campaigns,
        "history_days": 3 * campaigns,  # the last one is older than the hold of a delivery
        "report_page": arguments.report_page,
        "api_rate": arguments.api_per_s,
    }
    say(f"backfill: {campaigns} campaigns to {recipients:,} each")
    with Simulator(**account) as simulator, Service(directory) as service:
        truth = Truth.of(simulator)
        say(f"backfill: {sum(map(len, truth.seen.values())):,} occurrences")
        with processes.Sampler({**service.pids, "simulator": simulator.pid}) as sampler:
            began = time.monotonic()
            connection = connect(service, simulator)
            service.api.call("POST", f"{connection}/backfill", {})
            run = _ended(service, connection)
            read_s = time.monotonic() - began
            service.sync()
            queryable_s = time.monotonic() - began
        status = service.api.call("GET", connection)["connection"]
        asked = simulator.get("/progress")["api"]
        compared = truth.compared(service.views)
    calls_min = truth.calls_min(arguments.report_page)
    return {
        "account": account,
        "occurrences": sum(map(len, truth.seen.values())),
        "contacts": len(truth.contacts),
        "rows": run["rows"],
        "duration_s": round(read_s, 1),
        "queryable_after_s": round(queryable_s, 1),
        "calls": asked["calls"],
        "calls_minimum": calls_min,
        "calls_ratio": round(asked["calls"] / calls_min, 3),
        "calls_throttled": asked["throttled"],
        "calls_per_s": round(asked["calls"] / read_s, 2),
        "seconds_minimum": round(calls_min / CALLS_PER_S, 1),
        "seconds_ratio": round(read_s / (calls_min / CALLS_PER_S), 3),
        "warehouse": compared,
        "is_whole": run["state"] == "done"
        and not any(each[what] for each in compared.values() for what in ("missing", "twice", "never_happened")),
        "inbox_lag": status["lag"],
        "run": {key: run[key] for key in ("state", "filled", "calls", "message")},
        "processes": used(sampler),
    }


def _ended(service: Service, connection: str) -> dict[str, Any]:
    """Return the back-fill once it is over."""
    told = 0.0
    while True:
        runs = service.api.call("GET", f"{connection}/runs")["runs"]
        run = next(dict(each) for each in runs if each["kind"] == "backfill")
        if run["state"] not in {"waiting", "running"}:
            return run
        if time.monotonic() - told > 30:
            told = time.monotonic()
            say(f"backfill: {run['rows']:,} rows, {run['calls']:,} calls, {run['etaS']} s left")
        time.sleep(0.5)


class MadeUpReports:
    """Reports of campaigns to up to 25,000 people, the rows of each in the proportion of the simulated account."""

    SHARES = ((Report.OPENS, 0.48), (Report.CLICKS, 0.05), (Report.BOUNCES, 0.015), (Report.UNSUBSCRIBES, 0.002))

    def __init__(self, rows: int) -> None:
        """Take how many rows there shall be, at least."""
        self._campaigns = math.ceil(rows / ROWS_PER_RECIPIENT / RECIPIENTS_MAX)
        self._recipients = math.ceil(rows / ROWS_PER_RECIPIENT / self._campaigns)
        self._sent_at = datetime.now(UTC) - timedelta(days=400)
        self.rows = 0
        self.prepared_s = 0.0

    def bodies(self) -> Iterator[bytes]:
        """Yield inbox records of one report after the other."""
        people, shares = self._recipients, dict(self.SHARES)
        opened, left = round(people * shares[Report.OPENS]), people - round(people * shares[Report.BOUNCES])
        for campaign in range(1, self._campaigns + 1):
            for report, share in self.SHARES:
                first, last = (left, people) if report is Report.BOUNCES else (0, round(people * share))
                yield from self._records(campaign, report, first, last)
            yield from self._records(campaign, Report.RECIPIENTS, opened, left)

    def _records(self, campaign: int, report: Report, first: int, last: int) -> Iterator[bytes]:
        sent_at = self._sent_at + timedelta(days=campaign)
        note = CampaignNote(
            str(campaign), f"Weekly #{campaign}", "single", "5", str(campaign), "News", sent_at.isoformat()
        )
        for start in range(first, last, ROWS_MAX):
            began = time.perf_counter()
            numbers = range(start, min(start + ROWS_MAX, last))
            rows = tuple(self._row(report, number, sent_at) for number in numbers)
            people = {row.contact_id: Person(f"user-{row.contact_id}", "account") for row in rows[::2]}
            people |= {row.contact_id: Person("", "email") for row in rows[1::2]}
            body = encode(ReportRecord(report, note, rows, run="bench", people=people))
            self.rows += len(rows)
            self.prepared_s += time.perf_counter() - began
            yield body

    def _row(self, report: Report, number: int, sent_at: datetime) -> Row:
        id_, mail = str(number + 1), f"person.{number + 1}@example.com"
        at = f"{sent_at + timedelta(seconds=number):%Y-%m-%d %H:%M:%S}"
        match report:
            case Report.CLICKS:
                return Row(id_, mail, at, link_id="7", link_url="https://shop.example.com/p/tea?utm_source=newsletter")
            case Report.BOUNCES:
                return Row(id_, mail, at[:10], kind="hard", code="5.1.1", reason="mailbox unknown")
            case Report.RECIPIENTS:
                return Row(id_, mail)
            case _:
                return Row(id_, mail, at)


def rss_mb() -> float:
    """Return the memory that this process has in RAM."""
    return round(processes.rss_mb(os.getpid()), 1)


async def mapped(directory: Path, rows: int) -> Figures:
    """Put prepared reports into the inbox and return what mapping them took."""
    log = SegmentLog.open(directory / "log")
    ledger, identities = Ledger(directory / "ledger.sqlite"), Identities(directory / "identities.sqlite")
    notes = CampaignNotes(directory / "notes.sqlite")
    memory = OccurrenceMemory(ledger, identities, notes)
    mapper = InboxMapper(log, log, Cursors(directory / "cursors.db"), lambda _: (memory, {}))
    reports, memory_mb = MadeUpReports(rows), [rss_mb()]
    running = asyncio.create_task(mapper.run())
    began, cpu_before = time.perf_counter(), time.process_time()
    bodies = reports.bodies()
    step = max(rows // 20, 1)
    while some := await asyncio.to_thread(lambda: list(islice(bodies, 10))):
        await mapper.deposit(SLUG, some)
        if reports.rows >= step * len(memory_mb):
            memory_mb.append(rss_mb())
            say(f"map: {reports.rows:,} rows, {memory_mb[-1]:g} MB")
    await mapper.drain(log.end(Topic.INBOX))
    elapsed, cpu_s = time.perf_counter() - began, time.process_time() - cpu_before
    memory_mb.append(rss_mb())
    counts = mapper.counts
    await mapper.stop()
    await running
    await log.close()
    for store in (ledger, identities, notes):
        store.close()
    return {
        "rows": reports.rows,
        "events": counts.events,
        "quarantined": sum(counts.quarantined.values()),
        "duplicates": counts.duplicates,
        "is_whole": counts.events >= reports.rows and not counts.quarantined,
        "seconds": round(elapsed, 1),
        "rows_per_s": round(reports.rows / elapsed),
        "cpu_s": round(cpu_s, 1),
        "preparing_s": round(reports.prepared_s, 1),
        "rss_mb": memory_mb,
        "rss_mb_max": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


def mapping(directory: Path, arguments: argparse.Namespace) -> Figures:
    """Map reports beside their bare reading."""
    found = uvloop.run(mapped(directory, arguments.rows))
    reports, at = MadeUpReports(min(arguments.rows, 50_000)), datetime.now(UTC)
    webhooks = [Webhook(seq, SLUG, at, "", body, Origin.REPORT) for seq, body in enumerate(reports.bodies())]
    began = time.perf_counter()
    for webhook in webhooks:
        drafts.read(webhook, {})
    limit = reports.rows / (time.perf_counter() - began)
    ledger_mb = sum(each.stat().st_size for each in directory.glob("ledger.sqlite*")) / 1e6
    found["ledger_mb"] = round(ledger_mb, 1)
    return {**found, "bare_reading_rows_per_s": round(limit), "ratio": round(found["rows_per_s"] / limit, 3)}


def webhooks(directory: Path, arguments: argparse.Namespace) -> Figures:
    """Send webhooks of people who are not known yet, at a steady rate."""
    rate, seconds = arguments.rate, arguments.seconds
    count = int(rate * seconds)
    # Contacts are also read through from the first id on, five hundred a second at most: it must not get to ours.
    before = int(1.25 * CONTACTS_A_CALL * CALLS_PER_S * (seconds + 5))
    account = {"first_campaign": 417, "history_campaigns": 1, "recipients": 1_000, "contacts": before + count}
    with Simulator(**account) as simulator, Service(directory) as service:
        connection = connect(service, simulator)
        (hook,) = simulator.get("/api/3/webhooks")["webhooks"]
        write_key, calls_before = service.source("website"), simulator.get("/progress")["api"]["calls"]
        deadline_s = seconds + arguments.patience_s
        with (
            Part("watcher", views=str(service.views), count=count, deadline_s=deadline_s) as watcher,
            processes.Sampler({**service.pids, "simulator": simulator.pid}) as sampler,
        ):
            watcher.told()
            sent = {"seconds": seconds, "rate": rate, "webhook_path": urlsplit(hook["url"]).path}
            say(f"webhooks: {rate:g} a second for {seconds:g} seconds")
            with Part("steady", port=service.port, write_key=write_key, contacts_from=before + 1, **sent) as steady:
                due, answers = steady.told()["began"], steady.told()
            rows = watcher.told()
        status = service.api.call("GET", connection)["connection"]
        asked = simulator.get("/progress")["api"]
    found: Figures = {"rate_per_s": rate, "seconds": seconds}
    for name in ("webhook", "track"):
        late = [at - (due[name] + int(number) / rate) for number, at in rows[name].items()]
        found[name] = {
            "answer": answers[name],
            "queryable": percentiles_ms(late),
            "lost": count - len(rows[name]),
        }
    return {
        **found,
        "is_whole": not any(found[name]["lost"] + found[name]["answer"]["failed"] for name in rows),
        "calls": asked["calls"] - calls_before,
        "calls_throttled": asked["throttled"],
        "identities": status["identities"],
        "budget": status["budget"],
        "inbox_lag": status["lag"],
        "processes": used(sampler),
    }


def asked() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    modes = parser.add_subparsers(required=True, dest="mode")
    mode = modes.add_parser("backfill")
    mode.set_defaults(measure=backfill)
    mode.add_argument("--occurrences", type=int, default=1_000_000)
    mode.add_argument("--report-page", type=int, default=100, help="rows of a page of a report; 0 for all at once")
    mode.add_argument("--api-per-s", type=float, default=CALLS_PER_S, help="what the account takes; 0 for any number")
    mode = modes.add_parser("map")
    mode.set_defaults(measure=mapping)
    mode.add_argument("--rows", type=int, default=1_000_000)
    mode = modes.add_parser("webhooks")
    mode.set_defaults(measure=webhooks)
    mode.add_argument("--rate", type=float, default=200.0)
    mode.add_argument("--seconds", type=float, default=60.0)
    mode.add_argument("--patience-s", type=float, default=30.0, help="how long the last rows are waited for")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    arguments = asked()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    directory = Path(tempfile.mkdtemp(prefix="headwater-bench-", dir=os.environ.get("BENCH_DIR")))
    try:
        with processes.Others() as others:
            found = arguments.measure(directory, arguments)
        about = {"machine": machine.machine(directory), "program": machine.program(), "others_cores": others.cores}
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    print(json.dumps({**about, arguments.mode: found}, indent=2))
    sys.exit(0 if found["is_whole"] else 1)


if __name__ == "__main__":
    main()
