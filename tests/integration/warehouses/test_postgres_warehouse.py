"""PostgreSQL, a real server: what users and administrators do to it costs no row, and is told in a sentence."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from datetime import UTC, datetime

import duckdb
import psycopg
import pytest
import trustme

from contract.warehouse_under_test import load, staged
from headwater.errors import DeliveryError, RefusedTableError, RetryableError, UnauthorizedError
from headwater.privacy.person import Person
from headwater.warehouses import postgres
from headwater.warehouses.contract import ColumnType, Expired, Load, Table, View
from postgres_server import LOADER, PASSWORD, READER, server

TRACKS, ORDERS, IDENTIFIES = Table("site", "tracks"), Table("site", "orders"), Table("site", "identifies")
TEXT, TIME, INTEGER, FLOAT = ColumnType.VARCHAR, ColumnType.TIMESTAMP, ColumnType.INTEGER, ColumnType.FLOAT
COLUMNS = {"id": TEXT, "received_at": TIME, "user_id": TEXT, "count": INTEGER}
TRAITS = {"id": TEXT, "received_at": TIME, "user_id": TEXT, "plan": TEXT}
AT = datetime(2026, 11, 23, 12)  # noqa: DTZ001 - a warehouse's timestamp has no zone and is UTC


@pytest.fixture
def settings():
    return server().settings(server().database())


@pytest.fixture
def admin(settings):
    with server().connect(settings.database) as connection:
        yield connection


@pytest.fixture
def warehouse(settings, tmp_path, monkeypatch):
    for name in ("_LOCK_S", "_DDL_LOCK_S", "_POLITE_LOCK_S"):
        monkeypatch.setattr(postgres, name, 0.2)
    made = postgres.Warehouse(settings, tmp_path / "home")
    made.open()
    yield made
    made.close()


@pytest.fixture
def staging():
    with duckdb.connect() as connection:
        yield connection


def rows(first: int, next_: int, **more):
    return {seq: {"received_at": AT, "user_id": f"u{seq % 3}", "count": seq} | more for seq in range(first, next_)}


def tracks(warehouse, staging, first: int, next_: int, columns=COLUMNS, **more) -> None:
    load(warehouse, staging, (first, next_), (TRACKS, columns, rows(first, next_, **more)))


def count(admin, table: str = "site.tracks") -> int:
    return admin.execute(f"select count(*) from {table}").fetchone()[0]


class TestWhatUsersDoToTables:
    def test_a_table_that_was_dropped_is_made_again_with_its_indexes(self, warehouse, staging, admin):
        tracks(warehouse, staging, 0, 3)
        admin.execute("drop table site.tracks")
        tracks(warehouse, staging, 3, 5)
        assert warehouse.cursor() == 5
        assert count(admin) == 2
        names = admin.execute("select indexdef from pg_indexes where tablename = 'tracks' order by 1").fetchall()
        assert [name.partition("USING ")[2] for (name,) in names] == [
            "btree (received_at)",
            "btree (user_id)",
            "btree (id)",
        ]

    def test_a_schema_that_was_dropped_is_made_again(self, warehouse, staging, admin):
        tracks(warehouse, staging, 0, 3)
        admin.execute("drop schema site cascade")
        tracks(warehouse, staging, 3, 5)
        assert count(admin) == 2

    def test_a_column_that_was_renamed_is_made_again(self, warehouse, staging, admin):
        tracks(warehouse, staging, 0, 3)
        admin.execute("alter table site.tracks rename column count to number")
        tracks(warehouse, staging, 3, 5)
        found = admin.execute("select id, number, count from site.tracks order by id").fetchall()
        assert found == [("m0", 0, None), ("m1", 1, None), ("m2", 2, None), ("m3", None, 3), ("m4", None, 4)]

    def test_a_table_of_the_users_own_is_never_written_to(self, warehouse, staging, admin):
        tracks(warehouse, staging, 0, 1)
        admin.execute("create table site.orders (id text, received_at timestamptz)")
        admin.execute("insert into site.orders values ('mine', '2001-01-01')")
        with pytest.raises(RefusedTableError, match="Headwater has not made; rename it"):
            load(warehouse, staging, (1, 2), (ORDERS, {"id": TEXT}, {1: {}}))
        warehouse.remove(Expired(datetime(2020, 1, 1, tzinfo=UTC)))
        assert count(admin, "site.orders") == 1

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ("alter table site.tracks alter column count type smallint", "does not fit the type of its column"),
            ("alter table site.tracks alter column user_id type varchar(2)", "does not fit the type of its column"),
            ("alter table site.tracks alter column received_at type date", "received_at is date"),
            ("alter table site.tracks add column extra text not null default ''", None),
            ("alter table site.tracks add check (count < 10)", "a constraint that Headwater has not made"),
            ("revoke insert on site.tracks from loader", "no rights on it"),
        ],
    )
    def test_a_changed_table_is_left_out_by_name_or_works(self, warehouse, staging, admin, change, said):
        tracks(warehouse, staging, 0, 1)
        admin.execute(change)
        good = staged(staging, ORDERS, COLUMNS, rows(1, 2))
        bad = staged(staging, TRACKS, COLUMNS, {1: {"received_at": AT, "user_id": "u1234", "count": 70_000}})
        warehouse.add_columns({ORDERS: COLUMNS})
        batch = Load(1, 2, (good, bad))
        if said is None:
            warehouse.load(staging, batch)
            assert count(admin) == 2
            return
        with pytest.raises(RefusedTableError, match=said) as refusal:
            warehouse.load(staging, batch)
        assert refusal.value.table == "site.tracks"
        assert "70000" not in str(refusal.value)
        assert (warehouse.cursor(), count(admin, "site.orders")) == (1, 0)
        warehouse.load(staging, Load(1, 2, (good,)))
        assert (warehouse.cursor(), count(admin, "site.orders")) == (2, 1)

    def test_a_type_that_was_changed_is_told_to_the_engine(self, warehouse, staging, admin):
        tracks(warehouse, staging, 0, 1)
        admin.execute("alter table site.tracks alter column count type text")
        tracks(warehouse, staging, 1, 2)
        admin.execute("alter table site.tracks alter column user_id type bigint using 1")
        with pytest.raises(RefusedTableError):
            tracks(warehouse, staging, 2, 3)
        assert warehouse.columns()[TRACKS] == COLUMNS | {"count": TEXT, "user_id": INTEGER}

    def test_users_come_back_whole(self, warehouse, staging, admin):
        load(warehouse, staging, (0, 2), (IDENTIFIES, TRAITS, {0: {"user_id": "a", "plan": "x"}, 1: {"user_id": "b"}}))
        admin.execute("drop table site.users")
        load(warehouse, staging, (2, 3), (IDENTIFIES, TRAITS, {2: {"user_id": "b", "plan": "y"}}))
        admin.execute("alter table site.users drop column plan")
        load(warehouse, staging, (3, 4), (IDENTIFIES, TRAITS, {3: {"user_id": "c", "plan": "z"}}))
        found = admin.execute("select id, plan from site.users order by id").fetchall()
        assert found == [("a", "x"), ("b", "y"), ("c", "z")]

    def test_a_lost_position_loads_all_again_and_nothing_twice(self, warehouse, staging, admin):
        tracks(warehouse, staging, 0, 5)
        admin.execute("delete from _headwater.cursor")
        with pytest.raises(RetryableError):
            tracks(warehouse, staging, 5, 6)
        warehouse.open()
        assert warehouse.cursor() == 0
        tracks(warehouse, staging, 0, 6)
        assert (warehouse.cursor(), count(admin)) == (6, 6)


class TestWhatEventsBring:
    def test_an_id_that_comes_again_after_weeks_is_one_row_with_the_later_values(self, warehouse, staging, admin):
        load(warehouse, staging, (0, 2), (IDENTIFIES, TRAITS, {0: {"user_id": "a", "plan": "x"}}))
        again = {2: {"id": "m0", "user_id": "b", "plan": "y"}, 3: {"user_id": "a"}}
        load(warehouse, staging, (2, 4), (IDENTIFIES, TRAITS, again))
        assert admin.execute("select id, user_id from site.identifies order by id").fetchall() == [
            ("m0", "b"),
            ("m3", "a"),
        ]
        assert admin.execute("select id, plan from site.users order by id").fetchall() == [("a", None), ("b", "y")]

    def test_a_user_id_that_no_tree_can_hold_is_loaded_and_found(self, warehouse, staging, admin):
        long = "".join(f"{number:x}" for number in range(9_000))
        load(warehouse, staging, (0, 1), (IDENTIFIES, TRAITS, {0: {"user_id": "a", "plan": "x"}}))
        load(warehouse, staging, (1, 2), (IDENTIFIES, TRAITS, {1: {"user_id": long, "plan": "y"}}))
        load(warehouse, staging, (2, 3), (IDENTIFIES, TRAITS, {2: {"user_id": long, "plan": "z"}}))
        assert admin.execute("select plan from site.users order by plan").fetchall() == [("x",), ("z",)]
        index = admin.execute("select indexdef from pg_indexes where indexdef like '%hash (user_id)'").fetchall()
        assert len(index) == 1

    def test_what_postgresql_cannot_spell_is_loaded(self, warehouse, staging, admin):
        columns = COLUMNS | {"when": TIME, "ratio": FLOAT}
        odd = {
            0: {"user_id": "a\0b", "when": datetime(1, 1, 1), "ratio": float("nan")},  # noqa: DTZ001
            1: {"user_id": "\\.", "ratio": float("-inf")},
        }
        part = staged(staging, TRACKS, columns, odd)
        staging.execute(f"update {part.relation} set \"when\" = timestamp '0001-01-01' - interval 1 day where _seq = 0")
        warehouse.add_columns({TRACKS: columns})
        warehouse.load(staging, Load(0, 2, (part,)))
        found = admin.execute("""select user_id, "when"::text, ratio::text from site.tracks order by id""").fetchall()
        assert found == [("a\ufffdb", "0001-12-31 00:00:00+00 BC", "NaN"), ("\\.", None, "-Infinity")]
        assert warehouse.remove(Person(user_ids=frozenset({"a\0b"}))) == {TRACKS: 1}

    def test_more_columns_than_postgresql_has_are_told(self, warehouse):
        columns = {"id": TEXT} | {f"c{number}": INTEGER for number in range(1_600)}
        with pytest.raises(RefusedTableError, match="keep the bounds of columns"):
            warehouse.add_columns({TRACKS: columns})

    def test_a_row_larger_than_a_page_is_told(self, warehouse, staging, admin):
        columns = {"id": TEXT} | {f"c{number}": INTEGER for number in range(1_100)}
        warehouse.add_columns({TRACKS: columns})
        wide = staged(staging, TRACKS, columns, {0: dict.fromkeys(columns, 2**40) | {"id": "m0"}})
        with pytest.raises(RefusedTableError, match="larger row"):
            warehouse.load(staging, Load(0, 1, (wide,)))
        assert count(admin) == 0


class TestLocks:
    @pytest.mark.parametrize("lock", ["access exclusive", "share"])
    def test_a_locked_table_is_left_out_soon_and_the_others_go_on(self, warehouse, staging, admin, lock):
        tracks(warehouse, staging, 0, 1)
        warehouse.add_columns({ORDERS: COLUMNS})
        good, bad = staged(staging, ORDERS, COLUMNS, rows(1, 2)), staged(staging, TRACKS, COLUMNS, rows(1, 2))
        with admin.transaction():
            admin.execute(f"lock table site.tracks in {lock} mode")
            with pytest.raises(RefusedTableError, match="holds a lock"):
                warehouse.load(staging, Load(1, 2, (good, bad)))
            warehouse.load(staging, Load(1, 2, (good,)))
        warehouse.load(staging, Load(1, 2, (bad,), "later"))
        assert (count(admin), count(admin, "site.orders")) == (2, 1)

    def test_a_long_query_keeps_no_column_waiting_for_long(self, warehouse, staging, admin):
        tracks(warehouse, staging, 0, 1)
        with admin.transaction():
            admin.execute("select count(*) from site.tracks")
            with pytest.raises(RefusedTableError, match="holds a lock"):
                warehouse.add_columns({TRACKS: {"new": TEXT}})
            with server().connect(warehouse._settings.database) as reader:
                assert count(reader) == 1  # nobody waits behind us
        warehouse.add_columns({TRACKS: {"new": TEXT}})

    def test_a_locked_table_keeps_no_other_from_being_cleared_of_a_person(self, warehouse, staging, admin):
        tracks(warehouse, staging, 0, 3)
        load(warehouse, staging, (3, 6), (ORDERS, COLUMNS, rows(3, 6)))
        ann = Person(user_ids=frozenset({"u0"}))
        with admin.transaction():
            admin.execute("lock table site.orders in share mode")
            with pytest.raises(RefusedTableError, match=r"site\.orders"):
                warehouse.remove(ann)
        assert warehouse.remove(ann) == {ORDERS: 1}
        assert count(admin) == 2

    def test_a_loader_in_the_middle_of_a_batch_lets_no_other_in(self, warehouse, staging, admin):
        tracks(warehouse, staging, 0, 1)
        with admin.transaction():
            admin.execute("select position from _headwater.cursor for update")
            with pytest.raises(RetryableError, match="holds a lock"):
                tracks(warehouse, staging, 1, 2)
        tracks(warehouse, staging, 1, 2)
        assert count(admin) == 2

    def test_two_loaders_whose_lock_a_pool_has_lost_load_once(self, warehouse, staging, admin, settings, tmp_path):
        tracks(warehouse, staging, 0, 2)
        warehouse._connection.execute("select pg_advisory_unlock_all()")
        second = postgres.Warehouse(settings, tmp_path / "second")
        second.open()
        tracks(second, staging, 2, 6)
        tracks(warehouse, staging, 2, 6)
        with pytest.raises(RetryableError, match="up to 6 meanwhile"):
            tracks(warehouse, staging, 5, 8)
        second.close()
        assert (warehouse.cursor(), count(admin)) == (6, 6)


class TestViewsForAnalysis:
    def test_what_users_built_on_them_stays(self, warehouse, staging, admin):
        tracks(warehouse, staging, 0, 3)
        warehouse.publish([View("headwater", "total", "select count(*) as events from site.tracks")])
        admin.execute(f"grant select on headwater.total to {READER}")
        admin.execute("create view public.mine as select events from headwater.total")
        wider = View("headwater", "total", "select count(*) as events, 1 as more from site.tracks")
        warehouse.publish([wider])
        assert admin.execute("select * from headwater.total").fetchall() == [(3, 1)]
        assert admin.execute(f"select has_table_privilege('{READER}', 'headwater.total', 'select')").fetchone()[0]
        other = View("headwater", "other", "select 1 as one")
        with pytest.raises(DeliveryError, match=r'"headwater"\."total" stay'):
            warehouse.publish([View("headwater", "total", "select 'x' as text"), other])
        warehouse.publish([View("headwater", "total", "select 'x' as text"), other])  # said once
        assert admin.execute("select events from public.mine").fetchall() == [(3,)]
        assert admin.execute("select one from headwater.other").fetchall() == [(1,)]
        admin.execute("drop view public.mine")
        warehouse.publish([View("headwater", "total", "select 'x' as text")])
        assert admin.execute("select text from headwater.total").fetchall() == [("x",)]
        assert admin.execute("select count(*) from pg_views where schemaname = 'headwater'").fetchone() == (1,)

    def test_a_view_of_a_users_own_keeps_a_column_from_becoming_wider(self, warehouse, staging, admin):
        tracks(warehouse, staging, 0, 1)
        admin.execute("create view public.mine as select count from site.tracks")
        warehouse.widen({TRACKS: {"count": FLOAT}})
        assert warehouse.columns()[TRACKS]["count"] is INTEGER
        admin.execute("drop view public.mine")
        warehouse.widen({TRACKS: {"count": FLOAT}})
        assert warehouse.columns()[TRACKS]["count"] is FLOAT

    def test_a_table_that_is_read_for_long_is_not_asked_for_again_and_again(self, warehouse, staging, admin):
        tracks(warehouse, staging, 0, 1)
        with admin.transaction():
            admin.execute("select count(*) from site.tracks")
            warehouse.widen({TRACKS: {"count": FLOAT}})
        warehouse.widen({TRACKS: {"count": FLOAT}})
        assert warehouse.columns()[TRACKS]["count"] is INTEGER
        warehouse._busy.clear()  # minutes later
        warehouse.widen({TRACKS: {"count": FLOAT}})
        assert warehouse.columns()[TRACKS]["count"] is FLOAT

    def test_a_large_table_is_not_written_anew(self, warehouse, staging, monkeypatch):
        tracks(warehouse, staging, 0, 1)
        monkeypatch.setattr(postgres.tables, "SMALL_BYTES", 1)
        warehouse.widen({TRACKS: {"count": FLOAT}})
        assert warehouse.columns()[TRACKS]["count"] is INTEGER

    def test_users_become_wider_with_identifies(self, warehouse, staging, admin):
        columns = TRAITS | {"age": INTEGER}
        load(warehouse, staging, (0, 1), (IDENTIFIES, columns, {0: {"user_id": "a", "age": 7}}))
        warehouse.widen({IDENTIFIES: {"age": TEXT}})
        columns = TRAITS | {"age": TEXT}
        load(warehouse, staging, (1, 2), (IDENTIFIES, columns, {1: {"user_id": "b", "age": "old"}}))
        assert admin.execute("select id, age from site.users order by id").fetchall() == [("a", "7"), ("b", "old")]


class TestWhatAnAdministratorDoes:
    def test_read_only_mode_is_waited_out(self, warehouse, staging, admin, settings):
        tracks(warehouse, staging, 0, 1)
        admin.execute(f"alter database {settings.database} set default_transaction_read_only = on")
        try:
            warehouse.close()
            with pytest.raises(RetryableError, match="read-only mode"):
                tracks(warehouse, staging, 1, 2)
            with pytest.raises(RetryableError, match="read-only mode"):
                warehouse.check()
        finally:
            admin.execute("set transaction_read_only = off")
            with server().connect() as elsewhere:
                elsewhere.execute(f"alter database {settings.database} reset default_transaction_read_only")
        warehouse.close()
        tracks(warehouse, staging, 1, 2)
        assert count(admin) == 2

    def test_a_password_that_was_changed_is_asked_for(self, warehouse, staging, admin):
        tracks(warehouse, staging, 0, 1)
        admin.execute(f"alter role {LOADER} password 'other'")
        try:
            tracks(warehouse, staging, 1, 2)  # an open session goes on
            warehouse.close()
            with pytest.raises(UnauthorizedError, match="enter the present password") as refusal:
                warehouse.open()
            assert PASSWORD not in str(refusal.value)
        finally:
            admin.execute(f"alter role {LOADER} password '{PASSWORD}'")
        warehouse.open()
        assert warehouse.cursor() == 2

    def test_no_connection_left_is_waited_out(self, warehouse, admin):
        warehouse.close()
        admin.execute(f"alter role {LOADER} connection limit 0")
        try:
            with pytest.raises(RetryableError, match="max_connections"):
                warehouse.open()
        finally:
            admin.execute(f"alter role {LOADER} connection limit -1")
        warehouse.open()

    def test_a_session_that_was_ended_is_made_anew(self, warehouse, staging, admin):
        tracks(warehouse, staging, 0, 1)
        admin.execute(f"select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = '{LOADER}'")
        with pytest.raises(RetryableError):
            tracks(warehouse, staging, 1, 2)
        tracks(warehouse, staging, 1, 2)
        assert (warehouse.cursor(), count(admin)) == (2, 2)


@pytest.fixture
def tls():
    """Put TLS in front of the server, as PostgreSQL begins it; gives the port, the right CA and a foreign one."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    listening = socket.create_server(("127.0.0.1", 0))

    def passed_on(come: socket.socket, go: socket.socket) -> None:
        with suppress(OSError), come, go:
            while sent := come.recv(65_536):
                go.sendall(sent)

    def serve() -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            client.recv(8)  # SSLRequest
            client.sendall(b"S")
            with suppress(OSError):
                inside = context.wrap_socket(client, server_side=True)
                above = socket.create_connection(("127.0.0.1", server().port))
                for pair in ((inside, above), (above, inside)):
                    threading.Thread(target=passed_on, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield listening.getsockname()[1], *(each.cert_pem.bytes().decode() for each in (authority, trustme.CA()))
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()


class TestTheCheck:
    def wrong(self, settings, tmp_path, **more):
        values = {name: getattr(settings, name) for name in settings.__slots__} | more
        return postgres.Warehouse(postgres.Settings(**values), tmp_path / "home").check

    @pytest.mark.parametrize(
        ("more", "kind", "said"),
        [
            ({"host": "no-such-host.invalid"}, RetryableError, "name is not known"),
            ({"port": 1}, RetryableError, "Nothing answers"),
            ({"password": "wrong-one"}, UnauthorizedError, "enter the present password"),
            ({"user": "nobody"}, UnauthorizedError, "user or the password"),
            ({"database": "missing"}, UnauthorizedError, "no database of this name"),
            ({"sslmode": "require"}, RetryableError, "offers no TLS"),
            ({"reader_user": READER, "reader_password": "wrong-one"}, UnauthorizedError, "The reader cannot log in"),
        ],
    )
    def test_what_is_wrong_is_said_without_what_is_secret(self, settings, tmp_path, more, kind, said):
        with pytest.raises(kind, match=said) as refusal:
            self.wrong(settings, tmp_path, **more)()
        assert "wrong-one" not in str(refusal.value)
        assert "127.0.0.1" not in str(refusal.value)

    def test_without_a_password_no_file_of_the_operator_is_looked_for(self, settings, tmp_path, capfd):
        with pytest.raises(UnauthorizedError):
            self.wrong(settings, tmp_path, password="")()
        assert "password file" not in capfd.readouterr().err

    def test_a_database_name_is_no_place_for_parameters(self, settings, tmp_path):
        with pytest.raises(UnauthorizedError, match="no database of this name"):
            self.wrong(settings, tmp_path, database="dbname=warehouse options=-cfsync=off service=x")()

    def test_missing_rights_are_named_with_the_statement_that_gives_them(self, settings, tmp_path):
        with pytest.raises(UnauthorizedError, match="GRANT CREATE, TEMPORARY ON DATABASE"):
            self.wrong(settings, tmp_path, user=READER)()

    def test_a_certificate_is_checked_with_the_name_it_is_made_out_to(self, settings, tmp_path, tls):
        port, trusted, foreign = tls
        for more in ({"sslmode": "verify-full", "ca_certificate": trusted}, {"sslmode": "require"}):
            self.wrong(settings, tmp_path, host="localhost", port=port, **more)()
        for host, authority in (("localhost", foreign), ("127.0.0.1", trusted)):
            with pytest.raises(RetryableError, match="certificate cannot be verified"):
                self.wrong(settings, tmp_path, host=host, port=port, sslmode="verify-full", ca_certificate=authority)()

    def test_a_good_connection_passes(self, settings, tmp_path):
        self.wrong(settings, tmp_path, reader_user=READER, reader_password=PASSWORD)()


def test_the_driver_leaves_the_operators_own_environment_alone(settings, tmp_path, monkeypatch):
    monkeypatch.setenv("PGOPTIONS", "-c search_path=elsewhere")
    monkeypatch.setenv("PGPASSWORD", "other")
    made = postgres.Warehouse(settings, tmp_path)
    made.open()
    assert made._connection.execute("show search_path").fetchone() == ("pg_catalog",)
    made.close()
    with pytest.raises(psycopg.OperationalError):
        made._connection = psycopg.connect(host="127.0.0.1", port=settings.port, user=LOADER, dbname=settings.database)
