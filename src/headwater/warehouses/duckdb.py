"""DuckDB file: one database file, with real tables, for a team that copies or mounts it.

The file is open while a batch is loaded and closed in between, so that others can open it; it is written so that
every DuckDB since 1.0 reads it.

Source: DuckDB documentation, Concurrency; ATTACH, `storage_version`; COPY FROM DATABASE; Reclaiming space.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import duckdb
from duckdb import DuckDBPyConnection

from headwater.errors import DeliveryError, QueryError, RetryableError
from headwater.spec.names import quote_text
from headwater.warehouses._lanes import places
from headwater.warehouses._lanes.attached import Catalog, Lane, erased
from headwater.warehouses._lanes.attached.reading import AttachedReading
from headwater.warehouses._lanes.forms import setting
from headwater.warehouses._lanes.locked import CATALOG
from headwater.warehouses.contract import Card

STORAGE_VERSION: Final = "v1.0.0"
NAME: Final = "The DuckDB file"

CARD: Final = Card(
    name="DuckDB file",
    description="One DuckDB database file with a table for each event, closed between loads so that others can read.",
    notes=(
        (
            "DuckDB lets either one program write or several read. Headwater holds the file only while it loads a "
            "batch; a program that keeps it open, also read-only, stops the loading until it closes it. Where people "
            "ask all the time, choose the embedded warehouse."
        ),
        "Every DuckDB since 1.0 opens the file.",
        "When a person is removed, the file is written anew, so that nothing of them is left in it.",
    ),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the file lies."""

    file: str = field(
        default="",
        metadata=setting(
            "File",
            "Such as /srv/analytics/events.duckdb, in a directory that exists; empty for a place in Headwater's data "
            "directory.",
        ),
    )


class Warehouse(Lane):
    """Loads into one file; everything but where it lies is the lane's."""

    def __init__(self, settings: Settings, home: Path) -> None:
        self._settings, self._home = settings, home
        super().__init__(Catalog(NAME, target=self._target, make=self._make, erase=self._rewrite))

    def check(self) -> None:
        """Open the file and read from it, or see that it can be made."""
        file = place(self._settings, self._home)
        if file.exists():
            super().check()
        elif self._settings.file and not os.access(file.parent, os.W_OK):
            raise RetryableError(
                "The directory of the DuckDB file does not exist or cannot be written to; make it, or change its mode."
            )

    def _target(self) -> str:
        """Return the file as ATTACH takes it."""
        return f"{quote_text(str(place(self._settings, self._home)))} as {CATALOG}"

    def _make(self) -> None:
        """Make the file where there is none: aside, then linked, so that a crash leaves no half of one."""
        file = place(self._settings, self._home)
        if not self._settings.file:
            file.parent.mkdir(parents=True, exist_ok=True)
        staged = file.with_name(f"{file.name}.new")
        staged.unlink(missing_ok=True)
        if file.exists():
            return
        with duckdb.connect() as connection:
            connection.execute(f"attach {quote_text(str(staged))} as made (storage_version '{STORAGE_VERSION}')")
            connection.execute("create schema made._headwater")
            connection.execute("detach made")
        try:
            _sync(staged)
            os.link(staged, file)  # unlike a rename it never replaces what another process made meanwhile
        except FileExistsError:
            pass
        finally:
            staged.unlink(missing_ok=True)
        _sync(file.parent)

    def _rewrite(self, connection: DuckDBPyConnection) -> None:
        """Write the file anew and replace it: deleted rows stay in the blocks of the old one."""
        file = place(self._settings, self._home)
        staged = file.with_name(f"{file.name}.new")
        staged.unlink(missing_ok=True)
        connection.execute("checkpoint")
        connection.execute(f"attach {quote_text(str(staged))} as made (storage_version '{STORAGE_VERSION}')")
        connection.execute(f"copy from database {CATALOG} to made")
        erased(connection, "made")
        connection.execute("detach made")
        _sync(staged)
        staged.replace(file)  # while the old one is locked: nobody wrote to it since it was copied
        _sync(file.parent)


class Reading(AttachedReading):
    """Asks the file between two loads."""

    def __init__(self, settings: Settings, home: Path) -> None:
        self._settings, self._home = settings, home
        super().__init__(NAME, self._target)

    def _target(self) -> str:
        """Return the file as ATTACH takes it, to read only."""
        file = place(self._settings, self._home)
        if not file.exists():
            raise QueryError("The warehouse has no tables yet; they appear with the first event that is loaded.")
        return f"{quote_text(str(file))} as {CATALOG} (read_only)"


def place(settings: Settings, home: Path) -> Path:
    """Return the file.

    Raises:
        DeliveryError: what is named cannot be a database file of ours: a device, a link, another program's file.
    """
    if not settings.file:
        return home.absolute() / "warehouse.duckdb"
    file = Path(settings.file)
    if not file.is_absolute() or ".." in file.parts or file.suffix not in {".duckdb", ".db"}:
        raise DeliveryError("Name the DuckDB file by an absolute path that ends in .duckdb, as in /srv/events.duckdb.")
    places.allowed(file, home)
    try:
        mode = file.lstat().st_mode
    except FileNotFoundError:
        return file
    except OSError as error:
        raise RetryableError(f"The DuckDB file cannot be looked at: {error.strerror}.") from error
    if not stat.S_ISREG(mode):
        raise DeliveryError("The DuckDB file is a link, a device or a directory; name a regular file or a new one.")
    return file


def _sync(path: Path) -> None:
    """Return once a file, or a directory's names, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
