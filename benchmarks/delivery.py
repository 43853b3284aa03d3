"""What delivery costs and bears: throughput, isolation of destinations, memory under a backlog.

All sides share the machine with the receiver, so ratios are what to read. Prints a table and one JSON object.

    python benchmarks/delivery.py throughput [--events 20000]    rate, as a ratio to a bare loop
    python benchmarks/delivery.py isolation [--seconds 60] [--poisoned]
        lag of 17 good ones, without and with one that hangs, one that answers 500 and one that answers 429;
        --poisoned: of 15, with one whose code fails and one that fails at every hundredth event besides
    python benchmarks/delivery.py backlog [--events 1000000]     memory while one refuses, then catches up
"""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import json
import logging
import multiprocessing
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

import structlog
import uvloop

from headwater.budget import Budgets
from headwater.delivery.address import Policy
from headwater.delivery.connection import Connection, Rules
from headwater.delivery.engine import Delivery, build
from headwater.delivery.http import GuardedHttp
from headwater.delivery.rooms import Outside
from headwater.destinations.contract import Card, Delivered, Destination, Outcome, Retry, Room
from headwater.eventlog.contract import Topic
from headwater.eventlog.memory import MemoryLog
from headwater.eventlog.reader import SegmentReader
from headwater.eventlog.segments import SegmentLog
from headwater.ingest.server import collect_seldom
from headwater.spec.event import Event, Record

ANSWER = b'HTTP/1.1 200 OK\r\ncontent-length: 16\r\n\r\n{"success":true}'
BAD = {
    b"500": b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n",
    b"429": b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 30\r\ncontent-length: 0\r\n\r\n",
}
ALL = 20  # destinations
BAD_ONES = {"hang": "/hang", "500": "/500", "429": "/429"}  # kind: path
POISONED = {"raise": "", "poison": ""}
REQUEST = 100  # events that arrive together, with one `receivedAt`
ISOLATION_RATE = 40  # events a second, each to every destination
SLICE_S = 5.0  # of events, before the other side has its turn: what else the machine does hits both
IN_FLIGHT = Rules().in_flight


