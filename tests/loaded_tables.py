"""Tables that batches are built for and copied into, as a warehouse does it: in the staging's own DuckDB."""

import json
from datetime import UTC, datetime

from headwater.loading.build import build
from headwater.loading.rules import OURS
from headwater.spec.event import Frame
from headwater.spec.names import quote_ident
from headwater.warehouses.contract import ColumnType, Table

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
AT = "2026-11-23T12:00:00.000Z"
OURS_IN_TRACKS = frozenset(
    {"id", "received_at", "uuid_ts", "anonymous_id", "user_id", "sent_at", "original_timestamp", "timestamp"}
    | {"event", "event_text"}
)


def event(number, name="E", /, **more):
    """Return a stored track call (or what `type` says)."""
    common = {"messageId": f"m{number}", "anonymousId": "a", "receivedAt": AT, "timestamp": AT}
    return {"type": "track", **({"event": name} if "type" not in more else {}), **common, **more}


def frame(*events, first=0):
    """Return events as one request stored them."""
    return Frame("s1", first, len(events), NOW, 0, b"".join(json.dumps(each).encode() + b"\n" for each in events))


class Tables:
    """A schema `site`. `can_widen` False: an engine that leaves every column as it is."""

    def __init__(self, staging, *, can_widen=True):
        self.staging, self.can_widen = staging, can_widen
        self.columns = {}
        self.misfits = []
        self.notices = []
        self.filtered = 0
        self._next = 0
        self._sql = staging.connection.execute
        self._sql("drop schema if exists site cascade")
        self._sql("create schema site")

    def load(self, *events, **more):
        """Load one batch, as the engine does: build, widen and build again, add columns, insert."""
        part = self._build(events, more)
        if part.wider:
            self._widen(part.wider)
            part = self._build(events, more)
        self._next += len(events)
        self.misfits += part.misfits
        self.notices += part.notices
        self.filtered += part.filtered
        for table, columns in part.added.items():
            self._add(table, columns)
        for staged in part.staged:
            names = ", ".join(quote_ident(name) for name in (*staged.columns, "_seq"))
            types = {name: str(kind).lower() for name, kind, *_ in self._sql(f"describe {staged.relation}").fetchall()}
            assert types == {**staged.columns, "_seq": "bigint"}  # nothing in it that is not told
            held = {name: self.columns[staged.table][name] for name in staged.columns}
            assert held == dict(staged.columns), "staged for other types than the warehouse has"
            self._sql(f"insert into {_name(staged.table)} ({names}) select {names} from {staged.relation}")
        return part

    def rows(self, table, *, with_nulls=False):
        """Return the rows of a table as dicts in log order; what is null is left out."""
        names = list(self.columns[Table("site", table)])
        listed = ", ".join(quote_ident(name) for name in names)
        found = self._sql(f"select {listed} from site.{quote_ident(table)} order by _seq").fetchall()
        rows = [dict(zip(names, row, strict=True)) for row in found]
        return rows if with_nulls else [{k: v for k, v in row.items() if v is not None} for row in rows]

    def own(self, table):
        """Return the rows without the columns that each has."""
        return [{k: v for k, v in row.items() if k not in OURS_IN_TRACKS} for row in self.rows(table)]

    def types(self, table):
        """Return the types of a table's own columns."""
        columns = self.columns[Table("site", table)]
        return {name: str(kind) for name, kind in columns.items() if name not in OURS_IN_TRACKS}

    def _build(self, events, more):
        frames = [frame(*events, first=self._next)] if events else []
        return build(self.staging, "site", "s0", frames, self.columns, NOW, **{"rules": OURS, **more})

    def _add(self, table, columns):
        if table not in self.columns:
            self._sql(f"create table {_name(table)} (_seq bigint)")
        for name, kind in columns.items():
            self._sql(f"alter table {_name(table)} add column {quote_ident(name)} {kind}")
        self.columns[table] = {**self.columns.get(table, {}), **columns}

    def _widen(self, wider):
        for table, columns in wider.items():
            for name, kind in columns.items() if self.can_widen else ():
                column = quote_ident(name)
                lossy = f"select 1 from {_name(table)} where {column}::double::hugeint <> {column}::hugeint"
                if kind is ColumnType.FLOAT and self._sql(lossy).fetchone():
                    continue  # as the contract has it: what would lose digits stays as it is
                self._sql(f"alter table {_name(table)} alter {quote_ident(name)} type {kind}")
                self.columns[table][name] = kind


def _name(table):
    return f"{quote_ident(table.schema)}.{quote_ident(table.name)}"
