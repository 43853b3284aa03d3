"""SQL of one column: the value where it fits the column's type, else null and a note for `_overflow`. Pure.

A value that does not fit is never lost and never stops its row: it is kept, under the name its sender gave it, in the
JSON column `_overflow`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from headwater.loading.rules import OURS, Arrays, Conflicts, Rules
from headwater.loading.shapes import MOMENT, Kind
from headwater.spec.names import quote_ident, quote_text
from headwater.warehouses.contract import ColumnType

OVERFLOW: Final = "_overflow"

# As JSON spells numbers: `007` and `+49` are codes, and would not be the same as 7 and 49.
_INTEGER: Final = r"-?(0|[1-9][0-9]{0,18})(\.0+)?"
_NUMBER: Final = r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?"
_LATER_MOMENT: Final = MOMENT.replace("[T ]", "([T ]", 1) + ")?"  # a date alone means its midnight, UTC
EXACT_DIGITS: Final = 15
"""A longer integer may lose digits as a double."""


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
    rules: Rules = OURS

    def select(self, fitted: str) -> str:
        """Return the column for a SELECT.

        Args:
            fitted: a column of the FROM item that holds `expression`: it is too dear to be worked out twice.
        """
        value = cut(fitted, self.rules) if self.type is ColumnType.VARCHAR else fitted
        return f"{value} as {quote_ident(self.name)}"

    def expression(self) -> str:
        """Return the first value that fits, as SQL."""
        fitting = [self.fitting(value) for value in self.values]
        return fitting[0] if len(fitting) == 1 else f"coalesce({', '.join(fitting)})"

    def fitting(self, value: Value) -> str:
        """Return SQL of a value in the column's type, null where it does not fit as the rules want it."""
        if self.rules.conflicts is Conflicts.DROP and self.type in _ROUGH:
            return _ROUGH[self.type](value)
        return _varchar(value, self.rules.arrays) if self.type is ColumnType.VARCHAR else _FITTING[self.type](value)

    def misfits(self, fitted: str) -> list[tuple[Value, str]]:
        """Return each value that may not be in the column in the end, and the SQL condition under which it is not."""
        if self.type is ColumnType.VARCHAR and len(self.values) == 1:
            return []  # an object that is flattened elsewhere is null here and not missing
        return [(value, self._is_misfit(value, fitted)) for value in self.values]

    def _is_misfit(self, value: Value, fitted: str) -> str:
        """Return the SQL condition that a value is there and the column has none, or another one."""
        missing = f"{fitted} is null" if len(self.values) == 1 else f"({self.fitting(value)} = {fitted}) is not true"
        no_object = f" and json_type({value.json}) <> 'OBJECT'" if Kind.OBJECT in value.kinds else ""
        return f"({value.text} is not null and {missing}{no_object})"


@dataclass(frozen=True, slots=True)
class Fitting:
    """The SQL of several columns: first what fits, in a FROM item, then what is made of it.

    Attributes:
        columns: SQL for the FROM item, each with a comma before it.
        selected: the columns for the SELECT.
        misfits: each value that may not be in its column, and when it is not.
    """

    columns: str
    selected: list[str]
    misfits: list[tuple[Value, str]]


def fit(columns: Sequence[Column]) -> Fitting:
    """Return the SQL of several columns."""
    fitted = {f"fit{number}": column for number, column in enumerate(columns)}  # no column of ours is called so
    return Fitting(
        "".join(f", {column.expression()} as {name}" for name, column in fitted.items()),
        [column.select(name) for name, column in fitted.items()],
        [misfit for name, column in fitted.items() for misfit in column.misfits(name)],
    )


def cut(text: str, rules: Rules) -> str:
    """Return SQL of a text that is no longer than the rules allow."""
    return text if rules.string_chars_max is None else f"left({text}, {rules.string_chars_max})"


