"""Which table a call goes to, and the columns that every row of it has. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from headwater.limits import IDENTIFIER_BYTES_MAX
from headwater.loading.rules import Reserved
from headwater.spec.event import Call
from headwater.spec.names import column_name, snake_case, table_name
from headwater.warehouses.contract import ColumnType

TRACKS: Final = "tracks"
OVERFLOW_TABLE: Final = "_overflow"
"""Takes the events of a source beyond its last allowed table, and calls of a kind nobody knows."""

_OWN: Final = {
    Call.IDENTIFY: "identifies",
    Call.PAGE: "pages",
    Call.SCREEN: "screens",
    Call.GROUP: "groups",
    Call.ALIAS: "aliases",
}
_TAKEN: Final = frozenset({TRACKS, "users", "accounts", *_OWN.values()})

_TEXT: Final = ColumnType.VARCHAR
_TIME: Final = ColumnType.TIMESTAMP
_COMMON: Final[Mapping[str, ColumnType]] = {
    "id": _TEXT,
    "received_at": _TIME,
    "uuid_ts": _TIME,
    "anonymous_id": _TEXT,
    "user_id": _TEXT,
    "sent_at": _TIME,
    "original_timestamp": _TIME,
    "timestamp": _TIME,
}
_EVENT: Final = ("event", "event_text")
SHARED: Final[Mapping[str, tuple[str, ...]]] = {"pages": ("name", "category"), "screens": ("name", "category")}
"""Columns that a call may give beside its properties or among them; the former wins."""

_EXTRA: Final[Mapping[str, tuple[str, ...]]] = {
    "pages": (),
    "screens": (),
    "groups": ("group_id",),
    "aliases": ("previous_id",),
    "identifies": (),
}
_RESERVED: Final = frozenset({*_COMMON, *_EVENT})

CONTEXT: Final = "context_"


@dataclass(frozen=True, slots=True)
class Route:
    """Where one kind of call goes beside `tracks`.

    Attributes:
        type, event: as sent; `event` is "" except for track calls.
        table: its table.
        slug: what its rows say in the column `event`.
    """

    type: str
    event: str
    table: str
    slug: str


def route(call: str, event: str, engine: str = "") -> Route:
    """Return where a call goes; events whose names differ only in spelling share a table."""
    if call == Call.TRACK:
        name = table_name(event, engine)
        return Route(call, event, f"_{name}" if is_taken(name) else name, snake_case(event) or name)
    return Route(call, event, _OWN[Call(call)] if call in _OWN else OVERFLOW_TABLE, "")


def common_columns(table: str) -> dict[str, ColumnType]:
    """Return the columns that every row of a table has."""
    extra = _EXTRA.get(table, _EVENT)
    return {**_COMMON, **dict.fromkeys(extra, _TEXT)}


def is_taken(table: str) -> bool:
    """Return whether a table's name is one of ours, so that an event of this name has another."""
    return table in _TAKEN


def is_ours(table: str, column: str) -> bool:
    """Return whether a column is one of every call or of `context`, and so none of properties or traits."""
    return column in _RESERVED or column.startswith(CONTEXT) or column in _EXTRA.get(table, ())


def body_column(
    table: str, path: tuple[str, ...], engine: str = "", reserved: Reserved = Reserved.PREFIX
) -> str | None:
    """Return the column of a property or trait; None for one that is left out.

    A name that is ours gets `_` before it, or is left out: it is never written over the real one.
    """
    name = column_name(*path, engine=engine)
    if not is_ours(table, name):
        return name
    return f"_{name}"[:IDENTIFIER_BYTES_MAX] if reserved is Reserved.PREFIX else None


def context_column(path: tuple[str, ...]) -> str:
    """Return the column of a context field."""
    return column_name("context", *path)
