"""The source's engine in the pipeline role: memory, identities, history and webhooks of all connected accounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from headwater.sources.contract import Account, Answer, Room, Taken, Webhook


class AccountsWorker:
    """Implements `contract.Worker` by composing the source's parts."""

    def __init__(self, room: Room) -> None:
        """Take the program's room and open what is remembered there."""
        self._room = room

    async def take(self, source_id: str, webhooks: Sequence[Webhook], settings: Mapping[str, Any]) -> Taken:
        """See `contract.Memory`."""
        raise NotImplementedError

    async def overdue(self, source_id: str, settings: Mapping[str, Any], until: datetime) -> Taken:
        """See `contract.Memory`."""
        raise NotImplementedError

    async def keep(self, source_id: str, taken: Taken) -> None:
        """See `contract.Memory`."""
        raise NotImplementedError

    def apply(self, accounts: Sequence[Account]) -> None:
        """Hand the accounts to every part."""
        raise NotImplementedError

    def saw(self, workspace_id: str, lines: Sequence[bytes]) -> None:
        """Learn who is who."""
        raise NotImplementedError

    async def run(self) -> None:
        """Run every part until `stop`; one that fails is begun again and ends no other."""
        raise NotImplementedError

    async def stop(self) -> None:
        """End `run` soon."""
        raise NotImplementedError

    async def check(self, url: str, key: str) -> Answer:
        """Try an account's address and key; change nothing."""
        raise NotImplementedError

    async def settle(self, connection_id: str) -> Answer:
        """Bring the account's webhook into the wanted state now and return `status`."""
        raise NotImplementedError

    async def status(self, connection_id: str) -> Answer:
        """Return how a connection does."""
        raise NotImplementedError

    async def backfill(
        self,
        connection_id: str,
        *,
        since: str | None = None,
        campaigns: Sequence[str] | None = None,
        dry_run: bool = False,
    ) -> Answer:
        """Begin to read history, or only count it, and return the run."""
        raise NotImplementedError

    async def reconcile(self, connection_id: str, *, campaigns: Sequence[str] | None = None) -> Answer:
        """Begin to compare counters and fill in what is missing; return the run."""
        raise NotImplementedError

    async def cancel(self, connection_id: str, run_id: str) -> Answer:
        """End a run where it is and return it."""
        raise NotImplementedError

    async def runs(self, connection_id: str, count: int = 20) -> Answer:
        """Return {"runs": [...]}, newest first."""
        raise NotImplementedError

    async def reconciliation(self, connection_id: str) -> Answer:
        """Return {"campaigns": [...]}."""
        raise NotImplementedError

    async def complaints(self, connection_id: str, rows: Sequence[Mapping[str, str]]) -> Answer:
        """Take spam complaints that somebody exported by hand; return {"count": n}."""
        raise NotImplementedError


def open(room: Room) -> AccountsWorker:  # noqa: A001 - what a source with a worker is opened by
    """Return the source's worker."""
    return AccountsWorker(room)
