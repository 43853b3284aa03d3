"""A process that appends to a log and says on stdout what was acknowledged; the fault tests kill it.

    python eventlog_driver.py DIRECTORY SEED BATCHES [CLIENTS] [SEGMENT_BYTES]

`CLIENTS` tasks share the batches; each batch's ids follow from the seed, so that a test knows what was sent. A line
`a N` is written once batch N is acknowledged, `r N` when it is refused, `ready` once the log is open, `end` at a clean
end.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from datetime import UTC, datetime
from pathlib import Path

from headwater.errors import LogUnavailableError
from headwater.eventlog.contract import Topic
from headwater.eventlog.segments import SegmentLog
from headwater.spec.event import Record


def batch_ids(seed: int, number: int) -> list[str]:
    """Return the ids of one batch: some are shared with its neighbours, as when a client sends again."""
    chance = random.Random(seed * 1_000_003 + number)
    own = [f"{seed}-{number}-{place}" for place in range(chance.randint(1, 6))]
    again = [f"{seed}-{number - 1}-0"] if number and chance.random() < 0.3 else []
    return own + again


def records(seed: int, number: int) -> list[Record]:
    padding = "x" * random.Random(number).randint(0, 300)
    return [Record(name, f'{{"messageId":"{name}","p":"{padding}"}}'.encode()) for name in batch_ids(seed, number)]


def say(word: str) -> None:
    os.write(1, f"{word}\n".encode())


async def client(log: SegmentLog, seed: int, numbers: list[int]) -> None:
    while numbers:
        number = numbers.pop(0)
        try:
            await log.append(Topic.EVENTS, "src", datetime.now(UTC), records(seed, number))
        except LogUnavailableError:
            say(f"r {number}")
            await asyncio.sleep(0.001)
        else:
            say(f"a {number}")


async def main(directory: str, seed: int, batches: int, clients: int = 4, segment_bytes: int = 4_000) -> None:
    log = SegmentLog.open(Path(directory), segment_bytes=segment_bytes, disk_free_bytes_min=0, disk_reserved_bytes=0)
    say("ready")
    numbers = list(range(batches))
    await asyncio.gather(*(client(log, seed, numbers) for _ in range(clients)))
    await log.close()
    say("end")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], *(int(argument) for argument in sys.argv[2:])))
