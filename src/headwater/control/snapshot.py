"""The configuration as one frozen value, secrets open: what the other processes work with until it changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Engine, select

from headwater.control import database
from headwater.control.accounts import read_accounts
from headwater.control.catalog import Catalog
from headwater.control.database import meta
from headwater.control.destinations import read_destinations
from headwater.control.filters import read_filters
from headwater.control.functions import read_functions
from headwater.control.insert_functions import read_inserts
from headwater.control.models import (
    AccountEntry,
    DeletedSource,
    Destination,
    FilterEntry,
    FunctionEntry,
    InsertEntry,
    Source,
    SubscriptionEntry,
    WarehouseEntry,
)
from headwater.control.protocols.specs import read_specs
from headwater.control.secrets import SecretBox
from headwater.control.sources import read_deleted, read_sources
from headwater.control.subscriptions import read_subscriptions
from headwater.control.warehouses import read_warehouses
from headwater.protocols.rules import Spec


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that is configured, at one version; settings, API keys and webhook secrets are open.

    Attributes:
        version: grows with every change.
        sources: of all workspaces; `region_allowed` says whether the door may accept for it.
        filters: each destination's, oldest first.
        subscriptions: each destination's field mappings, in the order in which they are tried.
        functions: those that are in use somewhere or may be, with the code that is deployed.
        inserts: functions before destinations, in the order in which they run.
        deleted_sources: of all workspaces; the log may still hold what they sent.
        protocols: what the events of a source are held against, by its id; not there where all go through.
    """

    version: int
    sources: tuple[Source, ...]
    destinations: tuple[Destination, ...]
    warehouses: tuple[WarehouseEntry, ...]
    accounts: tuple[AccountEntry, ...] = ()
    filters: tuple[FilterEntry, ...] = ()
    subscriptions: tuple[SubscriptionEntry, ...] = ()
    functions: tuple[FunctionEntry, ...] = ()
    inserts: tuple[InsertEntry, ...] = ()
    protocols: Mapping[str, Spec] = field(default_factory=dict)
    deleted_sources: tuple[DeletedSource, ...] = ()

    def schemas(self, warehouse: WarehouseEntry) -> dict[str, str]:
        """Return {source id: schema name} of the sources that are loaded into a warehouse."""
        return {source.id: source.schema_name for source in self.sources if source.id in warehouse.source_ids}


def version(engine: Engine) -> int:
    """Return the number of the present configuration: cheap, for polling."""
    return database.version(engine)


def load(engine: Engine, box: SecretBox, catalog: Catalog) -> Snapshot:
    """Return the whole configuration, read in one transaction.

    Raises:
        ConfigError: its secrets were sealed with another SECRET_KEY.
    """
    with engine.connect() as connection:
        found = read_sources(connection, box, catalog, reveal=True)
        return Snapshot(
            version=int(connection.execute(select(meta.c.version)).scalar_one()),
            sources=tuple(found),
            destinations=tuple(read_destinations(connection, box, catalog, reveal=True)),
            warehouses=tuple(read_warehouses(connection, box, catalog, reveal=True)),
            accounts=tuple(read_accounts(connection, box, catalog, found, reveal=True)),
            filters=tuple(read_filters(connection)),
            subscriptions=tuple(read_subscriptions(connection)),
            functions=tuple(read_functions(connection, in_use=True)),
            inserts=tuple(read_inserts(connection, box, reveal=True)),
            protocols=read_specs(connection, found),
            deleted_sources=tuple(read_deleted(connection)),
        )
