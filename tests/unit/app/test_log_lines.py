"""A log line that finds no room is lost; the work that wrote it goes on."""

import subprocess
import sys
from pathlib import Path

import pytest

LOGGING = """
import asyncio
import structlog
from headwater import telemetry
from headwater.app.serving import alongside

telemetry.configure("info", "pipeline")
structlog.get_logger().error("batch.failed", reason="x" * 100_000)

async def failing():
    raise OSError(28, "No space left on device")

async def role():
    stopped = asyncio.Event()
    async with alongside(stopped.set, mapper=failing()):
        async with asyncio.timeout(10):
            await stopped.wait()

asyncio.run(role())
print("told to stop")
"""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_a_full_disk_under_the_log_keeps_no_failed_role_from_its_restart():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", LOGGING], stdout=subprocess.PIPE, stderr=full, text=True, check=False
        )
    assert done.stdout == "told to stop\n"
