"""kill -9 between request, answer and settlement: an idempotent receiver holds each event once, counters are exact."""

import asyncio
import json
import random
import signal
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web

from headwater.delivery import backlog
from headwater.delivery.ledger import Ledger
from headwater.delivery.status import unaccounted
from headwater.eventlog.contract import Topic
from headwater.eventlog.segments import SegmentLog
from headwater.spec.event import Record
from receiver import Receiver, body, receiving

CHILD = Path(__file__).with_name("delivering_process.py")
POINTS = ["before request", "after 2xx", "before settle", "inside settle", "after settle"]
EVENTS = 120
ROUND = 16  # events of one settlement, as the process is told
BAD = [f"m{n}" for n in range(0, EVENTS, 15)]
OF_AN_OUTAGE = [
    "before split", "after split", "inside settle of a backlog", "before the end of a backlog",
    "after the end of a backlog",
]  # fmt: skip


class Idempotent:
    """A receiver's own bookkeeping: holds an id once, fails some first attempts, refuses some events for good.

    unauthorized: what the first attempt of this event is answered with 401.
    """

    def __init__(self, receiver: Receiver, unauthorized: str = ""):
        self.receiver, self.held, self.attempts = receiver, {}, Counter()
        self.unauthorized = unauthorized
        self.refused, self.taken = set(BAD), []
        receiver.answer = self.answer

    async def answer(self, _: web.Request) -> web.Response:
        event, key = self.receiver.bodies[-1], self.receiver.headers[-1]["webhook-id"]
        self.attempts[key, event["messageId"]] += 1
        if event["messageId"] == self.unauthorized and self.attempts[key, event["messageId"]] == 1:
            return web.Response(status=401)
        if event["messageId"] in self.refused:
            return web.Response(status=400)
        if event["properties"]["flaky"] and self.attempts[key, event["messageId"]] == 1:
            return web.Response(status=500)
        if key not in self.held:
            self.taken.append((event["userId"], int(event["messageId"][1:])))
        self.held[key] = event["messageId"]
        return web.Response()


async def stored(directory: Path, *, age: timedelta = timedelta()) -> None:
    at = (datetime.now(UTC) - age).isoformat()
    log = SegmentLog.open(directory, disk_free_bytes_min=0, disk_reserved_bytes=0)
    for first in range(0, EVENTS, 10):
        bodies = [
            body(f"m{n}", userId=f"u{n % 7}", properties={"flaky": n % 4 == 0}, receivedAt=at)
            for n in range(first, first + 10)
        ]
        records = [Record(one["messageId"], json.dumps(one).encode()) for one in bodies]
        await log.append(Topic.EVENTS, "s1", datetime.now(UTC), records)
    await log.close()


async def started(
    tmp_path: Path, url: str, point: str = "never", times: int = 0, kind: str = "usual"
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, str(CHILD), str(tmp_path / "log"), str(tmp_path / "state"), url, point, str(times), kind,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


def is_exact(tmp_path: Path, status: dict, kept: Idempotent) -> None:
    wanted = {f"m{n}" for n in range(EVENTS)}
    assert set(kept.held.values()) == wanted - set(BAD)
    assert len(kept.held) == EVENTS - len(BAD)  # one webhook-id an event, over all attempts
    assert len({key for key, _ in kept.attempts}) == EVENTS
    assert (status["read"], status["dead"], status["retrying"], status["dropped"]) == (EVENTS, len(BAD), 0, 0)
    assert status["delivered_first_try"] + status["delivered_on_retry"] == EVENTS - len(BAD)
    ledger = Ledger(tmp_path / "state", read_only=True)
    assert sorted(ledger.rows("select message_id from dead")) == sorted((message,) for message in BAD)
    assert backlog.balance(ledger, "d1").holds
    ledger.close()


async def finish(tmp_path: Path, kept: Idempotent, kind: str = "usual") -> None:
    last = await started(tmp_path, kept.receiver.url, kind=kind)
    out, err = await asyncio.wait_for(last.communicate(), 60)
    assert last.returncode == 0, err.decode()
    is_exact(tmp_path, json.loads(out.splitlines()[-1]), kept)


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("times", [1, 4])
async def test_a_kill_between_request_and_settlement_loses_and_doubles_nothing(tmp_path, point, times):
    await stored(tmp_path / "log")
    async with receiving() as receiver:
        kept = Idempotent(receiver)
        for _ in range(2):
            child = await started(tmp_path, receiver.url, point, times)
            _, err = await asyncio.wait_for(child.communicate(), 60)
            assert child.returncode == -signal.SIGKILL, err.decode()
        await finish(tmp_path, kept)


@pytest.mark.parametrize("point", OF_AN_OUTAGE)
async def test_a_kill_while_an_outage_is_caught_up_loses_and_doubles_nothing(tmp_path, point):
    await stored(tmp_path / "log", age=timedelta(hours=6))
    async with receiving() as receiver:
        kept = Idempotent(receiver)
        child = await started(tmp_path, receiver.url, point, 1)
        _, err = await asyncio.wait_for(child.communicate(), 60)
        assert child.returncode == -signal.SIGKILL, err.decode()
        await finish(tmp_path, kept)


@pytest.mark.parametrize("point", ["inside settle of what is held back", "after 2xx", "before settle"])
async def test_a_kill_where_order_counts_leaves_each_user_in_order(tmp_path, point):
    await stored(tmp_path / "log")
    async with receiving() as receiver:
        kept = Idempotent(receiver)
        child = await started(tmp_path, receiver.url, point, 2, "ordered")
        _, err = await asyncio.wait_for(child.communicate(), 60)
        assert child.returncode == -signal.SIGKILL, err.decode()
        await finish(tmp_path, kept, "ordered")
    for user in {user for user, _ in kept.taken}:
        mine = [number for who, number in kept.taken if who == user]
        assert mine == sorted(mine)


async def test_a_kill_in_a_replay_repeats_a_round_at_most_with_the_same_ids(tmp_path):
    await stored(tmp_path / "log")
    async with receiving() as receiver:
        kept = Idempotent(receiver)
        for times in (1, 3):
            child = await started(tmp_path, receiver.url, "inside settle of a replay", times, "replay")
            _, err = await asyncio.wait_for(child.communicate(), 60)
            assert child.returncode == -signal.SIGKILL, err.decode()
        last = await started(tmp_path, receiver.url, kind="replay")
        _, err = await asyncio.wait_for(last.communicate(), 60)
        assert last.returncode == 0, err.decode()
    assert len(kept.held) == EVENTS - len(BAD)
    assert len({key for key, _ in kept.attempts}) == EVENTS
    flaky = {f"m{n}" for n in range(0, EVENTS, 4)} - set(BAD)
    assert 0 <= sum(kept.attempts.values()) - 2 * EVENTS - len(flaky) <= 2 * ROUND
    ledger = Ledger(tmp_path / "state", read_only=True)
    (replay,) = ledger.replays("d1")
    assert (ledger.balance(replay.id).read, ledger.balance(replay.id).dead) == (EVENTS, len(BAD))
    assert (unaccounted(ledger, "d1"), replay.cursor) == (0, replay.until)
    ledger.close()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("retry", {"dead": 0, "dropped": 0, "expired": 0}),
        ("discard", {"dead": 0, "dropped": len(BAD), "expired": 0}),
        ("expire", {"dead": 0, "dropped": 0, "expired": len(BAD)}),
    ],
)
async def test_a_kill_between_windows_of_dead_letters_loses_and_doubles_none(tmp_path, kind, expected):
    await stored(tmp_path / "log")
    async with receiving() as receiver:
        kept = Idempotent(receiver)
        await finish(tmp_path, kept)
        kept.refused = set()
        child = await started(tmp_path, receiver.url, "inside a change of dead letters", 2, kind)
        _, err = await asyncio.wait_for(child.communicate(), 60)
        assert child.returncode == -signal.SIGKILL, err.decode()
        last = await started(tmp_path, receiver.url, kind=kind)
        out, err = await asyncio.wait_for(last.communicate(), 60)
        assert last.returncode == 0, err.decode()
    status = json.loads(out.splitlines()[-1])
    assert {name: status[name] for name in expected} == expected
    assert (status["read"], status["unaccounted"], status["retrying"]) == (EVENTS, 0, 0)
    assert len(kept.held) == (EVENTS if kind == "retry" else EVENTS - len(BAD))


