"""Give expired segments back to the disk, and never because a clock was set wrongly."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from headwater import sqlite
from headwater.app.hourly import moments
from headwater.app.source_retention import longest
from headwater.config import Settings
from headwater.control.service import Control
from headwater.control.snapshot import Snapshot
from headwater.delivery.engine import Delivery
from headwater.errors import CorruptLogError, LogUnavailableError
from headwater.eventlog.contract import Eraser, Topic
from headwater.eventlog.segments import SegmentLog
from headwater.ingest.inbox import InboxMapper

_SWEPT_EVERY_S: Final = 1_800  # ours: nothing of suppressed people stays for longer than an hour
_REJECTED_KEPT: Final = timedelta(days=7)

log = structlog.get_logger()


class Retention:
    """What of the log goes as whole segments; no source may need them any more."""

    def __init__(self, stored: SegmentLog, settings: Settings) -> None:
        self._stored, self._settings, self._days = stored, settings, settings.retention_days

    def use(self, snapshot: Snapshot) -> None:
        """Take over a new configuration: the source that keeps its events longest decides."""
        self._days = longest(snapshot, self._settings.retention_days)

    async def run(self) -> None:
        """Expire records and ids once an hour, for the first time after an hour."""
        async for moment in moments():
            try:
                await asyncio.to_thread(expire, self._stored, self._settings, moment, self._days)
            except CorruptLogError as error:  # a block that cannot be read must not close the door
                log.error("retention.failed", reason=str(error))  # noqa: TRY400 - the message names file and place


async def retain_dead_letters(delivery: Delivery, settings: Settings) -> None:
    """Expire dead letters once an hour, for the first time after an hour; they stay counted."""
    async for moment in moments():
        try:
            count = await delivery.expire_dead_letters(moment - timedelta(days=settings.retention_days))
        except sqlite.Error as error:  # a full disk passes; the next hour tries again
            log.warning("retention.failed", reason=type(error).__name__)
        else:
            log.info("dead_letters.expired", count=count)


async def sweep_inbox(mapper: InboxMapper, eraser: Eraser) -> None:
    """Take webhooks of people who are suppressed out of the inbox: it stores them before anybody knows whose they are.

    Each time a segment is written anew, so that it is not done for every webhook.
    """
    while True:
        await asyncio.sleep(_SWEPT_EVERY_S)
        try:
            count = await mapper.sweep(eraser)
        except (LogUnavailableError, CorruptLogError, sqlite.Error) as error:  # what is left goes the next time
            log.warning("inbox.not_swept", reason=type(error).__name__)
        else:
            if count:
                log.info("inbox.swept", count=count)


async def retain_audit(control: Control) -> None:
    """Expire the audit trail once an hour, for the first time after an hour; its chain holds."""
    async for moment in moments():
        try:
            count = await asyncio.to_thread(control.audit.expire, moment)
        except SQLAlchemyError as error:  # a full disk passes; the next hour tries again
            log.warning("retention.failed", reason=type(error).__name__)
        else:
            log.info("audit.expired", count=count)


def expire(stored: SegmentLog, settings: Settings, moment: datetime, days: int) -> None:
    """Remove the segments in which nothing is younger than `days`, and ids as the settings say, seen from `moment`."""
    kept = timedelta(days=days)
    for topic, age in {Topic.INBOX: kept, Topic.EVENTS: kept, Topic.REJECTED: _REJECTED_KEPT}.items():
        stored.trim(topic, before=moment - age)
    stored.forget_ids(before=moment - timedelta(days=settings.dedupe_days))
