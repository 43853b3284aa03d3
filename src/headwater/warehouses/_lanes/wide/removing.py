"""Which rows a removal takes. The engine finds who may be meant, we decide who is: regular expressions differ."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from headwater.privacy.person import Person
from headwater.spec.names import quote_ident
from headwater.warehouses._lanes.removal import address, condition
from headwater.warehouses._lanes.wide.engine import Engine
from headwater.warehouses._lanes.wide.statements import RECEIVED
from headwater.warehouses.contract import ID, Columns, ColumnType, Expired, Removal

_IDS_MAX: Final = 500  # ours: ids in one statement
_CHUNK_ROWS: Final = 1_000

Ask = Callable[[str], Any]
"""Opens a context that gives the cursor of a SELECT."""


def removals(engine: Engine, removal: Removal, table: str, columns: Columns, ask: Ask) -> Iterator[str]:
    """Yield the conditions of the rows that go, some hundred ids each.

    Args:
        engine: whose words.
        removal: whose rows, or from when.
        table: its name as SQL.
        columns: of the table.
        ask: opens a SELECT.
    """
    if isinstance(removal, Expired):
        if RECEIVED in columns:
            kind = engine.types[ColumnType.TIMESTAMP]
            yield f"{engine.named(RECEIVED)} < cast('{removal.before:%Y-%m-%d %H:%M:%S.%f}' as {kind})"
        return
    wide = condition(removal, columns, lambda name: quote_ident(engine.fold(name)), lambda _column, _pattern: "1 = 1")
    if wide is None:
        return
    texts = [name for name, kind in columns.items() if kind is ColumnType.VARCHAR]
    listed = ", ".join(engine.named(name) for name in texts)
    ids: list[str] = []
    with ask(f"select {listed} from {table} where {spelled(engine, wide)}") as cursor:
        while rows := cursor.fetchmany(_CHUNK_ROWS):
            found = (dict(zip(texts, row, strict=True)) for row in rows)
            ids += [each[ID] for each in found if is_meant(removal, each)]
    for first in range(0, len(ids), _IDS_MAX):
        yield f"{engine.named(ID)} in ({', '.join(text(engine, each) for each in ids[first : first + _IDS_MAX])})"


def is_meant(person: Person, row: dict[str, str | None]) -> bool:
    """Return whether a row is the person's, by its texts."""
    ids = (
        ("user_id", person.user_ids),
        ("anonymous_id", person.anonymous_ids),
        ("previous_id", person.user_ids | person.anonymous_ids),
    )
    if any(row.get(name) in wanted for name, wanted in ids):
        return True
    patterns = [re.compile(address(email)) for email in person.emails]
    flat = (value.lower().replace("\n", " ").replace("\r", " ") for value in row.values() if value)
    return any(pattern.fullmatch(value) for value in flat for pattern in patterns)


def spelled(engine: Engine, shared: str) -> str:
    """Return DuckDB's SQL in the engine's words, its literals above all: where a backslash escapes, none may do so."""
    sqlglot: Any = importlib.import_module("sqlglot")
    tree = sqlglot.parse_one(shared, read="duckdb")
    literals = [each for each in tree.find_all(sqlglot.exp.Literal) if each.is_string]
    for each in literals:
        each.replace(_literal(sqlglot.exp, engine, str(each.this)))
    return str(tree.sql(dialect=engine.dialect))


def text(engine: Engine, value: str) -> str:
    """Return a text as SQL."""
    sqlglot: Any = importlib.import_module("sqlglot")
    return str(_literal(sqlglot.exp, engine, value).sql(dialect=engine.dialect))


def _literal(exp: Any, engine: Engine, value: str) -> Any:
    """Return a literal; in T-SQL one of all Unicode, which others would be matched against the code page."""
    return exp.National(this=value) if engine.dialect == "tsql" else exp.Literal.string(value)
