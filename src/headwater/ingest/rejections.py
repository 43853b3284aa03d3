"""What was refused and why: counted at once, written to the log's `rejected` topic behind the requests' backs."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
import structlog

from headwater.clock import Clock
from headwater.errors import LogOverloadedError, LogUnavailableError
from headwater.eventlog.contract import Appender, Topic
from headwater.spec.event import Record
from headwater.spec.times import format_time

SAMPLE_CHARS_MAX: Final = 4_096
_SECRET_MEMBERS: Final = frozenset(("writeKey",))
_WRITE_KEY: Final = re.compile(r'("writeKey"\s*:\s*)"[^"]*"?')

_encode = msgspec.json.Encoder().encode
log = structlog.get_logger()


@dataclass(slots=True)
class _Pending:
    """Rejections of one source and code since the last write."""

    first_at: datetime
    message: str
    count: int = 0
    sample: str | None = None
    message_id: str | None = None


class Rejections:
    r"""Counts every rejection by code and source, and keeps them in the log: one line a second, source and code.

    A line of the topic `rejected`, appended under the source's id ("" where no source is known):

        {"code": "event_not_string", "message": "event must be a string.", "count": 12,
         "receivedAt": "2026-01-31T09:05:07.120Z", "sample": "{\"type\": …", "messageId": "m-1"}

    `count` calls or requests were refused for the same reason since `receivedAt`; their sum over all lines is `counts`
    after a normal end. `sample` is the first of them as JSON text, cut at 4,096 characters, never with a write key; it
    and its `messageId` are there only where the sender was known. While the log cannot be written they wait in memory:
    one entry a source and code.

    Attributes:
        counts: all rejections since the start, by (code, source id).
    """

    def __init__(self, appender: Appender, *, clock: Clock, interval_s: float = 1.0) -> None:
        """Take the log's write side, the clock and the pause between two writes."""
        self.counts: Counter[tuple[str, str]] = Counter()
        self._appender = appender
        self._clock = clock
        self._interval_s = interval_s
        self._pending: dict[tuple[str, str], _Pending] = {}

    def reject(
        self, code: str, source_id: str, message: str, *, sample: Any = None, count: int = 1, write_key: str = ""
    ) -> None:
        """Count a rejection; returns at once.

        Args:
            code: one of the fixed discard codes.
            source_id: "" when no source is known; nothing of the payload is kept then.
            message: the sentence for people, without a payload.
            sample: what was refused: a JSON value, or the bytes of the body.
            count: how many it stands for.
            write_key: is blotted out of the sample.
        """
        self.counts[code, source_id] += count
        pending = self._pending.get((code, source_id))
        if pending is None:
            pending = self._pending[code, source_id] = _Pending(self._clock(), message)
            if source_id and sample is not None:
                pending.sample = _sample_of(sample, write_key)
                pending.message_id = _message_id_of(sample)
        pending.count += count

    async def run(self) -> None:
        """Write what has come together, once an interval, until cancelled; then write the rest."""
        writing: asyncio.Future[None] | None = None
        try:
            while True:
                await asyncio.sleep(self._interval_s)
                # a write that is cut in half might be counted twice, so it is never cut
                writing = asyncio.ensure_future(self.flush())
                await asyncio.shield(writing)
        finally:
            if writing is not None:
                await writing
            await self.flush()

    async def flush(self) -> None:
        """Write what is pending; what the log does not take stays pending."""
        pending, self._pending = self._pending, {}
        while pending:
            key, entry = next(iter(pending.items()))
            record = Record("", _line(key[0], entry))
            try:
                await self._appender.append(Topic.REJECTED, key[1], self._clock(), [record])
            except (LogUnavailableError, LogOverloadedError):
                self._keep(pending)
                return
            del pending[key]

    def _keep(self, unwritten: dict[tuple[str, str], _Pending]) -> None:
        """Put back what was not written, in front of what has come in since."""
        for key, earlier in unwritten.items():
            later = self._pending.get(key)
            if later is not None:
                earlier.count += later.count
            self._pending[key] = earlier
        log.warning("rejections.kept_in_memory", entries=len(unwritten))


def _line(code: str, entry: _Pending) -> bytes:
    line: dict[str, Any] = {
        "code": code,
        "message": entry.message,
        "count": entry.count,
        "receivedAt": format_time(entry.first_at),
    }
    if entry.sample is not None:
        line["sample"] = entry.sample
    if entry.message_id is not None:
        line["messageId"] = entry.message_id
    return _encode(line)


def _sample_of(sample: Any, write_key: str) -> str:
    if isinstance(sample, bytes):
        text = sample[: SAMPLE_CHARS_MAX * 2].decode("utf-8", "replace")
    else:
        if isinstance(sample, dict) and not _SECRET_MEMBERS.isdisjoint(sample):
            sample = {member: value for member, value in sample.items() if member not in _SECRET_MEMBERS}
        try:
            text = _encode(sample).decode()
        except RecursionError:
            text = "nested too deep to show"
    text = _WRITE_KEY.sub(r'\1"***"', text)
    if write_key:
        text = text.replace(write_key, "***")
    return text[:SAMPLE_CHARS_MAX]


def _message_id_of(sample: Any) -> str | None:
    message_id = sample.get("messageId") if isinstance(sample, dict) else None
    return message_id[:SAMPLE_CHARS_MAX] if isinstance(message_id, str) else None
