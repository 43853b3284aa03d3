"""Views for analysis: all of them change in one transaction, and what users built on them stays.

A view is replaced in place where PostgreSQL can, else dropped and made again; never with `cascade`.
Source: PostgreSQL documentation, CREATE VIEW and DROP VIEW.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from headwater.spec.names import quote_ident
from headwater.warehouses.contract import View
from headwater.warehouses.postgres.catalog import SCHEMA
from headwater.warehouses.postgres.connection import driver
from headwater.warehouses.postgres.meaning import code_of

# Columns that would change, a view of somebody's own on top of it, a table of somebody's own in its place.
_IN_THE_WAY: Final = ("42P16", "2BP01", "42809", "42P07")


def publish(connection: Any, wanted: Sequence[View]) -> list[str]:
    """Keep exactly these views; return the names of those that could not be changed."""
    with connection.transaction():
        there = _there(connection)
        if list(there) == [(view.schema, view.name, view.select) for view in wanted]:
            return []
        for schema in dict.fromkeys(view.schema for view in wanted):
            if connection.execute("select 1 from pg_namespace where nspname = %s", [schema]).fetchone() is None:
                connection.execute(f"create schema {quote_ident(schema)}")
        if _try(connection, lambda: _replace(connection, there, wanted)) or _try(
            connection, lambda: _anew(connection, wanted)
        ):
            return []
        left = _drop_unwanted(connection, there, wanted)
        for place, view in enumerate(wanted):
            if not _try(connection, partial(_make, connection, view, place)):
                left.append(_named(view.schema, view.name))
    return left


def drop(connection: Any) -> None:
    """Drop every view that Headwater made, all at once since they stand on each other; the caller's transaction.

    Raises:
        psycopg.Error: a view of somebody's own stands on one of them.
    """
    names = [_named(schema, name) for schema, name, _ in _there(connection)]
    if names:
        connection.execute(f"drop view {', '.join(names)}")
    connection.execute(f"delete from {SCHEMA}.views")


def _there(connection: Any) -> list[tuple[str, str, str]]:
    """Return the views that Headwater made and that still are there: schema, name, definition."""
    found = connection.execute(
        f"""select v.schema_name, v.view_name, v.definition from {SCHEMA}.views v
        join pg_namespace n on n.nspname = v.schema_name
        join pg_class c on c.relnamespace = n.oid and c.relname = v.view_name and c.relkind = 'v'
        order by v.place"""
    ).fetchall()
    return [(str(schema), str(name), str(definition)) for schema, name, definition in found]


def _make(connection: Any, view: View, place: int) -> None:
    """Make or replace one view."""
    connection.execute(f"create or replace view {_named(view.schema, view.name)} as {view.select}")
    connection.execute(
        f"insert into {SCHEMA}.views (schema_name, view_name, place, definition) values (%s, %s, %s, %s) on conflict "
        "(schema_name, view_name) do update set place = excluded.place, definition = excluded.definition",
        [view.schema, view.name, place, view.select],
    )


def _replace(connection: Any, there: Sequence[tuple[str, str, str]], wanted: Sequence[View]) -> None:
    """Replace all views in place: what was granted on them stays."""
    for place, view in enumerate(wanted):
        _make(connection, view, place)
    names = {(view.schema, view.name) for view in wanted}
    for schema, name, _ in reversed(there):
        if (schema, name) not in names:
            _drop_one(connection, schema, name)


def _anew(connection: Any, wanted: Sequence[View]) -> None:
    """Drop all views and make them again."""
    drop(connection)
    for place, view in enumerate(wanted):
        _make(connection, view, place)


def _drop_unwanted(connection: Any, there: Sequence[tuple[str, str, str]], wanted: Sequence[View]) -> list[str]:
    """Drop the views that nobody wants any more one by one, newest first; return those that stay."""
    names = {(view.schema, view.name) for view in wanted}
    gone = [(schema, name) for schema, name, _ in reversed(there) if (schema, name) not in names]
    return [_named(*each) for each in gone if not _try(connection, partial(_drop_one, connection, *each))]


def _drop_one(connection: Any, schema: str, name: str) -> None:
    """Drop one view."""
    connection.execute(f"drop view {_named(schema, name)}")
    connection.execute(f"delete from {SCHEMA}.views where (schema_name, view_name) = (%s, %s)", [schema, name])


def _try(connection: Any, act: Callable[[], None]) -> bool:
    """Do something that may find somebody's own things in the way; False when it did, and nothing of it is done."""
    try:
        with connection.transaction():
            act()
    except driver().Error as error:
        if code_of(error) not in _IN_THE_WAY:
            raise
        return False
    return True


def _named(schema: str, name: str) -> str:
    """Return a view's qualified name as SQL."""
    return f"{quote_ident(schema)}.{quote_ident(name)}"
