"""What is attached where: statements and their secrets, without the databases behind them."""

from __future__ import annotations

import duckdb
import pytest

from headwater.errors import DeliveryError, RetryableError, UnauthorizedError
from headwater.warehouses import ducklake, motherduck
from headwater.warehouses._lanes.attached import extensions
from headwater.warehouses._lanes.attached.failures import told

TOKEN = "a-secret-token"


@pytest.mark.parametrize(
    ("error", "expected", "said"),
    [
        (
            duckdb.IOException("Conflicting lock is held in x (PID 7)"),
            RetryableError,
            "process 7",
        ),
        (duckdb.IOException("Could not set lock on file"), RetryableError, "another program"),
        (duckdb.IOException("file is not a valid DuckDB database file!"), DeliveryError, "damaged"),
        (duckdb.InvalidInputException("Request failed: JWT expired"), UnauthorizedError, "credentials"),
        (duckdb.IOException("password authentication failed for user"), UnauthorizedError, "credentials"),
        (duckdb.IOException("No space left on device"), RetryableError, "disk or network"),
        (duckdb.TransactionException("Conflict on update"), RetryableError, "another process"),
        (duckdb.OutOfMemoryException("failed to allocate"), RetryableError, "memory"),
        (duckdb.InternalException("whatever"), DeliveryError, "InternalException"),
    ],
)
def test_what_duckdb_says_is_told_by_what_to_do_next(error, expected, said):
    result = told("The lake", error)
    assert type(result) is expected
    assert said in str(result)


def test_an_extension_that_is_not_there_is_named_and_never_downloaded():
    with (
        duckdb.connect(config={"extension_directory": "/nowhere"}) as connection,
        pytest.raises(DeliveryError, match="no extension motherduck") as failure,
    ):
        extensions.load(connection, "motherduck")
    assert "install motherduck" in str(failure.value)


def test_motherduck_attaches_a_database_under_its_own_name():
    settings = motherduck.Settings("events", TOKEN)
    assert motherduck.target(settings) == "'md:events'"
    assert TOKEN not in repr(settings)


@pytest.mark.parametrize("database", ["", "md:events", "_share/x/y", "a' as b", "x?token=1", "../x"])
def test_motherduck_takes_nothing_but_a_name(tmp_path, database):
    with pytest.raises(DeliveryError, match="Name the MotherDuck database"):
        motherduck.Warehouse(motherduck.Settings(database, TOKEN), tmp_path).check()


def test_a_lake_without_a_place_lies_in_its_home(tmp_path):
    lake = ducklake.Lake(ducklake.Settings(), tmp_path)
    assert lake.target() == (
        f"'ducklake:sqlite:{tmp_path}/catalog.sqlite' as headwater_warehouse (data_path '{tmp_path}/data/')"
    )
    assert lake.target(read_only=True).endswith("(read_only)")


def test_a_lake_in_postgresql_and_a_bucket_quotes_what_it_is_given(tmp_path):
    settings = ducklake.Settings(
        "postgres", host="db", database="lake", user="o'neil", password="p\\w'", data_path="s3://b/p/"
    )
    lake = ducklake.Lake(settings, tmp_path)
    expected = r"host='db' port='5432' dbname='lake' user='o\'neil' password='p\\w\'' connect_timeout='10'"
    quoted = expected.replace("'", "''")
    assert lake.target() == f"'ducklake:postgres:{quoted}' as headwater_warehouse (data_path 's3://b/p/')"
    assert "p\\w" not in repr(settings)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"catalog_file": "here.sqlite"}, "absolute paths"),
        ({"data_path": "/srv/../etc"}, "absolute paths"),
        ({"catalog": "postgres"}, "host and the database"),
    ],
)
def test_a_lake_that_cannot_be_is_refused(tmp_path, changed, said):
    with pytest.raises(DeliveryError, match=said):
        ducklake.Warehouse(ducklake.Settings(**changed), tmp_path).check()


def test_a_bucket_of_ones_own_is_asked_by_path_and_without_tls_where_it_has_none(tmp_path):
    settings = ducklake.Settings(
        data_path="s3://b", endpoint="http://minio:9000", access_key_id="k", secret_access_key="s'"
    )
    assert ducklake.Lake(settings, tmp_path)._secret() == (
        "create or replace secret lake_bucket (type s3, key_id 'k', secret 's''', region 'us-east-1', "
        "endpoint 'minio:9000', url_style 'path', use_ssl false)"
    )
