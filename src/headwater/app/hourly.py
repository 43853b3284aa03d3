"""When what is stored is looked at for what has had its time: once an hour, by a clock that nobody has set."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Final

import structlog

from headwater.clock import SteadyClock

EVERY_S: Final = 3_600.0

log = structlog.get_logger()


async def moments() -> AsyncIterator[datetime]:
    """Yield the present instant once an hour, for the first time after an hour; none once the clock was set."""
    clock = SteadyClock()
    while True:
        await asyncio.sleep(EVERY_S)
        moment = clock.moment()
        if moment is None:
            log.error("retention.skipped", reason="the clock was set; restart Headwater once it is right")
        else:
            yield moment
