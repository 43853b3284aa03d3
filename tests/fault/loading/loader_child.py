"""Loads a log into a warehouse in small batches and kills itself at a given point of its work.

    python loader_child.py LOG STATE POINT      one load; POINT 0 kills never; prints how many points there were
    python loader_child.py --serve LOG          forks a child for each line `[state, point]` of stdin, with everything
                                                imported, and answers `[exit status, points]`; see `harness`

What it works on stands in the environment as JSON:

    LOADER_TARGET     {"type", "settings", "constants", "steps"}; the embedded warehouse without it
        settings      in texts, `{state}` is the state directory and `{name}` its name
        constants     {"module:NAME": number}: bounds to make small, so that everything happens often; seconds for a
                      timedelta
        steps         ["module:Class.method" or "module:function", ...]: calls into the warehouse's driver that count,
                      besides fsync, rename and the like of `os`

Each call that counts makes two points: before it and after it.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import json
import os
import signal
import sys
import traceback
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from headwater import clock
from headwater.eventlog.contract import Topic
from headwater.eventlog.memory import MemoryLog
from headwater.loading import reloads
from headwater.loading.journal import Journal
from headwater.loading.loader import Loader, make
from headwater.loading.target import Target
from headwater.spec.event import Record

SOURCES = {"s1": "site", "s2": "shop"}
AGAIN = "s1"
OS_STEPS = ("fsync", "replace", "rename", "mkdir", "unlink", "rmdir")
BATCHES = {"headwater.loading.stretch:EVENTS_MAX": 30}
EMBEDDED = {
    "type": "embedded",
    "settings": {"directory": "{state}/warehouse"},
    "constants": {
        "headwater.warehouses.embedded.compaction:BATCHES_MAX": 3,
        "headwater.warehouses.embedded.parts:GRACE": 0,
    },
}


def main() -> None:
    target = json.loads(os.environ.get("LOADER_TARGET", "null")) or EMBEDDED
    set_constants(BATCHES | target.get("constants", {}))
    if sys.argv[1] == "--serve":
        serve(Path(sys.argv[2]), target)
        return
    log, state, point = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    made = filled(log)
    points = kill_self_at(point, target.get("steps", ()))
    load(made, state, target)
    print(points[0])


def serve(log: Path, target: dict) -> None:
    """Fork a child for each job; this process itself starts no thread and opens no warehouse."""
    made = filled(log)
    make(Target("w", target["type"], target["settings"]), Path())  # imports the driver
    for name in target.get("steps", ()):
        taken(name)
    for line in sys.stdin:
        state, point = json.loads(line)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            work(made, Path(state), point, target, writing)
        os.close(writing)
        _, status = os.waitpid(child, 0)
        with os.fdopen(reading) as answer:
            points = int(answer.read() or 0)
        print(json.dumps([os.waitstatus_to_exitcode(status), points]), flush=True)


def work(log: MemoryLog, state: Path, point: int, target: dict, answer: int) -> None:
    """Do one load in a forked child, which ends here."""
    try:
        points = kill_self_at(point, target.get("steps", ()))
        load(log, state, target)
        os.write(answer, str(points[0]).encode())
    except BaseException:  # noqa: BLE001 - told to the test, which shows it
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def load(log: MemoryLog, state: Path, target: dict) -> None:
    """Load until nothing is left, then one source's history again; what an earlier run began is taken up."""
    settings = {
        name: value.replace("{state}", str(state)).replace("{name}", state.name) if isinstance(value, str) else value
        for name, value in target["settings"].items()
    }
    state.mkdir(parents=True, exist_ok=True)
    journal = Journal(state / "loading.sqlite")
    one = Loader(Target("w", target["type"], settings, SOURCES), log, state, journal, clock.now)
    while one.step() is not None:
        one.tidy()
    with journal.changing() as connection:
        if not reloads.listed(connection, "w", 1):
            of = (AGAIN,)
            reloads.add(connection, reloads.new("w", reloads.Reason.ASKED, 0, one.cursor or 0, source_ids=of))
    while waiting := one.book.open_reloads():
        one.again(waiting[0])
        one.tidy()
    one.close()
    journal.close()


def filled(log: Path) -> OneFrameAtATime:
    """Return a log with the frames of a file: `[[source id, [event, ...]], ...]`."""
    made = OneFrameAtATime()
    frames = msgspec.json.decode(log.read_bytes())

    async def fill() -> None:
        for source_id, events in frames:
            records = [Record(event["messageId"], msgspec.json.encode(event)) for event in events]
            await made.append(Topic.EVENTS, source_id, datetime(2026, 11, 23, tzinfo=UTC), records)

    asyncio.run(fill())
    return made


class OneFrameAtATime(MemoryLog):
    """Reads little at once, so that there are many batches."""

    def read(self, topic, cursor, **_bounds):
        return super().read(topic, cursor, records_max=1)


def set_constants(constants: dict) -> None:
    """Give bounds of modules another value."""
    for name, value in constants.items():
        module, _, attribute = name.partition(":")
        found = importlib.import_module(module)
        is_time = isinstance(getattr(found, attribute), timedelta)
        setattr(found, attribute, timedelta(seconds=value) if is_time else value)


def taken(name: str) -> tuple[object, str]:
    """Return what holds a function, and the function's name there."""
    module, _, path = name.partition(":")
    *holders, last = path.split(".")
    return functools.reduce(getattr, holders, importlib.import_module(module)), last


def kill_self_at(point: int, steps: list[str]) -> list[int]:
    """Count the points that are passed, in the list that is returned, and die at this one."""
    count = [0]

    def passed() -> None:
        count[0] += 1
        if count[0] == point:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(function):
        @functools.wraps(function)
        def call(*args, **kwargs):
            passed()
            try:
                return function(*args, **kwargs)
            finally:
                passed()

        return call

    for holder, name in [*((os, name) for name in OS_STEPS), *map(taken, steps)]:
        setattr(holder, name, counted(getattr(holder, name)))
    return count


if __name__ == "__main__":
    main()
