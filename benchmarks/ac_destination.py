"""Identify calls and tracked events through the engine to a simulated ActiveCampaign account: requests, losses.

    python benchmarks/ac_destination.py --people 1000 --throttles 0.1

The account's limit is raised so that the run takes minutes; what counts are the requests, not the time. The least that
is possible: an import for every 250 people, and a request for every event.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from headwater.delivery.connection import Connection, Rules
from headwater.delivery.engine import Delivery
from headwater.delivery.status import ConnectionStatus
from headwater.eventlog.contract import Topic
from headwater.eventlog.memory import MemoryLog
from headwater.spec.event import Record
from written_account import WrittenAccount, written_account

APPEND = 500
IMPORT = 250
RULES = Rules(retry_first_s=0.5, retry_max_s=5.0, hold_max_s=5.0)


async def append(log: MemoryLog, bodies: list[dict]) -> None:
    """Put events into the log."""
    now = datetime.now(UTC)
    at = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    for start in range(0, len(bodies), APPEND):
        records = [
            Record(body["messageId"], json.dumps({**body, "timestamp": at, "receivedAt": at}).encode())
            for body in bodies[start : start + APPEND]
        ]
        await log.append(Topic.EVENTS, "s1", now, records)


async def settled(delivery: Delivery, count: int) -> ConnectionStatus:
    """Return the connection's figures once everything has ended."""
    while True:
        (status,) = await delivery.status()
        if status.read == count and not (status.behind or status.retrying):
            return status
        await asyncio.sleep(0.2)


async def run(people: int, throttles: float) -> dict:
    """Deliver, read back, and return the figures."""
    with tempfile.TemporaryDirectory() as home:
        async with written_account(Path(home), throttles=throttles) as account:
            log = MemoryLog()
            delivery = Delivery(log, Path(home), account.outside, rules=RULES)
            delivery.apply([Connection("d1", "s1", "activecampaign", "AC", enabled=True, settings=account.settings())])
            task = asyncio.create_task(delivery.run())
            try:
                return await deliver(delivery, log, account, people)
            finally:
                await delivery.stop()
                await task


async def deliver(delivery: Delivery, log: MemoryLog, account: WrittenAccount, people: int) -> dict:
    """Identify everybody, then track one event of each."""
    began = time.monotonic()
    who = [{"userId": f"u{n}", "anonymousId": f"a{n}"} for n in range(people)]
    identifies = [
        {
            **person,
            "type": "identify",
            "messageId": f"i{n}",
            "traits": {"email": f"p{n}@example.net", "firstName": f"P{n}"},
        }
        for n, person in enumerate(who)
    ]
    await append(log, identifies)
    await settled(delivery, people)
    made = await account.calls()
    tracks = [{**person, "type": "track", "messageId": f"t{n}", "event": "Bought"} for n, person in enumerate(who)]
    await append(log, tracks)
    status = await settled(delivery, 2 * people)
    ended, took_s = await account.calls(), time.monotonic() - began
    await account.switch(throttles=0.0)
    missing = twice = 0
    for n in range(people):
        tracked = await account.tracked(f"p{n}@example.net") if await account.contact(f"p{n}@example.net") else []
        missing += not tracked
        twice += len(tracked) > 1
    calls = ended["calls"] + ended["tracked"]
    least = -(-people // IMPORT) + people
    return {
        "identifies": people,
        "tracks": people,
        "requests": {"identify": made["calls"], "track": calls - made["calls"], "refused with 429": ended["throttled"]},
        "least possible": least,
        "ratio without refused": round((calls - ended["throttled"]) / least, 3),
        "delivered at first": status.delivered_first_try,
        "delivered later": status.delivered_on_retry,
        "dead": status.dead,
        "missing": missing,
        "tracked twice": twice,
        "seconds": round(took_s, 1),
        "hours at 5 a second": round(calls / 5 / 3600, 2),
    }


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description="The ActiveCampaign destination against the simulator.")
    parser.add_argument("--people", type=int, default=10_000)
    parser.add_argument("--throttles", type=float, default=0.0, help="share of answers that are a 429")
    chosen = parser.parse_args()
    print(json.dumps(asyncio.run(run(chosen.people, chosen.throttles)), indent=2))


if __name__ == "__main__":
    main()