class Trivial(asyncio.Protocol):
    """Answers 200 to whatever has a content-length, unless its path is a status, or `hang`."""

    def __init__(self) -> None:
        self._seen = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each complete request."""
        self._seen += data
        while (end := self._seen.find(b"\r\n\r\n")) >= 0:
            head = self._seen[:end].lower()
            length = int(head.split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0])
            if len(self._seen) < end + 4 + length:
                return
            self._seen = self._seen[end + 4 + length :]
            status = head.split(b" ", 2)[1].removeprefix(b"/")
            if status != b"hang":
                self._transport.write(BAD.get(status, ANSWER))  # type: ignore[attr-defined]


def receive(pipe: Pipe) -> None:
    """Run the receiver in a process of its own; tell its port."""

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Trivial, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(run())


def events(count: int) -> list[Event]:
    """Return e-mail events of a typical size (about 700 bytes), of a thousand people."""
    made = []
    for number in range(count):
        if number % REQUEST == 0:
            at = datetime.now(UTC).isoformat()
        body = {
            "type": "track", "event": "Email Opened", "userId": f"u{number % 1000}", "messageId": f"m{number}",
            "timestamp": at, "receivedAt": at, "originalTimestamp": at, "sentAt": at,
            "properties": {"campaign_id": "12", "campaign_name": "Spring", "email_subject": "Hello", "list_id": "3"},
            "context": {"library": {"name": "activecampaign"}, "traits": {"email": f"p{number % 1000}@example.com"},
                        "userAgent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36", "ip": "192.0.2.1"},
            "integrations": {},
        }  # fmt: skip
        made.append(Event(number, "s1", json.dumps(body).encode(), body))
    return made


async def bare(http: GuardedHttp, kind: str, settings: dict[str, str], sent: Sequence[Event]) -> float:
    """Return events per second of the destination called in a loop: nothing read, remembered or settled."""
    _, destination = build(kind, settings, Outside(http, Path(), Budgets()).room())
    slices = [sent[start : start + destination.batch_max] for start in range(0, len(sent), destination.batch_max)]
    left = iter(slices)

    async def carry() -> None:
        for some in left:
            await destination.send(some)

    started = time.perf_counter()
    await asyncio.gather(*(carry() for _ in range(IN_FLIGHT)))
    return len(sent) / (time.perf_counter() - started)


async def engine(http: GuardedHttp, kind: str, settings: dict[str, str], sent: Sequence[Event]) -> float:
    """Return events per second from the log to a settled delivery."""
    log = MemoryLog()
    for start in range(0, len(sent), REQUEST):
        records = [Record(event.message_id, event.line) for event in sent[start : start + REQUEST]]
        await log.append(Topic.EVENTS, "s1", datetime.now(UTC), records)
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as state:
        delivery = Delivery(log, Path(state), Outside(http, Path(state), Budgets()))
        delivery.apply([Connection("d1", "s1", kind, "bench", enabled=True, settings=settings)])
        started = time.perf_counter()
        running = asyncio.create_task(delivery.run())
        while True:
            await asyncio.sleep(0.02)
            status = await delivery.status()
            if status and status[0].delivered_first_try == len(sent):
                break
        seconds = time.perf_counter() - started
        await delivery.stop()
        await running
    return len(sent) / seconds


async def measured(port: int, count: int) -> dict[str, object]:
    """Return the best of three runs of each, and their ratios."""
    url = f"http://127.0.0.1:{port}"
    http = GuardedHttp(Policy(networks=(ipaddress.ip_network("127.0.0.0/8"),)))
    results: dict[str, object] = {}
    kinds: list[tuple[str, str, dict[str, str], int]] = [
        ("single", "webhook", {"url": url, "secret": "whsec_" + "QUJD" * 10}, count),
        ("batched", "segment", {"url": url, "write_key": "key"}, count * 5),
    ]
    for name, kind, settings, many in kinds:
        sent = events(many)
        limit = max([await bare(http, kind, settings, sent) for _ in range(3)])
        ours = max([await engine(http, kind, settings, sent) for _ in range(3)])
        results[name] = {
            "events_per_s": round(ours),
            "bare_loop_events_per_s": round(limit),
            "ratio": round(ours / limit, 3),
            "engine_us_per_event": round(1e6 / ours - 1e6 / limit, 1),
        }
    await http.close()
    results["processor_us_a_delivery"] = {
        f"{connections}_connections": round(await fanned_out(count // 4, connections), 1) for connections in (1, 20)
    }
    return results


class Nothing:
    """A destination that has every event at once, so that only the engine's own work is left."""

    batch_max = REQUEST

    async def check(self) -> None:
        """Nothing is asked."""

    async def send(self, sent: Sequence[Event]) -> list[Outcome]:
        """Take the events."""
        return [Delivered()] * len(sent)


async def fanned_out(count: int, connections: int) -> float:
    """Return the engine's processor time in microseconds for each event at each connection of one source."""

    def builder(_: str, __: Mapping[str, Any], room: Room) -> tuple[Card, Destination]:
        return build("webhook", {"url": "https://example.com"}, room)[0], Nothing()

    log, sent = MemoryLog(), events(count)
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as state:
        http = GuardedHttp()
        delivery = Delivery(log, Path(state), Outside(http, Path(state), Budgets()), builder=builder)
        delivery.apply(
            [Connection(f"d{n}", "s1", "nothing", "bench", enabled=True, settings={}) for n in range(connections)]
        )
        running = asyncio.create_task(delivery.run())
        await asyncio.sleep(0.5)  # until all of them wait for events
        began_s = time.process_time()
        for start in range(0, count, REQUEST):
            records = [Record(event.message_id, event.line) for event in sent[start : start + REQUEST]]
            await log.append(Topic.EVENTS, "s1", datetime.now(UTC), records)
            await asyncio.sleep(0.01)
        while any(status.delivered_first_try < count for status in await delivery.status()):  # noqa: ASYNC110 - the engine tells of no delivery
            await asyncio.sleep(0.1)
        seconds = time.process_time() - began_s
        await delivery.stop()
        await running
        await http.close()
    return 1e6 * seconds / (count * connections)


