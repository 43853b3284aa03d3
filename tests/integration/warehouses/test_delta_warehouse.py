"""Delta tables in a directory and in S3-compatible storage: what a repeated, cut or doubled load leaves."""

from __future__ import annotations

import logging
import threading
from datetime import datetime

import boto3
import deltalake
import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer

from headwater.errors import ConfigError, DeliveryError, QueryError, RetryableError, UnauthorizedError
from headwater.privacy.person import Person
from headwater.warehouses import delta
from headwater.warehouses.contract import SEQ, ColumnType, Load, Staged, Table
from headwater.warehouses.delta import Reading, Settings, Warehouse, store

TABLES = tuple(Table("site", name) for name in ("tracks", "orders", "identifies"))
COLUMNS = {
    "id": ColumnType.VARCHAR,
    "received_at": ColumnType.TIMESTAMP,
    "user_id": ColumnType.VARCHAR,
    "email": ColumnType.VARCHAR,
}
KEYS = {"aws_access_key_id": "any", "aws_secret_access_key": "any"}
AT = datetime(2026, 11, 23, 12)  # noqa: DTZ001 - as a warehouse has it


@pytest.fixture(scope="module")
def server():
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(server):
    client = boto3.client("s3", endpoint_url=server, region_name="us-east-1", **KEYS)
    client.create_bucket(Bucket="lake")
    yield Settings("s3://lake/head/water", endpoint=server, access_key_id="any", secret_access_key="any")
    for each in client.list_objects_v2(Bucket="lake").get("Contents", []):
        client.delete_object(Bucket="lake", Key=each["Key"])
    client.delete_bucket(Bucket="lake")


@pytest.fixture
def staging():
    with duckdb.connect() as connection:
        yield connection


def load(warehouse, staging, first: int, next_: int, *, reload: str = "", tables=TABLES) -> None:
    """Load one row a sequence into each table."""
    parts = []
    for table in tables:
        staging.execute(
            f"create or replace temp table {table.name} as select 'm' || i as id, timestamp '{AT}' as received_at, "
            f"'u' || i % 2 as user_id, 'e' || i || '@x.org' as email, i as {SEQ} from range({first}, {next_}) r(i)"
        )
        parts.append(Staged(table, COLUMNS, table.name, next_ - first))
    warehouse.add_columns({part.table: part.columns for part in parts})
    warehouse.load(staging, Load(first, next_, tuple(parts), reload))


def ask(place: Settings, home, sql: str) -> tuple:
    return Reading(place, home).run(sql, rows_max=100, timeout_s=30).rows


def test_a_bucket_takes_batches_reloads_and_removals_and_answers_questions(bucket, tmp_path, staging, server):
    warehouse = Warehouse(bucket, tmp_path)
    warehouse.check()
    warehouse.open()
    load(warehouse, staging, 0, 4)
    load(warehouse, staging, 0, 4)
    load(warehouse, staging, 4, 6)
    load(warehouse, staging, 0, 2, reload="r")
    warehouse.finish("r")
    again = Warehouse(bucket, tmp_path)
    again.open()
    assert again.cursor() == 6
    for table in TABLES:
        found = ask(bucket, tmp_path, f"select count(*), count(distinct id) from {table.schema}.{table.name}")
        assert found == ((6, 6),)
    assert ask(bucket, tmp_path, "select id, email, received_at from site.users order by id") == (
        ("u0", "e4@x.org", AT),
        ("u1", "e5@x.org", AT),
    )
    again.remove(Person(frozenset({"u1"}), emails=frozenset({"e1@x.org", "e3@x.org", "e5@x.org"})))
    assert ask(bucket, tmp_path, "select id from site.users") == (("u0",),)
    client = boto3.client("s3", endpoint_url=server, region_name="us-east-1", **KEYS)
    for each in client.list_objects_v2(Bucket="lake")["Contents"]:
        body = client.get_object(Bucket="lake", Key=each["Key"])["Body"].read()
        assert b"e3@x.org" not in body, each["Key"]


def test_two_loaders_of_one_bucket_bring_each_row_once(bucket, tmp_path):
    Warehouse(bucket, tmp_path).open()

    def run() -> None:
        warehouse = Warehouse(bucket, tmp_path)
        with duckdb.connect() as staging:
            while (cursor := warehouse.cursor()) < 12:
                try:
                    load(warehouse, staging, cursor, cursor + 3)
                except RetryableError:
                    continue  # as the engine does: it asks where the warehouse stands

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for table in TABLES:
        found = ask(bucket, tmp_path, f"select count(*), count(distinct id) from site.{table.name}")
        assert found == ((12, 12),)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 3)), min_size=1, max_size=4))
