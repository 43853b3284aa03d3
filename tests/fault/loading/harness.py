"""Kills a loader at many points of its work and compares what it leaves: one call a warehouse.

    def test_a_killed_loader_loses_and_doubles_nothing(tmp_path):
        survives(Case("postgres", settings, look, steps=["psycopg:Connection.commit"]), tmp_path)

A child is forked for each point from a process that has imported everything, so that forty points take seconds. Its
log has six frames of two sources; columns and tables appear all along, and so do their conflicts. Once it is loaded,
one source's history is loaded again.
"""

from __future__ import annotations

import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import loader_child
import msgspec

CHILD = Path(loader_child.__file__)
NAMES = ("Email Opened", "Email Link Clicked", "Order Completed")
FRAMES, FRAME_EVENTS = 6, 10
POINTS = 40
ANSWER_S_MAX = 60.0
AT = "2026-11-23T12:00:00.000Z"

Seen = dict[str, list[str]]
"""By table, such as `site.tracks`, the ids of its rows, ascending; views for analysis are left out."""


def nothing(_state: Path) -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Case:
    """A warehouse under the knife.

    Attributes:
        settings: `{state}` in a text is the run's directory, `{name}` its name, such as `killed_17`: a place of its own
            for each run.
        look: what a reader sees now; called after a kill and after the end.
        steps, constants: as in `loader_child`.
        prepare, discard: called before and after a run with its directory, such as to make and drop a database.
        whole_batches: readers see a batch in all tables or in none.
    """

    type: str
    settings: Mapping[str, Any]
    look: Callable[[Path], Seen]
    steps: Sequence[str] = ()
    constants: Mapping[str, float] = field(default_factory=dict)
    prepare: Callable[[Path], None] = nothing
    discard: Callable[[Path], None] = nothing
    whole_batches: bool = True


def survives(case: Case, place: Path, points: int = POINTS) -> None:
    """Kill at this many points, look, load to the end each time, and find what an undisturbed load gives."""
    log = place / "log.json"
    write_log(log)
    with Forge(case, log) as forge:
        whole = forge.state(place, "whole")
        all_points = forge.run(whole)
        expected = case.look(whole)
        case.discard(whole)
        assert_complete(expected)
        seed = random.randrange(10_000)
        print(f"seed {seed}, {all_points} points")
        for point in sorted(random.Random(seed).sample(range(1, all_points + 1), min(points, all_points))):
            state = forge.state(place, f"killed_{point}")
            forge.kill(state, point)
            left = case.look(state)
            assert_each_id_once(left)
            if case.whole_batches:
                assert_whole_batches(left)
            forge.run(state)
            assert case.look(state) == expected, point
            case.discard(state)
            shutil.rmtree(state)


class Forge:
    """The process that forks children; use it as a context."""

    def __init__(self, case: Case, log: Path) -> None:
        self._case, self._log = case, log
        self._errors = log.with_name("errors.txt")

    def __enter__(self) -> Self:
        case = self._case
        target = {
            "type": case.type,
            "settings": dict(case.settings),
            "constants": dict(case.constants),
            "steps": list(case.steps),
        }
        self._process = subprocess.Popen(
            [sys.executable, str(CHILD), "--serve", str(self._log)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors.open("w"),
            text=True,
            env=os.environ | {"LOADER_TARGET": json.dumps(target)},
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def state(self, place: Path, name: str) -> Path:
        """Make the directory of a run and what the case needs for it."""
        state = place / name
        state.mkdir()
        self._case.prepare(state)
        return state

    def run(self, state: Path) -> int:
        """Load to the end; return how many points that has."""
        code, points = self._ask(state, 0)
        assert code == 0, self._errors.read_text()[-4000:]
        return points

    def kill(self, state: Path, point: int) -> None:
        """Load and die at this point."""
        code, _ = self._ask(state, point)
        assert code == -signal.SIGKILL, (point, code, self._errors.read_text()[-4000:])

    def _ask(self, state: Path, point: int) -> tuple[int, int]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([str(state), point]) + "\n")
        self._process.stdin.flush()
        assert select.select([self._process.stdout], [], [], ANSWER_S_MAX)[0], f"point {point} hangs"
        line = self._process.stdout.readline()
        assert line, self._errors.read_text()[-4000:]
        code, points = json.loads(line)
        return code, points


def write_log(file: Path) -> None:
    """Store frames of two sources; each brings new properties, so that columns and tables appear all along."""
    frames = []
    for frame in range(FRAMES):
        events = []
        for number in range(frame * FRAME_EVENTS, (frame + 1) * FRAME_EVENTS):
            event = {"type": "track", "event": NAMES[number % 3], "messageId": f"m{number}", "anonymousId": "a"}
            event |= {"receivedAt": AT, "timestamp": AT}
            # an integer that later is a fraction, then a text
            mixed = number if frame < 2 else number + 0.5 if frame < 4 else f"n{number}"
            event |= {"properties": {"n": number, "mixed": mixed, f"new {frame // 3}": True}}
            if number % 5 == 0:
                event |= {"type": "identify", "userId": f"u{number % 4}", "traits": {"plan": f"p{frame}"}}
            events.append(event)
        frames.append((("s1", "s2")[frame // 2 % 2], events))
    file.write_bytes(msgspec.json.encode(frames))


def assert_complete(seen: Seen) -> None:
    """Every event is there once, as far as their numbers tell."""
    assert_each_id_once(seen)
    assert_whole_batches(seen)
    calls = [len(ids) for table, ids in seen.items() if table.endswith((".tracks", ".identifies"))]
    assert sum(calls) == FRAMES * FRAME_EVENTS


def assert_each_id_once(seen: Seen) -> None:
    """No table has an id twice."""
    for table, listed in seen.items():
        assert len(listed) == len(set(listed)), table


def assert_whole_batches(seen: Seen) -> None:
    """`tracks` has just what the events' own tables have."""
    for schema in ("site", "shop"):
        events = [
            each
            for table, listed in seen.items()
            if table.startswith(f"{schema}.") and not table.endswith((".tracks", ".users", ".identifies"))
            for each in listed
        ]
        assert sorted(events) == seen.get(f"{schema}.tracks", [])
