"""Questions in SQL."""

from __future__ import annotations

from typing import Any

import msgspec


class Column(msgspec.Struct, rename="camel"):
    """A column and its type in SQL."""

    name: str
    type: str


class Rows(msgspec.Struct, rename="camel"):
    """Rows by column; integers wider than 64 bits are text."""

    columns: list[Column]
    rows: list[list[Any]]
    truncated: bool
    duration_ms: int


class RunningQuery(msgspec.Struct, rename="camel"):
    """A question that is being answered."""

    id: str
    warehouse_id: str
    sql: str
    started_at: str


class RunningQueries(msgspec.Struct, rename="camel"):
    """What is being answered now, oldest first."""

    queries: list[RunningQuery]


class Table(msgspec.Struct, rename="camel"):
    """A table or view."""

    name: str
    columns: list[Column]


class Schema(msgspec.Struct, rename="camel"):
    """A schema with its tables."""

    name: str
    tables: list[Table]


class Schemas(msgspec.Struct, rename="camel"):
    """The schemas of a warehouse."""

    schemas: list[Schema]
