"""Carries the tables of a batch into staging tables by dlt, and lends a connection for the statements that follow.

Each batch is a pipeline of its own in a directory of its own, which is removed afterwards: dlt would otherwise try an
older batch again that failed, and take nothing else until it worked. Tables and columns have names of ours there,
numbered, so that dlt neither normalizes nor infers nor meets a name that a stranger chose.

Source: dlt documentation, Pipeline; Load Arrow tables; Configuration; Telemetry.
"""

from __future__ import annotations

import importlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
from duckdb import DuckDBPyConnection

from headwater.errors import ConfigError, RefusedTableError
from headwater.warehouses._lanes.wide.engine import STAGE, Engine
from headwater.warehouses.contract import ColumnType, Table

_NAME: Final = "headwater"
_WORKERS: Final = 4  # ours: tables that are uploaded at a time
_SETTINGS: Final = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "CRITICAL",  # its log lines quote SQL and values
    "RUNTIME__INTERCEPT_SIGNALS": "false",  # the program's own handlers stay
    "SCHEMA__NAMING": "direct",
    "RESTORE_FROM_DESTINATION": "false",
    "LOAD__WORKERS": str(_WORKERS),
    "LOAD__RAISE_ON_MAX_RETRIES": "1",  # the loading engine tries again, and knows how long to wait
    "LOAD__DELETE_COMPLETED_JOBS": "true",
    "NORMALIZE__WORKERS": "1",
}


@dataclass(frozen=True, slots=True)
class Parcel:
    """Rows to ship.

    Attributes:
        table: whom they are for, in messages.
        select: SQL on the staging connection; it gives the columns of `kinds` by name.
    """

    table: Table
    select: str
    kinds: Mapping[str, ColumnType]


def dlt_of(engine: Engine) -> Any:
    """Return dlt, quiet, with nothing sent home.

    Raises:
        ConfigError: it is not installed.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)  # dlt reads settings nowhere else before it starts
    try:
        importlib.import_module("pyarrow")
        return importlib.import_module("dlt")
    except ImportError as error:
        raise ConfigError(
            f"{engine.name} needs a package that is not installed; run: pip install 'headwater[{engine.extra}]'"
        ) from error


class Shipping:
    """One warehouse's way through dlt; used by one thread at a time."""

    def __init__(self, engine: Engine, destination: Callable[[Any], Any], directory: Path) -> None:
        self._engine, self._destination, self._directory = engine, destination, directory
        self._client: Any = None
        self._made: Any = None

    def client(self) -> Any:
        """Return a connected client for SQL; it is kept until `close`."""
        if self._client is None:
            pipeline = self._pipeline(self._directory / "sql")
            client = pipeline.sql_client()
            client.__enter__()
            try:
                for statement in self._engine.session:
                    client.execute_sql(statement)
            except BaseException:
                client.__exit__(None, None, None)
                raise
            self._client = client
        return self._client

    def ship(self, staging: DuckDBPyConnection, parcels: Sequence[Parcel]) -> list[str]:
        """Load parcels into staging tables and return their names as SQL, in the same order.

        Raises:
            ShippingError: dlt failed; it names the parcel when it was one.
        """
        dlt = dlt_of(self._engine)
        batch = f"b{secrets.token_hex(6)}"
        names = [f"{batch}_{number}" for number in range(len(parcels))]
        directory = self._directory / batch
        try:
            pipeline = self._pipeline(directory)
            resources = [
                dlt.resource(
                    _rows(staging, parcel, zoned=self._engine.zoned),
                    name=name,
                    write_disposition="append",
                    columns={slot: self._hint(slot, kind) for slot, kind in parcel.kinds.items()},
                )
                for name, parcel in zip(names, parcels, strict=True)
            ]
            more = {"loader_file_format": self._engine.file_format} if self._engine.file_format else {}
            pipeline.run(resources, schema=dlt.Schema(batch), **more)
        except Exception as error:
            raise ShippingError(_guilty(error, names, parcels)) from error
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        client = self.client()
        return [str(client.make_qualified_table_name(name)) for name in names]

    def sweep(self) -> None:
        """Remove what a crash left in the work directory."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def close(self) -> None:
        """Disconnect; the next call connects again."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(Exception):  # it is broken already, and nothing is under way
                client.__exit__(None, None, None)

    def _pipeline(self, directory: Path) -> Any:
        """Return a pipeline of our own."""
        dlt = dlt_of(self._engine)
        if self._made is None:
            self._made = self._destination(dlt)
        return dlt.pipeline(_NAME, pipelines_dir=str(directory), destination=self._made, dataset_name=STAGE)

    def _hint(self, slot: str, kind: ColumnType) -> dict[str, object]:
        """Return what dlt is told of a column; it takes the rest from Arrow."""
        zone = {"timezone": self._engine.zoned} if kind is ColumnType.TIMESTAMP else {}
        return {"name": slot, "nullable": True, **zone}


class ShippingError(Exception):
    """dlt could not load a batch; its cause says why.

    Attributes:
        table: whose rows were refused, None when it was none's in particular.
    """

    def __init__(self, table: Table | None) -> None:
        """Take the table."""
        super().__init__("dlt could not load a batch")
        self.table = table


def _rows(staging: DuckDBPyConnection, parcel: Parcel, *, zoned: bool) -> Iterator[Any]:
    """Yield the parcel's rows as one Arrow table when dlt asks: one parcel at a time is in memory."""
    select = parcel.select
    if zoned:
        moments = [slot for slot, kind in parcel.kinds.items() if kind is ColumnType.TIMESTAMP]
        replaced = ", ".join(f"timezone('UTC', {slot}) as {slot}" for slot in moments)
        select = f"select * replace ({replaced}) from ({select})" if moments else select
    try:
        rows = staging.sql(select).to_arrow_table()
    except duckdb.Error as error:
        raise RefusedTableError(
            f"The rows of {'.'.join(parcel.table)} could not be made ({type(error).__name__}); they are in the log.",
            table=".".join(parcel.table),
        ) from error
    yield rows


def _guilty(error: Exception, names: Sequence[str], parcels: Sequence[Parcel]) -> Table | None:
    """Return whose rows failed: dlt names its jobs by our staging tables."""
    inner: BaseException | None = error
    for _ in range(5):
        job = str(getattr(inner, "job_id", ""))
        for name, parcel in zip(names, parcels, strict=True):
            if job.startswith(f"{name}."):
                return parcel.table
        inner = getattr(inner, "exception", None) or (inner.__cause__ if inner else None)
    return None
