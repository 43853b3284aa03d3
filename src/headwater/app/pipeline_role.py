"""The pipeline role: maps the inbox, delivers and loads; answers the web role."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Mapping
from typing import Any

import msgspec
import structlog

from headwater import sqlite
from headwater.app.accounts import WEBHOOKS, Workers, settings_of_webhooks
from headwater.app.desk import Desk
from headwater.app.identify_feed import IdentifyFeed
from headwater.app.place import Place
from headwater.app.rpc import serving
from headwater.app.serving import Server, alongside
from headwater.app.watch import Watch
from headwater.control import database
from headwater.control.service import Control
from headwater.control.snapshot import Snapshot
from headwater.delivery.address import Policy
from headwater.delivery.connection import Connection
from headwater.delivery.engine import Delivery
from headwater.delivery.http import GuardedHttp
from headwater.eventlog.cursors import Cursors
from headwater.eventlog.reader import SegmentReader
from headwater.eventlog.remote import RemoteAppender
from headwater.ingest.inbox import InboxMapper
from headwater.loading.engine import Loading, Target
from headwater.sources.contract import Worker

log = structlog.get_logger()


class Mappings:
    """What maps a source's webhooks, by the present configuration: the worker that remembers."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Worker, Mapping[str, Any]]] = {}

    def apply(self, snapshot: Snapshot, worker: Worker) -> None:
        """Take over a new configuration."""
        self._known = {source: (worker, settings) for source, settings in settings_of_webhooks(snapshot).items()}

    def of(self, source_id: str) -> tuple[Worker, Mapping[str, Any]] | None:
        """Return what maps a source's webhooks and its settings, None when the source is gone."""
        return self._known.get(source_id)


def connections(snapshot: Snapshot, secret: bytes) -> list[Connection]:
    """Return what delivery works on: a destination is active only while its source is, too.

    A revision is keyed, because the ledger keeps it and settings hold credentials.
    """
    enabled = {source.id for source in snapshot.sources if source.enabled}
    return [
        Connection(
            id=each.id,
            source_id=each.source_id,
            type=each.type,
            name=each.name,
            enabled=each.enabled and each.source_id in enabled,
            settings=each.settings,
            created_at=each.created_at,
            revision=hmac.digest(secret, msgspec.json.encode(each.settings, order="sorted"), "sha256").hex(),
        )
        for each in snapshot.destinations
    ]


def targets(snapshot: Snapshot) -> list[Target]:
    """Return what loading works on: a source that is not connected to a warehouse is named with no schema."""
    known = {source.id: "" for source in snapshot.sources}
    return [
        Target(each.id, each.type, each.settings, known | snapshot.schemas(each), enabled=each.enabled)
        for each in snapshot.warehouses
    ]


async def run(place: Place) -> None:
    """Work until this process is told to stop."""
    settings = place.settings
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    reader = SegmentReader(settings.log_dir)
    http = GuardedHttp(Policy(settings.allow_networks))
    appender = RemoteAppender(place.ingest_url, place.token)
    mappings = Mappings()
    places = settings.state_dir / "cursors.db"
    mapper = InboxMapper(reader, appender, Cursors(places), mappings.of)
    workers = Workers(place, mapper.deposit)
    feed = IdentifyFeed(reader, Cursors(places), workers.workspace_of, workers.saw, lambda: workers.has_accounts)
    delivery = Delivery(reader, settings.state_dir, http)
    loading = Loading(reader, settings.data_dir, every_s=settings.load_every_s)
    control = Control(database.open_engine(settings.control_url), place.secret, settings.source_regions)

    delivered_to = await delivery.known()  # some may have been deleted while this role was down

    async def use(snapshot: Snapshot) -> None:
        mappings.apply(snapshot, workers.by_type[WEBHOOKS])
        workers.apply(snapshot)
        loading.apply(targets(snapshot))
        delivery.apply(connections(snapshot, place.secret))
        present = {each.id for each in snapshot.destinations}
        for gone in delivered_to - present:
            try:
                await delivery.forget(gone)
            except sqlite.Error as error:  # a full disk must not stop the pipeline: the next change tries again
                log.warning("destination.not_forgotten", destination=gone, error=type(error).__name__)
            else:
                delivered_to.discard(gone)
        delivered_to.update(present)

    watch = Watch(control, use)
    await watch.first()
    desk = Desk(reader, mapper, delivery, loading, workers.by_type, refresh=watch.refresh)
    server = Server(serving(desk, place.token))
    work = {
        "mapper": mapper.run(),
        "delivery": delivery.run(),
        "loading": loading.run(),
        "workers": workers.run(),
        "identify feed": feed.run(),
        "watch": watch.run(),
    }
    async with alongside(server.stop, **work):
        await server.serve(place.listener)
        await asyncio.gather(mapper.stop(), delivery.stop(), loading.stop(), workers.stop(), feed.stop())
    await appender.close()
    await workers.close()
    await http.close()
