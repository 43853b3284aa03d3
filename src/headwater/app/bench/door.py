"""The real server of the ingest role under test: with the real log, with one that stores nothing, or answering only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import uvloop

from headwater import telemetry
from headwater.app.bench.parts import tell
from headwater.clock import now
from headwater.eventlog.contract import Appended, Appender, Topic
from headwater.eventlog.segments import SegmentLog
from headwater.ingest.answers import SUCCESS, Receive, Scope, Send, reply
from headwater.ingest.collector import Collector
from headwater.ingest.directory import SourceRef
from headwater.ingest.rejections import Rejections
from headwater.ingest.server import collect_seldom, serve
from headwater.spec.event import Record

WRITE_KEY: Final = "b" * 32
SOURCE_ID: Final = "bench"
MODES: Final = ("durable", "nothing", "bare")
"""The real log; a log that stores nothing; no collector at all."""


class _Directory:
    """One source."""

    _source = SourceRef(SOURCE_ID, "bench", enabled=True)

    def by_write_key(self, write_key: str) -> SourceRef | None:
        return self._source if write_key == WRITE_KEY else None

    def by_webhook_secret(self, _secret: str) -> None:
        return None

    def settings_document(self, _write_key: str) -> None:
        return None


class _Nowhere:
    """An appender that stores nothing: what any log could reach behind this server."""

    async def append(
        self,
        _topic: Topic,
        _source_id: str,
        _received_at: datetime,
        records: Sequence[Record],
        *,
        reserved: bool = False,  # noqa: ARG002 - the contract's name
    ) -> Appended:
        return Appended(0, len(records))


async def _only_answer(_scope: Scope, receive: Receive, send: Send) -> None:
    """Read a body and answer 200: what the server itself can do."""
    while (await receive()).get("more_body"):
        pass
    await reply(send, SUCCESS)


def part(*, mode: str, directory: str) -> None:
    """Serve until the process is told to end; tells its port."""
    telemetry.configure("warning", "bench")
    uvloop.run(_serve(mode, Path(directory)))


async def _serve(mode: str, directory: Path) -> None:
    def on_ready(_host: str, port: int) -> None:
        tell({"port": port})

    collect_seldom()
    if mode == "bare":
        await serve(_only_answer, on_ready=on_ready)
        return
    stored = SegmentLog.open(directory) if mode == "durable" else None
    log: Appender = stored or _Nowhere()
    known: Any = _Directory()
    collector = Collector(log, lambda: known, Rejections(log, clock=now), clock=now, fallback=_only_answer)
    await serve(collector, on_ready=on_ready)
    if stored is not None:
        await stored.close()
