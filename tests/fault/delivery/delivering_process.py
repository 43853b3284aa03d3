"""One process that delivers a stored log to a receiver, and dies where it is told to. Started by the fault tests."""

import asyncio
import dataclasses
import ipaddress
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from headwater.budget import Budgets
from headwater.delivery import backlog, dead_letters, engine
from headwater.delivery.address import Policy
from headwater.delivery.connection import Connection, Rules
from headwater.delivery.dead_letters import DeadLetterFilter
from headwater.delivery.fate import HELD_BACK, Waiting
from headwater.delivery.http import GuardedHttp
from headwater.delivery.ledger import Ledger
from headwater.delivery.rooms import Outside
from headwater.eventlog.reader import SegmentReader


class Fuse:
    """Kills the process when the named point is passed for the nth time."""

    def __init__(self, point: str, times: int):
        self.point, self.left = point, times

    def pass_by(self, point: str) -> None:
        if point == self.point:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


class DeadlyHttp(GuardedHttp):
    """The client, with points before the request and after a 2xx."""

    fuse: Fuse

    async def request(self, method, url, *, body=b"", headers=None):
        self.fuse.pass_by("before request")
        answer = await super().request(method, url, body=body, headers=headers)
        if answer.status == 200:
            self.fuse.pass_by("after 2xx")
        return answer


class DeadlyLedger(Ledger):
    """The ledger, with points before, inside and after the commit."""

    fuse: Fuse

    def settle_all(self, rounds):
        self.fuse.pass_by("before settle")
        pauses = any(settlement.paused for settlement, _ in rounds)
        if pauses:
            self.fuse.pass_by("before pause")
        waits = super().settle_all(rounds)
        self.fuse.pass_by("after settle")
        if pauses:
            self.fuse.pass_by("after pause")
        return waits

    def _bury(self, settlement, now):
        self.fuse.pass_by("inside settle")
        if settlement.move and settlement.move.lane in {lane.id for lane in self.backlogs(settlement.connection)}:
            self.fuse.pass_by("inside settle of a backlog")
        if settlement.move and settlement.move.lane in {lane.id for lane in self.replays(settlement.connection)}:
            self.fuse.pass_by("inside settle of a replay")
        if any(isinstance(fate, Waiting) and fate.reason == HELD_BACK for _, fate in settlement.fates):
            self.fuse.pass_by("inside settle of what is held back")
        super()._bury(settlement, now)

    def finish(self, lane, now):
        self.fuse.pass_by("before the end of a backlog")
        super().finish(lane, now)
        self.fuse.pass_by("after the end of a backlog")


def deadly_split(ledger, *arguments, _split=backlog.split):
    """The jump of new events, with points around it."""
    ledger.fuse.pass_by("before split")
    lane = _split(ledger, *arguments)
    ledger.fuse.pass_by("after split")
    return lane


def deadly_delete(ledger, numbers, _delete=dead_letters._delete):
    """The last step of what happens to some dead letters, with a point before it."""
    ledger.fuse.pass_by("inside a change of dead letters")
    return _delete(ledger, numbers)


async def act(delivery, kind: str) -> None:
    """Do once what this run is about; what an earlier run began goes on by itself."""
    if kind == "replay" and not await delivery.replays("d1"):
        await delivery.replay("d1", rate_per_s=2_000.0)
    elif kind == "retry":
        await delivery.retry_dead_letters(DeadLetterFilter())
    elif kind == "discard":
        await delivery.discard_dead_letters(DeadLetterFilter())
    elif kind == "expire":
        await delivery.expire_dead_letters(datetime.now(UTC) + timedelta(days=1))


def ordered(kind, settings, room):
    """Build a destination whose users' events must stay in order."""
    card, destination = engine.build(kind, settings, room)
    return dataclasses.replace(card, ordered=True), destination


async def main(log: Path, state: Path, url: str, point: str, times: int, kind: str) -> None:
    DeadlyHttp.fuse = DeadlyLedger.fuse = Fuse(point, times)
    engine.Ledger, backlog.split = DeadlyLedger, deadly_split
    dead_letters._delete, dead_letters.WINDOW = deadly_delete, 3
    reader = SegmentReader(log)
    http = DeadlyHttp(Policy(networks=(ipaddress.ip_network("127.0.0.0/8"),)))
    rules = Rules(chunk_max=16, in_flight=4, retry_first_s=0.01, retry_max_s=0.05, hold_max_s=0.05, split_events=20)
    builder = ordered if kind == "ordered" else engine.build
    delivery = engine.Delivery(reader, state, Outside(http, state, Budgets()), rules=rules, builder=builder)
    where = ("files", {"store": "disk", "format": "ndjson"}) if kind == "files" else ("webhook", {"url": url})
    delivery.apply([Connection("d1", "s1", where[0], "Mine", enabled=True, settings=where[1])])
    running = asyncio.create_task(delivery.run())
    has_acted = False
    while True:
        await asyncio.sleep(0.02)
        (status,) = await delivery.status()
        if status.state == "paused":
            await delivery.resume("d1")
        runs = [replay.state for replay in await delivery.replays()]
        is_idle = status.behind == status.retrying == status.backlog == 0 and status.read and set(runs) <= {"done"}
        if is_idle and has_acted:
            break
        if is_idle:
            await act(delivery, kind)
            has_acted = True
    await delivery.stop()
    await running
    await http.close()
    sys.stdout.buffer.write(msgspec.json.encode(dataclasses.asdict(status)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5]), sys.argv[6]))
