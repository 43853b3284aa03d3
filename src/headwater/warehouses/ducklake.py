"""DuckLake: Parquet files in a directory or bucket, and a catalog database that commits to all tables at once.

Source: DuckLake documentation, connecting, choosing a catalog database, maintenance.
"""

from __future__ import annotations

import os
import re
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import duckdb
from duckdb import DuckDBPyConnection

from headwater import sqlite
from headwater.errors import DeliveryError, RetryableError
from headwater.spec.names import quote_text
from headwater.warehouses._lanes import places
from headwater.warehouses._lanes.attached import Catalog, Lane, erased, extensions
from headwater.warehouses._lanes.attached.failures import told
from headwater.warehouses._lanes.attached.reading import AttachedReading
from headwater.warehouses._lanes.forms import setting
from headwater.warehouses._lanes.locked import CATALOG
from headwater.warehouses.contract import Card, ColumnType

NAME: Final = "The lake"
# U+10FFFF comes after every text; without extremes DuckLake takes the column for empty
_EXTREMES: Final = (
    "update {stats} set min_value = '', max_value = '\U0010ffff\U0010ffff' where min_value is not null "
    "and column_id in (select c.column_id from {columns} c where c.table_id = {stats}.table_id "
    "and c.column_type = 'varchar')"
)
_METADATA: Final = f"__ducklake_metadata_{CATALOG}"

