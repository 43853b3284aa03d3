"""A column becomes as wide as it has to, once, in every table that has it, and nothing is lost where it cannot."""

import json

import pytest

from headwater.loading import plan
from headwater.loading.build import build
from headwater.loading.rules import Arrays, Conflicts, Reserved, Rules
from headwater.loading.staging import Staging
from headwater.warehouses.contract import ColumnType, Table
from loaded_tables import NOW, Tables, event, frame


@pytest.fixture(scope="module")
def staging(tmp_path_factory):
    made = Staging(tmp_path_factory.mktemp("staging"))
    yield made
    made.close()


@pytest.fixture
def tables(staging):
    return Tables(staging)


def wider(staging, known, *values):
    """Return what a column `n` of this type wants when it gets these values."""
    columns = {Table("site", "e"): {"id": ColumnType.VARCHAR, "n": known}}
    events = [event(number, properties={"n": value}) for number, value in enumerate(values)]
    return build(staging, "site", "s0", [frame(*events)], columns, NOW).wider


@pytest.mark.parametrize(
    ("known", "values", "wanted"),
    [
        (ColumnType.INTEGER, [1, 2.5], ColumnType.FLOAT),
        (ColumnType.INTEGER, ["2.5"], ColumnType.FLOAT),
        (ColumnType.INTEGER, [1, 2.5, "x"], ColumnType.VARCHAR),
        (ColumnType.INTEGER, [2**63], ColumnType.VARCHAR),
        (ColumnType.INTEGER, [2**60 + 1, 2.5], ColumnType.VARCHAR),
        (ColumnType.INTEGER, [-(10**15) + 1, 2.5], ColumnType.VARCHAR),
        (ColumnType.INTEGER, [10**15 - 1, 2.5], ColumnType.FLOAT),
        (ColumnType.INTEGER, [True], ColumnType.VARCHAR),
        (ColumnType.INTEGER, [[1]], ColumnType.VARCHAR),
        (ColumnType.INTEGER, ["007"], ColumnType.VARCHAR),
        (ColumnType.FLOAT, ["x"], ColumnType.VARCHAR),
        (ColumnType.FLOAT, [2**60 + 1], ColumnType.VARCHAR),
        (ColumnType.BOOLEAN, [0], ColumnType.VARCHAR),
        (ColumnType.TIMESTAMP, ["soon"], ColumnType.VARCHAR),
        (ColumnType.INTEGER, [{}], None),
        (ColumnType.INTEGER, [{"m": 1}], None),
        (ColumnType.INTEGER, [5, "5", 5.0, None], None),
        (ColumnType.VARCHAR, [5, True, [1], "x"], None),
    ],
)
def test_a_column_wants_the_narrowest_type_that_takes_all(staging, known, values, wanted):
    assert wider(staging, known, *values) == ({Table("site", "e"): {"n": wanted}} if wanted else {})


def test_a_second_spelling_that_would_fit_asks_for_nothing(staging):
    known = {Table("site", "e"): {"n": ColumnType.INTEGER}}
    part = build(staging, "site", "s0", [frame(event(1, properties={"n": 1, "N": 2}))], known, NOW)
    assert (part.wider, [misfit.label for misfit in part.misfits]) == ({}, ["properties.N"])


@pytest.mark.parametrize("conflicts", [Conflicts.OVERFLOW, Conflicts.DROP])
def test_only_one_rule_widens(staging, conflicts):
    known = {Table("site", "e"): {"n": ColumnType.INTEGER}}
    frames = [frame(event(1, properties={"n": "x"}, context={"n": 1}), event(2, context={"n": "x"}))]
    part = build(staging, "site", "s0", frames, known, NOW, Rules(conflicts))
    assert part.wider == {}
    assert part.added[Table("site", "tracks")]["context_n"] is ColumnType.INTEGER


