"""The embedded warehouse's copy in S3-compatible storage, over HTTP, read by plain DuckDB at its s3:// addresses.

DuckDB's own extension for s3:// is not installed here; obstore stands in for it, below the same views.
"""

from __future__ import annotations

import itertools
import logging
from datetime import UTC, datetime, timedelta

import boto3
import duckdb
import pytest
from moto.core import enable_iam_authentication
from moto.server import ThreadedMotoServer
from obstore.exceptions import GenericError
from obstore.fsspec import FsspecStore
from obstore.store import S3Store

from headwater.errors import DeliveryError, RetryableError, UnauthorizedError
from headwater.privacy.person import Person
from headwater.warehouses.contract import SEQ, ColumnType, Load, Staged, Table, View
from headwater.warehouses.embedded import Settings, Warehouse, bucket
from headwater.warehouses.embedded.parts import GRACE

TABLES = ("tracks", "orders")
COLUMNS = {"id": ColumnType.VARCHAR, "email": ColumnType.VARCHAR, "x": ColumnType.INTEGER}
REGION = "us-east-1"
KEYS = {"aws_access_key_id": "any", "aws_secret_access_key": "any"}


@pytest.fixture(scope="module")
def server():
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


class Storage:
    """A bucket, and what a reader on another machine sees in it."""

    def __init__(self, server: str, name: str, place) -> None:
        self.server, self.name, self._place = server, name, place
        self.client = boto3.client("s3", endpoint_url=server, region_name=REGION, **KEYS)
        self.client.create_bucket(Bucket=name)
        options = {"endpoint": server, "access_key_id": "any", "secret_access_key": "any", "region": REGION}
        self._files = FsspecStore("s3", config=options, client_options={"allow_http": True})

    def settings(self, **changed) -> Settings:
        return Settings(
            **{
                "bucket": self.name,
                "endpoint": self.server,
                "region": REGION,
                "prefix": "some/where/",
                "access_key": "any",
                "secret_key": "any",
            }
            | changed
        )

    def keys(self) -> list[str]:
        return [each["Key"] for each in self.client.list_objects_v2(Bucket=self.name).get("Contents", [])]

    def holds(self, text: str) -> bool:
        bodies = (self.client.get_object(Bucket=self.name, Key=key)["Body"].read() for key in self.keys())
        return any(text.encode() in body for body in bodies)

    def reader(self) -> duckdb.DuckDBPyConnection:
        """Return a connection to the views as they are now."""
        self._place.mkdir(exist_ok=True)
        views = self._place / f"views-{len(list(self._place.iterdir()))}.duckdb"
        self.client.download_file(self.name, "some/where/views.duckdb", str(views))
        connection = duckdb.connect(str(views), read_only=True)
        connection.register_filesystem(self._files)
        return connection

    def ask(self, sql: str) -> list[tuple]:
        with self.reader() as connection:
            return connection.execute(sql).fetchall()


@pytest.fixture
def storage(server, request, tmp_path):
    return Storage(server, f"b{abs(hash(request.node.name))}", tmp_path / "reader")


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 23, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time


def load(warehouse, first: int, next_: int, *, reload: str = "", email: str = "x@example.test") -> None:
    with duckdb.connect() as staging:
        staging.execute(
            f"create table rows as select 'm' || i as id, '{email}' as email, i::bigint as x, i::bigint as {SEQ} "
            f"from range({first}, {next_}) r(i)"
        )
        staged = tuple(Staged(Table("site", name), COLUMNS, "rows", next_ - first) for name in TABLES)
        warehouse.add_columns({each.table: each.columns for each in staged})
        warehouse.load(staging, Load(first, next_, staged, reload))


COUNTS = "select (select count(distinct id) from site.tracks), (select count(*) from site.orders)"