CARD: Final = Card(
    name="DuckLake",
    description="Parquet files and a catalog in SQLite, DuckDB or PostgreSQL, for DuckDB and what reads DuckLake.",
    notes=(
        (
            "It needs DuckDB's extension ducklake on Headwater's machine, and sqlite_scanner, postgres_scanner or "
            "httpfs where the catalog or the files ask for them, all for the DuckDB that Headwater uses. Headwater "
            "never downloads them; testing the connection says how to install them."
        ),
        "Where people ask while events flow in, choose PostgreSQL for the catalog; SQLite is for one machine alone.",
        "Integers can become decimals in place; other later values that do not fit stand in _overflow.",
    ),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the catalog and the files lie."""

    catalog: Literal["sqlite", "duckdb", "postgres"] = field(
        default="sqlite", metadata=setting("Catalog", "What keeps the list of files: sqlite, duckdb or postgres.")
    )
    catalog_file: str = field(
        default="",
        metadata=setting("Catalog file", "Of sqlite and duckdb; empty for a place in Headwater's data directory."),
    )
    host: str = field(default="", metadata=setting("Host", "Of PostgreSQL."))
    port: int = field(default=5432, metadata=setting("Port", "Of PostgreSQL."))
    database: str = field(default="", metadata=setting("Database", "Of PostgreSQL; it has to exist."))
    user: str = field(default="", metadata=setting("User", "Of PostgreSQL; may make tables in it."))
    password: str = field(default="", repr=False, metadata=setting("Password", "Of this user.", secret=True))
    data_path: str = field(
        default="",
        metadata=setting(
            "Data path", "A directory or s3://bucket/prefix; empty for a place in Headwater's data directory."
        ),
    )
    region: str = field(default="us-east-1", metadata=setting("Region", "Of the bucket."))
    endpoint: str = field(
        default="", metadata=setting("Endpoint", "Where the store is not Amazon's, such as https://minio.example.com.")
    )
    access_key_id: str = field(default="", metadata=setting("Access key ID", "For the bucket."))
    secret_access_key: str = field(
        default="", repr=False, metadata=setting("Secret access key", "For the bucket.", secret=True)
    )


class Warehouse(Lane):
    """Loads into one lake; everything but where it lies and how files are tidied is the lane's."""

    def __init__(self, settings: Settings, home: Path) -> None:
        self._lake = Lake(settings, home)
        super().__init__(
            Catalog(
                NAME,
                target=self._lake.target,
                prepare=self._lake.prepare,
                make=self._lake.make,
                widens=frozenset({ColumnType.FLOAT}),  # the only promotion of ours that DuckLake knows
                erase=self._lake.erase,
                tidy=merge,
            )
        )

    def check(self) -> None:
        """Load the extensions and look at the catalog, where there is one already."""
        self._lake.check()


class Reading(AttachedReading):
    """Asks the lake, attached read-only."""

    def __init__(self, settings: Settings, home: Path) -> None:
        lake = Lake(settings, home)
        directories = [each for each in (lake.directory, lake.file and lake.file.parent) if each]
        super().__init__(NAME, lambda: lake.target(read_only=True), lake.prepare, directories)


class Lake:
    """Where the catalog and the files of one lake lie."""

    def __init__(self, settings: Settings, home: Path) -> None:
        """Take the settings and where to keep what was given no place."""
        self._settings, self._home = settings, home
        self.file: Path | None = None
        if settings.catalog != "postgres":
            self.file = Path(settings.catalog_file or home.absolute() / f"catalog.{settings.catalog}")
        self.directory: Path | None = None
        if not settings.data_path.startswith("s3://"):
            self.directory = Path(settings.data_path or home.absolute() / "data")

    def target(self, *, read_only: bool = False) -> str:
        """Return the lake as ATTACH takes it."""
        self._refuse()
        place = f"ducklake:{self._settings.catalog}:{self.file or self._conninfo()}"
        if read_only:
            return f"{quote_text(place)} as {CATALOG} (read_only)"
        data = f"{self.directory}/" if self.directory else f"{self._settings.data_path.rstrip('/')}/"
        return f"{quote_text(place)} as {CATALOG} (data_path {quote_text(data)})"

    def prepare(self, connection: DuckDBPyConnection) -> None:
        """Load the extensions, and give the bucket's keys to the connection."""
        scanner = {"sqlite": ["sqlite_scanner"], "postgres": ["postgres_scanner"]}.get(self._settings.catalog, [])
        extensions.load(connection, "ducklake", *scanner, *([] if self.directory else ["httpfs"]))
        if self.directory is None:
            connection.execute(self._secret())

    def make(self) -> None:
        """Make the directories of a lake without a place."""
        for directory in (self.directory, self.file and self.file.parent):
            if directory:
                directory.mkdir(parents=True, exist_ok=True)

    def check(self) -> None:
        """Try what loading needs; change nothing.

        Raises:
            DeliveryError: why it does not work.
        """
        self._refuse()
        for directory in (self.directory, self.file and self.file.parent):
            nearest = directory and next(each for each in (directory, *directory.parents) if each.exists())
            if nearest and not os.access(nearest, os.W_OK):
                raise RetryableError("The directory of the lake cannot be written to; change its owner or its mode.")
        with duckdb.connect() as connection:
            self.prepare(connection)
            if self.file is None or self.file.exists():
                try:
                    connection.execute(f"attach {self.target(read_only=True)}")
                except duckdb.Error as error:
                    if "does not exist" not in str(error):  # the first load makes it
                        raise told(NAME, error) from error

    def erase(self, connection: DuckDBPyConnection) -> None:
        """Write anew the files with deleted rows, forget all earlier states, and remove what only those needed."""
        for call in (
            "ducklake_flush_inlined_data({})",
            "ducklake_rewrite_data_files({}, delete_threshold => 0)",
            "ducklake_expire_snapshots({}, older_than => timestamptz '9999-01-01')",
            "ducklake_cleanup_old_files({}, cleanup_all => true)",
            "ducklake_delete_orphaned_files({}, cleanup_all => true)",
        ):
            connection.execute(f"call {call.format(quote_text(CATALOG))}")
        self._forget_extremes(connection)
        erased(connection)

    def _forget_extremes(self, connection: DuckDBPyConnection) -> None:
        """Blur the statistics of texts: the catalog keeps the smallest and the largest there ever was of a column.

        SQLite also keeps freed pages as they were, until it is vacuumed.
        """
        if self.file is None or self._settings.catalog != "sqlite":
            names = {"stats": f"{_METADATA}.ducklake_table_column_stats", "columns": f"{_METADATA}.ducklake_column"}
            connection.execute(_EXTREMES.format(**names))
            return
        connection.execute("use memory")
        connection.execute(f"detach {CATALOG}")  # SQLite takes one writer; attached again by the next statement
        with closing(sqlite.connect(self.file)) as catalog:
            catalog.execute(_EXTREMES.format(stats="ducklake_table_column_stats", columns="ducklake_column"))
            catalog.execute("vacuum")
        connection.execute(f"attach {self.target()}")

    def _refuse(self) -> None:
        """Refuse places that are none.

        Raises:
            DeliveryError: a path is not absolute, or PostgreSQL's database is not named.
        """
        for given in (self._settings.catalog_file, self._settings.data_path):
            path = Path(given)
            if given and not given.startswith("s3://") and (not path.is_absolute() or ".." in path.parts):
                raise DeliveryError("Name the catalog file and the data path by absolute paths, or s3://bucket/prefix.")
            if given and not given.startswith("s3://"):
                places.allowed(path, self._home)
        if self._settings.catalog == "postgres" and not (self._settings.host and self._settings.database):
            raise DeliveryError("Name the host and the database of PostgreSQL, or choose sqlite for the catalog.")

    def _conninfo(self) -> str:
        """Return the connection to PostgreSQL as libpq takes it."""
        given = self._settings
        parts = {"host": given.host, "port": str(given.port), "dbname": given.database, "user": given.user}
        parts |= {"password": given.password, "connect_timeout": "10"}
        escaped = {name: re.sub(r"([\\'])", r"\\\1", value) for name, value in parts.items()}
        return " ".join(f"{name}='{value}'" for name, value in escaped.items() if value)

    def _secret(self) -> str:
        """Return the statement that gives the bucket's keys."""
        given = self._settings
        host = given.endpoint.removeprefix("https://").removeprefix("http://")
        parts = {"key_id": given.access_key_id, "secret": given.secret_access_key, "region": given.region}
        parts |= {"endpoint": host, "url_style": "path"} if host else {}
        listed = ", ".join(f"{name} {quote_text(value)}" for name, value in parts.items() if value)
        plain = ", use_ssl false" if given.endpoint.startswith("http://") else ""
        return f"create or replace secret lake_bucket (type s3, {listed}{plain})"


def merge(connection: DuckDBPyConnection) -> None:
    """Merge small files; what they were is kept for a day for queries that run."""
    for call in (
        "ducklake_flush_inlined_data({})",
        "ducklake_merge_adjacent_files({})",
        "ducklake_expire_snapshots({}, older_than => now() - interval 1 day)",
        "ducklake_cleanup_old_files({}, older_than => now() - interval 1 day)",
    ):
        connection.execute(f"call {call.format(quote_text(CATALOG))}")
