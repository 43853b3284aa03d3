"""Durable accept over HTTP, beside the same server that stores nothing, one that only answers, and a bare JSON split.

    python benchmarks/accept.py [--seconds 5] [--connections 64] [--rounds 3] [--directory DIR]

Prints JSON. Server and load generator are processes of their own; keep-alive, no pipelining, each event has an id of
its own. `ratio` is durable by storing nothing, of the medians of alternating rounds, so that a busy machine slows both;
`cpu_ratio` compares the processor time of the two servers, which a busy machine changes least.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import uvloop

from headwater.clock import now
from headwater.eventlog.contract import Appended, Topic
from headwater.eventlog.segments import SegmentLog
from headwater.ingest.answers import SUCCESS, reply
from headwater.ingest.collector import Collector
from headwater.ingest.directory import SourceRef
from headwater.ingest.rejections import Rejections
from headwater.ingest.server import serve
from headwater.spec.event import Record

KEY: Final = "b" * 32
BATCH: Final = 100
MODES: Final = ("durable", "nothing", "bare")
EVENT: Final = {
    "type": "track",
    "messageId": "ID",
    "userId": "user-20931",
    "anonymousId": None,
    "event": "Email Link Clicked",
    "timestamp": "2026-11-23T11:59:59.152Z",
    "context": {
        "library": {"name": "analytics-python", "version": "2.3.4"},
        "traits": {"email": "person.20931@example.com"},
        "ip": "203.0.113.61",
        "userAgent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    },
    "properties": {
        "campaign_id": "417",
        "campaign_name": "November newsletter",
        "link_id": "9981",
        "link_url": "https://shop.example.com/products/shoes?utm_source=newsletter",
        "email_subject": "Shoes for the winter",
        "total": 129.95,
    },
    "integrations": {},
}


def main() -> None:
    """Run one of the processes, or all of them and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--directory", type=Path, help="where the durable log is written; a temporary one by default")
    parser.add_argument("--serve", choices=MODES, help=argparse.SUPPRESS)
    parser.add_argument("--load", type=int, metavar="PORT", help=argparse.SUPPRESS)
    parser.add_argument("--events", type=int, default=1, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        uvloop.run(serve_mode(options.serve, options.directory))
    elif options.load:
        print(json.dumps(uvloop.run(Load(options).run())))
    else:
        print(json.dumps(measure(options), indent=2))


class Directory:
    """One source."""

    source = SourceRef("bench", "bench", enabled=True)

    def by_write_key(self, write_key: str) -> SourceRef | None:
        """Return the source."""
        return self.source if write_key == KEY else None

    def by_webhook_secret(self, _secret: str) -> None:
        """Return nothing: no webhooks come."""

    def settings_document(self, _write_key: str) -> None:
        """Return nothing: no browsers come."""


class Nowhere:
    """An appender that stores nothing: the limit of what any log could reach behind this server."""

    async def append(
        self,
        _topic: Topic,
        _source_id: str,
        _received_at: datetime,
        records: Sequence[Record],
        *,
        reserved: bool = False,  # noqa: ARG002 - the contract's name
    ) -> Appended:
        """Say that all was stored."""
        return Appended(0, len(records))


async def only_answer(scope: Any, receive: Any, send: Any) -> None:
    """Read a body and answer 200: the limit of the server itself."""
    while (await receive()).get("more_body"):
        pass
    await reply(send, SUCCESS, scope)


async def serve_mode(mode: str, directory: Path) -> None:
    """Serve one mode until the process is ended."""

    def on_ready(_host: str, port: int) -> None:
        print(port, flush=True)

    if mode == "bare":
        await serve(only_answer, on_ready=on_ready)
        return
    log: Any = SegmentLog.open(directory) if mode == "durable" else Nowhere()
    rejections = Rejections(log, clock=now)
    collector = Collector(log, Directory, rejections, clock=now, fallback=only_answer)
    await serve(collector, on_ready=on_ready)


class Load:
    """Connections that each send the next request once the answer to the last one is there."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.port, self.seconds, self.connections = options.load, options.seconds, options.connections
        self.events = options.events
        self.run_id = time.time_ns()
        self.numbers = itertools.count()
        self.parts = request_parts(self.events)
        self.suffixes = [b"%04x" % item for item in range(self.events)]
        self.latencies: list[float] = []
        self.failed = self.answered = 0
        self.ends_at = 0.0

    async def run(self) -> dict[str, Any]:
        """Return the rate and the latencies after a short warm-up."""
        loop = asyncio.get_running_loop()
        warm = loop.time() + min(1.0, self.seconds / 4)
        self.ends_at = warm + self.seconds
        senders = [
            loop.create_connection(lambda: Sender(self, loop), "127.0.0.1", self.port) for _ in range(self.connections)
        ]
        opened = await asyncio.gather(*senders)
        await asyncio.sleep(warm - loop.time())
        self.latencies.clear()
        begun = loop.time()
        await asyncio.sleep(self.ends_at - loop.time())
        elapsed, latencies = loop.time() - begun, sorted(self.latencies)
        for transport, _ in opened:
            transport.close()
        return {
            "events_per_s": round(len(latencies) * self.events / elapsed),
            "p50_ms": round(latencies[len(latencies) // 2] * 1000, 2),
            "p99_ms": round(latencies[len(latencies) * 99 // 100] * 1000, 2),
            "failed": self.failed,
            "events": self.answered * self.events,
        }

    def request(self) -> bytes:
        """Return the next request, every id in it new."""
        number = next(self.numbers)
        stem = b"%016x-%08x-" % (self.run_id, number)
        pieces = [b""] * (2 * self.events + 1)
        pieces[0::2] = self.parts
        pieces[1::2] = [stem + suffix for suffix in self.suffixes]
        return b"".join(pieces)


class Sender(asyncio.Protocol):
    """One connection."""

    def __init__(self, load: Load, loop: asyncio.AbstractEventLoop) -> None:
        self.load, self.loop = load, loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self.transport: Any = transport
        self.send()

    def send(self) -> None:
        """Send a request and note when."""
        body = self.load.request()
        self.since = time.perf_counter()
        self.transport.write(body)

    def data_received(self, data: bytes) -> None:
        """Take a whole answer: it is short, and comes in one or two pieces."""
        if b"success" not in data and b"\r\n\r\n" not in data:
            return
        if not data.endswith(b"}"):
            return
        self.load.latencies.append(time.perf_counter() - self.since)
        self.load.answered += 1
        if b'"success": true}' not in data:
            self.load.failed += 1
        if self.loop.time() < self.load.ends_at:
            self.send()


def request_parts(events: int) -> list[bytes]:
    """Return a request cut where its ids stand; what comes after the last id is a part before an empty one."""
    event = json.dumps(EVENT, separators=(",", ":"))
    if events == 1:
        body = f'{{"writeKey":"{KEY}","sentAt":"2026-11-23T11:59:59.169Z",{event[1:]}'
        path = "/v1/track"
    else:
        items = ",".join([event] * events)
        body = f'{{"writeKey":"{KEY}","sentAt":"2026-11-23T11:59:59.169Z","batch":[{items}]}}'
        path = "/v1/batch"
    id_bytes = len(b"%016x-%08x-%04x" % (time.time_ns(), 0, 0)) - len("ID")
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: analytics-python/2.3.4\r\nAccept: */*\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body) + events * id_bytes}\r\n\r\n"
    )
    return _cut((head + body).encode())


def _cut(request: bytes) -> list[bytes]:
    first, *others = request.split(b'"messageId":"ID"')
    parts = [first + b'"messageId":"']
    parts += [b'"' + other + b'"messageId":"' for other in others[:-1]]
    return [*parts, b'"' + others[-1]]


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return all figures of this machine."""
    figures: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "commit": subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False
        ).stdout.strip(),
        "event_bytes": len(json.dumps(EVENT, separators=(",", ":"))) + 28,
        "msgspec_split_events_per_s": split_rate(),
    }
    for name, events in (("single", 1), ("batch", BATCH)):
        figures[name] = compare(options, events)
    return figures


