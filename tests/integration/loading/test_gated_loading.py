"""What its source blocks is in no warehouse, is counted as filtered, and comes with a reload once it is allowed."""

import dataclasses
import json

import pytest

from headwater.loading.staging import Staging
from headwater.protocols.gate import Gates
from headwater.protocols.rules import Controls, Enforced, Kind, Name, Plan, Rule, Spec
from loaded_tables import Tables, event, frame

PLAN = Plan(
    "p", "P", (Rule(Kind.TRACK, "E", 1, json.dumps({"properties": {"properties": {"properties": {"a": {}}}}})),)
)


@pytest.fixture
def gates():
    return Gates()


@pytest.fixture
def tables(tmp_path, gates):
    staging = Staging(tmp_path, gates=gates)
    yield Tables(staging)
    staging.close()


def test_t117_a_blocked_event_is_in_no_table_until_it_is_allowed_and_loaded_again(tables, gates):
    gates.replace({"s1": Spec("s1", blocked=frozenset({Name(Kind.TRACK, "No")}))})
    events = event(1), event(2, "No"), event(3), event(4, "No", properties={"x": 1})
    tables.load(*events)
    assert [row["id"] for row in tables.rows("tracks")] == ["m1", "m3"]
    assert ("no" in tables.columns, tables.filtered) == (False, 2)
    gates.replace({})
    tables.load(*events)
    assert sorted({row["id"] for row in tables.rows("tracks")}) == ["m1", "m2", "m3", "m4"]
    assert tables.filtered == 2


def test_t121_an_unplanned_property_makes_no_column_and_is_named(tables, gates):
    enforced = Controls(track=Enforced(unplanned_fields=False))
    gates.replace({"s1": Spec("s1", enforced, plan=PLAN)})
    tables.load(event(1, properties={"a": 1, "secret": 2}), event(2, properties={"a": 1}))
    found = {row["id"]: row for row in tables.rows("e")}
    assert "secret" not in found["m1"]
    assert json.loads(found["m1"]["context_protocols_omitted"]) == ["secret"]
    assert "context_protocols_omitted" not in found["m2"]
    assert found["m1"]["a"] == found["m2"]["a"] == 1


def test_a_line_that_is_no_json_and_a_blocked_one_are_told_apart(tmp_path, gates):
    gates.replace({"s1": Spec("s1", blocked=frozenset({Name(Kind.TRACK, "No")}))})
    staging = Staging(tmp_path, gates=gates)
    stored = frame(event(1), event(2, "No"), event(3))
    stored = dataclasses.replace(stored, count=4, lines=stored.lines + b"{broken\n")
    read = staging.read([stored])
    assert (read.rows, read.filtered, read.unreadable) == (2, 1, 1)
    staging.close()
