"""What a transaction changes: each touched row as it was before and as it is at the end.

A listener reads a row before the first statement that touches it; nobody who changes rows has to think of it. Rows
that go with their parent are told by the parent's own row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Engine, Insert, Table, event, select, tuple_
from sqlalchemy.sql import Delete, TextClause, Update

from headwater.clock import Clock
from headwater.control.schema import identity
from headwater.control.secrets import SEALED, SecretBox
from headwater.errors import ConfigError, ConflictError

Key = tuple[Any, ...]
Image = dict[str, Any]

_KEYS_MAX: Final = 400  # ours: SQLite takes 32,766 parameters; a key has four columns at most
_RECORDER: Final = "recorder"
_BOX: Final = "box"
CLOCK: Final = "clock"
"""The connection's option that tells the time of an entry."""
_WRITES: Final = ("insert", "update", "delete", "replace")


@dataclass(frozen=True, slots=True)
class Change:
    """One row that a transaction made (no `before`), changed, or deleted (no `after`)."""

    table: Table
    key: Key
    before: Image | None
    after: Image | None

    @property
    def kind(self) -> str:
        """What became of the row: `created`, `modified` or `deleted`."""
        if self.before is None:
            return "created"
        return "deleted" if self.after is None else "modified"

    @property
    def row(self) -> Image:
        """The row as it is now, or as it was last."""
        return self.after or self.before or {}

    @property
    def columns(self) -> list[str]:
        """The columns that hold something else now; of a row that was made or deleted, all."""
        if self.before is None or self.after is None:
            return list(self.row)
        return [name for name, value in self.after.items() if self.before[name] != value]


class Recorder:
    """Remembers, for one transaction, what the rows that it touches were like before."""

    def __init__(self) -> None:
        self._before: dict[tuple[Table, Key], Image | None] = {}

    def look(self, connection: Connection, statement: Any, parameters: list[dict[str, Any]]) -> None:
        """Read what a statement is about to change."""
        if isinstance(statement, TextClause) and statement.text.lstrip().lower().startswith(_WRITES):
            raise TypeError("The audit trail cannot follow SQL as text; write the statement with SQLAlchemy.")
        table = getattr(statement, "table", None)
        if not isinstance(statement, Insert | Update | Delete) or not isinstance(table, Table):
            return
        if not table.info.get("audited", True):
            return
        if isinstance(statement, Insert):
            self._look_at_keys(connection, table, statement, list(_keys(table, parameters)))
            return
        if len(parameters) > 1:
            raise TypeError("The audit trail follows one change of rows at a time, not executemany.")
        where = statement.whereclause
        found = select(table) if where is None else select(table).where(where)
        for row in connection.execute(found).mappings():
            self._before.setdefault((table, _key(table, row)), dict(row))

    def changes(self, connection: Connection) -> list[Change]:
        """Return the rows that are not as they were, in the order in which they were first touched.

        Raises:
            ConflictError: the key was rotated while this transaction sealed with the former one.
        """
        tables = dict.fromkeys(table for table, _ in self._before)
        after = {
            (table, key): row
            for table in tables
            for key, row in _rows(connection, table, [key for each, key in self._before if each is table])
        }
        box = connection.get_execution_options().get(_BOX)
        found = [
            Change(table, key, before, _unchanged_where_equal(table, before, after.get((table, key)), box))
            for (table, key), before in self._before.items()
        ]
        changed = [change for change in found if _differs(change)]
        if box is not None:
            _refuse_former_keys(changed, box)
        return changed

    def _look_at_keys(self, connection: Connection, table: Table, statement: Insert, keys: list[Key]) -> None:
        # A plain insert fails where the row is there already; one that minds conflicts may change it.
        minds_conflicts = getattr(statement, "_post_values_clause", None) is not None
        there = dict(_rows(connection, table, keys)) if minds_conflicts else {}
        for key in keys:
            self._before.setdefault((table, key), there.get(key))


def watch(engine: Engine) -> None:
    """Let the recorder of each transaction see its statements."""
    event.listen(engine, "before_cursor_execute", _before)


def recording(recorder: Recorder) -> Mapping[str, Any]:
    """Return the connection's options that let `recorder` see its statements."""
    return {_RECORDER: recorder}


def equip(engine: Engine, box: SecretBox, clock: Clock) -> None:
    """Let recorders open what is sealed (equal secrets are sealed differently each time) and tell the time."""
    engine.update_execution_options(**{_BOX: box, CLOCK: clock})


def _before(
    connection: Connection,
    _cursor: Any,
    sql: str,
    _parameters: Any,
    context: Any,
    _many: bool,  # noqa: FBT001
) -> None:
    recorder = connection.get_execution_options().get(_RECORDER)
    if recorder is None or context is None:
        return
    if context.compiled is None:
        if sql.lstrip().lower().startswith(_WRITES):
            raise TypeError("The audit trail cannot follow SQL as text; write the statement with SQLAlchemy.")
        return
    recorder.look(connection, context.invoked_statement, context.compiled_parameters)


def _keys(table: Table, parameters: list[dict[str, Any]]) -> Iterator[Key]:
    """Yield the keys that an insert names: of one row, of many, or of `values([...])`, whose names end in `_m1` ..."""
    names = [column.key for column in table.primary_key]
    for given in parameters:
        for suffix in ("", *(f"_m{number}" for number in range(len(given)))):
            if all(f"{name}{suffix}" in given for name in names):
                yield tuple(given[f"{name}{suffix}"] for name in names)
            elif suffix:
                break


def _key(table: Table, row: Mapping[Any, Any]) -> Key:
    return tuple(row[column.key] for column in table.primary_key)


def _rows(connection: Connection, table: Table, keys: Iterable[Key]) -> Iterator[tuple[Key, Image]]:
    columns = tuple_(*table.primary_key)
    wanted = list(keys)
    for at in range(0, len(wanted), _KEYS_MAX):
        for row in connection.execute(select(table).where(columns.in_(wanted[at : at + _KEYS_MAX]))).mappings():
            yield _key(table, row), dict(row)


def _unchanged_where_equal(table: Table, before: Image | None, after: Image | None, box: Any) -> Image | None:
    """Return the row with what it held before in each column that means the same: it shows no change there."""
    if before is None or after is None:
        return after
    return {
        name: before[name]
        if _is_beside_the_point(table, name) or _means_the_same(table, before, after, name, box)
        else value
        for name, value in after.items()
    }


def _is_beside_the_point(table: Table, name: str) -> bool:
    return name == "updated_at" or not table.c[name].info.get("audited", True)


def _means_the_same(table: Table, before: Image, after: Image, name: str, box: Any) -> bool:
    old, new = before[name], after[name]
    if old == new or box is None or not isinstance(old, str) or not isinstance(new, str):
        return bool(old == new)
    named = identity(table)
    if not SEALED.search(old) or not SEALED.search(new) or named is None:
        return False
    try:
        return bool(box.opened_in(after[named], name, old) == box.opened_in(after[named], name, new))
    except ConfigError:  # the key of the former value is lost: whatever it was, it is another now
        return False


def _differs(change: Change) -> bool:
    return change.before != change.after


def _refuse_former_keys(changed: Iterable[Change], box: Any) -> None:
    present = set(box.key_ids)
    for change in changed:
        for name in change.columns if change.after else ():
            value = change.row[name]
            used = {found["key_id"] for found in SEALED.finditer(value)} if isinstance(value, str) else set()
            if used and not used <= present:
                raise ConflictError("The key of stored secrets was changed at this moment; do it once more.")
