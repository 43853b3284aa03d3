"""Signing in takes memory and a processor: how many do it at once, and how many wait, is bounded."""

import asyncio
import threading

import pytest

from headwater.errors import RequestError
from headwater.web.hashing import Hashing


class Work:
    """Work that goes on until it is told to end; counts how much of it goes on at once."""

    def __init__(self):
        self.going, self.most, self.ended = 0, 0, threading.Event()
        self._lock = threading.Lock()

    def __call__(self, number):
        with self._lock:
            self.going += 1
            self.most = max(self.most, self.going)
        self.ended.wait(30)
        with self._lock:
            self.going -= 1
        return number


def test_two_at_once_a_hundred_in_all_and_the_next_is_told_to_come_again():
    async def crowd():
        hashing, work = Hashing(), Work()
        waiting = [asyncio.ensure_future(hashing.run(work, number)) for number in range(100)]
        await asyncio.sleep(0)
        with pytest.raises(RequestError) as refused:
            await hashing.run(work, 100)
        assert (refused.value.status, refused.value.retry_after_s) == (503, 5)
        work.ended.set()
        assert await asyncio.gather(*waiting) == list(range(100))
        assert work.most <= 2
        assert await hashing.run(work, 101) == 101

    asyncio.run(crowd())


def test_what_fails_leaves_its_place():
    async def failing():
        hashing = Hashing()
        for _ in range(300):
            with pytest.raises(ZeroDivisionError):
                await hashing.run(divmod, 1, 0)
        assert await hashing.run(divmod, 7, 2) == (3, 1)

    asyncio.run(failing())
