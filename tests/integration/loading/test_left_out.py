"""What senders and administrators keep out of a warehouse is nowhere in it, and everything else is."""

import json

import pytest

from headwater.loading import plan
from headwater.loading.rules import Conflicts, Rules
from headwater.loading.selection import Excluded
from headwater.loading.staging import Staging
from loaded_tables import Tables, event


@pytest.fixture(scope="module")
def staging(tmp_path_factory):
    made = Staging(tmp_path_factory.mktemp("staging"))
    yield made
    made.close()


@pytest.fixture
def tables(staging):
    return Tables(staging)


def out(collection, *properties):
    return {"excluded": frozenset(Excluded("s1", collection, name) for name in properties or ("",))}


def ids(tables, table="e"):
    return [row["id"] for row in tables.rows(table)]


@pytest.mark.parametrize(
    ("integrations", "loaded"),
    [
        ({"All": False}, True),
        ({"Warehouses": False}, False),
        ({"Warehouses": True}, True),
        ({"Warehouses": {"all": False}}, False),
        ({"All": False, "Warehouses": {"all": True}}, True),
        ({"Warehouses": {"warehouseIds": ["w1"]}}, True),
        ({"Warehouses": {"warehouseIds": ["w2", "w3"]}}, False),
        ({"Warehouses": {"warehouseIds": []}}, False),
        ({"Warehouses": {"all": False, "warehouseIds": ["w1"]}}, True),
        ({"Warehouses": {"all": True, "warehouseIds": ["w2"]}}, True),
        ({"Warehouses": {"warehouseIds": "w2"}}, True),
        ({"Warehouses": {"all": "false"}}, True),
        ({"Warehouses": {}}, True),
        ({"Warehouses": None}, True),
        ({"Warehouses": "no"}, True),
        ({"Warehouses": [1]}, True),
        ("Warehouses", True),
        (["Warehouses"], True),
    ],
)
def test_t105_to_t107_a_sender_names_the_warehouses_of_an_event(tables, integrations, loaded):
    tables.load(event(1), event(2, integrations=integrations), event(3), warehouse_id="w1")
    assert ids(tables) == ids(tables, "tracks") == (["m1", "m2", "m3"] if loaded else ["m1", "m3"])
    assert tables.filtered == (0 if loaded else 1)


def test_the_word_somewhere_else_in_an_event_keeps_it_out_of_nothing(tables):
    tables.load(event(1, properties={"Warehouses": False}), warehouse_id="w1")
    assert (ids(tables), tables.filtered) == (["m1"], 0)


def test_a_batch_of_which_nothing_is_left_has_no_tables(tables):
    part = tables.load(event(1, integrations={"Warehouses": False}))
    assert (part.staged, part.added, part.filtered) == ([], {}, 1)


def test_the_places_of_rows_in_the_log_stay_when_others_are_left_out(tables, staging):
    tables.load(*(event(n, integrations={"Warehouses": n % 3 == 0}) for n in range(9)))
    found = staging.connection.execute("select id, _seq from site.e order by _seq").fetchall()
    assert found == [("m0", 0), ("m3", 3), ("m6", 6)]


def test_an_unreadable_line_and_a_choice_in_one_batch(tables):
    half = event(2, properties={"a": "\ud800"}, integrations={"Warehouses": False})
    tables.load(event(1), half, event(3, properties={"a": "\ud800"}))
    assert (ids(tables), tables.filtered) == (["m1", "m3"], 1)


def test_an_excluded_collection_has_no_table_and_its_events_stay_in_tracks(tables):
    tables.load(event(1, "Secret"), event(2, "Open"), **out("secret"))
    assert {table.name for table in tables.columns} == {"tracks", "open"}
    assert ids(tables, "tracks") == ["m1", "m2"]


def test_tracks_can_be_excluded_alone(tables):
    tables.load(event(1, "Open"), **out("tracks"))
    assert {table.name for table in tables.columns} == {"open"}


def test_an_excluded_event_is_not_in_the_table_of_all_that_has_no_table(tables, monkeypatch):
    monkeypatch.setattr(plan, "TABLES_MAX", 1)
    tables.load(event(1, "A"), event(2, "Secret"), event(3, "B"), **out("secret"))
    assert ids(tables, "_overflow") == ["m3"]


