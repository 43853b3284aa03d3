"""`headwater doctor` holds what was loaded against what was passed in the log, also while nothing runs."""

import contextlib
import sqlite3
from datetime import UTC, datetime

import msgspec
import pytest
from sqlalchemy import insert

from headwater.app import doctor
from headwater.config import Settings
from headwater.control.database import metadata, open_engine, warehouses, workspaces
from headwater.eventlog.contract import Topic
from headwater.eventlog.memory import MemoryLog
from headwater.loading.engine import Loading, Target
from headwater.spec.event import Record

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture
async def settings(tmp_path):
    """Return the settings of a data directory where two of three events were loaded, and one is of nobody."""
    log = MemoryLog()
    engine = Loading(log, tmp_path, clock=lambda: NOW)
    engine.apply([Target("w1", "embedded", {}, {"s1": "site", "s2": ""})])
    for number, source in enumerate(("s1", "s2", "s1")):
        line = {"type": "track", "event": "E", "messageId": f"m{number}", "receivedAt": NOW, "timestamp": NOW}
        await log.append(Topic.EVENTS, source, NOW, [Record(f"m{number}", msgspec.json.encode(line))])
    await engine.sync("w1", 3)
    await engine.stop()
    return Settings(data_dir=tmp_path)


def found(settings):
    return [(each.name, each.found, each.is_well) for each in doctor._loaded(settings)]


def test_what_was_passed_is_what_was_counted(settings):
    told = "3 events passed, 3 loaded, filtered, suppressed or missed"
    assert found(settings) == [("conservation warehouse w1", told, True)]


def test_an_event_that_was_passed_over_is_found(settings):
    with contextlib.closing(sqlite3.connect(settings.data_dir / "loading.sqlite")) as journal, journal:
        journal.execute("update standings set counted = 2")
    told = "3 events passed, 2 loaded, filtered, suppressed or missed"
    assert found(settings) == [("conservation warehouse w1", told, False)]


def configure(settings, *rows):
    """Write a control database with these warehouses: id and name."""
    engine = open_engine(settings.control_url)
    metadata.create_all(engine)
    with engine.begin() as connection:
        workspace = {"id": "default", "slug": "default", "name": "Default", "region": "us", "created_at": "2026"}
        connection.execute(insert(workspaces), workspace)
        for id_, name in rows:
            told = {"id": id_, "name": name, "workspace_id": "default", "type": "embedded", "enabled": True}
            connection.execute(insert(warehouses), told | {"settings": "{}", "created_at": "2026"})
    engine.dispose()


def test_a_warehouse_is_called_by_its_name(settings):
    configure(settings, ("w1", "Analytics"))
    assert [name for name, *_ in found(settings)] == ["conservation warehouse Analytics (w1)"]


def test_a_deleted_warehouse_is_left_out(settings):
    configure(settings, ("w2", "Its successor"))
    assert found(settings) == [("loading", "nothing was loaded yet", True)]


@pytest.mark.parametrize(("cursor", "told"), [(None, "not reached yet"), (18_867, "loaded up to event 18,867")])
def test_a_warehouse_says_how_far_it_is(cursor, told):
    status = {"warehouseId": "w1", "cursor": cursor, "lastError": "Nothing answers."}
    finding = doctor._warehouse(status, {"w1": "Analytics (w1)"})
    assert finding == doctor.Finding("warehouse Analytics (w1)", told, "Nothing answers.")


def test_before_anything_was_loaded_there_is_nothing_to_compare(tmp_path):
    assert found(Settings(data_dir=tmp_path)) == [("loading", "nothing was loaded yet", True)]


def test_a_journal_that_is_none_is_told_with_the_next_step(tmp_path):
    (tmp_path / "loading.sqlite").write_bytes(b"this is no database" * 100)
    ((name, _, is_well),) = found(Settings(data_dir=tmp_path))
    assert (name, is_well) == ("loading", False)
