"""What did not fit its column: named, counted, and the type that would take it. Costs nothing where all fits."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from duckdb import DuckDBPyConnection

from headwater.loading.columns import EXACT_DIGITS, OVERFLOW, Column, Value
from headwater.loading.shapes import Kind, Path
from headwater.spec.names import pointer, quote_ident, quote_text
from headwater.warehouses.contract import ColumnType, Table

_NOTICES_MAX: Final = 20  # ours, a table: the kinds of misfit that are named one by one
_ANYTHING: Final = frozenset(Kind)


@dataclass(frozen=True, slots=True)
class Misfit:
    """Values of one name that are in `_overflow` (or, by the rules, nowhere) instead of in their column.

    Attributes:
        label: the name its sender used, such as `properties.amount`; `properties` alone is the whole document.
        column: where they would be; "" for a whole document.
        type: what that column takes.
        rows: how many rows of this batch have one.
    """

    table: Table
    label: str
    column: str
    type: ColumnType
    rows: int


def found(connection: DuckDBPyConnection, table: Table, relation: str, columns: Iterable[Column]) -> tuple[Misfit, ...]:
    """Return what the `_overflow` of a staged table holds, the most frequent first."""
    rows = connection.execute(
        f"select label, count(*) from (select unnest(json_keys({OVERFLOW})) as label from {relation} "
        f"where {OVERFLOW} is not null) group by label order by 2 desc, 1"
    ).fetchall()
    column_of = {value.label: column for column in columns for value in column.values}
    misfits = []
    for label, count in rows:
        column = column_of.get(label)
        name, kind = ("", ColumnType.VARCHAR) if column is None else (column.name, column.type)
        misfits.append(Misfit(table, label, name, kind, count))
    return tuple(misfits)


def wider(
    connection: DuckDBPyConnection, relation: str, overflow: str, columns: Iterable[Column]
) -> dict[str, ColumnType]:
    """Return the columns that would take their misfits with another type: double where all are numbers, else text.

    A value that fits and only stands behind another spelling's asks for nothing, nor does an object, whose members
    have columns of their own.

    Args:
        connection: where the relation is.
        relation: a staged table, or the stage of all.
        overflow: its column with the misfits.
        columns: those that may have some.
    """
    held = connection.execute(
        f"select distinct unnest(json_keys({overflow})) from {relation} where {overflow} is not null"
    ).fetchall()
    labels = {label for (label,) in held}
    asked = [
        column
        for column in columns
        if column.type is not ColumnType.VARCHAR and any(value.label in labels for value in column.values)
    ]
    if not asked:
        return {}
    listed = ", ".join(
        f"bool_or({_misses(column, column, overflow)}), "
        f"bool_or({_misses(column, Column('', ColumnType.FLOAT, ()), overflow)} or {_is_long(column)})"
        for column in asked
    )
    row = connection.execute(f"select {listed} from {relation}").fetchone()
    answers = iter(row or ())
    wanted = {}
    for column, misses, no_double in zip(asked, answers, answers, strict=True):
        if misses:
            to_double = column.type is ColumnType.INTEGER and not no_double
            wanted[column.name] = ColumnType.FLOAT if to_double else ColumnType.VARCHAR
    return wanted


def strip(connection: DuckDBPyConnection, relation: str, labels: Iterable[str], context: Iterable[Path] = ()) -> None:
    """Take values out of the `_overflow` of a staged table.

    Args:
        connection: where the relation is.
        relation: the staged table.
        labels: what is taken out, by the names of its senders.
        context: paths that are taken out of a context that is kept whole.
    """
    kept = f"json_merge_patch({OVERFLOW}, {quote_text(json.dumps(dict.fromkeys(labels)))})"
    paths = [("context", *path) for path in context]
    if paths:
        nested = f"json_merge_patch({kept}, {quote_text(patch(paths))})"
        kept = f"if(json_type({OVERFLOW}, '/context') = 'OBJECT', {nested}, {kept})"
    connection.execute(
        f"update {relation} set {OVERFLOW} = nullif({kept}::varchar, '{{}}') where {OVERFLOW} is not null"
    )


def patch(paths: Iterable[Path]) -> str:
    """Return the JSON merge patch that removes what stands at these paths.

    Source: RFC 7396.
    """
    root: dict[str, Any] = {}
    for path in sorted(paths, key=len, reverse=True):  # where one leads through another, all of it goes
        level = root
        for key in path[:-1]:
            level = level.setdefault(key, {})
        level[path[-1]] = None
    return json.dumps(root)


def notice(misfits: Sequence[Misfit], rows: int, *, kept: bool) -> str:
    """Return the sentence that says which values of a table did not fit; at least one misfit.

    Args:
        misfits: all of the table.
        rows: how many rows have any.
        kept: whether the rules keep them; whole documents are kept by all rules.
    """
    dropped = [] if kept else [misfit for misfit in misfits if misfit.column]
    there = [misfit for misfit in misfits if misfit not in dropped]
    if not dropped:
        said = f"values in {OVERFLOW} that fit no column: {_named(there)}"
    elif not there:
        said = f"values that fit no column and were dropped: {_named(dropped)}"
    else:
        said = f"values that fit no column. Dropped: {_named(dropped)}. In {OVERFLOW}: {_named(there)}"
    return f"{'.'.join(misfits[0].table)}: {rows} rows have {said}."


def _named(misfits: Sequence[Misfit]) -> str:
    return ", ".join(f"{misfit.label} ({misfit.rows})" for misfit in misfits[:_NOTICES_MAX])


def _misses(column: Column, like: Column, overflow: str) -> str:
    """Return the SQL condition that a misfit of one column fits no column like the other."""
    return " or ".join(_does_not_fit(value.label, like, overflow) for value in column.values)


def _does_not_fit(label: str, like: Column, overflow: str) -> str:
    """Return the SQL condition that what has a label in `_overflow` fits no such column."""
    at = quote_text(pointer([label]))
    kept = Value(f"json_extract_string({overflow}, {at})", f"json_extract({overflow}, {at})", label, _ANYTHING)
    return (
        f"coalesce({kept.text} is not null and json_type({kept.json}) <> 'OBJECT' "
        f"and {like.fitting(kept)} is null, false)"
    )


def _is_long(column: Column) -> str:
    """Return the SQL condition that an integer which is in the column would lose digits as a double."""
    if column.type is not ColumnType.INTEGER:
        return "false"
    least, most = 1 - 10 ** (EXACT_DIGITS - 1), 10**EXACT_DIGITS - 1  # as texts of so many characters
    return f"coalesce({quote_ident(column.name)} not between {least} and {most}, false)"
