"""The process that runs one function: `python -I -m headwater.functions.process`, frames on its two standard streams.

It holds several contexts of the function, so that one event waits for an answer while another is worked on; they share
nothing. Everything that the code wants of the outside is a frame to the process that started this one.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from quickjs import Context, JSException

from headwater.functions.confinement import confine
from headwater.functions.frames import Frames, framed

_STACK_BYTES_MAX: Final = 512 * 1024  # ours: below the process's own stack, so that recursion is an error there
_GRACE_S: Final = 1.0  # after its time, code that cannot be interrupted ends with the process
_TURN_S: Final = 0.02  # ours: after so long another run has its turn
_FLUSH_S: Final = 0.05  # ours: what ended is told at least so often
_FLUSH_BYTES: Final = 256 * 1024
_READ_BYTES: Final = 256 * 1024
_LEFTOVER_JOBS_MAX: Final = 1_000  # ours: what code may still do after its handler has ended
_HERE: Final = Path(__file__).parent
_LAST_WORD_S: Final = 0.1
_TIME_IS_UP: Final = "Its time was up after %g seconds."
_RETRY: Final = '{"kind":"retry","value":null,"message":"%s","log":[]}'
_FAILED: Final = '{"kind":"failed","value":null,"message":"InternalError: out of memory","log":[]}'


class BrokenError(Exception):
    """The code cannot be read, or does not come to its end."""


class Slot:
    """One context of the function, at work on one event at a time; made anew after an event that had to be stopped."""

    def __init__(self, source: str, load: dict[str, Any]) -> None:
        """Take the text of what surrounds the code, and the frame with the code."""
        self._source, self._load = source, load
        self._time_s = float(load["timeS"])
        self.deadline = 0.0
        self.handlers = self._renew()

    def _renew(self) -> list[str]:
        self._context = context = Context()
        context.set_memory_limit(self._load["memoryBytes"])
        context.set_max_stack_size(_STACK_BYTES_MAX)
        self._call = context.eval(self._source)
        self._allow(self._time_s)
        try:
            found = self._call("load", self._load["load"], json.dumps(self._load["settings"]))
            self._work_off(time.monotonic() + self._time_s)
        except JSException as error:
            raise BrokenError(str(error).partition("\n")[0]) from None
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if found.startswith("!"):
            raise BrokenError(found[1:])
        return str(found).split()

    def _allow(self, seconds: float) -> None:
        seconds = max(seconds, 0.001)
        self._context.set_time_limit(seconds)
        signal.setitimer(signal.ITIMER_REAL, seconds + _GRACE_S)

    def begin(self, handler: str, argument: str) -> str | None:
        """Call a handler; return how it ended, None while it waits for something."""
        self.deadline = time.monotonic() + self._time_s
        return self._go_on("begin", handler, argument)

    def answer(self, text: str) -> str | None:
        """Hand in an answer to a fetch."""
        return self._go_on("answer", text)

    def tick(self) -> str | None:
        """Do what is due."""
        return self._go_on("tick", time.time() * 1000)

    def _go_on(self, *call: Any) -> str | None:
        self._allow(self.deadline - time.monotonic())
        try:
            self._call(*call)
            ended = self._work_off(self.deadline)
        except TimeoutError:
            return self.stop()
        except JSException as error:
            if "interrupted" in str(error):
                return self.stop()
            self._renew()
            return _FAILED
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if ended is not None and "InternalError: out of memory" in ended:
            self._renew()
        return ended

    def _work_off(self, deadline: float) -> str | None:
        """Do the jobs that promises left; return how the handler ended, None when it did not."""
        jobs = 0
        while self._context.execute_pending_job():
            jobs += 1
            if jobs % 64 == 0 and time.monotonic() > deadline:
                raise TimeoutError
            if jobs % _LEFTOVER_JOBS_MAX == 0 and (ended := self._ended()) is not None:
                self._renew()
                return ended
        return self._ended()

    def _ended(self) -> str | None:
        ended = self._call("ended")
        return None if ended is None else str(ended)

    def stop(self) -> str:
        """Give up the event: its time is up. What it wrote is kept, where the code still lets that be read."""
        ended = None
        try:
            self._allow(_LAST_WORD_S)
            ended = self._call("stop", _TIME_IS_UP % self._time_s)
        except JSException:
            pass
        self._renew()
        return str(ended) if ended else _RETRY % (_TIME_IS_UP % self._time_s)

    def wanted(self) -> list[dict[str, Any]]:
        """Return the requests that are to be sent."""
        found: list[dict[str, Any]] = json.loads(self._call("wanted"))
        return found

    def wakes_at(self) -> float:
        """Return when there is something to do, by the monotonic clock."""
        due = float(self._call("next"))
        return min(self.deadline, time.monotonic() + due / 1000 - time.time()) if due else self.deadline


class Run:
    """A handler to be called once for each of some arguments, in one slot."""

    def __init__(self, number: int, handler: str, arguments: list[bytes], slot: Slot) -> None:
        """Take what the frame said."""
        self.number, self.handler, self.slot = number, handler, slot
        self.arguments: Iterator[bytes] = iter(arguments)
        self.left = len(arguments)
        self.is_waiting = False
        self.has_fetched = False
        self._ended: list[bytes] = []
        self._bytes = 0
        self._flushed_at = time.monotonic()

    def end(self, ended: str) -> None:
        """Note how an event ended; what had an effect outside is told at once."""
        line = ended.encode("utf-8", "replace")
        self._ended.append(line)
        self._bytes += len(line)
        self.left -= 1
        self.is_waiting = False
        due = time.monotonic() - self._flushed_at > _FLUSH_S or self._bytes > _FLUSH_BYTES
        if self.has_fetched or due or not self.left:
            tell([json.dumps({"ended": self.number}).encode(), *self._ended])
            self._ended, self._bytes, self._flushed_at = [], 0, time.monotonic()
        self.has_fetched = False

    def work(self) -> None:
        """Call the handler for one argument after the other, until one waits or it is somebody else's turn."""
        until = time.monotonic() + _TURN_S
        while self.left and not self.is_waiting and time.monotonic() < until:
            self.take(self.slot.begin(self.handler, next(self.arguments).decode()))

    def take(self, ended: str | None) -> None:
        """Note what came of a step."""
        if ended is not None:
            self.end(ended)
            return
        self.is_waiting = True
        for request in self.slot.wanted():
            self.has_fetched = True
            tell([json.dumps({"fetch": self.number}).encode(), json.dumps(request).encode()])


