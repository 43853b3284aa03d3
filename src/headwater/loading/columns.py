"""SQL of one column: the value where it fits the column's type, else null and a note for `_overflow`. Pure.

A value that does not fit is never lost and never stops its row: it is kept, under the name its sender gave it, in the
JSON column `_overflow`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from headwater.loading.shapes import MOMENT, Kind
from headwater.spec.names import quote_ident, quote_text
from headwater.warehouses.contract import ColumnType

OVERFLOW: Final = "_overflow"

_INTEGER: Final = r"[+-]?[0-9]{1,19}(\.0+)?"
_NUMBER: Final = r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?"
_LATER_MOMENT: Final = MOMENT.replace("[T ]", "([T ]", 1) + ")?"  # a date alone means its midnight, UTC
_EXACT_DIGITS: Final = 15  # a longer integer may lose digits as a double


@dataclass(frozen=True, slots=True)
class Value:
    """Where one value of a column comes from.

    Attributes:
        text: SQL that gives it as text.
        json: SQL that gives it as JSON, for `_overflow`.
        label: its name there, such as `properties.address.street`.
        kinds: what it is in this batch.
    """

    text: str
    json: str
    label: str
    kinds: frozenset[Kind]


@dataclass(frozen=True, slots=True)
class Column:
    """A column and its values, the winner first: more than one where names of a sender became one name of ours."""

    name: str
    type: ColumnType
    values: tuple[Value, ...]

    def select(self) -> str:
        """Return the column for a SELECT."""
        return f"{self.expression()} as {quote_ident(self.name)}"

    def expression(self) -> str:
        """Return the first value that fits, as SQL."""
        fitting = [fitting_text(value, self.type) for value in self.values]
        return fitting[0] if len(fitting) == 1 else f"coalesce({', '.join(fitting)})"

    def misfits(self) -> list[tuple[Value, str]]:
        """Return each value that may not be in the column in the end, and the SQL condition under which it is not."""
        if len(self.values) > 1:
            chosen = self.expression()
            return [
                (value, f"({value.text} is not null and {fitting_text(value, self.type)} is distinct from {chosen})")
                for value in self.values
            ]
        (value,) = self.values
        if self.type is ColumnType.VARCHAR:  # an object that is flattened elsewhere is null here and not missing
            return []
        no_object = f" and json_type({value.json}) <> 'OBJECT'" if Kind.OBJECT in value.kinds else ""
        return [(value, f"({value.text} is not null and {fitting_text(value, self.type)} is null{no_object})")]


def fitting_text(value: Value, kind: ColumnType) -> str:
    """Return SQL of the value in the column's type, null where it does not fit without loss."""
    return _FITTING[kind](value)


def _varchar(value: Value) -> str:
    """Text takes everything but an object: its members have columns of their own."""
    if Kind.OBJECT not in value.kinds:
        return value.text
    return f"if(json_type({value.json}) = 'OBJECT', null, {value.text})"


def _integer(value: Value) -> str:
    """A cast alone would round 5.7 and read 0x1F."""
    cast = f"try_cast({value.text} as bigint)"
    if value.kinds <= {Kind.INTEGER}:
        return cast
    # Most are spelled as we would spell them, which is cheaper to see than the form.
    return f"if({cast}::varchar = {value.text}, {cast}, {_where(value.text, _INTEGER, cast)})"


def _float(value: Value) -> str:
    """No infinity, no NaN, and no integer that would lose digits."""
    text, cast = value.text, f"try_cast({value.text} as double)"
    if value.kinds <= {Kind.FLOAT}:
        return f"if(isfinite({cast}), {cast}, null)"
    exact = f"if(isfinite({cast}) and (length({text}) <= {_EXACT_DIGITS} or contains({text}, '.')), {cast}, null)"
    return _where(text, _NUMBER, exact)


def _boolean(value: Value) -> str:
    """A cast alone would take 1, `yes` and `t`."""
    return f"case {value.text} when 'true' then true when 'false' then false end"


def _timestamp(value: Value) -> str:
    """A cast alone would take `epoch` and `infinity`."""
    return _where(value.text, _LATER_MOMENT, moment(value.text))


_FITTING: Final = {
    ColumnType.VARCHAR: _varchar,
    ColumnType.INTEGER: _integer,
    ColumnType.FLOAT: _float,
    ColumnType.BOOLEAN: _boolean,
    ColumnType.TIMESTAMP: _timestamp,
}


def moment(text: str) -> str:
    """Return SQL of an ISO-8601 text as a UTC timestamp. Without the detour through zones where it says `Z`: faster."""
    return f"if(ends_with({text}, 'Z'), try_cast({text} as timestamp), try_cast({text} as timestamptz)::timestamp)"


def overflow(misfits: Sequence[tuple[Value, str]]) -> str:
    """Return SQL of the `_overflow` column: one JSON object of what did not fit, null where all did."""
    if not misfits:
        return "null::varchar"
    pairs = ", ".join(
        f"{{'k': {quote_text(value.label)}, 'v': if({condition}, {value.json}, null)}}" for value, condition in misfits
    )
    kept = f"list_filter([{pairs}], lambda pair: pair.v is not null)"
    any_of = " or ".join(condition for _, condition in misfits)
    return f"if({any_of}, to_json(map_from_entries({kept}))::varchar, null)"


def _where(text: str, pattern: str, expression: str) -> str:
    """Return SQL that gives the expression only where the text has the form."""
    return f"if(regexp_full_match({text}, {quote_text(pattern)}), {expression}, null)"
