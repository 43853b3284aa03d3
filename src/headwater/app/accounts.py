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
from headwater.control.accounts import TYPE
from headwater.control.snapshot import Snapshot
from headwater.delivery.address import Policy
from headwater.delivery.http import GuardedHttp
from headwater.functions.contract import Function, Runtime
from headwater.limits import ACCOUNT_ANSWER_BYTES_MAX, ACCOUNT_DEADLINE_S
from headwater.sources.contract import Account, Deposit, Memory, Room, Worker

SOURCES: Final = "headwater.sources"

log = structlog.get_logger()


class Workers:
    """The workers and memories of the sources that have one, by source type, and what they share."""

    def __init__(self, place: Place, deposit: Deposit, budgets: Budgets, runtime: Runtime) -> None:
        """Open every worker and memory.

        Args:
            place: where this program lives.
            deposit: the way into the inbox.
            budgets: shared with destinations.
            runtime: runs functions, likewise shared.
        """
        self._http = GuardedHttp(
            Policy(place.settings.allow_networks),
            deadline_s=ACCOUNT_DEADLINE_S,
            answer_bytes_max=ACCOUNT_ANSWER_BYTES_MAX,
        )
        self._public_url = place.public_url
        self._workspaces: dict[str, str] = {}
        self._functions: dict[tuple[str, str], Function] = {}
        self._mapped_by: dict[str, tuple[Memory, Mapping[str, Any]]] = {}
        self._mappers: dict[str, Memory] = {}
        self.has_accounts = False
        self.by_type: dict[str, Worker] = {}
        for name in shelf.names(SOURCES):
            module = shelf.take(SOURCES, name)
            home = place.settings.state_dir / name
            room = Room(home, self._http, budgets, deposit, now, runtime, self.function_of)
            if hasattr(module, "mapper"):
                self._mappers[module.CARD.slug] = module.mapper(room)
            if hasattr(module, "open"):
                home.mkdir(parents=True, exist_ok=True)
                self.by_type[name] = module.open(room)

    def apply(self, snapshot: Snapshot) -> None:
        """Take over a new configuration."""
        self._workspaces = {source.id: source.workspace_id for source in snapshot.sources}
        self.has_accounts = bool(snapshot.accounts)
        self._functions = functions(snapshot)
        self._mapped_by = self._mappings(snapshot)
        self.by_type[TYPE].apply(accounts(snapshot, self._public_url, now()))

    def _mappings(self, snapshot: Snapshot) -> dict[str, tuple[Memory, Mapping[str, Any]]]:
        """Return what maps each source's webhooks, with the source's settings.

        A source that has a memory of its own type is mapped by that. Any other may have an account: the settings are
        those kept with it. Where the account is gone, what is still in the inbox is mapped as by default.
        """
        of_accounts = {entry.source_id: entry.settings for entry in snapshot.accounts}
        found: dict[str, tuple[Memory, Mapping[str, Any]]] = {}
        for source in snapshot.sources:
            if source.type in self._mappers:
                found[source.id] = self._mappers[source.type], source.settings
            else:
                own = source.settings if source.type == TYPE else {}
                found[source.id] = self.by_type[TYPE], of_accounts.get(source.id, own)
        return found

    def mapping_of(self, source_id: str) -> tuple[Memory, Mapping[str, Any]] | None:
        """Return what maps a source's webhooks and its settings, None when the source is gone."""
        return self._mapped_by.get(source_id)

    def function_of(self, source_id: str, function_id: str) -> Function | None:
        """Return a function of the source's workspace, None where there is none."""
        return self._functions.get((self._workspaces.get(source_id, ""), function_id))

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
            f"{public_url}/webhooks/{TYPE}/{secret}" for secret in sources[entry.source_id].webhook_secrets(moment)
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


def functions(snapshot: Snapshot) -> dict[tuple[str, str], Function]:
    """Return the users' functions by workspace and id."""
    return {
        (each.workspace_id, each.id): Function(each.id, each.name, each.code, each.settings)
        for each in snapshot.functions
    }
