"""What of a batch is shipped: the rows of each table, and beside them the newest state that they bring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from duckdb import DuckDBPyConnection

from headwater.spec.names import quote_ident
from headwater.warehouses._lanes.wide.shipping import Parcel
from headwater.warehouses._lanes.wide.statements import NEW, RECEIVED
from headwater.warehouses.contract import ID, SEQ, Columns, ColumnType, Latest, Staged, Table

ORDER: Final = "q"
"""The staging column of the log sequence."""


@dataclass(frozen=True, slots=True)
class Part:
    """A parcel and where it goes: rows of events, or (`is_latest`) the newest state that they bring.

    Attributes:
        of: the table of events it comes from; what is refused is told of that one.
    """

    parcel: Parcel
    of: Table
    slots: Mapping[str, str]
    received: tuple[datetime, datetime] | None = None
    is_latest: bool = False


def events(staging: DuckDBPyConnection, staged: Staged) -> Part:
    """Return the rows of one table, each id once: the newest, should there be two."""
    slots = {name: f"c{number}" for number, name in enumerate(staged.columns)}
    listed = "".join(f"{_taken(name, staged.columns[name])} as {slot}, " for name, slot in slots.items())
    select = f"select {listed}{SEQ} as {ORDER} from {staged.relation}"
    key = quote_ident(ID)
    (distinct, received, first, last), *_ = staging.execute(
        f"select count(distinct {key}), "
        + (
            f"count({RECEIVED}), min({RECEIVED}), max({RECEIVED})"
            if RECEIVED in staged.columns
            else "0, null::timestamp, null::timestamp"
        )
        + f" from {staged.relation}"
    ).fetchall()
    if distinct < staged.rows:
        select += f" qualify row_number() over (partition by {key} order by {SEQ} desc) = 1"
    kinds = {slots[name]: kind for name, kind in staged.columns.items()} | {ORDER: ColumnType.INTEGER}
    bounds = (first, last) if received == staged.rows else None
    return Part(Parcel(staged.table, select, kinds), staged.table, slots, bounds)


def _taken(name: str, kind: ColumnType) -> str:
    """Return a staged column as SQL; U+FFFD stands for a NUL character, which most engines cannot keep."""
    quoted = quote_ident(name)
    return f"replace({quoted}, chr(0), chr(65533))" if kind is ColumnType.VARCHAR else quoted


def newest(staged: Staged, latest: Latest, wanted: Columns) -> Part:
    """Return the newest state that one table of events brings: of each column the last value that is not null."""
    slots = {name: f"c{number}" for number, name in enumerate(wanted)}
    key = quote_ident(latest.key)
    listed = ", ".join(
        f"{_taken(latest.key, kind)} as {slot}"
        if name == ID
        else f"arg_max({_taken(name, kind)}, {SEQ}) as {slot}"
        if name in staged.columns
        else f"null::{kind.value} as {slot}"
        for (name, slot), kind in zip(slots.items(), wanted.values(), strict=True)
    )
    select = f"select {listed}, 1::bigint as {NEW} from {staged.relation} where {key} is not null group by 1"
    kinds = {slots[name]: kind for name, kind in wanted.items()} | {NEW: ColumnType.INTEGER}
    return Part(Parcel(Table(staged.table.schema, latest.table), select, kinds), staged.table, slots, is_latest=True)
