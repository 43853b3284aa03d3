"""Which rows a removal takes, in the words of each engine."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

from headwater.spec.names import quote_ident
from headwater.warehouses._lanes.removal import condition
from headwater.warehouses._lanes.wide.engine import Engine
from headwater.warehouses.contract import Columns, Removal


def removals(engine: Engine, removal: Removal, columns: Columns) -> Iterator[str]:
    """Yield the condition of the rows that go, nothing when no row of such a table can be meant.

    The shared condition is DuckDB's SQL; sqlglot spells it for the engine, its literals above all: where a backslash
    escapes, an id that ends in one must not end the text.
    """
    shared = condition(removal, columns, lambda name: quote_ident(engine.fold(name)))
    if shared is not None:
        sqlglot: Any = importlib.import_module("sqlglot")
        yield str(sqlglot.parse_one(shared, read="duckdb").sql(dialect=engine.dialect))
