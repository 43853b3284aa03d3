"""Map what arrives with what is remembered: each occurrence once, with who it was and what its campaign is called."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from headwater.sources.activecampaign.ledger import Ledger
from headwater.sources.activecampaign.records import CampaignNote, Person
from headwater.sources.contract import Taken, Webhook


class Who(Protocol):
    """Tells who contacts are, within a bounded time."""

    async def who(self, source_id: str, contacts: Mapping[str, str]) -> Mapping[str, Person]:
        """Return who is known of these contacts, by key; one that is absent did not answer in time.

        Args:
            source_id: whose account.
            contacts: {contact id: e-mail}; a contact without an id has its e-mail as key.
        """
        ...


class Notes(Protocol):
    """Tells what campaigns are called, within a bounded time."""

    async def notes(self, source_id: str, campaign_ids: Collection[str]) -> Mapping[str, CampaignNote]:
        """Return what is known of these campaigns, by id; one that is absent did not answer in time."""
        ...


class OccurrenceMemory:
    """Implements `contract.Memory`."""

    def __init__(self, ledger: Ledger, who: Who, notes: Notes) -> None:
        """Take what remembers and whom to ask."""
        self._ledger, self._who, self._notes = ledger, who, notes

    async def take(self, source_id: str, webhooks: Sequence[Webhook], settings: Mapping[str, Any]) -> Taken:
        """Return what records of one source mean, in inbox order."""
        raise NotImplementedError

    async def overdue(self, source_id: str, settings: Mapping[str, Any], until: datetime) -> Taken:
        """Return unsubscribes that waited long enough for a reason."""
        raise NotImplementedError

    async def keep(self, source_id: str, taken: Taken) -> None:
        """Remember what was returned, now that the log has it."""
        raise NotImplementedError