@pytest.mark.parametrize("point", ["before settle", "inside settle"])
async def test_a_kill_between_file_and_settlement_writes_the_same_file_again(tmp_path, point):
    await stored(tmp_path / "log")
    for _ in range(2):
        child = await started(tmp_path, "", point, 1, "files")
        _, err = await asyncio.wait_for(child.communicate(), 60)
        assert child.returncode == -signal.SIGKILL, err.decode()
    assert sorted(written(tmp_path)) == sorted(f"m{n}" for n in range(EVENTS))
    last = await started(tmp_path, "", kind="files")
    out, err = await asyncio.wait_for(last.communicate(), 60)
    assert last.returncode == 0, err.decode()
    assert json.loads(out.splitlines()[-1])["delivered_first_try"] == EVENTS
    assert sorted(written(tmp_path)) == sorted(f"m{n}" for n in range(EVENTS))


def written(tmp_path: Path) -> list[str]:
    files = [path for path in (tmp_path / "state").rglob("*.ndjson") if path.is_file()]
    return [json.loads(line)["messageId"] for path in files for line in path.read_text().splitlines()]


@pytest.mark.parametrize("point", ["before pause", "after pause"])
async def test_a_kill_around_a_pause_loses_and_doubles_nothing(tmp_path, point):
    await stored(tmp_path / "log")
    async with receiving() as receiver:
        kept = Idempotent(receiver, unauthorized="m34")
        child = await started(tmp_path, receiver.url, point, 1)
        _, err = await asyncio.wait_for(child.communicate(), 60)
        assert child.returncode == -signal.SIGKILL, err.decode()
        await finish(tmp_path, kept)


async def killed_at_random(tmp_path: Path, rounds: int) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    await stored(tmp_path / "log")
    async with receiving() as receiver:
        kept = Idempotent(receiver)
        for _ in range(rounds):
            receiver.got.clear()
            child = await started(tmp_path, receiver.url)
            first = asyncio.create_task(receiver.got.wait())
            ended = asyncio.create_task(child.wait())
            await asyncio.wait({first, ended}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(chance.random() * 0.05)
            if child.returncode is None:
                child.kill()
            await ended
            first.cancel()
        await finish(tmp_path, kept)


async def test_kills_at_random_lose_and_double_nothing(tmp_path):
    await killed_at_random(tmp_path, 4)


@pytest.mark.torture
@pytest.mark.parametrize("_turn", range(25))
async def test_many_kills_at_random_lose_and_double_nothing(tmp_path, _turn):
    await killed_at_random(tmp_path, 8)


@pytest.mark.torture
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("times", range(2, 40, 3))
async def test_a_kill_at_every_point_loses_and_doubles_nothing(tmp_path, point, times):
    await stored(tmp_path / "log")
    async with receiving() as receiver:
        kept = Idempotent(receiver)
        child = await started(tmp_path, receiver.url, point, times)
        await asyncio.wait_for(child.communicate(), 60)
        await finish(tmp_path, kept)
