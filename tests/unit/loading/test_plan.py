from __future__ import annotations

from functools import partial

import pytest

from headwater.loading import plan, shapes, tables
from headwater.loading.plan import Document, Shape, Space
from headwater.loading.shapes import Kind, Leaf
from headwater.loading.tables import Route
from headwater.warehouses.contract import ColumnType

BODY = Document("body", "properties", "body_texts")


def extraction(*structures: str, known=None, columns_max=100, first=None, table="order_completed"):
    found = [Shape("track", "Order Completed", structure, 1, row) for row, structure in enumerate(structures)]
    name_of = partial(tables.body_column, table)
    documents = first or (lambda _row: {})
    rows = lambda wanted: {row: documents(row) for row in wanted}  # noqa: E731 - one line beside its use
    return plan.extraction(found, BODY, Space(name_of, known or {}, columns_max=columns_max), rows)


def types(found) -> dict[str, ColumnType]:
    return {column.name: column.type for column in found.columns}


def test_a_structure_is_flattened_and_nulls_are_nothing():
    structure = '{"a":"UBIGINT","b":"NULL","c":["JSON"],"d":{"e f":"DOUBLE","g":"NULL"},"h":{}}'
    assert shapes.leaves(structure) == (
        Leaf(("a",), Kind.INTEGER),
        Leaf(("c",), Kind.ARRAY),
        Leaf(("d",), Kind.OBJECT),
        Leaf(("d", "e f"), Kind.FLOAT),
        Leaf(("h",), Kind.OBJECT),
    )


def test_properties_that_are_no_object_have_no_columns():
    assert shapes.leaves('"VARCHAR"') == shapes.leaves("") == ()


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (Kind.INTEGER, 5, ColumnType.INTEGER),
        (Kind.INTEGER, 2**63, ColumnType.VARCHAR),
        (Kind.FLOAT, 5.5, ColumnType.FLOAT),
        (Kind.BOOLEAN, True, ColumnType.BOOLEAN),
        (Kind.ARRAY, [], ColumnType.VARCHAR),
        (Kind.TEXT, "5", ColumnType.VARCHAR),
        (Kind.TEXT, "2026-01-02T03:04:05.123Z", ColumnType.TIMESTAMP),
        (Kind.TEXT, "2026-01-02 03:04", ColumnType.TIMESTAMP),
        (Kind.TEXT, "2026-01-02", ColumnType.VARCHAR),
        (Kind.TEXT, "2026-13-02T03:04:05Z", ColumnType.VARCHAR),
        (Kind.TEXT, "٢٠٢٦-01-02T03:04:05Z", ColumnType.VARCHAR),
        (Kind.ANY, {}, None),
    ],
)
def test_the_first_value_decides_the_type(kind, value, expected):
    assert shapes.column_type(kind, value) is expected


def test_the_first_row_decides_where_rows_differ():
    found = extraction('{"a":"UBIGINT"}', '{"a":"VARCHAR"}', first=lambda row: {"a": [5, "x"][row]})
    assert types(found) == {"a": ColumnType.INTEGER}


def test_a_column_that_exists_keeps_its_type():
    found = extraction('{"a":"UBIGINT"}', known={"a": ColumnType.BOOLEAN})
    assert (types(found), found.added) == ({"a": ColumnType.BOOLEAN}, {})


def test_a_property_that_is_called_like_a_column_of_ours_gets_an_underscore():
    found = extraction('{"user_id":"BOOLEAN","timestamp":"BOOLEAN","contextIp":"BOOLEAN","order":"BOOLEAN"}')
    assert list(types(found)) == ["_user_id", "_timestamp", "_context_ip", "_order"]


def test_spellings_share_a_column_and_its_own_name_wins():
    found = extraction('{"emailID":"BOOLEAN","email_id":"BOOLEAN","email-id":"BOOLEAN"}')
    (column,) = found.columns
    assert [value.label for value in column.values] == [
        "properties.email_id",
        "properties.email-id",
        "properties.emailID",
    ]


def test_columns_beyond_the_limit_send_their_documents_to_overflow():
    structures = ['{"a":"BOOLEAN"}', '{"a":"BOOLEAN","b":"BOOLEAN"}', '{"c":"BOOLEAN"}']
    found = extraction(*structures, columns_max=2)
    assert (list(types(found)), found.spilled) == (["a", "b"], frozenset({'{"c":"BOOLEAN"}'}))


def test_more_spellings_than_anyone_needs_send_their_documents_to_overflow():
    structure = "{" + ",".join(f'"a{"-" * n}b":"BOOLEAN"' for n in range(1, 20)) + "}"
    found = extraction(structure)
    assert len(found.columns[0].values) == plan.SPELLINGS_MAX
    assert found.spilled == {structure}


@pytest.mark.parametrize(
    ("call", "event", "table", "slug"),
    [
        ("track", "Email Link Clicked", "email_link_clicked", "email_link_clicked"),
        ("track", "Users", "_users", "users"),
        ("track", "Tracks", "_tracks", "tracks"),
        ("track", "3doctors", "_3doctors", "3doctors"),
        ("identify", "", "identifies", ""),
        ("page", "", "pages", ""),
        ("screen", "", "screens", ""),
        ("group", "", "groups", ""),
        ("alias", "", "aliases", ""),
        ("import", "", "_overflow", ""),
    ],
)
def test_each_call_has_its_table(call, event, table, slug):
    assert tables.route(call, event) == Route(call, event, table, slug)


def test_events_beyond_the_last_table_share_one(monkeypatch):
    monkeypatch.setattr(plan, "TABLES_MAX", 3)
    calls = [("track", "A"), ("track", "B"), ("identify", ""), ("track", "C")]
    assert [route.table for route in plan.routes_of(calls, ["tracks", "a"])] == ["a", "b", "identifies", "_overflow"]
