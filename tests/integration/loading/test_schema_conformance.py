"""Segment's documented behaviour of warehouses: schemas by default and with Segment's switches, T130 to T160.

All else that it says of warehouses, T105 to T107, T170 and T178, is shown elsewhere; the last test looks for it.
"""

import re
from pathlib import Path

import pytest

from headwater.loading.rules import SEGMENT, Conflicts, Rules
from headwater.loading.selection import Excluded
from headwater.loading.staging import Staging
from headwater.spec.names import column_name, snake_case, table_name
from headwater.warehouses.contract import LATEST, Load
from headwater.warehouses.embedded import Settings, Warehouse
from loaded_tables import NOW, OURS_IN_TRACKS, Tables, event, frame

TESTS = Path(__file__).parents[2]

# What is shown elsewhere under a name without a number: the file, and the test.
ELSEWHERE = {
    106: ("integration/loading/test_left_out.py", "test_t105_to_t107_a_sender_names_the_warehouses_of_an_event"),
    107: ("integration/loading/test_left_out.py", "test_t105_to_t107_a_sender_names_the_warehouses_of_an_event"),
    148: ("contract/test_warehouse_contract.py", "test_the_same_batch_twice_loads_once"),
    149: (
        "unit/warehouses/test_wide_engines.py",
        "test_the_twin_in_bigquery_shows_the_newest_row_of_each_id_of_sixty_days",
    ),
    155: ("unit/control/test_control_sources.py", "test_a_slug_whose_schema_is_taken_is_a_conflict"),
}


@pytest.fixture(scope="module")
def staging(tmp_path_factory):
    made = Staging(tmp_path_factory.mktemp("staging"))
    yield made
    made.close()


@pytest.fixture
def tables(staging):
    return Tables(staging)


@pytest.fixture
def segment(staging):
    """Return tables that are loaded by Segment's own rules."""
    made = Tables(staging)
    load = made.load
    made.load = lambda *events, **more: load(*events, rules=SEGMENT, **more)
    return made


def test_t130_an_event_is_a_row_of_its_table_and_of_tracks(tables):
    tables.load(event(1, "Email Link Clicked"))
    assert [row["id"] for row in tables.rows("email_link_clicked")] == [row["id"] for row in tables.rows("tracks")]


def test_t131_event_is_the_slug_and_event_text_is_what_was_sent(tables):
    tables.load(event(1, "Email Link Clicked"))
    for table in ("email_link_clicked", "tracks"):
        (row,) = tables.rows(table)
        assert (row["event"], row["event_text"]) == ("email_link_clicked", "Email Link Clicked")


def test_t132_the_id_is_the_message_id(tables):
    tables.load(event(1) | {"messageId": "made-by-sender"})
    assert [row["id"] for row in tables.rows("e")] == ["made-by-sender"]


VECTORS = {
    "Email Link Clicked": "email_link_clicked",
    "accountType": "account_type",
    "linkURL": "link_url",
    "HTMLBody": "htmlbody",
    "CStringRef": "cstring_ref",
    "iOS Version": "i_os_version",
    "2FA Enabled": "2fa_enabled",
    "samPLE text": "sam_ple_text",
    "f_pX9": "f_p_x9",
    "FOO:BAR$BAZ": "foo_bar_baz",
    "Café Opened": "caf_opened",
    "日本": "",
}


@pytest.mark.parametrize(("name", "slug"), VECTORS.items())
def test_t133_names_are_snake_case(name, slug):
    assert snake_case(name) == slug


def test_t134_nested_properties_are_flattened(tables):
    tables.load(event(1, properties={"address": {"street": "s", "geo": {"lat": 1.5}}}))
    assert tables.own("e") == [{"address_street": "s", "address_geo_lat": 1.5}]


def test_t135_nested_context_is_flattened(tables):
    tables.load(event(1, context={"app": {"version": "1.2"}}))
    assert tables.own("e") == tables.own("tracks") == [{"context_app_version": "1.2"}]


