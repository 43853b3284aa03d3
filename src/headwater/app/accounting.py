"""Check once a minute that every event which was read is in exactly one place, and log an error when one is not."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from headwater import sqlite
from headwater.delivery.engine import Delivery

_EVERY_S: Final = 60.0

log = structlog.get_logger()


async def account(delivery: Delivery) -> None:
    """Look at every destination until cancelled; what differs is in `/metrics` and `headwater doctor`, too."""
    while True:
        await asyncio.sleep(_EVERY_S)
        try:
            statuses = await delivery.status()
        except sqlite.Error as error:  # a full disk passes
            log.warning("accounting.failed", error=type(error).__name__)
            continue
        for status in statuses:
            if status.unaccounted:
                log.error("delivery.unaccounted", destination=status.destination_id, count=status.unaccounted)
