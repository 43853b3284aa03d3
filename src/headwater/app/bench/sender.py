"""The load: keep-alive connections that each send the next request once the answer to the last one is there."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

import uvloop

from headwater.app.bench.calls import Requests
from headwater.app.bench.parts import Figures
from headwater.app.bench.percentiles import percentiles_ms

_WARM_S_MAX: Final = 0.5
_LAST_ANSWERS_S: Final = 30.0


def part(*, port: int, events: int, seconds: float, connections: int, write_key: str) -> Figures:
    """Send for some seconds after a short warm-up; return the rate, the latencies and what this process cost itself."""
    return uvloop.run(_Load(port, events, connections, write_key).run(seconds))


class _Load:
    """All connections and what they have seen."""

    def __init__(self, port: int, events: int, connections: int, write_key: str) -> None:
        self.port, self.connections = port, connections
        self.requests = Requests(events, write_key)
        self.latencies: list[float] = []
        self.acknowledged = self.failed = self.under_way = 0
        self.ends_at = float("inf")
        self.all_answered = asyncio.Event()

    async def run(self, seconds: float) -> Figures:
        """Return the figures of the seconds after the warm-up; those of the whole run are named so."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        opened = [
            await loop.create_connection(lambda: _Connection(self), "127.0.0.1", self.port)
            for _ in range(self.connections)
        ]
        await asyncio.sleep(min(_WARM_S_MAX, seconds / 4))
        measured_from, cpu_before = loop.time(), time.process_time()
        self.latencies.clear()
        self.ends_at = measured_from + seconds
        await asyncio.sleep(seconds)
        elapsed, cpu_s = loop.time() - measured_from, time.process_time() - cpu_before
        latencies = self.latencies.copy()
        await asyncio.wait_for(self.all_answered.wait(), _LAST_ANSWERS_S)
        for transport, _ in opened:
            transport.close()
        return {
            "events_per_s": round(len(latencies) * self.requests.events / elapsed),
            **percentiles_ms(latencies),
            "sender_cpu_share": round(cpu_s / elapsed, 3),
            "failed": self.failed,
            "acknowledged_events_whole_run": self.acknowledged * self.requests.events,
            "seconds_whole_run": loop.time() - began,
        }


class _Connection(asyncio.Protocol):
    """One connection."""

    def __init__(self, load: _Load) -> None:
        self._load = load
        self._answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport: Any = transport
        self._load.under_way += 1
        self._send()

    def _send(self) -> None:
        request = self._load.requests.next()
        self._since = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Take an answer; it is short and ends with its JSON."""
        self._answer += data
        if not self._answer.endswith(b"}"):
            return
        load = self._load
        load.latencies.append(time.perf_counter() - self._since)
        if self._answer.endswith(b'{"success": true}'):
            load.acknowledged += 1
        else:
            load.failed += 1
        self._answer = b""
        if time.monotonic() < load.ends_at:
            self._send()
        else:
            self._stop()

    def connection_lost(self, _exc: Exception | None) -> None:
        """Count a connection that broke with a request under way."""
        if self._load.ends_at == float("inf") or not self._load.all_answered.is_set():
            self._load.failed += 1
            self._stop()

    def _stop(self) -> None:
        self._load.under_way -= 1
        if self._load.under_way <= 0:
            self._load.all_answered.set()