def _varchar(value: Value, arrays: Arrays) -> str:
    """Text takes everything but an object: its members have columns of their own."""
    text = value.text
    if arrays is Arrays.SEGMENT and value.kinds & {Kind.ARRAY, Kind.ANY}:
        members = f"list_transform(json_extract_string({value.json}, '$[*]'), lambda member: coalesce(member, 'null'))"
        text = f"if(json_type({value.json}) = 'ARRAY', '[' || array_to_string({members}, ', ') || ']', {text})"
    if Kind.OBJECT not in value.kinds:
        return text
    return f"if(json_type({value.json}) = 'OBJECT', null, {text})"


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
    exact = f"if(isfinite({cast}) and (length({text}) <= {EXACT_DIGITS} or contains({text}, '.')), {cast}, null)"
    return exact if value.kinds <= {Kind.FLOAT} else _where(text, _NUMBER, exact)


def _boolean(value: Value) -> str:
    """A cast alone would take 1, `yes` and `t`."""
    return f"case {value.text} when 'true' then true when 'false' then false end"


def _timestamp(value: Value) -> str:
    """A cast alone would take `epoch` and `infinity`."""
    text = value.text
    usual = f"{text} like '____-__-__T__:__:__.___Z' and {text} between '1' and ':'"  # cheaper to see than the form
    return f"if({usual}, try_cast({text} as timestamp), {_where(text, _LATER_MOMENT, moment(text))})"


def _rough_float(value: Value) -> str:
    """Every finite number, with the digits that a double has."""
    cast = f"try_cast({value.text} as double)"
    return _where(value.text, _NUMBER, f"if(isfinite({cast}), {cast}, null)")


def _rough_integer(value: Value) -> str:
    """Every number within the range, without what is behind its point."""
    return f"coalesce({_integer(value)}, try_cast(trunc({_rough_float(value)}) as bigint))"


_FITTING: Final[Mapping[ColumnType, Callable[[Value], str]]] = {
    ColumnType.INTEGER: _integer,
    ColumnType.FLOAT: _float,
    ColumnType.BOOLEAN: _boolean,
    ColumnType.TIMESTAMP: _timestamp,
}
# Segment, warehouse schemas: a number that does not fit loses precision; only what is no number is dropped.
_ROUGH: Final[Mapping[ColumnType, Callable[[Value], str]]] = {
    ColumnType.INTEGER: _rough_integer,
    ColumnType.FLOAT: _rough_float,
}


def moment(text: str) -> str:
    """Return SQL of an ISO-8601 text as a UTC timestamp, null beyond the year 9999, which most engines do not have.

    Without the detour through zones where it says `Z`: faster.
    """
    zoned = f"try_cast({text} as timestamptz)::timestamp"
    zoned = f"if({zoned} between timestamp '0001-01-01' and timestamp '9999-12-31 23:59:59.999999', {zoned}, null)"
    return f"if(ends_with({text}, 'Z'), try_cast({text} as timestamp), {zoned})"


def any_of(misfits: Sequence[tuple[Value, str]]) -> list[str]:
    """Return the SQL conditions of which one holds where anything is a misfit; none is null."""
    return [condition for _, condition in misfits]


def overflow(misfits: Sequence[tuple[Value, str]], common: str = "") -> str:
    """Return SQL of the `_overflow` column: one JSON object of what did not fit, null where all did.

    Args:
        misfits: what may be in it.
        common: a column with such an object that is to be in it too, "" for none.
    """
    if not misfits:
        return common or "null::varchar"
    pairs = ", ".join(
        f"{{'k': {quote_text(value.label)}, 'v': if({condition}, {value.json}, null)}}" for value, condition in misfits
    )
    kept = f"list_filter([{pairs}], lambda pair: pair.v is not null)"
    own = f"if({' or '.join(any_of(misfits))}, to_json(map_from_entries({kept}))::varchar, null)"
    return f"coalesce(json_merge_patch({common}, {own})::varchar, {common}, {own})" if common else own


def _where(text: str, pattern: str, expression: str) -> str:
    """Return SQL that gives the expression only where the text has the form."""
    return f"if(regexp_full_match({text}, {quote_text(pattern)}), {expression}, null)"