def test_a_context_field_widens_in_all_tables_of_the_schema(tables):
    tables.load(event(1, "A", context={"n": 1}), event(2, "B", context={"n": 2}), event(3, type="page"))
    part = tables._build([event(4, "A", context={"n": "x"})], {})
    names = {table.name for table in part.wider}
    assert (names, part.staged[0].columns["context_n"]) == ({"a", "b", "tracks"}, ColumnType.INTEGER)
    tables.load(event(4, "A", context={"n": "x"}))
    assert tables.own("a") == [{"context_n": "1"}, {"context_n": "x"}]
    assert tables.types("b") == {"context_n": "varchar"}


def test_where_one_table_could_not_widen_its_context_column_both_keep_all(tables):
    tables.load(event(1, "A", context={"n": 1}), event(2, "B", context={"n": 2}))
    tables._widen({Table("site", "a"): {"context_n": ColumnType.VARCHAR}})
    tables.can_widen = False
    tables.load(event(3, "A", context={"n": 3}), event(4, "A", context={"n": "x"}), event(5, "B", context={"n": "x"}))
    assert tables.own("a") == [{"context_n": "1"}, {"context_n": "3"}, {"_overflow": '{"context.n":"x"}'}]
    assert tables.own("b") == [{"context_n": 2}, {"_overflow": '{"context.n":"x"}'}]


def test_a_column_of_a_batch_widens_in_one_step_and_only_it(tables):
    events = [
        event(1, properties={"n": 1, "m": 1}, context={"n": 1}),
        event(2, properties={"n": "x"}, context={"n": 2.5}),
    ]
    tables.load(*events)
    assert tables.types("e") == {"context_n": "double", "n": "varchar", "m": "bigint"}
    assert tables.types("tracks") == {"context_n": "double"}
    assert tables.misfits == []


def test_misfits_of_times_are_named_by_their_column(tables):
    tables.load(event(1) | {"sentAt": "soon"}, event(2) | {"sentAt": "later", "originalTimestamp": [1]})
    found = {(misfit.label, misfit.column, misfit.type, misfit.rows) for misfit in tables.misfits}
    assert ("sent_at", "sent_at", ColumnType.TIMESTAMP, 2) in found
    assert [row["id"] for row in tables.rows("e")] == ["m1", "m2"]


def test_a_property_called_like_ours_is_left_out_alone(tables):
    rules = Rules(reserved=Reserved.DISCARD)
    tables.load(event(1, properties={"user_id": "x", "userId": "y", "n": "1", "N": 5}), rules=rules)
    assert tables.own("e") == [{"n": "1", "_overflow": '{"properties.N":5}'}]


def test_strings_are_cut_and_still_told_apart(tables):
    rules = Rules(string_chars_max=3)
    tables.load(event(1, properties={"a": "abcd", "A": "abcx"}), rules=rules)
    assert tables.own("e") == [{"a": "abc", "_overflow": '{"properties.A":"abcx"}'}]


def test_arrays_can_be_spelled_like_segments_alone(tables):
    tables.load(event(1, properties={"a": ["x", "y"], "b": {"c": ["z"]}}), rules=Rules(arrays=Arrays.SEGMENT))
    assert tables.own("e") == [{"a": "[x, y]", "b_c": "[z]"}]


def test_without_caps_every_property_and_event_has_its_place(tables, monkeypatch):
    for name in ("TABLES_MAX", "BODY_COLUMNS_MAX", "CONTEXT_COLUMNS_MAX"):
        monkeypatch.setattr(plan, name, 2)
    many = {f"p{number}": number for number in range(9)}
    tables.load(*(event(n, f"Event {n}", properties=many, context=many) for n in range(5)), rules=Rules(caps=False))
    assert {table.name for table in tables.columns} == {"tracks", *(f"event_{n}" for n in range(5))}
    assert len(tables.types("event_4")) == 18


@pytest.mark.parametrize("sent", [[1, {"a": 2}], "text", 5, True])
def test_properties_and_context_that_are_no_object_are_kept_whole(tables, sent):
    tables.load(event(1, properties=sent, context=sent), event(2, properties={"UBIGINT": 1}))
    first, second = tables.own("e")
    assert json.loads(first["_overflow"]) == {"properties": sent, "context": sent}
    assert second == {"ubigint": 1}
