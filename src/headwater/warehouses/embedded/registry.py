"""What the embedded warehouse's tables are made of: kept beside the files, written before any file uses it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from headwater.errors import DeliveryError
from headwater.warehouses.contract import Columns, ColumnType, Table

Tables = dict[Table, dict[str, ColumnType]]


class _Registry(msgspec.Struct):
    """The file: schema -> table -> column -> type, all in the order in which they came to be."""

    schemas: dict[str, dict[str, dict[str, ColumnType]]]


def read(path: Path) -> Tables:
    """Return the tables, none when the file does not exist yet.

    Raises:
        DeliveryError: the file is damaged.
    """
    try:
        registry = msgspec.json.decode(path.read_bytes(), type=_Registry)
    except FileNotFoundError:
        return {}
    except msgspec.DecodeError as error:
        raise DeliveryError(
            f"{path.name} of the warehouse cannot be read ({error}); move the warehouse's directory away and it is "
            "loaded again from the log."
        ) from error
    return {
        Table(schema, table): columns
        for schema, tables in registry.schemas.items()
        for table, columns in tables.items()
    }


def content(tables: Mapping[Table, Columns]) -> _Registry:
    """Return what the file says of these tables."""
    schemas: dict[str, dict[str, dict[str, ColumnType]]] = {}
    for table, columns in tables.items():
        schemas.setdefault(table.schema, {})[table.name] = dict(columns)
    return _Registry(schemas)


def widened(tables: Mapping[Table, Columns], added: Mapping[Table, Columns]) -> Tables:
    """Return the tables with what is missing appended; what exists keeps its place and its type."""
    every = dict.fromkeys([*tables, *added])
    return {table: _appended(tables.get(table, {}), added.get(table, {})) for table in every}


def _appended(columns: Columns, added: Columns) -> dict[str, ColumnType]:
    """Return a table's columns with the new ones at the end."""
    return {**columns, **{name: kind for name, kind in added.items() if name not in columns}}
