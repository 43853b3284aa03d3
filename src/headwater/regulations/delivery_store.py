"""What delivery keeps of events: dead letters, those that wait, and what replays were chosen by."""

from __future__ import annotations

from headwater.delivery.forgetting import Forgetting
from headwater.privacy.person import Person
from headwater.regulations.stores import Reach


class DeliveryStore:
    """The delivery ledger."""

    def __init__(self, forgetting: Forgetting) -> None:
        self._forgetting = forgetting

    @property
    def name(self) -> str:
        """What the receipt calls it."""
        return "delivery"

    async def count(self, person: Person, reach: Reach) -> int:
        """Return how many rows are theirs."""
        return await self._forgetting.count(person, reach.holds)

    async def erase(self, person: Person, reach: Reach) -> int:
        """Take them out; they stay counted, as erased."""
        return await self._forgetting.erase(person, reach.holds)
