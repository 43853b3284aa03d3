"""BigQuery: one dataset a source in a project of the user's, loaded through dlt by load jobs.

Source: BigQuery documentation, Data manipulation language (MERGE), Partitioned tables, INFORMATION_SCHEMA.COLUMNS,
Change column data types, Access control with IAM; Segment documentation, BigQuery destination (views).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import msgspec

from headwater.errors import DeliveryError
from headwater.warehouses._lanes.forms import setting
from headwater.warehouses._lanes.wide.engine import Commit, Engine, backticks_escaped
from headwater.warehouses._lanes.wide.lane import Lane
from headwater.warehouses._lanes.wide.reading import WideReading
from headwater.warehouses.contract import Card, ColumnType

CARD: Final = Card(
    name="BigQuery",
    description="Loads into BigQuery: a dataset for each source, tables partitioned by day, with `_view` twins.",
    extra="bigquery",
    notes=(
        "The service account needs the roles BigQuery Data Editor and BigQuery Job User, and may make datasets.",
        "A table is merged on `id` by one statement, table after table; the cursor is written last.",
        "Tables are partitioned by day of `received_at` and clustered by `id`: filter by it, and a query reads less.",
        "Each `<table>_view` shows the newest row of each id of the last 60 days, with `loaded_at`.",
        "Loading and merging are billed by Google as usual; a schedule of an hour costs less than one of seconds.",
        "Rows that were removed stay in time travel for up to 7 days.",
    ),
)

_LOCATION: Final = re.compile(r"[A-Za-z0-9-]{2,40}")
_TWIN: Final = (
    "create or replace view {view} as select * except(_row) from (select *, uuid_ts as loaded_at, row_number() over "
    "(partition by id order by uuid_ts desc) as _row from {table} "
    "where received_at >= timestamp_sub(current_timestamp(), interval 60 day)) where _row = 1"
)

ENGINE: Final = Engine(
    name="BigQuery",
    extra="bigquery",
    dialect="bigquery",
    types={
        ColumnType.TIMESTAMP: "timestamp",
        ColumnType.INTEGER: "int64",
        ColumnType.FLOAT: "float64",
        ColumnType.BOOLEAN: "bool",
        ColumnType.VARCHAR: "string",
    },
    key="string",
    stored={
        "timestamp": ColumnType.TIMESTAMP,
        "int64": ColumnType.INTEGER,
        "float64": ColumnType.FLOAT,
        "bool": ColumnType.BOOLEAN,
        "string": ColumnType.VARCHAR,
    },
    commit=Commit.STATEMENT,
    columns="",
    quote=backticks_escaped,
    create_found=("create table {table} ({columns}) partition by timestamp_trunc({received_at}, day) cluster by {id}"),
    largest_boolean="logical_or({})",
    zoned=True,
    widens={
        (ColumnType.INTEGER, ColumnType.FLOAT): "alter table {table} alter column {column} set data type {type}",
    },
    twin=_TWIN,
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the datasets are, and who loads them."""

    credentials: str = field(
        repr=False,
        metadata=setting("Service account key", "The JSON file of its key, as text.", secret=True, required=True),
    )
    location: str = field(
        default="US", metadata=setting("Location", "Of the datasets, such as US, EU or europe-west3.")
    )
    project: str = field(default="", metadata=setting("Project", "Empty for the service account's own project."))


def _engine(settings: Settings) -> Engine:
    """Return the engine for a location: BigQuery keeps a catalog a location.

    Raises:
        DeliveryError: it is no name of a location.
    """
    if not _LOCATION.fullmatch(settings.location):
        raise DeliveryError("BigQuery: the location is a name such as US, EU or europe-west3.")
    region = f"`region-{settings.location.lower()}`.INFORMATION_SCHEMA"
    return replace(
        ENGINE,
        columns=(
            f"select c.table_schema, c.table_name, c.column_name, c.data_type from {region}.COLUMNS c "
            f"join {region}.TABLES t on t.table_schema = c.table_schema and t.table_name = c.table_name "
            "where t.table_type = 'BASE TABLE' order by c.table_schema, c.table_name, c.ordinal_position"
        ),
        create_schema=f"create schema if not exists {{schema}} options(location = '{settings.location}')",
    )


def _destination(dlt: Any, settings: Settings) -> Any:
    """Return dlt's destination.

    Raises:
        DeliveryError: the key is no service account's.
    """
    try:
        key = msgspec.json.decode(settings.credentials, type=dict[str, Any])
    except msgspec.DecodeError:
        key = {}
    wanted = ("project_id", "private_key", "private_key_id", "client_email")  # not where tokens are asked for: Google
    credentials = {name: key[name] for name in wanted if key.get(name)}
    if not {"project_id", "private_key", "client_email"} <= credentials.keys():
        raise DeliveryError(
            "BigQuery: the service account key is not complete; paste the whole JSON file that Google Cloud gave."
        )
    if settings.project:
        credentials["project_id"] = settings.project
    return dlt.destinations.bigquery(credentials, location=settings.location)


class Warehouse(Lane):
    """Loads into BigQuery."""

    types = ENGINE.types
    settings: Settings

    def __init__(self, settings: Settings, home: Path) -> None:
        self.engine = _engine(settings)
        super().__init__(settings, home)

    def destination(self, dlt: Any) -> Any:
        """Return dlt's destination."""
        return _destination(dlt, self.settings)


class Reading(WideReading):
    """Asks BigQuery."""

    settings: Settings

    def __init__(self, settings: Settings, home: Path) -> None:
        self.engine = _engine(settings)
        super().__init__(settings, home)

    def destination(self, dlt: Any) -> Any:
        """Return dlt's destination."""
        return _destination(dlt, self.settings)
