"""The shop's server: sends calls in batches to the Tracking API, and again when they were not taken."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final

import aiohttp
import msgspec

from headwater.simulators.activecampaign.shop import Call

BATCH_MAX: Final = 50
_TRIES_MAX: Final = 8
_PAUSE_S: Final = 0.25
_TIMEOUT_S: Final = 15.0
_RETRY: Final = {429, 500, 502, 503, 504}


class Tracker:
    """Sends what is put into its queue; as an official library does, with retries and a bounded queue."""

    def __init__(self, http: aiohttp.ClientSession, url: str, write_key: str) -> None:
        self._http, self._url = http, url.rstrip("/") + "/v1/batch"
        self._auth = {"authorization": aiohttp.encode_basic_auth(write_key, "")}
        self._calls: asyncio.Queue[Call] = asyncio.Queue(maxsize=1_000)
        self.answers: Counter[str] = Counter()

    async def put(self, call: Call) -> None:
        """Queue one call; waits while the queue is full."""
        await self._calls.put(call)

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            batch = [await self._calls.get()]
            while len(batch) < BATCH_MAX and not self._calls.empty():
                batch.append(self._calls.get_nowait())
            self.answers[await self._send(msgspec.json.encode({"batch": batch}))] += len(batch)
            for _ in batch:
                self._calls.task_done()

    async def drain(self) -> None:
        """Return once everything that was queued is sent or given up."""
        await self._calls.join()

    async def _send(self, body: bytes) -> str:
        answer = ""
        for attempt in range(_TRIES_MAX):
            answer = await self._post(body)
            if not (answer == "unreachable" or int(answer) in _RETRY):
                break
            await asyncio.sleep(_PAUSE_S * 2**attempt)
        return answer

    async def _post(self, body: bytes) -> str:
        headers = {"content-type": "application/json", **self._auth}
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        try:
            async with self._http.post(self._url, data=body, headers=headers, timeout=timeout) as answer:
                await answer.read()
        except (TimeoutError, aiohttp.ClientError):
            return "unreachable"
        return str(answer.status)
