"""Events that a sender should not send, and what is left of them: every row, every value."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headwater.loading import plan
from headwater.loading.build import build
from headwater.loading.rules import Conflicts, Rules
from headwater.loading.staging import Staging
from headwater.spec.event import Frame
from headwater.spec.names import column_name
from headwater.warehouses.contract import Load
from headwater.warehouses.embedded import Settings, Warehouse

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
COMMON = {"receivedAt": "2026-11-23T12:00:00.000Z", "timestamp": "2026-11-23T12:00:00.000Z", "anonymousId": "a"}


@pytest.fixture(scope="module")
def staging(tmp_path_factory):
    made = Staging(tmp_path_factory.mktemp("staging"))
    yield made
    made.close()


def line(number: int, properties: object, event: str = "E", **more: object) -> bytes:
    body = {"type": "track", "event": event, "messageId": f"m{number}", **COMMON, "properties": properties, **more}
    return json.dumps(body).encode() + b"\n"


def built(staging: Staging, *lines: bytes, known=None, **more):
    frames = [Frame("s1", 0, len(lines), NOW, 0, b"".join(lines))]
    return build(staging, "site", "s0", frames, known or {}, NOW, **more)


def rows(staging: Staging, made, table: str) -> list[dict[str, object]]:
    (staged,) = [each for each in made.staged if each.table.name == table]
    names = list(staged.columns)
    listed = ", ".join(f'"{name}"' for name in names)
    found = staging.connection.execute(f"select {listed} from {staged.relation} order by _seq").fetchall()
    return [dict(zip(names, row, strict=True)) for row in found]


def properties_of(row: dict[str, object]) -> dict[str, object]:
    ours = {"id", "received_at", "uuid_ts", "anonymous_id", "user_id", "sent_at", "original_timestamp", "timestamp"}
    return {k: v for k, v in row.items() if k not in {*ours, "event", "event_text"} and v is not None}


def test_keys_of_every_kind_have_a_column_each(staging):
    made = built(staging, line(1, {"a.b": 1, 'q"r': 2, "x\0y": 3, "~/": 4, "": 5, "日本": 6, "c/d~e": 7, "'": 8}))
    (row,) = rows(staging, made, "e")
    found = properties_of(row)
    assert sorted(found.values()) == list(range(1, 9))
    assert {"a_b", "q_r", "x_y", "c_d_e"} < set(found)


def test_keys_that_differ_in_case_alone_are_both_kept(staging):
    made = built(staging, line(1, {"plan": "x", "PLAN": "y"}))
    (row,) = rows(staging, made, "e")
    assert properties_of(row) == {"plan": "x", "_overflow": '{"properties.PLAN":"y"}'}


def test_nul_characters_and_quotes_in_values_survive(staging):
    made = built(staging, line(1, {"a": "x\0y", "b": "'; drop table raw; --"}, event="E\0'\""))
    (row,) = rows(staging, made, "e")
    assert properties_of(row) == {"a": "x\0y", "b": "'; drop table raw; --"}
    assert row["event_text"] == "E\0'\""


def test_a_line_with_half_a_surrogate_costs_no_other_line(staging):
    made = built(staging, line(1, {"a": 1}), line(2, {"a": 2, "b": "\ud800"}), line(3, {"a": 3}))
    assert [row["a"] for row in rows(staging, made, "e")] == [1, 2, 3]
    assert made.notices == []


def test_a_line_that_is_no_json_is_left_out_and_that_is_said(staging):
    made = built(staging, line(1, {"a": 1}), b'{"type": "track", "ev\n', line(3, {"a": 3}))
    assert [row["id"] for row in rows(staging, made, "e")] == ["m1", "m3"]
    assert made.notices == ["site: 1 stored lines are no JSON and were left out."]


def test_numbers_of_every_size_keep_their_digits(staging):
    lines = [line(1, {"n": 1}), line(2, {"n": 123456789012345678901234567890}), line(3, {"n": 2**63 - 1})]
    made = built(staging, *lines)
    assert [properties_of(row) for row in rows(staging, made, "e")] == [
        {"n": "1"},
        {"n": "123456789012345678901234567890"},
        {"n": "9223372036854775807"},
    ]
    made = built(staging, *lines, rules=Rules(Conflicts.OVERFLOW))
    assert [properties_of(row) for row in rows(staging, made, "e")] == [
        {"n": 1},
        {"_overflow": '{"properties.n":123456789012345678901234567890}'},
        {"n": 2**63 - 1},
    ]


def test_a_property_that_is_now_a_value_and_now_an_object_keeps_both(staging):
    made = built(staging, line(1, {"a": "text"}), line(2, {"a": {"b": 5}}), line(3, {"a": {"b": {"c": True}}}))
    assert [properties_of(row) for row in rows(staging, made, "e")] == [
        {"a": "text"},
        {"a_b": 5},
        {"a_b_c": True},
    ]


def test_a_thousand_properties_in_one_event_go_to_columns_up_to_the_limit(staging):
    many = {f"p{number}": number for number in range(2_000)}
    made = built(staging, line(1, many))
    (row,) = rows(staging, made, "e")
    (staged,) = [each for each in made.staged if each.table.name == "e"]
    assert len(staged.columns) <= 400
    assert json.loads(row["_overflow"]) == {"properties": many}


def test_endless_event_names_end_in_one_table(staging, monkeypatch):
    monkeypatch.setattr(plan, "TABLES_MAX", 5)
    made = built(staging, *(line(number, {"n": number}, event=f"Event {number}") for number in range(20)))
    assert len({staged.table.name for staged in made.staged}) == 7
    left = rows(staging, made, "_overflow")
    assert (left[0]["event_text"], left[0]["_overflow"]) == ("Event 5", '{"properties":{"n":5}}')
    assert len(left) == 15


def test_context_that_never_ends_is_kept_as_json(staging):
    made = built(staging, line(1, {}, context={f"k{number}": number for number in range(300)}))
    (row,) = rows(staging, made, "tracks")
    assert len([name for name in row if name.startswith("context_")]) == plan.CONTEXT_COLUMNS_MAX
    assert json.loads(row["_overflow"])["context"]["k299"] == 299


@pytest.mark.parametrize("properties", [None, [], "text", 5, {}])
def test_properties_that_are_no_object_cost_no_row(staging, properties):
    (row,) = rows(staging, built(staging, line(1, properties)), "e")
    assert row["id"] == "m1"


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=8)
)
keys = st.one_of(st.sampled_from(["a", "A", "a b", "user_id", "order", "1st", "é"]), st.text(min_size=1, max_size=6))
documents = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=4)),
    max_leaves=8,
)


@pytest.mark.parametrize("properties", [{"A": {}, "a": "x"}, {"a": {}, "A": "x"}])
def test_an_empty_object_hides_no_value_of_another_spelling(staging, properties):
    made = built(staging, line(1, properties))
    (row,) = rows(staging, made, "e")
    kept = properties_of(row)
    assert "x" in [kept["a"], *json.loads(kept["_overflow"]).values()]


def test_an_empty_object_hides_no_value_of_a_later_event(staging):
    made = built(staging, line(1, {"a": {}}), line(2, {"a": "x"}))
    first, second = rows(staging, made, "e")
    assert (properties_of(first)["a"], properties_of(second)["a"]) == ("{}", "x")


def values_of(value: object, *path: str, empty_objects: bool) -> list[tuple[str, str]]:
    """Return (column, value) of each value that is not null, an array counting as one."""
    if isinstance(value, dict) and value:
        members = (values_of(each, *path, name, empty_objects=empty_objects) for name, each in value.items())
        return [found for part in members for found in part]
    counts = path and value is not None and (value != {} or empty_objects)
    return [(column_name(*path), json.dumps(value))] if counts else []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(keys, documents, max_size=4), min_size=1, max_size=4))
def test_whatever_properties_say_each_row_and_each_value_is_kept(staging, all_properties):
    made = built(staging, *(line(number, each) for number, each in enumerate(all_properties)))
    found = rows(staging, made, "e")
    assert [row["id"] for row in found] == [f"m{number}" for number in range(len(all_properties))]
    for row, sent in zip(found, all_properties, strict=True):
        kept = properties_of(row)
        overflow = json.loads(kept.pop("_overflow", "{}") or "{}")
        least = len(set(values_of(sent, empty_objects=False)))  # two equal values of one column are kept as one
        most = len(values_of(sent, empty_objects=True))
        assert "properties" in overflow or least <= len(kept) + len(overflow) <= most


def test_what_was_staged_is_what_duckdb_reads_back(staging, tmp_path):
    made = built(staging, line(1, {"a": [1, {"b": None}]}))
    (staged,) = [each for each in made.staged if each.table.name == "e"]
    staging.connection.execute(f"copy (from {staged.relation}) to '{tmp_path / 'x.parquet'}' (format parquet)")
    read = staging.connection.execute(f"select a from read_parquet('{tmp_path / 'x.parquet'}')")
    assert read.fetchall() == [('[1,{"b":null}]',)]


def test_many_equal_contexts_are_counted_as_they_are(staging):
    contexts = [{"ip": "a"}, {"ip": "b"}, {"ip": "a", "os": {"name": "x"}}, {"ip": None}, None]
    lines = [line(number, {}, event=f"E{number % 3}", context=contexts[number % 5]) for number in range(3_000)]
    made = built(staging, *lines)
    assert {staged.table.name: staged.rows for staged in made.staged} == {
        "tracks": 3_000,
        "e0": 1_000,
        "e1": 1_000,
        "e2": 1_000,
    }
    found = [(row["context_ip"], row["context_os_name"]) for row in rows(staging, made, "tracks")[:5]]
    assert found == [("a", None), ("b", None), ("a", "x"), (None, None), (None, None)]


def test_an_event_as_deep_as_one_may_be_is_flattened_to_its_end(staging):
    deep: object = 5
    for number in range(60):
        deep = {f"level{number}": deep}
    made = built(staging, line(1, deep, context=deep))
    (row,) = rows(staging, made, "e")
    found = {name: value for name, value in properties_of(row).items() if value == 5}
    assert len(found) == 2
    assert all(len(name) == 63 for name in found)


def test_columns_that_readers_of_files_know_are_ours_to_use(staging, tmp_path):
    names = ["filename", "file_row_number", "rowid", "seq", "body", "place", "slug", "call", "fit0", "is_timestamp"]
    made = built(staging, line(1, dict.fromkeys(names, "x")))
    (row,) = rows(staging, made, "e")
    assert list(properties_of(row).values()) == ["x"] * 10
    with closing(Warehouse(Settings(directory=str(tmp_path / "w")), tmp_path)) as warehouse:
        warehouse.open()
        warehouse.add_columns(made.added)
        warehouse.load(staging.connection, Load(0, 1, tuple(made.staged)))
    with duckdb.connect(str(tmp_path / "w" / "views.duckdb"), read_only=True) as connection:
        found = connection.execute("select filename, file_row_number, rowid, fit0 from site.e").fetchall()
    assert found == [("x", "x", "x", "x")]
