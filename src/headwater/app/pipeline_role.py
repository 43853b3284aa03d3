"""The pipeline role: maps the inbox, delivers and loads; answers the web role."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final

import structlog

from headwater import sqlite
from headwater.app.accounting import account
from headwater.app.accounts import Workers
from headwater.app.connections import connections
from headwater.app.desk import Desk
from headwater.app.identify_feed import IdentifyFeed
from headwater.app.place import Place
from headwater.app.regulating import People, Regulating
from headwater.app.retention import retain_dead_letters, sweep_inbox
from headwater.app.rpc import serving
from headwater.app.serving import Server, alongside
from headwater.app.source_retention import SourceRetention, Standing
from headwater.app.suppressing import Following
from headwater.app.watch import Watch
from headwater.budget import Budgets
from headwater.clock import now
from headwater.control import database
from headwater.control.accounts import TYPE as ACTIVECAMPAIGN
from headwater.control.service import Control
from headwater.control.snapshot import Snapshot
from headwater.delivery.address import Policy
from headwater.delivery.engine import Delivery
from headwater.delivery.http import GuardedHttp
from headwater.delivery.reach import GuardedReach
from headwater.delivery.rooms import Outside
from headwater.eventlog.cursors import Cursors
from headwater.eventlog.reader import SegmentReader
from headwater.eventlog.remote import RemoteAppender, RemoteEraser
from headwater.functions.runtime import Processes
from headwater.ingest.carrying import HowMapped
from headwater.ingest.inbox import InboxMapper
from headwater.ingest.server import collect_seldom
from headwater.loading.engine import Loading, Target
from headwater.observing.observer import Observer
from headwater.privacy.suppression import Suppressions
from headwater.protocols.gate import Gates

_LAST_BATCH_S: Final = 5.0  # ours: the log may refuse it, and then it is mapped after the next start

log = structlog.get_logger()


def targets(snapshot: Snapshot) -> list[Target]:
    """Return what loading works on: a source that is not connected to a warehouse is named with no schema."""
    known = {source.id: "" for source in snapshot.sources}
    accounts = {account.source_id for account in snapshot.accounts}
    email = frozenset(
        source.schema_name for source in snapshot.sources if source.type == ACTIVECAMPAIGN or source.id in accounts
    )
    return [
        Target(
            each.id,
            each.type,
            each.settings,
            known | snapshot.schemas(each),
            enabled=each.enabled,
            excluded=each.excluded,
            rules=each.rules,
            schedule=each.schedule,
            keep_days=each.keep_days,
            models=each.models,
            email=email & frozenset(snapshot.schemas(each).values()),
        )
        for each in snapshot.warehouses
    ]


class Parts:
    """The engines of this role and what they share."""

    def __init__(self, place: Place, control: Control) -> None:
        """Open everything; nothing works yet."""
        settings = self._settings = place.settings
        self._control = control
        self.suppressions, self.gates = Suppressions(), Gates()
        settings.state_dir.mkdir(parents=True, exist_ok=True)
        cursors = settings.state_dir / "cursors.db"
        self.reader = SegmentReader(settings.log_dir)
        policy = Policy(settings.allow_networks)
        self._http, self._reach = GuardedHttp(policy), GuardedReach(policy)
        self._appender = RemoteAppender(place.ingest_url, place.token)
        self._runtime = Processes()
        self.mapper = InboxMapper(
            self.reader, self._appender, Cursors(cursors), self._mapping_of, suppressed=self.suppressions
        )
        budgets = Budgets()
        self.workers = workers = Workers(place, self.mapper.deposit, budgets, self._runtime)
        self._feed = IdentifyFeed(
            self.reader, Cursors(cursors), workers.workspace_of, workers.saw, lambda: workers.has_accounts
        )
        self.delivery = Delivery(
            self.reader, settings.state_dir, self._outside(budgets), suppressed=self.suppressions, gates=self.gates
        )
        self.loading = Loading(
            self.reader,
            settings.data_dir,
            every_s=settings.load_every_s,
            suppressions=self.suppressions,
            gates=self.gates,
        )
        own = SegmentReader(settings.log_dir)  # it may lag
        self.observer = Observer(own, settings.state_dir, self.gates, self._appender)
        self._eraser = RemoteEraser(place.ingest_url, place.token)
        own = SegmentReader(settings.log_dir)  # likewise
        self.retention = SourceRetention(own, settings.log_dir, self._eraser, settings.retention_days, self._standings)
        self.regulating = self._regulating()
        self._delivered_to: set[str] | None = None
        self._is_mapped = asyncio.Event()

    def _outside(self, budgets: Budgets) -> Outside:
        return Outside(
            self._http,
            self._settings.state_dir / "destinations",
            budgets,
            reach=self._reach,
            directories=self._settings.files_dirs,
            runtime=self._runtime,
        )

    def _regulating(self) -> Regulating:
        reader = SegmentReader(self._settings.log_dir)  # of its own: it reads the log from the beginning
        by_type, data_dir = self.workers.by_type, self._settings.data_dir
        return Regulating(reader, self._eraser, self.delivery, self.loading, by_type, data_dir, book=self.observer.book)

    def _mapping_of(self, source_id: str) -> HowMapped | None:
        return self.workers.mapping_of(source_id)

    async def use(self, snapshot: Snapshot) -> None:
        """Take over a new configuration."""
        self.gates.replace(snapshot.protocols)
        self.regulating.use(snapshot)
        self.retention.use(snapshot)
        self.workers.apply(snapshot)
        self.loading.apply(targets(snapshot))
        self.delivery.apply(connections(snapshot, self._control.stable_key("destination revisions")))
        if self._delivered_to is None:  # some may have been deleted while this role was down
            self._delivered_to = set(await self.delivery.known())
        await self._forget(self._delivered_to, {each.id for each in snapshot.destinations})

    async def _forget(self, delivered_to: set[str], present: set[str]) -> None:
        for gone in delivered_to - present:
            try:
                await self.delivery.forget(gone)
            except sqlite.Error as error:  # a full disk must not stop the pipeline: the next change tries again
                log.warning("destination.not_forgotten", destination=gone, error=type(error).__name__)
            else:
                delivered_to.discard(gone)
        delivered_to.update(present)

    def work(self) -> dict[str, Coroutine[Any, Any, None]]:
        """Return what runs until `stop`, by name."""
        return {
            "mapper": self._map(),
            "sweeper": sweep_inbox(self.mapper, self._eraser),
            "delivery": self.delivery.run(),
            "loading": self.loading.run(),
            "workers": self.workers.run(),
            "identify feed": self._feed.run(),
            "observer": self.observer.run(),
            "retention": self.retention.run(),
            "dead letters": retain_dead_letters(self.delivery, self._settings),
            "accounting": account(self.delivery, self.loading),
        }

    async def _standings(self) -> list[Standing]:
        """Return where all who read events stand."""
        delivered = [
            Standing(each.destination_id, each.source_id, each.cursor) for each in await self.delivery.status()
        ]
        loads = await asyncio.to_thread(self.loading.status)
        return delivered + [Standing(each.warehouse_id, "", each.cursor) for each in loads if each.cursor is not None]

    async def _map(self) -> None:
        try:
            await self.mapper.run()
        finally:
            self._is_mapped.set()

    async def stop(self) -> None:
        """Let everything finish what it is doing."""
        await self.mapper.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_BATCH_S):
                await self._is_mapped.wait()  # its last batch still asks the workers who is who
        await self.observer.stop()
        await asyncio.gather(self.delivery.stop(), self.loading.stop(), self.workers.stop(), self._feed.stop())

    async def close(self) -> None:
        """Close the connections to the outside."""
        await self._appender.close()
        await self._eraser.close()
        await self.workers.close()
        await self._runtime.close()
        await self._http.close()
        self._reach.close()


async def run(place: Place) -> None:
    """Work until this process is told to stop."""
    settings = place.settings
    control = Control(database.open_engine(settings.control_url), place.keys, settings.source_regions)
    parts = Parts(place, control)
    following = Following(control, parts.suppressions)

    async def use(snapshot: Snapshot) -> None:
        following.place(snapshot)
        await parts.use(snapshot)

    watch = Watch(control, use)
    await watch.first()
    await following.first()
    collect_seldom()  # what waits for its answer is no garbage: looking at it took a third of delivery's time
    runner = parts.regulating.runner(control, following, now)
    desk = Desk(
        parts.reader,
        parts.mapper,
        parts.delivery,
        parts.loading,
        parts.workers.by_type,
        refresh=watch.refresh,
        people=People(runner, parts.regulating.reach),
    )
    server = Server(serving(desk, place.token))
    work = {"watch": watch.run(), "suppressions": following.run(), "regulations": runner.run(), **parts.work()}
    async with alongside(server.stop, **work):
        await server.serve(place.listener)
        await parts.stop()
    await parts.close()