ARRAY = ["507f1", 1, 2.5, None, True, ["x"], {"a": "b"}]


def test_t136_an_array_is_one_text(tables):
    tables.load(event(1, properties={"ids": ARRAY}))
    assert tables.own("e") == [{"ids": '["507f1",1,2.5,null,true,["x"],{"a":"b"}]'}]


def test_t136_by_segments_rules_without_quotes(segment):
    segment.load(event(1, properties={"ids": ["507f1", "505bd"], "none": [], "mixed": ARRAY}))
    mixed = '[507f1, 1, 2.5, null, true, ["x"], {"a":"b"}]'
    assert segment.own("e") == [{"ids": "[507f1, 505bd]", "none": "[]", "mixed": mixed}]


def test_t137_null_makes_no_column_and_a_later_value_does(tables):
    tables.load(event(1, properties={"plan": None}, context={"ip": None}))
    assert tables.types("e") == {}
    tables.load(event(2, properties={"plan": "pro"}))
    assert [row.get("plan", "null") for row in tables.rows("e", with_nulls=True)] == [None, "pro"]


def test_t138_a_property_never_replaces_a_column_of_every_call(tables):
    tables.load(event(1, userId="real", properties={"user_id": "other", "timestamp": "never", "event": 5}))
    (row,) = tables.rows("e")
    assert (row["user_id"], row["event"]) == ("real", "e")
    assert tables.own("e") == [{"_user_id": "other", "_timestamp": "never", "_event": 5}]


def test_t138_by_segments_rules_it_is_discarded(segment):
    segment.load(event(1, userId="real", properties={"user_id": "other", "context_ip": "x", "plan": "pro"}))
    assert segment.own("e") == [{"plan": "pro"}]


def test_t139_a_digit_in_front_and_a_reserved_word_get_an_underscore(tables):
    tables.load(event(1, "3doctors", properties={"order": 1, "open": 2}))
    assert tables.own("_3doctors") == [{"_order": 1, "open": 2}]


@pytest.mark.parametrize(
    ("engine", "word", "column"),
    [
        ("redshift", "open", "_open"),
        ("redshift", "tag", "_tag"),
        ("snowflake", "rows", "_rows"),
        ("bigquery", "hash", "_hash"),
        ("bigquery", "partition", "partition"),
        ("sql_server", "plan", "_plan"),
        ("synapse", "plan", "_plan"),
        ("databricks", "minus", "_minus"),
        ("clickhouse", "plan", "plan"),
        ("postgres", "xmin", "_xmin"),
        ("postgres", "plan", "plan"),
        ("embedded", "open", "open"),
    ],
)
def test_t139_each_engine_has_words_of_its_own(tables, engine, word, column):
    tables.load(event(1, properties={word: "x"}), engine=engine)
    assert tables.own("e") == [{column: "x"}]
    assert table_name(word, engine) == column_name(word, engine=engine) == column


LONG = "é" * 600


def test_t140_a_long_string_is_whole(tables):
    tables.load(event(1, properties={"text": LONG}))
    assert tables.own("e") == [{"text": LONG}]


def test_t140_by_segments_rules_it_has_512_characters(segment):
    segment.load(event(1, LONG, properties={"text": LONG, "list": [LONG]}, context={"page": LONG}))
    (table,) = (each.name for each in segment.columns if each.name != "tracks")
    cut = "é" * 512
    assert segment.own(table) == [{"context_page": cut, "text": cut, "list": "[" + "é" * 511}]
    assert segment.rows("tracks")[0]["event_text"] == cut


FIVE = (event(1, properties={"n": 5}), event(2, properties={"n": 5.7}))


def test_t141_an_integer_column_becomes_double_for_a_fraction(tables):
    for each in FIVE:
        tables.load(each)
    assert (tables.own("e"), tables.types("e")) == ([{"n": 5.0}, {"n": 5.7}], {"n": "double"})


