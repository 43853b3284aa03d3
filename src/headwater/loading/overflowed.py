"""Which values did not fit their columns, in the journal: a list for people, name by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from headwater.loading.build import Misfit
from headwater.sqlite import Connection

OVERFLOWED_MAX: Final = 1_000  # ours, a warehouse: the ones that were not seen for longest are forgotten


@dataclass(frozen=True, slots=True)
class Overflowed:
    """One name and how often its values did not fit.

    Attributes:
        schema, table, column, type: the column that could not take them; `column` "" for a whole document.
        label: the name that the sender used, such as `properties.amount`.
        widened: the column has been given a wider type for them; later values fit.
    """

    schema: str
    table: str
    column: str
    type: str
    label: str
    rows: int
    first_at: str
    last_at: str
    widened: bool


def add(
    connection: Connection, warehouse_id: str, misfits: Iterable[Misfit], at: datetime, *, is_reload: bool = False
) -> None:
    """Count them; the rows of a reload were counted when they came first, unless nothing is known of them."""
    found = list(misfits)
    if not found:
        return
    counted = "rows" if is_reload else "rows + excluded.rows"
    moment = at.isoformat()
    for each in found:
        connection.execute(
            "insert into misfits values (?, ?, ?, ?, ?, ?, ?, ?, ?, 0) "
            "on conflict (warehouse_id, schema, name, column_name, label) do update set "
            f"rows = {counted}, last_at = excluded.last_at, type = excluded.type, widened = 0",
            (warehouse_id, *each.table, each.column, each.label, each.type.value, each.rows, moment, moment),
        )
    _forget(connection, warehouse_id)


def widen(connection: Connection, warehouse_id: str, misfits: Iterable[Misfit], at: datetime) -> None:
    """Note names for which a column was widened."""
    moment = at.isoformat()
    for each in misfits:
        connection.execute(
            "insert into misfits values (?, ?, ?, ?, ?, ?, 0, ?, ?, 1) "
            "on conflict (warehouse_id, schema, name, column_name, label) do update set "
            "last_at = excluded.last_at, type = excluded.type, widened = 1",
            (warehouse_id, *each.table, each.column, each.label, each.type.value, moment, moment),
        )
    _forget(connection, warehouse_id)


def listed(connection: Connection, warehouse_id: str) -> list[Overflowed]:
    """Return them, the newest first."""
    rows = connection.execute(
        "select schema, name, column_name, type, label, rows, first_at, last_at, widened from misfits "
        "where warehouse_id = ? order by last_at desc, rows desc, schema, name, column_name, label",
        (warehouse_id,),
    ).fetchall()
    return [replace(Overflowed(*row), widened=bool(row[-1])) for row in rows]


def _forget(connection: Connection, warehouse_id: str) -> None:
    """Forget those beyond the bound that were not seen for longest."""
    connection.execute(
        "delete from misfits where warehouse_id = ? and rowid not in "
        "(select rowid from misfits where warehouse_id = ? order by last_at desc, rowid desc limit ?)",
        (warehouse_id, warehouse_id, OVERFLOWED_MAX),
    )
