"""The chain tells every entry that was edited, removed or moved, and holds while old entries are given up."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select, update

from headwater.control.audit.chain import verify
from headwater.control.audit.exporting import lines
from headwater.control.audit.tables import entries, heads
from headwater.control.audit.trail import DETAILS_KEPT, ENTRIES_KEPT, Audit, Wanted
from headwater.control.database import migrate, open_engine

COUNT = 8
COLUMNS = [column.name for column in entries.columns if column.name != "seq"]


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """A trail of a few entries; what a test does to it is rolled back."""
    engine = open_engine(f"sqlite:///{tmp_path_factory.mktemp('chain')}/control.db")
    migrate(engine)
    for number in range(COUNT):
        Audit(engine, clock_at(number)).note("Replay Started", "w1", ("DESTINATION", f"d{number}", "Hook"))
    yield engine
    engine.dispose()


def clock_at(days):
    return lambda: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=days)


def broken_at(engine, *statements):
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(statement)
        found = verify(connection)
        connection.rollback()
    return found.broken_at


def test_a_trail_as_it_was_written_holds(engine):
    found = Audit(engine, clock_at(0)).verify()
    assert (found.entries, found.first, found.last, found.broken_at) == (COUNT, 1, COUNT, None)


@given(seq=st.integers(1, COUNT), column=st.sampled_from(COLUMNS))
@settings(max_examples=60, deadline=None)
def test_an_edit_of_any_column_is_found_where_it_is(engine, seq, column):
    edit = update(entries).where(entries.c.seq == seq).values({column: '{"changes":[],"x":1}'})
    assert broken_at(engine, edit) == seq


@given(gone=st.sets(st.integers(1, COUNT), min_size=1))
@settings(max_examples=30, deadline=None)
def test_removed_entries_are_found_also_the_newest_and_all(engine, gone):
    assert broken_at(engine, delete(entries).where(entries.c.seq.in_(gone))) is not None


def test_two_entries_that_changed_places_are_found(engine):
    def moved(old, new):
        return update(entries).where(entries.c.seq == old).values(seq=new)

    assert broken_at(engine, moved(3, 99), moved(4, 3), moved(99, 4)) == 3


def test_a_head_that_is_gone_is_told(engine):
    assert broken_at(engine, delete(heads)) is not None


def test_details_go_first_then_entries_and_the_chain_holds(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path}/control.db")
    migrate(engine)
    for day in (0, 10, 20):
        Audit(engine, clock_at(day)).note("Replay Started", "w1", details={"count": day})
    audit, wanted = Audit(engine, clock_at(20)), Wanted("w1")
    start = clock_at(0)()
    assert audit.expire(start + DETAILS_KEPT + timedelta(days=15)) == 0
    assert [each.has_details for each in audit.all(wanted)] == [True, False, False]
    assert audit.verify().broken_at is None
    assert audit.expire(start + ENTRIES_KEPT + timedelta(days=15)) == 2
    assert [each.seq for each in audit.all(wanted)] == [3]
    assert audit.verify().broken_at is None
    audit.note("Replay Started", "w1")
    assert audit.expire(start + ENTRIES_KEPT + timedelta(days=99)) == 2
    audit.note("Replay Started", "w1")
    found = audit.verify()
    assert (found.entries, found.first, found.broken_at) == (1, 5, None)


def test_what_a_spreadsheet_takes_for_a_formula_is_text_in_a_csv(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path}/control.db")
    migrate(engine)
    audit = Audit(engine, clock_at(0))
    for name in ("=HYPERLINK(1)", "+1", "-1", "@x", "plain, with a comma"):
        audit.note("Source Modified", "w1", ("SOURCE", "s", name))
    _, *rows = (line.decode() for line in lines(audit.all(Wanted("w1")), "csv"))
    names = [row.split(",SOURCE,s,")[1].partition(",")[0] for row in reversed(rows)]
    assert names == ["'=HYPERLINK(1)", "'+1", "'-1", "'@x", '"plain']


def test_entries_of_another_workspace_are_not_there(engine):
    assert list(Audit(engine, clock_at(0)).all(Wanted("w2"))) == []
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(entries)).scalar() == COUNT
