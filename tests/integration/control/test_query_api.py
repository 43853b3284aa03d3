"""Questions over the Public API: asked, saved, listed, cancelled; what tables there are."""

from __future__ import annotations

import pytest
from plane import Question

from headwater.limits import QUERY_ROWS_MAX


def warehouse_id(running):
    return running.control.warehouses.all(running.workspace.id)[0].id


def test_a_query_is_asked_of_the_default_warehouse_and_wide_numbers_keep_their_digits(running):
    answer = running.api("POST", "/query", {"sql": "select 1", "rows": 10}, token="read-only")
    assert running.asking.asked == [(warehouse_id(running), "select 1", 10, {"timeout_s": 30.0, "query_id": ""})]
    assert answer["columns"] == [{"name": "n", "type": "BIGINT"}, {"name": "big", "type": "HUGEINT"}]
    assert answer["rows"] == [[1, str(2**70)]]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"sql": " "}, "sql"),
        ({"sql": "x" * 100_001}, "sql"),
        ({"rows": 0}, "rows"),
        ({"rows": QUERY_ROWS_MAX + 1}, "rows"),
        ({"timeoutS": 0}, "timeoutS"),
        ({"timeoutS": 301}, "timeoutS"),
        ({"id": "a b"}, "id"),
        ({"format": "exe"}, "format"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_a_wrong_question_names_the_field(running, given, field):
    assert running.refused("POST", "/query", {"sql": "select 1"} | given)[::2] == (422, field)
    assert running.asking.asked == []


def test_another_warehouse_is_named_by_its_id(running):
    assert running.refused("POST", "/query", {"sql": "select 1", "warehouseId": "nothing"})[0] == 404


@pytest.mark.parametrize(
    ("format_", "type_"), [("csv", "text/csv"), ("json", "application/json"), ("parquet", "parquet")]
)
def test_a_result_is_saved_as_a_file_with_every_row(running, format_, type_):
    status, body, headers = running.raw("POST", "/query", {"sql": "select 1", "format": format_})
    assert (status, body, headers["x-headwater-rows"]) == (200, b"n\n1\n", "1")
    assert type_ in headers["content-type"]
    assert headers["content-disposition"] == f'attachment; filename="headwater.{format_}"'


def test_a_file_that_cannot_be_made_is_an_error_and_no_file(running):
    assert running.refused("POST", "/query", {"sql": "wrong", "format": "csv"})[:2] == (422, "query_failed")


def test_running_queries_are_listed_and_cancelled_within_the_workspace(running):
    running.asking.open += [
        Question("mine", warehouse_id(running), "select 1"),
        Question("theirs", "foreign", "select 2"),
    ]
    assert [each["id"] for each in running.api("GET", "/queries")["queries"]] == ["mine"]
    assert running.api("DELETE", "/queries/mine") == {"status": "CANCELLED"}
    assert running.refused("DELETE", "/queries/theirs")[0] == 404
    assert running.asking.cancelled == ["mine"]


def test_the_catalog_names_schemas_tables_and_columns(running):
    found = running.api("GET", f"/warehouses/{warehouse_id(running)}/catalog", token="read-only")
    columns = [{"name": "id", "type": "VARCHAR"}]
    assert found == {
        "schemas": [{"name": "site", "tables": [{"name": name, "columns": columns} for name in ("tracks", "users")]}]
    }
