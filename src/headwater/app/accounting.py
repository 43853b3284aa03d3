"""Check once a minute that every event which was read is in exactly one place, and log an error when one is not."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from headwater import sqlite
from headwater.delivery.engine import Delivery
from headwater.loading.engine import Loading

_EVERY_S: Final = 60.0

log = structlog.get_logger()


async def account(delivery: Delivery, loading: Loading) -> None:
    """Look at every destination and warehouse until cancelled; `/metrics` and `headwater doctor` show it, too."""
    while True:
        await asyncio.sleep(_EVERY_S)
        try:
            statuses = await delivery.status()
            loads = await asyncio.to_thread(loading.status)
        except sqlite.Error as error:  # a full disk passes
            log.warning("accounting.failed", error=type(error).__name__)
            continue
        for status in statuses:
            if status.unaccounted:
                log.error("delivery.unaccounted", destination=status.destination_id, count=status.unaccounted)
        for load in loads:
            if load.unaccounted:
                log.error("loading.unaccounted", warehouse=load.warehouse_id, count=load.unaccounted)
