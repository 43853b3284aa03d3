"""Sources that remember or talk to an account: their workers, the rooms they work in, and the accounts they work on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import structlog

from headwater import shelf
from headwater.app.place import Place
from headwater.budget import Budgets
from headwater.clock import now
from headwater.control.snapshot import Snapshot
from headwater.delivery.address import Policy
from headwater.delivery.http import GuardedHttp
from headwater.limits import ACCOUNT_ANSWER_BYTES_MAX, ACCOUNT_DEADLINE_S
from headwater.sources.contract import Account, Deposit, Room, Worker

SOURCES: Final = "headwater.sources"
WEBHOOKS: Final = "activecampaign"
"""The source type whose worker maps every webhook: the only one that receives any."""

log = structlog.get_logger()


class Workers:
    """The workers of the sources that have one, by source type, and what they share."""

    def __init__(self, place: Place, deposit: Deposit, budgets: Budgets) -> None:
        """Open every worker; `deposit` is the way into the inbox, `budgets` are shared with destinations."""
        self._http = GuardedHttp(
            Policy(place.settings.allow_networks),
            deadline_s=ACCOUNT_DEADLINE_S,
            answer_bytes_max=ACCOUNT_ANSWER_BYTES_MAX,
        )
        self._public_url = place.public_url
        self._workspaces: dict[str, str] = {}
        self.has_accounts = False
        self.by_type: dict[str, Worker] = {}
        for name in shelf.names(SOURCES):
            module = shelf.take(SOURCES, name)
            if hasattr(module, "open"):
                home = place.settings.state_dir / name
                home.mkdir(parents=True, exist_ok=True)
                self.by_type[name] = module.open(Room(home, self._http, budgets, deposit, now))

    def apply(self, snapshot: Snapshot) -> None:
        """Take over a new configuration."""
        self._workspaces = {source.id: source.workspace_id for source in snapshot.sources}
        self.has_accounts = bool(snapshot.accounts)
        self.by_type[WEBHOOKS].apply(accounts(snapshot, self._public_url, now()))

    def workspace_of(self, source_id: str) -> str | None:
        """Return the workspace of a source, None when it is gone."""
        return self._workspaces.get(source_id)

    def saw(self, workspace_id: str, lines: Sequence[bytes]) -> None:
        """Let every worker learn from identify calls of a workspace."""
        for worker in self.by_type.values():
            worker.saw(workspace_id, lines)

    async def run(self) -> None:
        """Let every worker work until `stop`."""
        await asyncio.gather(*(worker.run() for worker in self.by_type.values()))

    async def stop(self) -> None:
        """End `run`."""
        await asyncio.gather(*(worker.stop() for worker in self.by_type.values()))

    async def close(self) -> None:
        """Close the connections to the accounts."""
        await self._http.close()


def accounts(snapshot: Snapshot, public_url: str, moment: datetime) -> list[Account]:
    """Return the accounts of a configuration as a worker takes them, with the addresses that work at this moment."""
    sources = {source.id: source for source in snapshot.sources}
    found = []
    for entry in snapshot.accounts:
        present, *former = (
            f"{public_url}/webhooks/{WEBHOOKS}/{secret}" for secret in sources[entry.source_id].webhook_secrets(moment)
        )
        found.append(
            Account(
                id=entry.id,
                source_id=entry.source_id,
                workspace_id=entry.workspace_id,
                url=entry.url,
                key=entry.api_key,
                enabled=entry.active,
                webhook_url=present,
                former_webhook_urls=tuple(former),
                settings=entry.settings,
            )
        )
    return found


def settings_of_webhooks(snapshot: Snapshot) -> dict[str, Mapping[str, Any]]:
    """Return by source how its webhooks are mapped: the source's settings, or those kept with its account.

    An ordinary source whose account is gone may still have webhooks in the inbox; they are mapped as by default.
    """
    own = {source.id: source.settings if source.type == WEBHOOKS else {} for source in snapshot.sources}
    return own | {entry.source_id: entry.settings for entry in snapshot.accounts}