class Timed:
    """A destination that keeps how late each event was delivered, and fails as it is told.

    Args of the constructor:
        inner: what delivers.
        lags: where the seconds are kept; None for a bad one.
        fault: "raise" on every event, "poison" on every hundredth.
    """

    batch_max = 1

    def __init__(self, inner: Destination, lags: list[float] | None, fault: str = "") -> None:
        self._inner, self._lags, self._fault = inner, lags, fault

    async def check(self) -> None:
        """Nothing is asked."""

    async def send(self, sent: Sequence[Event]) -> list[Outcome]:
        """Deliver one event."""
        if self._fault == "raise":
            raise KeyError
        if self._fault == "poison" and sent[0].seq % 100 == 0:
            return [Retry("HTTP 500", 500)]
        outcomes = await self._inner.send(sent)
        if self._lags is not None:
            self._lags.append(time.time() - datetime.fromisoformat(sent[0].body["receivedAt"]).timestamp())
        return outcomes


async def lags_of_good(http: GuardedHttp, url: str, seconds: float, good: int, bad: Mapping[str, str]) -> list[float]:
    """Return how late every event of the good destinations was, in seconds."""
    lags: list[float] = []

    def builder(kind: str, settings: Mapping[str, Any], room: Room) -> tuple[Card, Destination]:
        card, destination = build("webhook", settings, room)
        return card, Timed(destination, lags if kind == "good" else None, kind)

    kinds = [("good", url)] * good + [(kind, f"{url}{path}") for kind, path in bad.items()]
    log = MemoryLog()
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as state:
        outside = Outside(http, Path(state), Budgets())
        delivery = Delivery(log, Path(state), outside, builder=builder, rules=Rules(drain_s=0.5))
        delivery.apply(
            [Connection(f"d{n}", "s1", kind, kind, True, {"url": to}) for n, (kind, to) in enumerate(kinds)]  # noqa: FBT003
        )
        running = asyncio.create_task(delivery.run())
        count = int(seconds * ISOLATION_RATE)
        for event in range(count):
            (made,) = events(1)
            line = json.dumps({**made.body, "messageId": f"m{event}", "userId": f"u{event % 50}"}).encode()
            await log.append(Topic.EVENTS, "s1", datetime.now(UTC), [Record(f"m{event}", line)])
            await asyncio.sleep(1 / ISOLATION_RATE)
        while len(lags) < count * good:  # noqa: ASYNC110 - a list has no event to wait for
            await asyncio.sleep(0.05)
        await delivery.stop()
        await running
    return lags


async def isolation(port: int, seconds: float, *, poisoned: bool) -> dict[str, object]:
    """Return the p99 lag of good destinations alone and beside bad ones, in turn, so that both see the same machine."""
    http = GuardedHttp(Policy(networks=(ipaddress.ip_network("127.0.0.0/8"),)))
    url = f"http://127.0.0.1:{port}"
    bad = BAD_ONES | (POISONED if poisoned else {})
    good = ALL - len(bad)
    lags: dict[bool, list[float]] = {False: [], True: []}
    cpu_s = {False: 0.0, True: 0.0}
    ratios: list[float] = []
    # Not counted: whoever goes first opens the client's connections, which would be taken for its lag.
    await lags_of_good(http, url, 2.0, good, bad)
    for pair in range(max(2, round(seconds / (2 * SLICE_S)))):
        p99_s: dict[bool, float] = {}
        for with_bad in ((False, True), (True, False))[pair % 2]:
            began_s = time.process_time()
            found = await lags_of_good(http, url, SLICE_S, good, bad if with_bad else {})
            cpu_s[with_bad] += time.process_time() - began_s
            lags[with_bad] += found
            p99_s[with_bad] = statistics.quantiles(found, n=100)[98]
        ratios.append(p99_s[True] / p99_s[False])
    await http.close()
    alone_s, beside_s = (statistics.quantiles(lags[with_bad], n=100) for with_bad in (False, True))
    return {
        "good": good, "bad": list(bad), "deliveries": len(lags[True]),
        "p50_alone_ms": round(alone_s[49] * 1e3, 1), "p50_beside_bad_ms": round(beside_s[49] * 1e3, 1),
        "p99_alone_ms": round(alone_s[98] * 1e3, 1), "p99_beside_bad_ms": round(beside_s[98] * 1e3, 1),
        "ratio_median_of_pairs": round(statistics.median(ratios), 3),
        "ratio_of_each_pair": [round(ratio, 3) for ratio in ratios],
        "processor_time_ratio": round(cpu_s[True] / cpu_s[False], 3),
    }  # fmt: skip


