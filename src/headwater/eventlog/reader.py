"""Reading a log's files from any process, up to what is durable."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from headwater.eventlog.contract import Topic
from headwater.eventlog.mark import Mark, MarkFile
from headwater.eventlog.stretch import TopicReader
from headwater.spec.event import Batch

POLL_FIRST_S: Final = 0.002
POLL_LAST_S: Final = 0.1
_POLL_GROWTH: Final = 1.5
_EMPTY: Final = Mark(0, 0, 0, 0, 0)


class SegmentReader:
    """The read side for every process that does not write; needs no lock and may start before the writer does."""

    def __init__(self, directory: Path) -> None:
        """Take the log's directory; nothing is opened yet."""
        self._marks = {topic: _Marks(directory / topic) for topic in Topic}
        self._readers = {topic: TopicReader(directory / topic, self._marks[topic].load) for topic in Topic}
        self._polls: dict[Topic, asyncio.Task[None]] = {}
        self._pauses_s = dict.fromkeys(Topic, POLL_FIRST_S)
        self._waiting: dict[Topic, dict[asyncio.Future[bool], int]] = {topic: {} for topic in Topic}

    def start(self, topic: Topic) -> int:
        """Return the oldest cursor that can still be read."""
        return self._marks[topic].load().start

    def end(self, topic: Topic) -> int:
        """Return the sequence that comes next."""
        return self._marks[topic].load().end

    def read(self, topic: Topic, cursor: int, *, records_max: int = 10_000, bytes_max: int = 8 * 1024 * 1024) -> Batch:
        """Return what follows `cursor`; see the contract."""
        return self._readers[topic].read(cursor, records_max=records_max, bytes_max=bytes_max)

    async def wait(self, topic: Topic, cursor: int, *, timeout_s: float) -> bool:
        """Return True as soon as there is something behind `cursor`, False after `timeout_s`."""
        if self.end(topic) > cursor:
            return True
        news = asyncio.get_running_loop().create_future()
        waiting = self._waiting[topic]
        waiting[news] = cursor
        if topic not in self._polls:
            self._polls[topic] = asyncio.create_task(self._poll(topic))
        try:
            async with asyncio.timeout(timeout_s):
                return bool(await news)
        except TimeoutError:
            return False
        finally:
            waiting.pop(news, None)

    async def _poll(self, topic: Topic) -> None:
        """Look at the mark for all who wait, soon after news, every 100 ms while there is none."""
        waiting, pauses_s = self._waiting[topic], self._pauses_s
        try:
            while waiting:
                end = self.end(topic)
                for news in [news for news, cursor in waiting.items() if end > cursor and not news.done()]:
                    news.set_result(True)
                    del waiting[news]
                    pauses_s[topic] = POLL_FIRST_S
                await asyncio.sleep(pauses_s[topic])
                pauses_s[topic] = min(pauses_s[topic] * _POLL_GROWTH, POLL_LAST_S)
        finally:
            del self._polls[topic]

    def close(self) -> None:
        """Close every file."""
        for topic in Topic:
            self._readers[topic].close()
            self._marks[topic].close()


class _Marks:
    """A topic's mark as another process stores it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file: MarkFile | None = None
        self._newest = _EMPTY

    def load(self) -> Mark:
        """Return the newest mark, an empty one before the writer's first start."""
        try:
            if self._file is None:
                self._file = MarkFile(self._directory, writable=False)
        except FileNotFoundError:
            return _EMPTY
        self._newest = self._file.load() or self._newest
        return self._newest

    def close(self) -> None:
        """Unmap the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
