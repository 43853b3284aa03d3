"""Delete rows for good: every file that holds one is written again without it.

A person's rows do not wait for readers: what was replaced is deleted at once, and who holds older views is told to
reconnect. Rows that are too old go like those of any merge, after `parts.GRACE`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from duckdb import DuckDBPyConnection

from headwater.privacy.person import Person
from headwater.spec.names import quote_text
from headwater.warehouses._lanes.removal import condition
from headwater.warehouses.contract import SEQ, Columns, ColumnType, Removal, Table
from headwater.warehouses.embedded import compaction
from headwater.warehouses.embedded.layout import publish, stretch_of, stretches, tables_of
from headwater.warehouses.embedded.parts import Parts, file_of, files_of, read

_FILE: Final = "_file of the row"  # no property's column is called so
_TYPES: Final = {kind.value.upper(): kind for kind in ColumnType}
_FILES_MAX: Final = 200  # asked in one statement


class _Taken(NamedTuple):
    """A removal, and the schemas that it is about; None is all."""

    removal: Removal
    schemas: frozenset[str] | None


def remove(
    parts: Parts, removal: Removal, known: Mapping[Table, Columns], schemas: frozenset[str] | None = None
) -> dict[Table, int]:
    """Take the rows out of every file, or of those of some schemas; return how many users could see, by table."""
    meant = {table: columns for table, columns in known.items() if schemas is None or table.schema in schemas}
    seen = parts.directories()
    collected = [reload / each.name for reload in parts.layout.reloads.iterdir() for each in stretches(reload)]
    replaced = parts.replaced() if isinstance(removal, Person) else []
    held = _held(parts, [*seen, *collected, *replaced], removal, meant)
    for file in held:
        if file.parents[1] in collected:
            _rewrite(parts, file, removal)
    if any(file.parents[1] in seen for file in held):
        _replace(parts, _Taken(removal, schemas), {file.parents[1] for file in held}, known)
    elif any(file.parents[1] in replaced for file in held):
        parts.end_replaced()
    removed: Counter[Table] = Counter()
    for file, rows in held.items():
        if file.parents[1] in seen:
            removed[Table(file.parent.name, file.stem)] += rows
    return dict(removed)


def _held(
    parts: Parts, directories: Sequence[Path], removal: Removal, known: Mapping[Table, Columns]
) -> dict[Path, int]:
    """Return the files that hold rows of a removal, and how many each."""
    found: dict[Path, int] = {}
    for table in known:
        files = files_of(directories, table)
        for start in range(0, len(files), _FILES_MAX):
            found |= _counted(parts.connection, files[start : start + _FILES_MAX], removal)
    return found


def _counted(connection: DuckDBPyConnection, files: Sequence[Path], removal: Removal) -> dict[Path, int]:
    """Return which of these files of one table hold rows, and how many."""
    where = condition(removal, _columns(connection, files))
    if where is None:
        return {}
    rows = connection.execute(
        f'select "{_FILE}", count(*) from {read(files, f", filename = {quote_text(_FILE)}")} where {where} group by all'
    ).fetchall()
    return {Path(file): int(count) for file, count in rows}


def _replace(parts: Parts, taken: _Taken, concerned: set[Path], known: Iterable[Table]) -> None:
    """Write the parts that are concerned again, and live batches as a part; commit it."""
    kept: list[str | None] = []
    for name in parts.state.parts:
        directory, stretch = parts.layout.merged / name, stretch_of(name)
        if directory in concerned and stretch:
            files = {table: [file_of(directory, table)] for table in tables_of(directory)}
            kept.append(parts.write(stretch, _contents(parts, files, taken)))
        else:
            kept.append(name)
    pending = parts.pending()
    live = [parts.layout.live / stretch.name for stretch in pending]
    merging = not concerned.isdisjoint(live)
    if merging:
        files = {table: found for table in known if (found := files_of(live, table))}
        kept.append(parts.write(compaction.hull(pending), _contents(parts, files, taken)))
    parts.commit(
        [name for name in kept if name],
        before=pending[-1].next if merging else 0,
        live=[stretch.name for stretch in pending] if merging else (),
        at_once=isinstance(taken.removal, Person),
    )


def _contents(parts: Parts, files: Mapping[Table, Sequence[Path]], taken: _Taken) -> dict[Table, str | Path]:
    """Return what a part consists of without the rows of a removal."""
    contents: dict[Table, str | Path] = {}
    for table, each in files.items():
        meant = taken.schemas is None or table.schema in taken.schemas
        where = condition(taken.removal, _columns(parts.connection, each)) if meant else None
        contents[table] = f"from {read(each)}" + (f" where ({where}) is not true" if where else "")
    return contents


def _rewrite(parts: Parts, file: Path, removal: Removal) -> None:
    """Replace a collected file, which nobody reads, by itself without the rows."""
    staged = parts.layout.staging / "collected.parquet"
    where = condition(removal, _columns(parts.connection, [file]))
    parts.connection.execute(f"copy (from {read([file])} where ({where}) is not true) to {quote_text(str(staged))}")
    publish(staged, file)


def _columns(connection: DuckDBPyConnection, files: Sequence[Path]) -> dict[str, ColumnType]:
    """Return the columns that files have, with the types that they have: older ones than the registry's, maybe."""
    rows = connection.execute(f"describe from {read(files)}").fetchall()
    return {str(name): _TYPES.get(str(kind), ColumnType.VARCHAR) for name, kind, *_ in rows if name != SEQ}
