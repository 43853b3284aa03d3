"""Warehouses, how they are loaded, and what is done to their rows."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from headwater.control.api.models import Pagination, Settings
from headwater.control.api.models.catalog import WarehouseMetadata

PROGRESS: Final = ("position", "state", "events", "rows", "startedAt", "finishedAt", "error", "etaS")
"""What of a reload changes while it runs."""


class LoadingRules(msgspec.Struct, rename="camel"):
    """By which rules events become rows."""

    conflicts: str
    string_chars_max: int | None
    arrays: str
    reserved: str
    caps: bool


class NamedRules(LoadingRules, rename="camel"):
    """The rules of a warehouse; `preset` is the name of the set that they are, or null."""

    preset: str | None


class Schedule(msgspec.Struct, rename="camel"):
    """When a warehouse is loaded."""

    mode: str
    minutes: int
    times: list[str]
    timezone: str


class Modelled(msgspec.Struct, rename="camel"):
    """Which models a warehouse has, and what they are made from."""

    enabled: bool
    conversions: list[str]
    revenue: list[str]
    window_days: int


class Warehouse(msgspec.Struct, rename="camel"):
    """A warehouse; rows received more than `keepDays` ago are removed, null keeps all."""

    id: str
    name: str
    metadata: WarehouseMetadata
    workspace_id: str
    enabled: bool
    settings: Settings
    rules: NamedRules
    schedule: Schedule
    keep_days: int | None
    models: Modelled
    excluded: int
    created_at: str


class OneWarehouse(msgspec.Struct, rename="camel"):
    """One warehouse."""

    warehouse: Warehouse


class Warehouses(msgspec.Struct, rename="camel"):
    """A page of warehouses."""

    warehouses: list[Warehouse]
    pagination: Pagination


class Validated(msgspec.Struct, rename="camel"):
    """CONNECTED or FAILED, and a sentence that says why."""

    status: str
    message: str


class Reachable(msgspec.Struct, rename="camel"):
    """CONNECTED or FAILED, and a sentence that says why."""

    connection_state: str
    message: str


class Rules(msgspec.Struct, rename="camel"):
    """The rules of a warehouse."""

    rules: NamedRules


class RulesAndPresets(Rules, rename="camel"):
    """The rules of a warehouse, and the sets that there are by name."""

    presets: dict[str, LoadingRules]


class Property(msgspec.Struct, rename="camel"):
    """Whether a property is loaded, and whether it has to be."""

    enabled: bool
    required: bool


class SelectiveSync(msgspec.Struct, rename="camel"):
    """A collection of a source and whether it is loaded."""

    source_id: str
    collection: str
    warehouse_id: str
    enabled: bool
    properties: dict[str, Property]


class SelectiveSyncs(msgspec.Struct, rename="camel"):
    """A page of what the warehouse has of a source; `warnings` says why it could not be asked."""

    items: list[SelectiveSync]
    pagination: Pagination
    warnings: list[str]


class Selected(msgspec.Struct, rename="camel"):
    """UPDATED or UNCHANGED; `warnings` names what nobody has seen yet."""

    status: str
    warnings: list[str]


class Notice(msgspec.Struct, rename="camel"):
    """A sentence about a sync."""

    level: str
    message: str
    created_at: str


class SyncReport(msgspec.Struct, rename="camel"):
    """One load of one source; `sourceId` is empty where it loaded nothing."""

    source_id: str
    start: str
    end: str
    status: str
    duration: float
    human_duration: str
    count: int
    notices: list[Notice]
    id: str
    events: int
    rows: dict[str, int]
    reload: str


class SyncReports(msgspec.Struct, rename="camel"):
    """The newest loads, newest first."""

    reports: list[SyncReport]
    pagination: Pagination


class SyncRun(msgspec.Struct, rename="camel"):
    """One load of the sequences from `first` to before `next`, as the engine tells it."""

    id: int
    warehouse_id: str
    status: str
    started_at: str
    duration_ms: int
    first: int
    next: int
    events: int
    filtered: int
    suppressed: int
    missed: int
    rows: dict[str, int]
    notices: list[str]
    error: str
    reload: str


class SyncRuns(msgspec.Struct, rename="camel"):
    """The loads that were made; none while they are under way."""

    syncs: list[SyncRun]


class Totals(msgspec.Struct, rename="camel"):
    """What a warehouse has got."""

    events: int
    rows: int
    filtered: int
    suppressed: int
    missed: int


class Standing(msgspec.Struct, rename="camel"):
    """Where a warehouse stands; `lag` counts stored events behind its cursor."""

    warehouse_id: str
    type: str
    state: str
    cursor: int | None
    lag: int
    totals: Totals
    last_sync: str | None
    last_error: str
    failures: int
    failing_since: str | None
    alerts: list[int]
    next_sync: str | None
    reloads: int
    notices: list[str]
    unaccounted: int


class Standings(msgspec.Struct, rename="camel"):
    """Where every warehouse stands, and the newest loads of all."""

    warehouses: list[Standing]
    reports: list[SyncRun]


class Hour(msgspec.Struct, rename="camel"):
    """Whether a warehouse is loaded at this hour."""

    hour_of_day: int
    enabled: bool


class Hours(msgspec.Struct, rename="camel"):
    """The hours of a day in a zone."""

    times: list[Hour]
    timezone: str


class AdvancedSchedule(msgspec.Struct, rename="camel"):
    """The hours at which a warehouse is loaded; not `enabled`, it is loaded all the time."""

    enabled: bool
    schedule: Hours | UnsetType = UNSET


class Reload(msgspec.Struct, rename="camel"):
    """A stretch of the log that is loaded again; no `sourceIds` are all that are connected."""

    id: str
    warehouse_id: str
    source_ids: list[str]
    collections: list[str] | None
    since: str | None
    until: str | None
    reason: str
    first: int
    next: int
    position: int
    state: str
    events: int
    rows: int
    started_at: str | None
    finished_at: str | None
    error: str
    eta_s: float | None


class OneReload(msgspec.Struct, rename="camel"):
    """One reload."""

    reload: Reload


class Reloads(msgspec.Struct, rename="camel"):
    """The newest reloads, newest first."""

    reloads: list[Reload]


class Day(msgspec.Struct, rename="camel"):
    """What was loaded on one day, UTC."""

    day: str
    events: int
    failed: int
    by_table: dict[str, int]
    rows: int


class RowTrends(msgspec.Struct, rename="camel"):
    """What was loaded on each of the last days, the oldest first."""

    days: list[Day]


class Misfit(msgspec.Struct, rename="camel"):
    """Values of one name that did not fit their column."""

    schema: str
    table: str
    column: str
    type: str
    label: str
    rows: int
    first_at: str
    last_at: str
    widened: bool


class Misfits(msgspec.Struct, rename="camel"):
    """Values that did not fit their columns."""

    misfits: list[Misfit]


class Erased(msgspec.Struct, rename="camel"):
    """How many rows were removed by table, or why it failed."""

    rows: dict[str, int]
    error: str


class LeftOutItem(msgspec.Struct, rename="camel"):
    """A collection that is not loaded, or one property of it; "" is the whole collection."""

    source_id: str
    collection: str
    property: str


class LeftOut(msgspec.Struct, rename="camel"):
    """A page of what is left out, by source, collection and property."""

    items: list[LeftOutItem]
    pagination: Pagination