@pytest.mark.parametrize("conflicts", Conflicts)
def test_an_excluded_property_is_nowhere_in_the_row(tables, monkeypatch, conflicts):
    monkeypatch.setattr(plan, "BODY_COLUMNS_MAX", 2)
    body = {"plan": "secret", "Plan": "secret", "card": {"no": "secret", "kind": "visa"}, "a": 1, "b": 2, "c": 3}
    tables.load(event(1, properties=body), rules=Rules(conflicts), **out("e", "plan", "card_no"))
    (row,) = tables.own("e")
    assert "secret" not in json.dumps(row)
    assert json.loads(row["_overflow"]) == {"properties": {"card": {"kind": "visa"}, "a": 1, "b": 2, "c": 3}}


def test_an_excluded_property_that_does_not_fit_is_not_in_overflow(tables):
    rules = Rules(Conflicts.OVERFLOW)
    tables.load(event(1, properties={"n": 1}), rules=rules)
    tables.load(event(2, properties={"n": "secret"}), rules=rules, **out("e", "n"))
    assert tables.own("e") == [{"n": 1}, {}]
    assert tables.misfits == []


def test_an_excluded_context_field_is_left_out_of_that_table_only(tables, monkeypatch):
    monkeypatch.setattr(plan, "CONTEXT_COLUMNS_MAX", 2)
    context = {"ip": "secret", "page": {"url": "u"}, "os": {"name": "x"}}
    tables.load(event(1, context=context), **out("e", "context_ip"))
    (row,) = tables.own("e")
    assert "context_ip" not in row
    assert json.loads(row["_overflow"]) == {"context": {"page": {"url": "u"}, "os": {"name": "x"}}}
    (track,) = tables.own("tracks")
    assert (track["context_ip"], json.loads(track["_overflow"])) == ("secret", {"context": context})


def test_an_excluded_context_misfit_is_left_out_of_that_table_only(tables):
    rules = Rules(Conflicts.OVERFLOW)
    tables.load(event(1, context={"n": 1, "m": 1}), rules=rules)
    tables.load(event(2, context={"n": "secret", "m": "x"}), rules=rules, **out("e", "context_n"))
    assert tables.own("e")[1] == {"_overflow": '{"context.m":"x"}'}
    assert json.loads(tables.own("tracks")[1]["_overflow"]) == {"context.n": "secret", "context.m": "x"}


def test_a_reserved_word_can_be_excluded_as_its_sender_spells_it(tables):
    tables.load(
        event(1, "Order", properties={"order": 1, "a": 1}), event(2, "E", properties={"order": 1}), **out("order")
    )
    assert {table.name for table in tables.columns} == {"tracks", "e"}
    tables.load(event(3, "E", properties={"order": 2, "plan": 2}), engine="synapse", **out("e", "order", "plan"))
    assert tables.own("e") == [{"_order": 1}, {}]


def test_an_event_that_is_called_like_a_table_of_ours_is_another_one(tables):
    tables.load(event(1, "Pages"), event(2, type="page"), **out("pages"))
    assert {table.name for table in tables.columns} == {"tracks", "_pages"}


def test_overflow_itself_can_be_excluded(tables):
    tables.load(event(1, properties={"a": "x", "A": "y"}), **out("e", "_overflow"))
    assert tables.own("e") == [{"a": "x"}]


def test_a_column_of_every_call_is_null_when_excluded_and_some_cannot_be(tables):
    tables.load(event(1, userId="u1"), **out("e", "user_id", "id", "received_at"))
    (row,) = tables.rows("e")
    assert "user_id" not in row
    assert (row["id"], "received_at" in row) == ("m1", True)
    assert tables.rows("tracks")[0]["user_id"] == "u1"


def test_name_and_category_of_a_page_can_be_excluded(tables):
    page = event(1, type="page", name="secret", category="c", properties={"name": "secret"})
    tables.load(page, **out("pages", "name"))
    assert tables.own("pages") == [{"category": "c"}]
