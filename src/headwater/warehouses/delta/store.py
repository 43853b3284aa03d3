"""Where Delta tables lie, a directory or a bucket, and how they are reached."""

from __future__ import annotations

import importlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import duckdb

from headwater.errors import ConfigError, DeliveryError, RefusedTableError, RetryableError, UnauthorizedError
from headwater.spec.names import quote_ident
from headwater.warehouses._lanes import places
from headwater.warehouses._lanes.forms import setting
from headwater.warehouses.contract import Columns, ColumnType, Table

KINDS: Final[Mapping[ColumnType, str]] = {
    ColumnType.TIMESTAMP: "timestamp",
    ColumnType.INTEGER: "long",
    ColumnType.FLOAT: "double",
    ColumnType.BOOLEAN: "boolean",
    ColumnType.VARCHAR: "string",
}
"""Our types as Delta spells them; its `timestamp` is an instant in UTC, which every engine reads."""

# Statistics of texts would stand in the log, where a removal does not reach them; times are what queries filter by.
_PROPERTIES: Final = {
    "delta.dataSkippingStatsColumns": "received_at,timestamp",
    "delta.logRetentionDuration": "interval 1 days",
}
_REQUEST_S: Final = 30  # ours: one request to the bucket
_CONNECT_S: Final = 5
_UNAUTHORIZED: Final = re.compile(
    r"\b(401|403)\b|AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|credential", re.IGNORECASE
)
_MISSING: Final = re.compile(r"NoSuchBucket|bucket.{0,40}not (exist|found)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the tables lie."""

    location: str = field(
        default="",
        metadata=setting(
            "Location",
            "s3://bucket/prefix, or a directory such as /srv/lake; empty for a place in Headwater's data directory.",
        ),
    )
    region: str = field(default="us-east-1", metadata=setting("Region", "Of the bucket."))
    endpoint: str = field(
        default="", metadata=setting("Endpoint", "Where the store is not Amazon's, such as https://minio.example.com.")
    )
    access_key_id: str = field(default="", metadata=setting("Access key ID", "Of a user who may read, write, delete."))
    secret_access_key: str = field(
        default="", repr=False, metadata=setting("Secret access key", "Of this user.", secret=True)
    )


class Store:
    """Opens and makes tables below one root."""

    def __init__(self, settings: Settings, home: Path) -> None:
        """Take the settings and where to keep tables without a location.

        Raises:
            ConfigError: the driver is not installed.
            DeliveryError: the location is none.
        """
        self.delta, self.arrow = drivers()
        self._settings = settings
        self.directory = _directory(settings, home)
        self._root = str(self.directory) if self.directory else settings.location.rstrip("/")

    @property
    def options(self) -> dict[str, str] | None:
        """What the bucket's client needs; None for a directory."""
        if self.directory is not None:
            return None
        given = {
            "AWS_REGION": self._settings.region,
            "AWS_ENDPOINT_URL": self._settings.endpoint,
            "AWS_ACCESS_KEY_ID": self._settings.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self._settings.secret_access_key,
            "AWS_ALLOW_HTTP": "true" if self._settings.endpoint.startswith("http://") else "",
            "aws_conditional_put": "etag",  # a commit is a PUT that fails where the object is there already
            "timeout": f"{_REQUEST_S}s",
            "connect_timeout": f"{_CONNECT_S}s",
            "max_retries": "3",  # the engine tries again, and says so
            "retry_timeout": f"{2 * _REQUEST_S}s",
        }
        return {name: value for name, value in given.items() if value}

    def uri(self, table: Table) -> str:
        """Return where a table lies."""
        return f"{self._root}/{table.schema}/{table.name}"

    def opened(self, table: Table) -> Any | None:
        """Return a table as its newest commit has it, None when there is none.

        It is always opened anew: a handle that is only brought up to date does not see that somebody removed the
        table, or put another one in its place, and would commit to what is not there.
        """
        try:
            return self.delta.DeltaTable(self.uri(table), storage_options=self.options)
        except self.delta.exceptions.TableNotFoundError:
            return None

    def made(self, table: Table, columns: Columns) -> Any:
        """Return a table, made with these columns when it is missing, and given those that it lacks."""
        handle: Any = self.opened(table)
        if handle is None:
            self.delta.DeltaTable.create(
                self.uri(table),
                schema=self.schema(columns),
                mode="ignore",
                configuration=_PROPERTIES,
                storage_options=self.options,
            )
            handle = self.opened(table)
        there = {each.name for each in handle.schema().fields}
        missing = [self._field(name, kind) for name, kind in columns.items() if name not in there]
        if missing:
            handle.alter.add_columns(missing)
        return handle

    def refuse(self, table: Table, columns: Columns) -> None:
        """Refuse a table whose columns somebody gave other types.

        Raises:
            RefusedTableError: a column is of another type than ours.
        """
        handle = self.opened(table)
        if handle is None:
            return
        kinds = {each["name"]: each["type"] for each in json.loads(handle.schema().to_json())["fields"]}
        for name, kind in columns.items():
            if kinds.get(name, KINDS[kind]) != KINDS[kind]:
                raise RefusedTableError(
                    f"{table.schema}.{table.name} does not take its rows: its column {name} was given another type; "
                    "rename the table, and it is made again.",
                    table=f"{table.schema}.{table.name}",
                )

    def schema(self, columns: Columns) -> Any:
        """Return the Arrow schema of these columns."""
        arrow = self.arrow
        kinds = {
            ColumnType.TIMESTAMP: arrow.timestamp("us", "UTC"),
            ColumnType.INTEGER: arrow.int64(),
            ColumnType.FLOAT: arrow.float64(),
            ColumnType.BOOLEAN: arrow.bool_(),
            ColumnType.VARCHAR: arrow.string(),
        }
        return arrow.schema([(name, kinds[kind]) for name, kind in columns.items()])

    def stream(self, connection: duckdb.DuckDBPyConnection, select: str, columns: Columns) -> Any:
        """Return the rows of a SELECT as a stream of Arrow batches; its timestamps are UTC without a zone."""
        schema = self.schema(columns)
        batches = connection.sql(select).to_arrow_reader(_STREAM_ROWS)
        return self.arrow.RecordBatchReader.from_batches(schema, (batch.cast(schema) for batch in batches))

    def has_before(self, handle: Any, before: datetime) -> bool:
        """Return whether a table has a row that was received before this; statistics rule most files out."""
        received_at = importlib.import_module("pyarrow.compute").field("received_at")
        wanted = received_at < self.arrow.scalar(before, self.arrow.timestamp("us", "UTC"))
        return bool(handle.to_pyarrow_dataset().count_rows(filter=wanted))

    def commit(self, name: str, version: int) -> Any:
        """Return what a commit carries so that it is done once: an application transaction of the Delta protocol."""
        return self.delta.CommitProperties(app_transactions=[self.delta.Transaction(name, version)])

    def sync(self, table: Table, handle: Any, since: int) -> None:
        """Return once the commits after version `since` are on the disk; a bucket has them anyway."""
        if self.directory is None:
            return
        home = self.directory / table.schema / table.name
        for version in range(since + 1, handle.version() + 1):
            log = home / "_delta_log" / f"{version:020d}.json"
            if log.exists():
                for line in log.read_bytes().splitlines():
                    if added := json.loads(line).get("add"):
                        _sync(home / unquote(added["path"]))
                _sync(log)
        for directory in (home / "_delta_log", home, home.parent, home.parent.parent):
            _sync(directory)

    def _field(self, name: str, kind: ColumnType) -> Any:
        """Return a column as Delta has it."""
        return self.delta.Field(name, KINDS[kind], nullable=True)


def selected(handle: Any, columns: Columns) -> str:
    """Return a SELECT list that gives the columns of a registered dataset in our types; what is missing is null.

    Texts pass through an expression, so that DuckDB filters them itself: what delta-rs merged has another kind of
    Arrow strings than what it appended, and pyarrow cannot compare the two.
    """
    there = {each.name for each in handle.schema().fields}
    forms = {ColumnType.VARCHAR: "substr({}, 1)", ColumnType.TIMESTAMP: "{}::timestamp"}
    return ", ".join(
        f"{forms.get(kind, '{}').format(quote_ident(name)) if name in there else f'null::{kind.value}'}"
        f" as {quote_ident(name)}"
        for name, kind in columns.items()
    )


_STREAM_ROWS: Final = 10_000  # ours, an Arrow batch


def drivers() -> tuple[Any, Any]:
    """Return deltalake and pyarrow.

    Raises:
        ConfigError: they are not installed.
    """
    try:
        return importlib.import_module("deltalake"), importlib.import_module("pyarrow")
    except ImportError as error:
        raise ConfigError(
            "Delta tables need two more packages; install them with: pip install 'headwater[delta]'"
        ) from error


@contextmanager
def told() -> Iterator[None]:
    """Turn what deltalake and the store say into our errors; what they say may hold addresses and keys.

    Raises:
        UnauthorizedError, RetryableError: why it did not work.
    """
    delta, arrow = drivers()
    try:
        yield
    except delta.exceptions.CommitFailedError as error:
        raise RetryableError(
            "The Delta tables were changed by another process meanwhile; it is tried again."
        ) from error
    except (OSError, delta.exceptions.DeltaError, arrow.ArrowException, duckdb.Error) as error:
        said = str(error)
        if _UNAUTHORIZED.search(said):
            raise UnauthorizedError(
                "The bucket refused the credentials; correct them, or allow reading, writing, listing and deleting."
            ) from error
        if _MISSING.search(said):
            raise DeliveryError("There is no such bucket; make it, or correct the location.") from error
        raise RetryableError(
            f"The Delta tables cannot be reached or written ({type(error).__name__}); see the disk or the network."
        ) from error


def _directory(settings: Settings, home: Path) -> Path | None:
    """Return the directory of the tables, None when they are in a bucket.

    Raises:
        DeliveryError: the location is neither.
    """
    if not settings.location:
        return home.absolute()
    parts = urlsplit(settings.location)
    if parts.scheme == "s3" and parts.netloc:
        return None
    path = Path(settings.location)
    if not path.is_absolute() or ".." in path.parts or path.is_symlink():
        raise DeliveryError("Name the location of the Delta tables as s3://bucket/prefix or as an absolute directory.")
    return places.allowed(path, home)


def _sync(path: Path) -> None:
    """Return once a file, or a directory's names, are on disk."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:  # compacted meanwhile
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
