"""What the embedded warehouse's tables are made of: kept beside the files, written before any file uses it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from headwater.errors import DeliveryError
from headwater.warehouses.contract import Columns, ColumnType, Table, View

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


def read_views(path: Path) -> list[View]:
    """Return the views for analysis, none when there is no such file or it is damaged: they are published again."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[View])
    except (FileNotFoundError, msgspec.DecodeError):
        return []


def content(tables: Mapping[Table, Columns]) -> _Registry:
    """Return what the file says of these tables."""
    schemas: dict[str, dict[str, dict[str, ColumnType]]] = {}
    for table, columns in tables.items():
        schemas.setdefault(table.schema, {})[table.name] = dict(columns)
    return _Registry(schemas)


def extended(tables: Mapping[Table, Columns], added: Mapping[Table, Columns]) -> Tables:
    """Return the tables with what is missing appended; what exists keeps its place and its type."""
    every = dict.fromkeys([*tables, *added])
    return {table: _appended(tables.get(table, {}), added.get(table, {})) for table in every}


def widened(tables: Mapping[Table, Columns], wanted: Mapping[Table, Columns]) -> Tables:
    """Return the tables with existing columns in the types that are wanted, where those are wider."""
    return {
        table: {name: _wider(kind, wanted.get(table, {}).get(name, kind)) for name, kind in columns.items()}
        for table, columns in tables.items()
    }


def _wider(kind: ColumnType, wanted: ColumnType) -> ColumnType:
    """Return the wider of two types; what has no order keeps what it is."""
    integer_to_float = (kind, wanted) == (ColumnType.INTEGER, ColumnType.FLOAT)
    return wanted if integer_to_float or wanted is ColumnType.VARCHAR else kind


def _appended(columns: Columns, added: Columns) -> dict[str, ColumnType]:
    """Return a table's columns with the new ones at the end."""
    return {**columns, **{name: kind for name, kind in added.items() if name not in columns}}