class Worker:
    """Everything that goes on in this process."""

    def __init__(self, source: str, load: dict[str, Any]) -> None:
        """Make the first context, which shows what the code is."""
        self._source, self._load = source, load
        self._idle = [Slot(source, load)]
        self.handlers = self._idle[0].handlers
        self._runs: dict[int, Run] = {}
        self._ready: deque[Run] = deque()

    def timeout_s(self) -> float | None:
        """Return how long nothing is to be done; None is until something arrives."""
        if self._ready:
            return 0
        waking = [run.slot.wakes_at() for run in self._runs.values()]
        return max(0.0, min(waking) - time.monotonic()) if waking else None

    def hear(self, lines: list[bytes]) -> None:
        """Take one frame."""
        head = json.loads(lines[0])
        if "run" in head:
            slot = self._idle.pop() if self._idle else Slot(self._source, self._load)
            self._runs[head["run"]] = run = Run(head["run"], head["handler"], lines[1:], slot)
            self._ready.append(run)
        elif (waiting := self._runs.get(head["answer"])) and waiting.is_waiting:
            self._step(waiting, lambda: waiting.slot.answer(lines[1].decode()))

    def work(self) -> None:
        """Give the next run its turn."""
        for run in [run for run in self._runs.values() if run.is_waiting]:
            if run.slot.deadline <= time.monotonic():
                self._step(run, run.slot.stop)
            elif run.slot.wakes_at() <= time.monotonic():
                self._step(run, run.slot.tick)
        if self._ready:
            run = self._ready.popleft()
            began = time.monotonic()
            run.work()
            self._settle(run, began)

    def _step(self, run: Run, step: Any) -> None:
        began = time.monotonic()
        run.take(step())
        self._settle(run, began)

    def _settle(self, run: Run, began: float) -> None:
        """See to what follows; what one run took is not counted against the others."""
        taken_s = time.monotonic() - began
        for other in self._runs.values():
            if other is not run:
                other.slot.deadline += taken_s
        if not run.left:
            del self._runs[run.number]
            self._idle.append(run.slot)
        elif not run.is_waiting:
            self._ready.append(run)


def tell(lines: list[bytes]) -> None:
    """Write one frame; waits while the other side does not read."""
    rest = memoryview(framed(lines))
    while rest:
        rest = rest[os.write(1, rest) :]


def main() -> None:
    """Work until the other side closes the pipe."""
    frames, worker = Frames(), None
    while True:
        if worker is None or select.select([0], [], [], worker.timeout_s())[0]:
            arrived = os.read(0, _READ_BYTES)
            if not arrived:
                return
            for lines in frames.take(arrived):
                worker = _heard(worker, lines)
        if worker is not None:
            worker.work()


def _heard(worker: Worker | None, lines: list[bytes]) -> Worker:
    if worker is not None:
        worker.hear(lines)
        return worker
    load = json.loads(lines[0])
    source = "\n".join((_HERE / name).read_text(encoding="utf-8") for name in ("web.js", "sandbox.js"))
    # a context may take its memory, what it holds is copied on its way out, and others are at work beside it
    confine(load["memoryBytes"] * 4 + _READ_BYTES * 256)
    try:
        worker = Worker(source, load)
    except BrokenError as error:
        tell([json.dumps({"broken": str(error)}).encode()])
        sys.exit(0)
    tell([json.dumps({"loaded": worker.handlers}).encode()])
    return worker


if __name__ == "__main__":
    main()