def test_t141_at_once_in_one_batch(tables):
    part = tables.load(*FIVE)
    assert (tables.own("e"), tables.types("e")) == ([{"n": 5.0}, {"n": 5.7}], {"n": "double"})
    assert (part.misfits, part.wider) == ([], {})


def test_t141_where_the_column_stays_the_value_is_kept_beside_it(staging):
    tables = Tables(staging, can_widen=False)
    for each in FIVE:
        tables.load(each)
    assert tables.own("e") == [{"n": 5}, {"_overflow": '{"properties.n":5.7}'}]
    (misfit,) = tables.misfits
    assert (misfit.label, misfit.column, misfit.type, misfit.rows) == ("properties.n", "n", "bigint", 1)
    assert tables.notices == ["site.e: 1 rows have values in _overflow that fit no column: properties.n (1)."]


def test_t141_by_segments_rules_the_fraction_is_lost(segment):
    for each in FIVE:
        segment.load(each)
    assert (segment.own("e"), segment.types("e")) == ([{"n": 5}, {"n": 5}], {"n": "bigint"})


@pytest.mark.parametrize("rules", [Rules(), SEGMENT])
def test_t142_a_number_in_a_text_column_is_its_text(tables, rules):
    tables.load(event(1, properties={"n": "a"}), rules=rules)
    tables.load(event(2, properties={"n": 5}), rules=rules)
    assert tables.own("e") == [{"n": "a"}, {"n": "5"}]


WORD = (event(1, properties={"n": 5}), event(2, properties={"n": "abc", "m": 1}))


def test_t143_an_integer_column_becomes_text_for_a_word(tables):
    for each in WORD:
        tables.load(each)
    assert tables.own("e") == [{"n": "5"}, {"n": "abc", "m": 1}]


@pytest.mark.parametrize(
    ("conflicts", "second"),
    [(Conflicts.OVERFLOW, {"m": 1, "_overflow": '{"properties.n":"abc"}'}), (Conflicts.DROP, {"m": 1})],
)
def test_t143_or_its_row_is_kept_and_the_word_is_in_overflow_or_nowhere(tables, conflicts, second):
    for each in WORD:
        tables.load(each, rules=Rules(conflicts))
    assert tables.own("e") == [{"n": 5}, second]
    (misfit,) = tables.misfits
    assert (misfit.table, misfit.label, misfit.rows) == (("site", "e"), "properties.n", 1)


def test_t143_dropped_values_are_told(segment):
    segment.load(*WORD)
    assert segment.notices == ["site.e: 1 rows have values that fit no column and were dropped: properties.n (1)."]
    assert all("_overflow" not in columns for columns in segment.columns.values())


def test_t143_what_segments_rules_keep_all_the_same_is_told_as_kept(segment):
    spellings = {name: name for name in ("a_b", *(f"a{mark}b" for mark in "-./:;,+ "), "aB")}
    segment.load(event(1, "Text", properties="no object"), event(2, "Many", properties=spellings))
    assert segment.own("text") == [{"_overflow": '{"properties":"no object"}'}]
    kept, mixed = segment.notices
    assert kept == "site.text: 1 rows have values in _overflow that fit no column: properties (1)."
    assert mixed.startswith("site.many: 1 rows have values that fit no column. Dropped: properties.a")
    assert mixed.endswith(". In _overflow: properties (1).")


@pytest.fixture
def people(staging, tmp_path):
    """Return the embedded warehouse's answer to SQL, after some people were identified."""
    import duckdb

    from headwater.loading.build import build

    calls = [
        event(1, type="identify", userId="u1", traits={"plan": "free", "city": "Rome"}),
        event(2, type="identify", userId="u1", traits={"plan": "pro"}),
        event(3, type="identify", traits={"plan": "none"}),
    ]
    warehouse = Warehouse(Settings(directory=str(tmp_path / "w")), tmp_path)
    warehouse.open()
    built = build(staging, "site", "s0", [frame(*calls)], {}, NOW)
    warehouse.add_columns(built.added)
    warehouse.load(staging.connection, Load(0, 3, tuple(built.staged)))
    warehouse.close()
    with duckdb.connect(str(tmp_path / "w" / "views.duckdb"), read_only=True) as connection:
        yield lambda sql: connection.execute(sql).fetchall()


