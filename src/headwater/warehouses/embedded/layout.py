"""Where the embedded warehouse keeps what, and how a file becomes visible: written aside, synced, renamed.

```
lock                                  held by the one process that loads
registry.json                         every schema, table and column, before any file uses it
layout.json                           which parts of merged/ count, and up to which sequence batches were merged
views.json                            the views for analysis, as they were published
views.duckdb                          what readers open
live/schema/<schema>/<table>.parquet  no rows, all columns: gives every view its types
live/<first>-<next>/<schema>/<table>.parquet     one directory a batch, one file a table
merged/<first>-<next>.<made>/<schema>/<table>.parquet   a part: many batches in one file a table
reload/<id>/<first>-<next>/<schema>/<table>.parquet      what a reload has collected; nobody reads it before its end
generations/<n>.parquet               no rows; gone once views of that generation must not be used any more
staging/                              unfinished work, removed at start
```

A batch is published by renaming its directory: all its tables appear at once, and the names are the cursor.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from headwater.errors import DeliveryError
from headwater.warehouses.contract import Table

SCHEMA_DIRECTORY: Final = "schema"
_RANGE: Final = re.compile(r"(\d{19})-(\d{19})(\.\d+-\d+)?")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Stretch(NamedTuple):
    """A range of log sequences, `first .. next - 1`, and its directory's name."""

    first: int
    next: int

    @property
    def name(self) -> str:
        """The directory: sorts by `first`, as sequences do."""
        return f"{self.first:019d}-{self.next:019d}"


@dataclass(frozen=True, slots=True)
class Layout:
    """The directory of one embedded warehouse."""

    root: Path

    @property
    def live(self) -> Path:
        """Batches as they were loaded."""
        return self.root / "live"

    @property
    def merged(self) -> Path:
        """Batches that were merged."""
        return self.root / "merged"

    @property
    def reloads(self) -> Path:
        """What reloads have collected, one directory each."""
        return self.root / "reload"

    @property
    def staging(self) -> Path:
        """Unfinished work; on the same file system, so that a rename is enough."""
        return self.root / "staging"

    @property
    def views(self) -> Path:
        """What readers open."""
        return self.root / "views.duckdb"

    def reload(self, reload: str) -> Path:
        """Return the directory of a reload."""
        name = reload if _PLAIN.fullmatch(reload) else hashlib.sha256(reload.encode()).hexdigest()
        return self.reloads / name

    def marker(self, table: Table) -> Path:
        """Return the file that has all columns of a table and no rows."""
        return self.live / SCHEMA_DIRECTORY / table.schema / f"{table.name}.parquet"

    def generation(self, number: int) -> Path:
        """Return the file without which views of this generation refuse to work."""
        return self.root / "generations" / f"{number}.parquet"

    def make(self) -> None:
        """Make what is missing and remove what a crash left unfinished.

        Raises:
            DeliveryError: the directory holds what another program put there.
        """
        if self.staging.exists() and not self.live.exists():  # nobody's but a warehouse's is removed
            raise DeliveryError("The directory holds other files; name an empty or a new one for the warehouse.")
        shutil.rmtree(self.staging, ignore_errors=True)
        made = (self.live / SCHEMA_DIRECTORY, self.merged, self.reloads, self.staging, self.root / "generations")
        for directory in made:
            directory.mkdir(parents=True, exist_ok=True)
        sync(self.root)


def lost(name: str) -> DeliveryError:
    """Return the error for a file without which nobody can tell what the others hold."""
    return DeliveryError(
        f"{name} of the warehouse is missing although it holds rows; bring it back from a backup, or move the "
        "warehouse's directory away and it is loaded again from the log."
    )


def stretches(directory: Path) -> list[Stretch]:
    """Return the batches of a directory in log order, none when there is no such directory."""
    if not directory.exists():
        return []
    return sorted(found for entry in os.scandir(directory) if (found := stretch_of(entry.name)))


def stretch_of(name: str) -> Stretch | None:
    """Return the range in the name of a batch's or a part's directory, None when it is neither."""
    match = _RANGE.fullmatch(name)
    return Stretch(int(match[1]), int(match[2])) if match else None


def tables_of(batch: Path) -> Iterator[Table]:
    """Yield the tables that have a file in a batch's directory."""
    for file in sorted(batch.glob("*/*.parquet")):
        yield Table(file.parent.name, file.stem)


def publish(staged: Path, target: Path) -> None:
    """Make a file, or a directory with everything in it, visible under its name: durable on return."""
    for directory, _, files in os.walk(staged):
        for file in files:
            sync(Path(directory, file))
        sync(Path(directory))
    if staged.is_file():
        sync(staged)
    target.parent.mkdir(parents=True, exist_ok=True)
    staged.replace(target)
    sync(target.parent)
    sync(target.parent.parent)


def write_json(path: Path, staging: Path, value: Any) -> None:
    """Replace a file of JSON as a whole."""
    staged = staging / path.name
    staged.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=1))
    publish(staged, path)


def sync(path: Path) -> None:
    """Return once a file's content, or a directory's names, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
