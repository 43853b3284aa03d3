"""The ingest role: the public door and the log's only writer; hands every other path on to the web role."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Literal, cast

import aiohttp
import structlog

from headwater.app.directory import Known
from headwater.app.health import Health, probes
from headwater.app.place import Place
from headwater.app.retention import Retention
from headwater.app.rpc import Caller
from headwater.app.serving import alongside
from headwater.app.suppressing import Following
from headwater.app.watch import Watch
from headwater.clock import now
from headwater.config import Settings
from headwater.control import database
from headwater.control.models import Role
from headwater.control.service import Control
from headwater.control.snapshot import Snapshot
from headwater.eventlog.segments import SegmentLog
from headwater.ingest.collector import Collector
from headwater.ingest.forward import Forward
from headwater.ingest.internal import Internal
from headwater.ingest.rejections import Rejections
from headwater.ingest.server import collect_seldom, serve
from headwater.limits import MIB
from headwater.privacy.suppression import Suppressions

log = structlog.get_logger()


async def run(place: Place) -> None:
    """Accept events until this process is told to stop."""
    settings = place.settings
    stored = _opened(settings)
    control = Control(database.open_engine(settings.control_url), place.keys, settings.source_regions)
    known = Known(control, place.public_url)
    forward = Forward(place.web_url, settings.trusted_proxies)
    rejections = Rejections(stored, clock=now)
    suppressions = Suppressions()
    following = Following(control, suppressions)
    collector = _collector(place, stored, known, rejections, forward, suppressions)
    retention = Retention(stored, settings)

    async def use(snapshot: Snapshot) -> None:
        following.place(snapshot)
        retention.use(snapshot)
        await known.use(snapshot)

    watch, stop = Watch(control, use), asyncio.Event()
    pipeline = Caller(place.pipeline_url, place.token, who="pipeline role")
    async with aiohttp.ClientSession() as session:
        health = Health(
            log=stored,
            damaged=lambda: sum(damage.last - damage.first + 1 for damage in stored.damage),
            counts=lambda: _counts(collector, rejections),
            pipeline=pipeline,
            web_answers=lambda: _answers(session, f"{place.web_url}/sign-in"),
            is_token=lambda text: _reads_metrics(control, text),
        )
        await watch.first()
        await following.first()
        collect_seldom()
        work = {
            "watch": watch.run(),
            "suppressions": following.run(),
            "rejections": rejections.run(),
            "retention": retention.run(),
        }
        async with alongside(stop.set, **work):
            await serve(probes(collector, health), sock=place.listener, stop=stop)
    await forward.close()
    await pipeline.close()
    await stored.close()


def _collector(
    place: Place,
    stored: SegmentLog,
    known: Known,
    rejections: Rejections,
    forward: Forward,
    suppressions: Suppressions,
) -> Collector:
    return Collector(
        stored,
        lambda: known,
        rejections,
        clock=now,
        fallback=forward,
        unknown_write_key=cast("Literal['reject', 'accept']", place.settings.unknown_write_key),
        internal=Internal(stored, place.token),
        suppressed=suppressions,
    )


def _opened(settings: Settings) -> SegmentLog:
    """Return the log, and say what of it cannot be read."""
    stored = SegmentLog.open(settings.log_dir, disk_free_bytes_min=settings.disk_free_mb * MIB)
    for damage in stored.damage:
        log.error("log.damaged", file=damage.file, offset=damage.offset, first=damage.first, last=damage.last)
    return stored


def _reads_metrics(control: Control, token: str) -> bool:
    caller = control.authenticate(token)
    return caller is not None and caller.may(Role.READ_ONLY, "workspace:read")


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url, allow_redirects=False) as answer:
            return answer.status < 500  # noqa: PLR2004 - server errors begin there
    except aiohttp.ClientError:
        return False


def _counts(collector: Collector, rejections: Rejections) -> tuple[dict[str, int], dict[str, int]]:
    counts = collector.counts
    by_code: Counter[str] = Counter()
    for (code, _), count in rejections.counts.items():
        by_code[code] += count
    totals = {
        "received": counts.received,
        "accepted": counts.accepted - counts.duplicates,
        "duplicates": counts.duplicates,
        "webhooks": counts.webhooks,
    }
    return totals, dict(by_code)
