"""Selective sync as it is stored: what is left out, what cannot be, and what goes when a source goes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.app.pipeline_role import targets
from headwater.control import loads, selection
from headwater.control.loads import table_of
from headwater.control.selection import Override
from headwater.errors import ConflictError, InvalidRequestError, NotFoundError
from headwater.loading.selection import Excluded
from headwater.loading.tables import common_columns, route
from headwater.models import Models


@pytest.fixture
def source(control, workspace):
    return control.sources.create(workspace.id, "site", "http-api")


@pytest.fixture
def choose(control, workspace, source):
    assert source.slug == "site"
    (warehouse,) = control.warehouses.all(workspace.id)

    def chosen(*overrides):
        wanted = [Override("site", *rest, enabled=enabled) for *rest, enabled in overrides]
        return control.warehouses.select(workspace.id, warehouse.id, wanted)

    def state():
        return control.warehouses.get(workspace.id, warehouse.id)

    chosen.state = state
    return chosen


def test_a_collection_or_a_property_is_left_out_and_taken_in_again(choose, source):
    assert choose(("signed_up", "", False), ("identifies", "email", False))
    both = {Excluded(source.id, "signed_up"), Excluded(source.id, "identifies", "email")}
    assert choose.state().excluded == both
    assert not choose(("signed_up", "", False))
    assert choose(("signed_up", "", True))
    assert choose.state().excluded == {Excluded(source.id, "identifies", "email")}
    assert not choose(("signed_up", "", True))


def test_events_and_properties_may_be_named_as_they_are_sent(choose, source):
    choose(("Signed Up", "planType", False), ("3doctors", "address.street", False), ("_tracks", "_user_id", False))
    assert choose.state().excluded == {
        Excluded(source.id, "signed_up", "plan_type"),
        Excluded(source.id, "_3doctors", "address_street"),
        Excluded(source.id, "_tracks", "_user_id"),
    }


@pytest.mark.parametrize(
    ("event", "table"), [("Order", "_order"), ("order", "_order"), ("_order", "_order"), ("pageViewed", "page_viewed")]
)
def test_a_name_means_the_table_that_its_event_has(event, table):
    assert table_of(event) == table == route("track", event.lstrip("_")).table


@pytest.mark.parametrize("engine", ["embedded", "redshift", "snowflake"])
@pytest.mark.parametrize("table", ["tracks", "identifies", "pages", "screens", "groups", "aliases", "_overflow", "x"])
def test_our_own_tables_and_columns_are_named_as_they_are(table, engine):
    for column in {*common_columns(table), "context_ip", "_overflow", "_user_id"} - selection.required(table):
        override = Override("s", table, column, enabled=False)
        assert selection.checked(override, "at", engine) == override


def test_a_word_that_one_engine_reserves_is_named_as_there():
    override = Override("s", "Open", "tag", enabled=False)
    assert selection.checked(override, "at", "embedded") == Override("s", "open", "tag", enabled=False)
    assert selection.checked(override, "at", "redshift") == Override("s", "_open", "_tag", enabled=False)
    assert loads.checked_models({"conversions": ["Open"]}, Models(), "redshift").conversions == ("_open",)


def test_the_last_of_several_choices_holds(choose):
    assert not choose(("a", "", False), ("a", "", True))
    assert choose(("a", "", True), ("a", "", False))


def test_without_a_collection_it_is_the_whole_source(choose, source):
    assert choose(("", "", False))
    assert choose.state().source_ids == ()
    assert not choose(("", "", False))
    assert choose(("", "", True))
    assert choose.state().source_ids == (source.id,)


@pytest.mark.parametrize(
    ("collection", "column"),
    [
        ("tracks", "received_at"),
        ("signed_up", "id"),
        ("a", "uuid_ts"),
        ("identifies", "user_id"),
        ("groups", "group_id"),
    ],
)
def test_t154_a_column_that_rows_are_found_by_cannot_be_left_out(collection, column):
    with pytest.raises(InvalidRequestError, match=f"{column} of {collection} cannot be left out") as refused:
        selection.checked(Override("s", collection, column, enabled=False), "at")
    assert refused.value.field == "at.property"
    assert selection.checked(Override("s", collection, column, enabled=True), "at").enabled


def test_t154_nothing_is_left_out_where_something_cannot_be(choose):
    with pytest.raises(InvalidRequestError) as refused:
        choose(("other", "", False), ("tracks", "received_at", False))
    assert refused.value.field == "syncOverrides[1].property"
    assert choose.state().excluded == frozenset()


@pytest.mark.parametrize("column", ["user_id", "timestamp", "context_ip", "event_text"])
def test_other_columns_of_every_call_can_be_left_out(column):
    override = Override("s", "signed_up", column, enabled=False)
    assert selection.checked(override, "at") == override


@pytest.mark.parametrize(("table", "origin"), [("users", "identifies"), ("accounts", "groups")])
def test_a_table_that_is_made_of_another_is_chosen_by_that_one(table, origin):
    with pytest.raises(InvalidRequestError, match=f"{table} is made of {origin}"):
        selection.checked(Override("s", table, "", enabled=False), "at")


def test_a_property_needs_its_collection():
    with pytest.raises(InvalidRequestError, match="needs its collection"):
        selection.checked(Override("s", "", "email", enabled=False), "at")


def test_an_unknown_source_or_warehouse_is_not_found(control, workspace, choose):
    with pytest.raises(NotFoundError, match="no source 'shop'"):
        control.warehouses.select(workspace.id, choose.state().id, [Override("shop", "a", "", enabled=False)])
    with pytest.raises(NotFoundError, match="no warehouse 'x'"):
        control.warehouses.select(workspace.id, "x", [Override("site", "a", "", enabled=False)])
    with pytest.raises(NotFoundError, match="no warehouse"):
        control.warehouses.select("elsewhere", choose.state().id, [])


def test_there_is_a_bound_and_one_that_is_at_it_can_still_be_changed_back(choose, monkeypatch):
    monkeypatch.setattr(selection, "EXCLUDED_MAX", 2)
    choose(("a", "", False), ("b", "", False))
    with pytest.raises(ConflictError, match="at most 2"):
        choose(("c", "", False))
    assert len(choose.state().excluded) == 2
    assert choose(("a", "", True), ("c", "", False))


def test_what_was_left_out_goes_with_its_source_and_stays_while_it_is_only_disconnected(
    control, workspace, source, choose
):
    choose(("a", "", False))
    choose(("", "", False))
    assert choose.state().excluded == {Excluded(source.id, "a")}
    control.sources.delete(workspace.id, source.id)
    assert choose.state().excluded == frozenset()


def test_one_warehouse_does_not_choose_for_another(control, workspace, choose, source):
    other = control.warehouses.create(workspace.id, "embedded", name="Second")
    choose(("a", "", False))
    assert control.warehouses.get(workspace.id, other.id).excluded == frozenset()
    first, second = targets(control.snapshot())
    assert (first.excluded, second.excluded) == ({Excluded(source.id, "a")}, frozenset())
    control.warehouses.delete(workspace.id, choose.state().id)
    assert control.warehouses.get(workspace.id, other.id).excluded == frozenset()


_NAMES = st.text(min_size=1, max_size=80) | st.sampled_from(["Signed Up", "users", "日本", "a" * 80, "order", "_x"])


@given(_NAMES, _NAMES)
def test_any_name_becomes_one_that_can_be_stored_or_is_refused(collection, column):
    override = Override("s", collection, column, enabled=False)
    try:
        checked = selection.checked(override, "at")
    except InvalidRequestError:
        return
    for name in (checked.collection, checked.property):
        assert 0 < len(name.encode()) <= 63
    assert selection.checked(checked, "at") == checked
