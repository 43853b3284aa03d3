"""Who is asked, what is running, and what can be cancelled; the answers themselves are the warehouses' own."""

from __future__ import annotations

import threading

import pytest

from headwater.errors import ConflictError, QueryError
from headwater.reports import query
from headwater.reports.query import Queries
from headwater.warehouses.contract import Format
from headwater.warehouses.embedded import Settings, Warehouse

FOREVER = "select count(*) from range(100000000000) a, range(1000000) b"


@pytest.fixture
def queries(tmp_path):
    warehouse = Warehouse(Settings(), tmp_path / "w1")
    warehouse.open()
    warehouse.close()
    configured = {"w1": ("embedded", {}), "w2": ("gone", {}), "w3": ("embedded", {"directory": 5})}
    return Queries(tmp_path, configured.__getitem__)


def asked_forever(queries, query_id):
    """Ask what never ends; return its thread and where its end is noted."""
    ended: list[str] = []

    def ask():
        try:
            queries.run("w1", FOREVER, query_id=query_id)
        except QueryError as error:
            ended.append(str(error))

    thread = threading.Thread(target=ask)
    thread.start()
    while not any(each.id == query_id for each in queries.running()):
        thread.join(0.01)
    return thread, ended


def test_a_warehouse_is_asked_by_its_id(queries):
    assert queries.run("w1", "select 1 as n").rows == ((1,),)
    assert queries.running() == []


@pytest.mark.parametrize(("warehouse", "said"), [("w2", "no warehouse type 'gone'"), ("w3", "do not fit")])
def test_what_cannot_be_asked_is_said(queries, warehouse, said):
    with pytest.raises(QueryError, match=said):
        queries.run(warehouse, "select 1")


def test_a_running_query_is_listed_and_cancelled(queries):
    thread, ended = asked_forever(queries, "mine")
    assert [(each.id, each.warehouse_id, each.sql) for each in queries.running("w1")] == [("mine", "w1", FOREVER)]
    assert queries.running("w2") == []
    with pytest.raises(ConflictError):
        queries.run("w1", "select 1", query_id="mine")
    assert queries.cancel("mine", "w1")
    thread.join(30)
    assert ended == ["The query was cancelled."]
    assert not queries.cancel("mine", "w1")


def test_no_more_run_at_once_than_memory_is_there_for(queries, monkeypatch):
    monkeypatch.setattr(query, "RUNNING_MAX", 1)
    thread, _ = asked_forever(queries, "first")
    with pytest.raises(QueryError, match="cancel one"):
        queries.run("w1", "select 1")
    queries.cancel("first", "w1")
    thread.join(30)
    assert queries.run("w1", "select 1").rows == ((1,),)


def test_a_result_is_saved(queries, tmp_path):
    assert queries.export("w1", "select 1 as n", tmp_path / "out.csv", Format.CSV) == 1
    assert (tmp_path / "out.csv").read_text() == "n\n1\n"


def test_ids_and_places_of_questions_belong_to_a_workspace(tmp_path, monkeypatch):
    monkeypatch.setattr(query, "_RUNNING_OF_ONE_MAX", 1)
    for name in ("w1", "w9"):
        warehouse = Warehouse(Settings(), tmp_path / name)
        warehouse.open()
        warehouse.close()
    configured = {"w1": ("embedded", {}), "w9": ("embedded", {})}
    several = Queries(tmp_path, configured.__getitem__, owner_of={"w1": "a", "w9": "b"}.__getitem__)
    thread, ended = asked_forever(several, "same")
    with pytest.raises(QueryError, match="1 queries are running"):
        several.run("w1", "select 1")
    assert several.run("w9", "select 1", query_id="same").rows == ((1,),)
    assert not several.cancel("same", "w9")
    assert several.cancel("same", "w1")
    thread.join(30)
    assert ended == ["The query was cancelled."]
