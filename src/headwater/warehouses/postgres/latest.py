"""`users` and `accounts` as real tables that always equal the last value that is not null of each column, by log order.

What follows the cursor is newer than all that is stored, so its own last values are merged in. Where older rows come
or go (a reload, a removal), the rows of their users are computed anew. Pure: SQL texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from headwater.spec.names import quote_ident
from headwater.warehouses.contract import LATEST, SEQ, Latest, Table

TOUCHED = "pg_temp.headwater_touched"
"""A temporary table of one column, `key`: whose rows are computed anew."""


def of(origin: Table) -> Latest | None:
    """Return what is derived from a table, if anything."""
    return next((each for each in LATEST if each.origin == origin.name), None)


def kept(latest: Latest, columns: Iterable[str]) -> list[str]:
    """Return which of the origin's columns the derived table has beside its `id`."""
    return [name for name in columns if name not in latest.hidden and name != SEQ]


def newest_of_batch(latest: Latest, relation: str, columns: Sequence[str]) -> str:
    """Return DuckDB's SELECT of a batch's last values: `id` and the columns."""
    values = "".join(f", arg_max({quote_ident(name)}, {SEQ}) as {quote_ident(name)}" for name in columns)
    key = quote_ident(latest.key)
    stored = f"replace({key}, chr(0), chr(65533))"  # as `copying` writes it: two ids may become one
    return f"select {stored} as id{values} from {relation} where {key} is not null group by {stored}"


def merge(target: str, fresh: str, columns: Sequence[str]) -> str:
    """Return the statement that puts newer values over those of `target`; a null leaves what was there."""
    names = [quote_ident(name) for name in columns]
    news = ", ".join(f"{name} = coalesce(fresh.{name}, old.{name})" for name in names) or '"id" = old."id"'
    listed = ", ".join(('"id"', *names))
    return f"""with changed as (
            update {target} as old set {news} from {fresh} as fresh where old."id" = fresh."id" returning old."id"
        )
        insert into {target} ({listed}) select {listed} from {fresh} as fresh
        where not exists (select from changed where changed."id" = fresh."id")"""


def recompute(latest: Latest, target: str, origin: str, columns: Sequence[str], *, touched: bool) -> list[str]:
    """Return the statements that compute rows of `target` from `origin`: those of `TOUCHED`, or all."""
    key = quote_ident(latest.key)
    asked = f" and {key} in (select key from {TOUCHED})" if touched else ""
    values = "".join(
        f", (array_agg({name} order by {SEQ} desc nulls last) filter (where {name} is not null))[1]"
        for name in map(quote_ident, columns)
    )
    listed = ", ".join(('"id"', *map(quote_ident, columns)))
    gone = f' where "id" in (select key from {TOUCHED})' if touched else ""
    return [
        f"delete from {target}{gone}",
        f"insert into {target} ({listed}) select {key}{values} from {origin} where {key} is not null{asked} group by 1",
    ]
