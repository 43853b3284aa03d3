"""Look every few seconds at how everything does, and tell those who want to be told.

This is done in the web role: it asks the pipeline, so that a pipeline which stands still is noticed, too.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from headwater import sqlite
from headwater.alerts.book import Book, Message
from headwater.alerts.channels import Channel, Messenger
from headwater.alerts.judging import AccountFacts, DestinationFacts, Facts, SourceFacts, WarehouseFacts
from headwater.alerts.rules import CARDS, Kind, Rule
from headwater.alerts.watching import Watcher
from headwater.clock import Clock, now
from headwater.control.models import Destination, Workspace
from headwater.control.pipeline import Pipeline
from headwater.control.service import Control
from headwater.control.volume import Volume
from headwater.errors import HeadwaterError
from headwater.limits import MIB

EVERY_S: Final = 15.0
_FIRST_S: Final = 20.0  # what has just started is not late yet
_ANSWER_S: Final = 10.0
_FORGET_EVERY: Final = 240  # looks: once an hour
_MINUTES_BY_MINUTE: Final = 4 * 60  # longer windows are counted by the hour or by the day
_MINUTES_BY_HOUR: Final = 14 * 24 * 60

log = structlog.get_logger()


class Alerting:
    """Judges every workspace and sends what is to be sent."""

    def __init__(
        self,
        control: Control,
        volume: Volume,
        pipeline: Pipeline,
        book: Book,
        messenger: Messenger,
        data_dir: Path,
        *,
        clock: Clock = now,
    ) -> None:
        self._control, self._volume, self._pipeline, self._book = control, volume, pipeline, book
        self._messenger, self._data_dir, self._clock = messenger, data_dir, clock
        self._watcher = Watcher(book)

    async def run(self, every_s: float = EVERY_S) -> None:
        """Look and send until cancelled."""
        await asyncio.sleep(min(_FIRST_S, every_s))
        for count in itertools.count(1):
            try:
                await self.look()
                await self.send()
                if count % _FORGET_EVERY == 0:
                    await asyncio.to_thread(self._book.forget, self._clock().timestamp())
            except (HeadwaterError, SQLAlchemyError, sqlite.Error) as error:  # a full disk, a lock: the next look
                log.warning("alerts.failed", error=type(error).__name__)
            await asyncio.sleep(every_s)

    async def look(self) -> None:
        """Judge every workspace once."""
        workspaces = await asyncio.to_thread(self._control.workspaces.all)
        told = await asyncio.gather(
            self._asked(self._pipeline.connections, "connections"),
            self._asked(self._pipeline.warehouses, "warehouses"),
            self._asked(self._pipeline.accounts, "accounts"),
        )
        for workspace in workspaces:
            await self._look_at(workspace, *told)

    async def _look_at(
        self,
        workspace: Workspace,
        connections: list[dict[str, Any]] | None,
        loaded: list[dict[str, Any]] | None,
        accounts: list[dict[str, Any]] | None,
    ) -> None:
        rules = await asyncio.to_thread(self._control.alert_rules.all, workspace.id)
        facts = Facts(
            moment=self._clock(),
            sources=await asyncio.to_thread(self._sources, workspace),
            destinations=await self._destinations(workspace, rules, connections),
            warehouses=await asyncio.to_thread(self._warehouses, workspace, loaded),
            accounts=await asyncio.to_thread(self._accounts, workspace, accounts),
            disk_free_mb=shutil.disk_usage(self._data_dir).free // MIB,
            pipeline_answers=connections is not None,
        )
        channels = await asyncio.to_thread(self._control.alert_channels.all, workspace.id)
        enabled = {each.id: each.name for each in channels if each.enabled}
        await asyncio.to_thread(self._watcher.look, rules, facts, enabled, facts.moment.timestamp())

    def _sources(self, workspace: Workspace) -> list[SourceFacts]:
        found = []
        for source in self._control.sources.all(workspace.id):
            last = self._volume.last_event(source.id)
            last_at = last.received_at if last else None
            found.append(SourceFacts(source.id, source.name, last_at, source.enabled))
        return found

    async def _destinations(
        self, workspace: Workspace, rules: Sequence[Rule], connections: list[dict[str, Any]] | None
    ) -> list[DestinationFacts] | None:
        if connections is None:
            return None
        status = {each["destinationId"]: each for each in connections}
        windows = {each.window_minutes for each in rules if each.kind is Kind.DELIVERY_RATE and each.enabled}
        known = await asyncio.to_thread(self._control.destinations.all, workspace.id)
        return [
            DestinationFacts(
                each.id,
                each.name,
                await self._rates(each, windows),
                status.get(each.id, {}).get("unaccounted", 0),
                each.enabled,
            )
            for each in known
        ]

    async def _rates(self, destination: Destination, windows: Iterable[int]) -> Mapping[int, tuple[int, int]]:
        """Return (delivered, failed) by window; a window that could not be asked for is not there."""
        found = {}
        for minutes in windows if destination.enabled else ():
            by_hour = "hour" if minutes <= _MINUTES_BY_HOUR else "day"
            granularity = "minute" if minutes <= _MINUTES_BY_MINUTE else by_hour
            since = (self._clock() - timedelta(minutes=minutes)).isoformat()
            try:
                async with asyncio.timeout(_ANSWER_S):
                    told = await self._pipeline.metrics(destination.id, since=since, granularity=granularity)
            except (HeadwaterError, TimeoutError):
                continue
            totals = told["totals"]
            found[minutes] = totals["deliveredFirstTry"] + totals["deliveredOnRetry"], totals["failed"]
        return found

    def _warehouses(self, workspace: Workspace, loaded: list[dict[str, Any]] | None) -> list[WarehouseFacts] | None:
        if loaded is None:
            return None
        status = {each["warehouseId"]: each for each in loaded}
        return [
            WarehouseFacts(
                each.id,
                each.name,
                status.get(each.id, {}).get("failures", 0),
                status.get(each.id, {}).get("lastError", ""),
                status.get(each.id, {}).get("unaccounted", 0),
                each.enabled,
            )
            for each in self._control.warehouses.all(workspace.id)
        ]

    def _accounts(self, workspace: Workspace, told: list[dict[str, Any]] | None) -> list[AccountFacts] | None:
        if told is None:
            return None
        status = {each["id"]: each for each in told}
        found = []
        for each in self._control.accounts.all(workspace.id):
            at = status.get(each.id)
            if at is not None:
                complaint = at["message"] if at["state"] == "attention" else ""
                found.append(AccountFacts(each.source_id, each.name, complaint, each.active))
        return found

    async def send(self) -> None:
        """Send what is due; what is not taken is tried again later."""
        due = await asyncio.to_thread(self._book.due, self._clock().timestamp())
        workspaces = {each.id: each for each in await asyncio.to_thread(self._control.workspaces.all)} if due else {}
        known: dict[str, dict[str, Channel]] = {}
        for message in due:
            workspace = workspaces.get(message.alert.workspace_id)
            if workspace is not None and workspace.id not in known:
                found = await asyncio.to_thread(self._control.alert_channels.all, workspace.id, reveal=True)
                known[workspace.id] = {each.id: each for each in found if each.enabled}
            channel = known[workspace.id].get(message.channel_id) if workspace is not None else None
            if workspace is None or channel is None:
                await asyncio.to_thread(self._book.drop, message)
            else:
                await self._tell(channel, message, workspace)

    async def _tell(self, channel: Channel, message: Message, workspace: Workspace) -> None:
        try:
            await self._messenger.tell(channel, message, workspace.name, f"/{workspace.slug}/{_page(message)}")
        except HeadwaterError as error:
            log.warning("alert.not_sent", channel=channel.id, attempts=message.attempts + 1)
            await asyncio.to_thread(self._book.failed, message, str(error), self._clock().timestamp())
        else:
            await asyncio.to_thread(self._book.sent, message, self._clock().timestamp())

    async def _asked(self, ask: Callable[[], Awaitable[dict[str, Any]]], member: str) -> list[dict[str, Any]] | None:
        try:
            async with asyncio.timeout(_ANSWER_S):
                return list((await ask())[member])
        except (HeadwaterError, TimeoutError):
            return None


def _page(message: Message) -> str:
    about = CARDS[message.alert.kind].about
    if about == "warehouse":
        return f"warehouse/{message.alert.subject_id}"
    return f"{about}s/{message.alert.subject_id}" if about else "alerts"