def test_t144_users_has_one_row_with_the_latest_traits(people):
    assert people("select count(*) from site.identifies where user_id = 'u1'") == [(2,)]
    assert people("select id, plan, city from site.users") == [("u1", "pro", "Rome")]


def test_t145_somebody_anonymous_is_no_user(people):
    assert people("select plan from site.identifies where user_id is null") == [("none",)]
    assert people("select count(*) from site.users") == [(1,)]


def test_t146_users_has_no_anonymous_id(people):
    columns = {name for (name,) in people("select column_name from (describe site.users)")}
    assert columns & {"anonymous_id", "user_id"} == set()
    assert {"anonymous_id", "user_id"} <= LATEST[0].hidden


def test_t147_each_call_has_its_table(tables):
    tables.load(
        event(1, type="page", name="Home", properties={"url": "/"}),
        event(2, type="screen", name="Cart", category="Shop"),
        event(3, type="group", groupId="g1", traits={"seats": 3}),
        event(4, type="alias", userId="u1", previousId="a"),
    )
    assert tables.own("pages") == [{"name": "Home", "url": "/"}]
    assert tables.own("screens") == [{"name": "Cart", "category": "Shop"}]
    assert tables.own("groups") == [{"group_id": "g1", "seats": 3}]
    assert tables.own("aliases") == [{"previous_id": "a"}]


def test_t152_an_excluded_property_stays_empty_and_its_column_stays(tables):
    out = frozenset({Excluded("s1", "e", "plan")})
    tables.load(event(1, properties={"plan": "a", "n": 1}))
    tables.load(event(2, properties={"plan": "b", "n": 2}), excluded=out)
    tables.load(event(3, properties={"plan": "c", "n": 3}))
    assert tables.own("e") == [{"plan": "a", "n": 1}, {"n": 2}, {"plan": "c", "n": 3}]


def test_t156_what_steers_a_call_makes_no_columns(tables):
    tables.load(event(1, integrations={"All": True}, channel="server", version=2, projectId="p", metadata={"x": 1}))
    assert set(tables.rows("e", with_nulls=True)[0]) == OURS_IN_TRACKS


def test_t157_two_spellings_of_an_event_share_a_table(tables):
    tables.load(event(1, "Email Marked As Spam"), event(2, "Email Marked as Spam"))
    texts = [row["event_text"] for row in tables.rows("email_marked_as_spam")]
    assert texts == ["Email Marked As Spam", "Email Marked as Spam"]


def test_t158_of_two_spellings_of_a_property_the_columns_own_wins(tables):
    tables.load(event(1, properties={"emailID": "x", "email_id": "y"}))
    assert tables.own("e") == [{"email_id": "y", "_overflow": '{"properties.emailID":"x"}'}]
    assert tables.notices == ["site.e: 1 rows have values in _overflow that fit no column: properties.emailID (1)."]


def test_t159_an_event_without_letters_has_a_table_all_the_same(tables):
    tables.load(event(1, "日本"), event(2, "中国"))
    names = {table.name for table in tables.columns} - {"tracks"}
    assert len(names) == 2
    assert all(re.fullmatch("event_[0-9a-f]{8}", name) for name in names)
    assert tables.rows("tracks")[0]["event"] in names


def test_each_documented_behaviour_of_warehouses_has_a_test():
    texts = {str(file.relative_to(TESTS)): file.read_text() for file in TESTS.rglob("*.py")}
    numbered = {int(number) for text in texts.values() for number in re.findall(r"def test_t(\d{3})_", text)}
    named = {number for number, (file, test) in ELSEWHERE.items() if f"def {test}(" in texts[file]}
    assert {*range(105, 108), *range(130, 161), 170, 178} - numbered - named == set()
    assert named - numbered == ELSEWHERE.keys()