def test_the_copy_follows_loads_merges_reloads_wider_columns_and_views(storage, tmp_path, monkeypatch):
    monkeypatch.setattr("headwater.warehouses.embedded.compaction.BATCHES_MAX", 3)
    clock = Hands()
    warehouse = Warehouse(storage.settings(), tmp_path / "w", clock=clock)
    warehouse.check()
    warehouse.open()
    load(warehouse, 0, 4)
    assert storage.ask(COUNTS) == [(4, 4)]
    with storage.reader() as held:
        for first in (4, 8):
            load(warehouse, first, first + 4)
            warehouse.tidy()
        load(warehouse, 2, 6, reload="r", email="again@example.test")
        warehouse.finish("r")
        assert held.execute(COUNTS).fetchall() == [(4, 4)]  # an older reader stands on what it opened
    warehouse.publish([View("headwater", "total", "select count(*) as events from site.tracks")])
    warehouse.widen({Table("site", "tracks"): {"x": ColumnType.FLOAT}})
    load(warehouse, 12, 14)
    assert storage.ask("select events from headwater.total") == [(14,)]
    assert storage.ask("select count(*), max(x), typeof(max(x)) from site.tracks where email like 'again%'") == [
        (4, 5.0, "DOUBLE")
    ]
    before = len(storage.keys())
    clock.time += GRACE + timedelta(seconds=1)
    warehouse.tidy()
    assert len(storage.keys()) < before
    assert storage.ask(COUNTS) == [(14, 14)]
    warehouse.close()


def test_a_person_is_gone_from_the_copy_at_once(storage, tmp_path):
    warehouse = Warehouse(storage.settings(), tmp_path / "w")
    warehouse.open()
    load(warehouse, 0, 3)
    load(warehouse, 3, 4, email="someone.special@example.test")
    assert storage.holds("someone.special")
    warehouse.remove(Person(emails=frozenset({"Someone.Special@example.test"})))
    warehouse.close()
    assert not storage.holds("someone.special")
    assert storage.ask(COUNTS) == [(3, 3)]


def test_wherever_it_is_cut_off_readers_see_whole_batches_and_the_next_start_makes_up_for_it(
    storage, tmp_path, monkeypatch
):
    broken_at = [-1]
    puts = itertools.count()

    class Failing(S3Store):
        """A client whose connection breaks before or after a request; it has a before and an after each."""

        def put(self, *args, **kwargs):
            number = next(puts)
            if 2 * number == broken_at[0]:
                raise GenericError("broken")
            super().put(*args, **kwargs)
            if 2 * number + 1 == broken_at[0]:
                raise GenericError("broken")

    monkeypatch.setattr(bucket, "S3Store", Failing)
    first = 0
    for point in range(6):  # two tables and the views
        warehouse = Warehouse(storage.settings(), tmp_path / "w")
        warehouse.open()
        broken_at[0], puts = point, itertools.count()
        with pytest.raises(RetryableError):
            load(warehouse, first, first + 2)
        broken_at[0] = -1
        tracks, orders = storage.ask(COUNTS)[0] if first else (0, 0)
        assert tracks == orders in (first, first + 2)
        warehouse.close()
        first += 2
        again = Warehouse(storage.settings(), tmp_path / "w")
        again.open()
        again.close()
        assert storage.ask(COUNTS) == [(first, first)]


def test_a_bucket_that_is_away_delays_the_copy_and_loses_nothing(storage, tmp_path):
    warehouse = Warehouse(storage.settings(endpoint="http://127.0.0.1:9"), tmp_path / "w")
    with pytest.raises(RetryableError, match="could not be reached"):
        warehouse.check()
    warehouse.open()
    with pytest.raises(RetryableError, match="could not be reached"):
        load(warehouse, 0, 2)
    warehouse.close()
    again = Warehouse(storage.settings(), tmp_path / "w")
    again.open()
    assert again.cursor() == 2
    again.close()
    assert storage.ask(COUNTS) == [(2, 2)]


def test_a_warehouse_that_was_loaded_anew_takes_nothing_of_the_former_copy(storage, tmp_path):
    for home in ("one", "two"):
        warehouse = Warehouse(storage.settings(), tmp_path / home)
        warehouse.open()
        load(warehouse, 0, 4 if home == "one" else 3)
        warehouse.close()
    assert storage.ask(COUNTS) == [(3, 3)]


def test_the_check_says_what_is_wrong(storage, tmp_path):
    with pytest.raises(DeliveryError, match="no such bucket"):
        Warehouse(storage.settings(bucket="another-one"), tmp_path / "w").check()
    with enable_iam_authentication(), pytest.raises(UnauthorizedError, match="refuses these keys") as refused:
        Warehouse(storage.settings(secret_key="hunter2"), tmp_path / "w").check()
    assert "hunter2" not in str(refused.value)
