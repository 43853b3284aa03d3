"""Hours of outage in seconds: time passes only while nothing is left to do, so what is asserted is exact."""

import asyncio
import dataclasses
import selectors
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace

import pytest

from headwater.delivery import course, worker
from headwater.delivery.connection import Connection, Rules, Tuning
from headwater.delivery.engine import Delivery, build
from headwater.delivery.turns import Turns
from headwater.destinations.contract import Delivered
from headwater.errors import RetryableError
from headwater.eventlog.memory import MemoryLog
from receiver import append, body
from rooms import outside

BEGAN = datetime(2026, 5, 4, tzinfo=UTC)


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to the next timer once no thread works for it."""

    def __init__(self):
        super().__init__(selectors.DefaultSelector())
        self.passed_s, self._working = 0.0, 0
        self._real_select, self._selector.select = self._selector.select, self._select

    def time(self) -> float:
        return self.passed_s

    def run_in_executor(self, executor, function, *arguments):
        self._working += 1
        future = super().run_in_executor(executor, function, *arguments)
        future.add_done_callback(self._worked)
        return future

    def _worked(self, _) -> None:
        self._working -= 1

    def _select(self, timeout=None):
        if timeout is None or timeout <= 0 or self._working:
            return self._real_select(None if self._working and timeout != 0 else timeout)
        if ready := self._real_select(0):
            return ready
        self.passed_s += timeout
        return []


class Service:
    """A destination that is away at times, and notes when each event arrived and how late it was."""

    batch_max = 1

    def __init__(self, now, away):
        self.now, self.away, self.taken = now, away, []

    async def check(self) -> None: ...

    async def send(self, events):
        await asyncio.sleep(0.02)
        if any(first <= self.now() < last for first, last in self.away):
            raise RetryableError("down")
        self.taken += [(self.now(), int(event.message_id[1:])) for event in events]
        return [Delivered()] * len(events)

    def built(self, _, __, room):
        return build("webhook", {"url": "https://example.com"}, room)[0], self


@pytest.fixture
def simulate(tmp_path, monkeypatch):
    """Return a function: an event a second for so long, then until everything is there; returns service and lanes."""

    async def run(loop, seconds, away, rules, rate_per_s, rest_s):
        now = loop.time
        for module in (course, worker):
            monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=now))
        monkeypatch.setattr(worker, "Turns", partial(Turns, seconds=now))
        log, service = MemoryLog(), Service(now, away)
        delivery = Delivery(
            log, tmp_path, outside(None), clock=lambda: BEGAN + timedelta(seconds=now()), rules=rules,
            builder=service.built,
        )  # fmt: skip
        tuning = Tuning(rate_per_s=rate_per_s)
        delivery.apply([Connection("d1", "s1", "webhook", "Mine", enabled=True, settings={}, tuning=tuning)])
        running = asyncio.create_task(delivery.run())
        for second in range(seconds):
            at = (BEGAN + timedelta(seconds=now())).isoformat()
            await append(log, body(f"m{second}", receivedAt=at, userId=f"u{second % 50}"))
            await asyncio.sleep(1 - now() % 1)
        await asyncio.sleep(rest_s)
        (status,) = await delivery.status()
        (lanes,) = delivery._ledger.rows("select count(*) from lane where kind = 'backlog'")
        await delivery.stop()
        await running
        return service, status, lanes[0]

    def simulated(seconds, *, away=(), rules=None, rate_per_s=None, rest_s=0.0):
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            loop = runner.get_loop()
            return runner.run(run(loop, seconds, away, rules or Rules(), rate_per_s, rest_s))

    return simulated


def test_after_an_outage_new_events_are_on_time_while_the_rest_is_carried_within_the_rate(simulate):
    ends, rate_per_s = 1_900.0, 8.0
    service, status, lanes = simulate(2_600, away=[(100.0, ends)], rate_per_s=rate_per_s, rest_s=60.0)
    assert Counter(number for _, number in service.taken) == Counter(range(2_600))
    assert (status.backlog, status.retrying, status.behind, status.unaccounted, lanes) == (0, 0, 0, 0, 1)
    # It is found to be back within the longest pause between two tries.
    late = {number: at - number for at, number in service.taken if number >= ends + Rules().hold_max_s}
    assert max(late.values()) < 30
    by_second = Counter(int(at) for at, _ in service.taken)
    assert max(by_second.values()) <= rate_per_s + max(1.0, rate_per_s / 10)
    caught_up = max(at for at, number in service.taken if number < ends)
    assert caught_up > ends + (ends - 100) / rate_per_s  # the rate is what it takes, so it was kept for real


def test_what_is_always_slower_than_its_input_gets_few_lanes(simulate):
    rules = dataclasses.replace(Rules(), split_events=10)
    service, status, lanes = simulate(1_500, rules=rules, rate_per_s=0.5)
    assert 1 <= lanes <= 10  # 1500 s are 20 s doubled less than seven times, and the first ones may be finished
    assert len(service.taken) > 700
    assert status.unaccounted == 0


def test_repeated_outages_leave_new_events_on_time(simulate):
    away = [(start, start + 600.0) for start in (100.0, 1_000.0, 1_900.0)]
    service, status, lanes = simulate(2_900, away=away, rate_per_s=2.0, rest_s=2_000.0)
    assert Counter(number for _, number in service.taken) == Counter(range(2_900))
    assert (lanes, status.backlog, status.unaccounted) == (3, 0, 0)
    up = [
        (last + Rules().hold_max_s, start)
        for (_, last), (start, _) in zip(away, [*away[1:], (2_900.0, 0)], strict=True)
    ]
    late = [at - number for at, number in service.taken if any(first <= number < last - 40 for first, last in up)]
    assert max(late) < 30
