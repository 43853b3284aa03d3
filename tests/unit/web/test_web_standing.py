"""What a page shows of another role waits for it only so long."""

import asyncio

from headwater.errors import LogUnavailableError
from headwater.web import standing


async def test_a_role_that_hangs_or_is_away_leaves_the_rest_of_the_page(monkeypatch):
    monkeypatch.setattr(standing, "ANSWER_S", 0.01)

    async def away():
        raise LogUnavailableError("away")

    async def told():
        return {"connections": [{"destinationId": "d"}]}

    assert await standing.asked(asyncio.sleep(60, {"connections": []}), "connections") is None
    assert await standing.asked(away(), "connections") is None
    assert await standing.asked(told(), "connections") == [{"destinationId": "d"}]