def test_a_batch_that_was_cut_between_two_tables_is_made_whole_by_any_other_batch(tmp_path_factory, steps):
    """After a crash the next batch begins where the last one did, and may end elsewhere."""
    home = tmp_path_factory.mktemp("lake")
    warehouse = Warehouse(Settings(), home)
    warehouse.open()
    with duckdb.connect() as staging:
        for size, cut in steps:
            cursor = warehouse.cursor()
            made = 0

            def counted(self, *args, made_max=cut, original=Warehouse._append):
                nonlocal made
                if made == made_max:
                    raise RetryableError("the power went")
                made += 1
                original(self, *args)

            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(Warehouse, "_append", counted)
                try:
                    load(warehouse, staging, cursor, cursor + size)
                except RetryableError:
                    assert warehouse.cursor() == cursor
        load(warehouse, staging, warehouse.cursor(), 30)
    for table in TABLES:
        assert ask(Settings(), home, f"select count(*), count(distinct id) from site.{table.name}") == ((30, 30),)
    assert ask(Settings(), home, "select email from site.users order by id") == (("e28@x.org",), ("e29@x.org",))


def test_a_table_that_somebody_removed_is_made_again(tmp_path, staging):
    warehouse = Warehouse(Settings(), tmp_path)
    warehouse.open()
    load(warehouse, staging, 0, 3)
    for file in sorted((tmp_path / "site" / "orders").rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    load(warehouse, staging, 3, 5)
    assert ask(Settings(), tmp_path, "select id from site.orders order by id") == (("m3",), ("m4",))


def test_small_files_are_merged_and_the_old_ones_kept_for_queries_that_run(tmp_path, staging, monkeypatch):
    monkeypatch.setattr(delta, "COMPACT_LOADS", 4)
    warehouse = Warehouse(Settings(), tmp_path)
    warehouse.open()
    for first in range(4):
        load(warehouse, staging, first, first + 1, tables=TABLES[:1])
    before = deltalake.DeltaTable(tmp_path / "site" / "tracks")
    warehouse.tidy()
    assert len(deltalake.DeltaTable(tmp_path / "site" / "tracks").file_uris()) == 1
    assert before.to_pyarrow_table().num_rows == 4


def test_times_are_instants_in_utc_for_every_reader(tmp_path, staging):
    warehouse = Warehouse(Settings(), tmp_path)
    warehouse.open()
    load(warehouse, staging, 0, 1)
    table = deltalake.DeltaTable(tmp_path / "site" / "tracks")
    assert str(table.to_pyarrow_table().schema.field("received_at").type) == "timestamp[us, tz=UTC]"
    assert (table.protocol().min_reader_version, table.protocol().min_writer_version) == (1, 2)


@pytest.mark.parametrize(
    ("changed", "error", "said"),
    [
        ({"location": "s3://nowhere/x"}, DeliveryError, "no such bucket"),
        ({"endpoint": "http://127.0.0.1:9"}, RetryableError, "cannot be reached"),
    ],
)
def test_a_bucket_that_cannot_be_used_is_told_without_its_address(bucket, tmp_path, changed, error, said):
    given_ = {"location": bucket.location, "endpoint": bucket.endpoint, "access_key_id": "any"} | changed
    warehouse = Warehouse(Settings(**given_, secret_access_key="a-secret"), tmp_path)
    with pytest.raises(error, match=said) as failure:
        warehouse.check()
    assert "127.0.0.1" not in str(failure.value)
    assert "a-secret" not in repr(warehouse._store._settings)


@pytest.mark.parametrize("said", ["Client error with status 403 Forbidden", "InvalidAccessKeyId", "401 Unauthorized"])
def test_refused_credentials_pause_the_warehouse(said):
    with pytest.raises(UnauthorizedError, match="credentials"), store.told():
        raise OSError(f"Generic S3 error: {said}")


@pytest.mark.parametrize("location", ["lake", "/srv/../etc", "gs://bucket/x", "s3:///x", "file:///srv"])
def test_a_location_is_a_bucket_or_an_absolute_directory(tmp_path, location):
    with pytest.raises(DeliveryError, match="s3://bucket/prefix"):
        Warehouse(Settings(location), tmp_path)


def test_without_the_driver_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "deltalake", None)
    with pytest.raises(ConfigError, match=r"headwater\[delta\]"):
        Warehouse(Settings(), tmp_path)


def test_a_question_before_the_first_event_says_so(tmp_path):
    with pytest.raises(QueryError, match="no tables yet"):
        ask(Settings(), tmp_path, "select 1")


def test_a_table_that_is_not_asked_is_not_opened_and_still_in_the_catalog(tmp_path, staging, monkeypatch):
    warehouse = Warehouse(Settings(), tmp_path)
    warehouse.open()
    load(warehouse, staging, 0, 2)
    opened = []
    original = store.Store.opened
    monkeypatch.setattr(store.Store, "opened", lambda self, table: opened.append(table) or original(self, table))
    assert ask(Settings(), tmp_path, 'with o as (from "site".orders) select count(*) from o') == ((2,),)
    assert [table.name for table in opened] == ["columns", "orders"]
    catalog = Reading(Settings(), tmp_path).catalog()
    assert [each.name for each in catalog] == ["identifies", "orders", "tracks", "users"]
