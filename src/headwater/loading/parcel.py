"""One batch on its way into a warehouse: built, with wider columns where it needs them, without what is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Final

from headwater.errors import DeliveryError, RefusedTableError
from headwater.loading.build import Built, Misfit, build
from headwater.loading.selection import Excluded
from headwater.loading.staging import Staging
from headwater.loading.target import Target
from headwater.spec.event import Frame
from headwater.warehouses.contract import Columns, ColumnType, Load, Staged, Table, Warehouse

REFUSED_MAX: Final = 50  # ours, a batch: a warehouse that refuses more tables is not well as a whole


@dataclass(frozen=True, slots=True)
class Parcel:
    """What the warehouse is to take.

    Attributes:
        tables: each at most once.
        added: the columns that it has to make before.
        misfits: of these tables.
        widened: names for which columns have become wider.
        filtered: events that their sender, or their source, kept out.
        suppressed: events of people who are suppressed.
        refused: tables that the batch goes without, and why.
    """

    tables: tuple[Staged, ...] = ()
    added: Mapping[Table, Columns] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    misfits: tuple[Misfit, ...] = ()
    widened: tuple[Misfit, ...] = ()
    filtered: int = 0
    suppressed: int = 0
    refused: Mapping[Table, str] = field(default_factory=dict)

    @property
    def rows(self) -> dict[str, int]:
        """How many rows there are, by `schema.table`."""
        return {f"{staged.table.schema}.{staged.table.name}": staged.rows for staged in self.tables}

    def only(self, is_wanted: Callable[[Table], bool]) -> Parcel:
        """Return the parcel with these tables only."""
        return replace(
            self,
            tables=tuple(staged for staged in self.tables if is_wanted(staged.table)),
            added={table: columns for table, columns in self.added.items() if is_wanted(table)},
            misfits=tuple(misfit for misfit in self.misfits if is_wanted(misfit.table)),
        )

    def without(self, refused: Mapping[Table, str]) -> Parcel:
        """Return the parcel without these tables, which are remembered."""
        there = {staged.table for staged in self.tables}
        named = {table: reason for table, reason in refused.items() if table in there}
        left = self.only(lambda table: table not in named)
        return replace(left, refused={**self.refused, **named})


@dataclass(frozen=True, slots=True)
class Packer:
    """Builds parcels for one warehouse and hands them over."""

    warehouse: Warehouse
    staging: Staging

    def pack(
        self,
        target: Target,
        frames: Mapping[str, Sequence[Frame]],
        at: datetime,
        excluded: frozenset[Excluded] | None = None,
    ) -> Parcel:
        """Return the tables of these frames.

        Args:
            target: rules and names.
            frames: by schema.
            at: when they are loaded.
            excluded: what stays out; None for what the target says.
        """
        out = target.excluded if excluded is None else excluded
        known = self._columns() if frames else {}
        built, widened, notices = [], list[Misfit](), list[str]()
        for number, (schema, of_schema) in enumerate(frames.items()):
            ours = frozenset(each for each in out if target.sources.get(each.source_id) == schema)
            made = partial(build, self.staging, schema, f"s{number}", of_schema, at=at, rules=target.rules)
            once = partial(made, excluded=ours, warehouse_id=target.id, engine=target.type)
            part = once(known=known)
            if part.wider and (changed := self._widen(part, known)):
                widened += [
                    replace(misfit, type=changed[key]) for misfit in part.misfits if (key := _key(misfit)) in changed
                ]
                notices += [_wider_notice(table, name, kind) for (table, name), kind in changed.items()]
                self.staging.drop(*(staged.relation for staged in part.staged))
                known = self._columns()
                part = once(known=known)
            built.append(part)
        return _parcel(built, widened, notices)

    def hand_over(self, parcel: Parcel, batch: Load, before: Callable[[Parcel], None]) -> Parcel:
        """Give a batch to the warehouse, without the tables that it refuses; return what it took.

        Args:
            parcel: its tables.
            batch: its range; the tables are the parcel's.
            before: called each time before the warehouse gets a parcel, to note what it takes and what it goes without.

        Raises:
            DeliveryError: nothing was taken, or it is not known.
        """
        relations = [staged.relation for staged in parcel.tables]
        try:
            while True:
                before(parcel)
                if not parcel.tables:
                    return parcel
                try:
                    self.warehouse.add_columns(parcel.added)
                    self.warehouse.load(self.staging.connection, replace(batch, tables=parcel.tables))
                except RefusedTableError as error:
                    parcel = _without(parcel, error)
                else:
                    return parcel
        finally:
            self.staging.drop(*relations)

    def _columns(self) -> dict[Table, dict[str, ColumnType]]:
        """Return the columns there are now; the warehouse may change its own mapping later."""
        return {table: dict(columns) for table, columns in self.warehouse.columns().items()}

    def _widen(self, part: Built, known: Mapping[Table, Columns]) -> dict[tuple[Table, str], ColumnType]:
        """Ask for wider columns; return the types of those that became so."""
        self.warehouse.widen({table: columns for table, columns in part.wider.items() if table in known})
        now = self._columns()
        return {
            (table, name): now[table][name]
            for table, columns in part.wider.items()
            for name in columns
            if table in known and name in known[table] and now[table][name] != known[table][name]
        }


def _key(misfit: Misfit) -> tuple[Table, str]:
    return misfit.table, misfit.column


def _wider_notice(table: Table, name: str, kind: ColumnType) -> str:
    return f"{table.schema}.{table.name}: column {name} is {kind.value} now, so that it takes what did not fit."


def _parcel(built: Sequence[Built], widened: Sequence[Misfit], notices: Sequence[str]) -> Parcel:
    """Return what the schemas' parts are together."""
    return Parcel(
        tables=tuple(staged for part in built for staged in part.staged),
        added={table: columns for part in built for table, columns in part.added.items()},
        notices=(*notices, *(notice for part in built for notice in part.notices)),
        misfits=tuple(misfit for part in built for misfit in part.misfits),
        widened=tuple(widened),
        filtered=sum(part.filtered for part in built),
        suppressed=sum(part.suppressed for part in built),
    )


def _without(parcel: Parcel, error: RefusedTableError) -> Parcel:
    """Return a parcel without the table that was refused.

    Raises:
        DeliveryError: it has no such table, or too many were refused.
    """
    named = {staged.table for staged in parcel.tables if f"{staged.table.schema}.{staged.table.name}" == error.table}
    if not named or len(parcel.refused) >= REFUSED_MAX:
        raise DeliveryError(str(error)) from error
    return parcel.without(dict.fromkeys(named, str(error)))
