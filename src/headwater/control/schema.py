"""What the tables of the control database have in common; each area has its own beside its code."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, MetaData, String, Table

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)
ID: Final = String(32)
"""The type of every id."""

UNAUDITED: Final = {"audited": False}
"""The `info` of a table whose rows are no configuration, or of a column that `noting` may set by itself."""


def parent(table: str) -> Column[str]:
    """Return the column that names the row of `table` to which a row belongs, and with which it goes."""
    return Column(f"{table[:-1]}_id", ID, ForeignKey(f"{table}.id", ondelete="CASCADE"), nullable=False, index=True)


def identity(table: Table) -> str | None:
    """Return the column that names a row: `id`, or the only column of its key; None where it takes several."""
    key = [column.name for column in table.primary_key]
    if "id" in table.c:
        return "id"
    return key[0] if len(key) == 1 else None
