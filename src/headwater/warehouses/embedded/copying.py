"""Write the tables of a batch as files, and what a copy of them in another place does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

import duckdb
from duckdb import DuckDBPyConnection

from headwater.errors import RefusedTableError
from headwater.spec.names import quote_text
from headwater.warehouses.contract import Columns, Staged, Table, View
from headwater.warehouses.embedded.parts import Parts, file_of

# Level 1 writes a fifth faster than level 3 and is as small here; merging writes with level 3.
_FAST: Final = "format parquet, compression zstd, compression_level 1"
_OF_THE_DISK: Final = (duckdb.IOException, duckdb.FatalException, duckdb.InternalException, duckdb.ConnectionException)


class Copy(Protocol):
    """What `bucket.Bucket` is to the warehouse, which does not import it without need."""

    def check(self) -> None:
        """Try whether the place can be reached."""
        ...

    def mirror(
        self, parts: Parts, tables: Mapping[Table, Columns], models: Sequence[View], *, at_once: bool = False
    ) -> None:
        """Make the copy hold what the directory shows."""
        ...


def copy(staging: DuckDBPyConnection, staged: Staged, batch: Path) -> None:
    """Write one table of a batch into its directory.

    Raises:
        RefusedTableError: its rows cannot be written as Parquet; those of other tables may be.
    """
    file = file_of(batch, staged.table)
    file.parent.mkdir(exist_ok=True)
    try:
        staging.execute(f"copy (from {staged.relation}) to {quote_text(str(file))} ({_FAST})")
    except _OF_THE_DISK:
        raise
    except duckdb.Error as error:
        name = f"{staged.table.schema}.{staged.table.name}"
        raise RefusedTableError(f"{name} could not be written: {type(error).__name__}.", table=name) from error
