"""What a value becomes in a column of each type, run by DuckDB itself."""

from __future__ import annotations

import json
from datetime import datetime

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.loading.columns import Column, Value, fit, overflow
from headwater.loading.shapes import Kind
from headwater.spec.names import pointer, quote_text
from headwater.warehouses.contract import ColumnType

ALL = frozenset(Kind)
_connection = duckdb.connect(config={"threads": 1})
_connection.execute("set TimeZone = 'UTC'")


def stored(kind: ColumnType, *paths: str, document: dict[str, object]) -> tuple[object, dict[str, object] | None]:
    """Return what the column has and what `_overflow` has."""
    values = tuple(
        Value(
            f"json_extract_string(body, {quote_text(pointer([path]))})",
            f"json_extract(body, {quote_text(pointer([path]))})",
            f"properties.{path}",
            ALL,
        )
        for path in paths
    )
    column = Column("c", kind, values)
    fitting = fit([column])
    row = _connection.execute(
        f"select {', '.join(fitting.selected)}, {overflow(fitting.misfits)} "
        f"from (select *{fitting.columns} from (select $1::json as body))",
        [json.dumps(document)],
    ).fetchone()
    assert row is not None
    kept = row[0].isoformat() if isinstance(row[0], datetime) else row[0]
    return kept, json.loads(row[1]) if row[1] is not None else None


@pytest.mark.parametrize(
    ("kind", "value", "kept"),
    [
        (ColumnType.INTEGER, 5, 5),
        (ColumnType.INTEGER, -(2**63), -(2**63)),
        (ColumnType.INTEGER, "5", 5),
        (ColumnType.INTEGER, 5.0, 5),
        (ColumnType.FLOAT, 5.7, 5.7),
        (ColumnType.FLOAT, 5, 5.0),
        (ColumnType.FLOAT, "5.5", 5.5),
        (ColumnType.FLOAT, "-1.5e3", -1500.0),
        (ColumnType.BOOLEAN, True, True),
        (ColumnType.BOOLEAN, "false", False),
        (ColumnType.VARCHAR, 5, "5"),
        (ColumnType.VARCHAR, True, "true"),
        (ColumnType.VARCHAR, "a\0b", "a\0b"),
        (ColumnType.VARCHAR, "x" * 600, "x" * 600),
        (ColumnType.VARCHAR, ["507f1", 1], '["507f1",1]'),
        (ColumnType.TIMESTAMP, "2026-01-02T03:04:05.678Z", "2026-01-02T03:04:05.678000"),
        (ColumnType.TIMESTAMP, "2026-01-02T03:04:05+02:00", "2026-01-02T01:04:05"),
        (ColumnType.TIMESTAMP, "2026-01-02T03:04:05", "2026-01-02T03:04:05"),
        (ColumnType.TIMESTAMP, "2026-01-02", "2026-01-02T00:00:00"),
        *((kind, None, None) for kind in ColumnType),
    ],
)
def test_a_value_that_fits_is_in_its_column_and_nowhere_else(kind, value, kept):
    assert stored(kind, "a", document={"a": value}) == (kept, None)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (ColumnType.INTEGER, 5.7),
        (ColumnType.INTEGER, "abc"),
        (ColumnType.INTEGER, 2**63),
        (ColumnType.INTEGER, True),
        (ColumnType.INTEGER, [1]),
        (ColumnType.INTEGER, "0x1F"),
        (ColumnType.INTEGER, " 5"),
        (ColumnType.FLOAT, "nan"),
        (ColumnType.FLOAT, "infinity"),
        (ColumnType.FLOAT, 2**60 + 1),
        (ColumnType.FLOAT, "1,5"),
        (ColumnType.BOOLEAN, 1),
        (ColumnType.BOOLEAN, "yes"),
        (ColumnType.TIMESTAMP, "epoch"),
        (ColumnType.TIMESTAMP, "infinity"),
        (ColumnType.TIMESTAMP, 1700000000),
        (ColumnType.TIMESTAMP, "2026-02-30T00:00:00Z"),
        (ColumnType.TIMESTAMP, "yesterday"),
    ],
)
def test_a_value_that_does_not_fit_is_kept_in_overflow(kind, value):
    assert stored(kind, "a", document={"a": value}) == (None, {"properties.a": value})


def test_of_two_spellings_the_first_wins_and_the_other_is_kept():
    found = stored(ColumnType.VARCHAR, "email_id", "emailID", document={"emailID": "x", "email_id": "y"})
    assert found == ("y", {"properties.emailID": "x"})


def test_a_second_spelling_alone_is_in_the_column():
    assert stored(ColumnType.VARCHAR, "email_id", "emailID", document={"emailID": "x"}) == ("x", None)


def test_a_second_spelling_steps_in_where_the_first_does_not_fit():
    found = stored(ColumnType.INTEGER, "email_id", "emailID", document={"emailID": 5, "email_id": "y"})
    assert found == (5, {"properties.email_id": "y"})


def test_an_object_in_a_text_column_is_flattened_elsewhere_and_not_repeated():
    assert stored(ColumnType.VARCHAR, "a", document={"a": {"b": 1}}) == (None, None)


json_values = st.one_of(
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8"), max_size=30),
    st.lists(st.integers(), max_size=3),
    st.sampled_from(["2026-01-02T03:04:05Z", "1e5", "-0", "+1", "\u0661", "infinity", "1_000", "true"]),
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(ColumnType), st.text(st.characters(codec="utf-8"), min_size=1, max_size=10), json_values)
def test_no_value_is_ever_lost(kind, key, value):
    column, kept = stored(kind, key, document={key: value})
    assert (column is None) != (kept is None)
    if kept is not None:
        assert list(kept) == [f"properties.{key}"]
