"""A receiver, a log and an engine beside them."""

import asyncio
import contextlib

import pytest

from headwater.delivery.engine import Delivery
from headwater.delivery.http import GuardedHttp
from headwater.eventlog.memory import MemoryLog
from receiver import LOOPBACK, QUICK, receiving
from rooms import outside


@pytest.fixture
async def receiver():
    async with receiving() as one:
        yield one


@pytest.fixture
async def other_receiver():
    async with receiving() as one:
        yield one


@pytest.fixture
async def http():
    client = GuardedHttp(LOOPBACK)
    yield client
    await client.close()


@pytest.fixture
def log():
    return MemoryLog()


@pytest.fixture
def delivering(log, tmp_path, http):
    """Return a context manager: a running engine with these connections."""

    @contextlib.asynccontextmanager
    async def run(*connections, rules=QUICK, **named):
        delivery = Delivery(log, tmp_path, outside(http, tmp_path), rules=rules, **named)
        delivery.apply(connections)
        task = asyncio.create_task(delivery.run())
        try:
            yield delivery
        finally:
            await delivery.stop()
            await task

    return run