def compare(options: argparse.Namespace, events: int) -> dict[str, Any]:
    """Return the modes' medians and their ratio."""
    rounds: dict[str, list[dict[str, Any]]] = {mode: [] for mode in MODES}
    for _ in range(options.rounds):
        for mode in MODES:
            rounds[mode].append(run_once(options, mode, events))
    medians = {
        mode: {key: statistics.median(one[key] for one in results) for key in results[0]}
        for mode, results in rounds.items()
    }
    ratio = medians["durable"]["events_per_s"] / medians["nothing"]["events_per_s"]
    cpu_ratio = medians["nothing"]["cpu_us_per_event"] / medians["durable"]["cpu_us_per_event"]
    return {"ratio": round(ratio, 3), "cpu_ratio": round(cpu_ratio, 3), **medians}


def run_once(options: argparse.Namespace, mode: str, events: int) -> dict[str, Any]:
    """Return the figures of one server under one load."""
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        command = [sys.executable, __file__, "--serve", mode, "--directory", directory]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                port = next(iter(server.stdout or ())).strip()
                load = [sys.executable, __file__, "--load", port, "--events", str(events)]
                load += ["--seconds", str(options.seconds), "--connections", str(options.connections)]
                before = cpu_seconds(server.pid)
                result = subprocess.run(load, capture_output=True, text=True, check=True)
                spent = cpu_seconds(server.pid) - before
            finally:
                server.terminate()
                server.wait(30)
    answer: dict[str, Any] = json.loads(result.stdout)
    return {**answer, "cpu_us_per_event": round(spent / answer.pop("events") * 1_000_000, 2)}


def cpu_seconds(pid: int) -> float:
    """Return the processor time that all threads of a process have used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def split_rate() -> int:
    """Return how many events a second msgspec cuts out of batches without looking into them."""

    class Batch(msgspec.Struct):
        batch: list[msgspec.Raw]

    body = msgspec.json.encode({"batch": [EVENT] * BATCH})
    decode = msgspec.json.Decoder(Batch).decode
    begun, rounds = time.perf_counter(), 3_000
    for _ in range(rounds):
        decode(body)
    return round(rounds * BATCH / (time.perf_counter() - begun))


if __name__ == "__main__":
    main()
