"""One process that runs one function, seen from outside: started, asked, listened to, ended."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from headwater.errors import ConfigError, InvalidEventError, RetryableError
from headwater.functions.contract import Ended, Function, Kind
from headwater.functions.fetching import fetched
from headwater.functions.frames import FRAME_BYTES_MAX, Frames, TooLargeError, framed
from headwater.limits import MIB
from headwater.outgoing import Http
from headwater.spec.parse import decode

START_S: Final = 15.0  # ours: from the start of a process to the end of the code's own first lines
FETCHES_MAX: Final = 64  # ours: requests of one process under way
FETCH_BYTES_MAX: Final = FRAME_BYTES_MAX  # ours: of all of them together, so that the largest may be sent alone
_GRACE_S: Final = 3.0  # a process ends itself before; one that does not is killed
_LOOK_S: Final = 1.0
_READ_BYTES: Final = 256 * 1024
_encode: Final = msgspec.json.Encoder().encode


class GoneError(Exception):
    """The process ended before every handler had.

    Attributes:
        ended: what ended before, in order.
    """

    def __init__(self, ended: list[Ended]) -> None:
        """Take what ended before."""
        super().__init__()
        self.ended = ended


class _Line(msgspec.Struct):
    """How the process tells that a handler ended."""

    kind: Kind
    value: Any
    message: str
    log: tuple[str, ...]


@dataclass(slots=True)
class _Run:
    count: int
    http: Http
    done: asyncio.Future[None]
    ended: list[Ended] = field(default_factory=list)
    fetches: set[asyncio.Task[None]] = field(default_factory=set)


class Child:
    """A process at work; `is_gone` is told by `on_end`, once."""

    def __init__(self, process: asyncio.subprocess.Process, time_s: float, on_end: Callable[[], None]) -> None:
        """Take a process that has just been started."""
        self._process, self._silent_s, self._on_end = process, time_s + _GRACE_S, on_end
        self._in, self._out = _pipes(process)
        self._loaded: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        self._runs: dict[int, _Run] = {}
        self._last_run = 0
        self._fetching = self._fetching_bytes = 0
        self._heard_at = time.monotonic()
        self.handlers: frozenset[str] = frozenset()
        self.is_gone = False
        self._listening = asyncio.create_task(self._listen())

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @classmethod
    async def start(cls, function: Function, time_s: float, memory_bytes: int, on_end: Callable[[], None]) -> Child:
        """Return a process that has read the code.

        Raises:
            ConfigError: it cannot be read.
            RetryableError: no process can be started, or it did not come so far.
        """
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-m", "headwater.functions.process",
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
                env={}, cwd=os.sep, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise RetryableError(f"No process can be started for a function ({error.strerror}).") from error
        child = cls(process, time_s, on_end)
        try:
            await child._load(function, memory_bytes)
        except BaseException:
            await child.end()
            raise
        return child

    async def _load(self, function: Function, memory_bytes: int) -> None:
        load = {
            "load": function.code,
            "settings": function.settings,
            "timeS": self._silent_s - _GRACE_S,
            "memoryBytes": memory_bytes,
        }
        await self._tell([_encode(load)])
        try:
            async with asyncio.timeout(START_S):
                answer = await self._loaded
        except TimeoutError:
            raise RetryableError("The process of a function did not start in time; try again later.") from None
        if "broken" in answer:
            raise ConfigError(f"The function {function.name} cannot be read: {answer['broken']}")
        if "loaded" not in answer:
            raise ConfigError(f"The function {function.name} cannot be read: it takes too much time or memory.")
        self.handlers = frozenset(answer["loaded"])

    async def run(self, handler: str, arguments: Sequence[bytes], http: Http) -> list[Ended]:
        """Call a handler once for each argument and return how each ended.

        Raises:
            GoneError: the process ended meanwhile.
        """
        self._last_run = number = self._last_run + 1
        run = _Run(len(arguments), http, asyncio.get_running_loop().create_future())
        self._runs[number] = run
        self._heard_at = time.monotonic()
        try:
            await self._tell([_encode({"run": number, "handler": handler}), *arguments])
            while not run.done.done():
                await asyncio.wait({run.done}, timeout=_LOOK_S)
                if self.is_gone or time.monotonic() - self._heard_at > self._silent_s:
                    self.kill()
                    await self._listening
            if len(run.ended) < run.count:
                raise GoneError(run.ended)
            return run.ended
        finally:
            del self._runs[number]
            for task in run.fetches:
                task.cancel()

    def kill(self) -> None:
        """End the process at once; not by `Process.kill`, which may take its end from the loop that waits for it."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)

    async def end(self) -> None:
        """End the process and wait until it has."""
        self.kill()
        await asyncio.gather(self._listening, return_exceptions=True)
        await self._process.wait()

    async def _tell(self, lines: Sequence[bytes]) -> None:
        with suppress(OSError, RuntimeError):  # gone: the listener tells
            self._in.write(framed(lines))
            await self._in.drain()

    async def _listen(self) -> None:
        frames = Frames()
        try:
            while arrived := await self._out.read(_READ_BYTES):
                self._heard_at = time.monotonic()
                for lines in frames.take(arrived):
                    self._hear(lines)
        except (TooLargeError, InvalidEventError, msgspec.MsgspecError, KeyError, IndexError, TypeError):
            pass  # what no process of ours says: it is not trusted any further
        finally:
            self.kill()
            self.is_gone = True
            if not self._loaded.done():
                self._loaded.set_result({})
            for run in self._runs.values():
                if not run.done.done():
                    run.done.set_result(None)
            self._in.close()
            self._on_end()

    def _hear(self, lines: list[bytes]) -> None:
        head = decode(lines[0]).value
        if "ended" in head:
            run = self._runs.get(head["ended"])
            if run is not None:
                run.ended += [_ended(line) for line in lines[1 : 1 + run.count - len(run.ended)]]
                if len(run.ended) == run.count and not run.done.done():
                    run.done.set_result(None)
        elif "fetch" in head:
            run = self._runs.get(head["fetch"])
            if run is not None:
                request = msgspec.convert(decode(lines[1]).value, dict[str, Any])
                task = asyncio.create_task(self._fetch(head["fetch"], run.http, request, len(lines[1])))
                run.fetches.add(task)
                task.add_done_callback(run.fetches.discard)
        elif not self._loaded.done():
            self._loaded.set_result(head)

    async def _fetch(self, number: int, http: Http, request: Mapping[str, Any], size: int) -> None:
        if self._fetching >= FETCHES_MAX or self._fetching_bytes + size > FETCH_BYTES_MAX:
            told = f"More than {FETCHES_MAX} requests, or {FETCH_BYTES_MAX // MIB} MiB of them, are under way."
            answer: dict[str, Any] = {"error": told, "retry": True}
        else:
            self._fetching += 1
            self._fetching_bytes += size
            try:
                answer = await fetched(http, request)
            finally:
                self._fetching -= 1
                self._fetching_bytes -= size
        await self._tell([_encode({"answer": number}), _encode({"id": request.get("id"), **answer})])


def _pipes(process: asyncio.subprocess.Process) -> tuple[asyncio.StreamWriter, asyncio.StreamReader]:
    if process.stdin is None or process.stdout is None:  # asked for at its start
        raise RetryableError("The process of a function has no pipe; try again later.")
    return process.stdin, process.stdout


def _ended(line: bytes) -> Ended:
    told = msgspec.convert(decode(line).value, _Line)
    return Ended(told.kind, told.value, told.message, told.log)