def rss_mb() -> float:
    """Return the resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def fill(directory: Path, count: int) -> None:
    """Store events that arrived six hours ago in a segment log."""
    log = SegmentLog.open(directory, disk_free_bytes_min=0, disk_reserved_bytes=0)
    at = datetime.now(UTC) - timedelta(hours=6)
    template = events(1)[0].body | {"receivedAt": at.isoformat()}
    for first in range(0, count, 1000):
        made = [{**template, "messageId": f"m{n}", "userId": f"u{n % 1000}"} for n in range(first, first + 1000)]
        await log.append(Topic.EVENTS, "s1", at, [Record(one["messageId"], json.dumps(one).encode()) for one in made])
    await log.close()


async def backlog(port: int, count: int) -> dict[str, object]:
    """Return resident memory before, while a destination refuses everything, and while it catches up."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as where:
        filling = multiprocessing.get_context("spawn").Process(target=fill_beside, args=(where, count))
        filling.start()
        await asyncio.to_thread(filling.join)
        http = GuardedHttp(Policy(networks=(ipaddress.ip_network("127.0.0.0/8"),)))
        delivery = Delivery(SegmentReader(Path(where) / "log"), Path(where), Outside(http, Path(where), Budgets()))
        seen = {"before": [rss_mb()], "refusing": [], "catching_up": []}
        running = asyncio.create_task(delivery.run())
        for name, path in (("refusing", "/500"), ("catching_up", "")):
            settings = {"url": f"http://127.0.0.1:{port}{path}", "write_key": "key"}
            delivery.apply([Connection("d1", "s1", "segment", "bench", True, settings, revision=name)])  # noqa: FBT003
            for _ in range(40):
                await asyncio.sleep(0.5)
                seen[name].append(rss_mb())
        (status,) = await delivery.status()
        await delivery.stop()
        await running
        await http.close()
    done = status.delivered_first_try + status.delivered_on_retry
    figures = {f"rss_{name}_mb_max": round(max(values), 1) for name, values in seen.items()}
    return {"events": count, "delivered": done, "left": status.backlog + status.behind, **figures}


def fill_beside(where: str, count: int) -> None:
    """Fill the log in a process of its own, whose memory does not count."""
    asyncio.run(fill(Path(where) / "log", count))


def table(results: Mapping[str, object]) -> str:
    """Return the figures as lines, groups one after the other."""
    lines: list[str] = []
    for name, value in results.items():
        if isinstance(value, dict):
            lines += [name, *(f"  {line}" for line in table(value).splitlines())]
        else:
            lines.append(f"{name:<28}{value}")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", default="throughput", choices=["throughput", "isolation", "backlog"])
    parser.add_argument("--events", type=int)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--poisoned", action="store_true")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    here, there = multiprocessing.Pipe()
    receiver = multiprocessing.get_context("spawn").Process(target=receive, args=(there,), daemon=True)
    receiver.start()
    collect_seldom()  # as every serving process of Headwater does
    port = here.recv()
    runs = {
        "throughput": lambda: measured(port, arguments.events or 20_000),
        "isolation": lambda: isolation(port, arguments.seconds, poisoned=arguments.poisoned),
        "backlog": lambda: backlog(port, arguments.events or 1_000_000),
    }
    results = uvloop.run(runs[arguments.what]())
    receiver.terminate()
    shown = {"machine": f"{os.cpu_count()} cores, Python {platform.python_version()}", arguments.what: results}
    print(table(shown))
    print(json.dumps(shown, indent=2))


if __name__ == "__main__":
    main()
