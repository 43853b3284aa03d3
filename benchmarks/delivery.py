"""Delivered events per second to a local trivial receiver, as a ratio to the same client in a bare loop.

Both sides share the machine with the receiver, so ratios are what to read. Prints one JSON object.

    python benchmarks/delivery.py [--events 20000]
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
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

import structlog
import uvloop

from headwater.budget import Budgets
from headwater.delivery.address import Policy
from headwater.delivery.connection import Connection, Rules
from headwater.delivery.engine import Delivery, build
from headwater.delivery.http import GuardedHttp
from headwater.delivery.rooms import Outside
from headwater.eventlog.contract import Topic
from headwater.eventlog.memory import MemoryLog
from headwater.spec.event import Event, Record

ANSWER = b'HTTP/1.1 200 OK\r\ncontent-length: 16\r\n\r\n{"success":true}'
IN_FLIGHT = Rules().in_flight


class Trivial(asyncio.Protocol):
    """Answers 200 to whatever has a content-length."""

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
            self._transport.write(ANSWER)  # type: ignore[attr-defined]


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
    for start in range(0, len(sent), 100):
        records = [Record(event.message_id, event.line) for event in sent[start : start + 100]]
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
    return results


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=20_000)
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    here, there = multiprocessing.Pipe()
    receiver = multiprocessing.get_context("spawn").Process(target=receive, args=(there,), daemon=True)
    receiver.start()
    results = uvloop.run(measured(here.recv(), arguments.events))
    receiver.terminate()
    print(json.dumps({"machine": f"{os.cpu_count()} cores, Python {platform.python_version()}", **results}, indent=2))


if __name__ == "__main__":
    main()
