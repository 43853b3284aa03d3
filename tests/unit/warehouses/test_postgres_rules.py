"""PostgreSQL without a server: what an error means, which types hold our values, what users' settings may be."""

from __future__ import annotations

import pytest

from headwater.errors import (
    ConfigError,
    QueryError,
    RefusedTableError,
    RetryableError,
    UnauthorizedError,
)
from headwater.warehouses import postgres
from headwater.warehouses.contract import LATEST, ColumnType, Table
from headwater.warehouses.postgres import latest
from headwater.warehouses.postgres.catalog import TYPES, kind_of
from headwater.warehouses.postgres.meaning import raised, refused
from headwater.warehouses.postgres.settings import Settings, authority

TRACKS = Table("site", "tracks")
SECRET = "ann@example.org 10.1.2.3 hunter2"


class ServerError(Exception):
    """As the driver raises it: a code, and words that may hold anything."""

    def __init__(self, sqlstate: str | None, words: str = SECRET) -> None:
        super().__init__(words)
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("code", "words", "kind", "said"),
    [
        ("53100", SECRET, RetryableError, "disk of the server is full"),
        ("53300", SECRET, RetryableError, "max_connections"),
        ("40P01", SECRET, RetryableError, "tried again"),
        ("40001", SECRET, RetryableError, "tried again"),
        ("57014", SECRET, RetryableError, "took too long"),
        ("57P01", SECRET, RetryableError, "restarts"),
        ("25006", SECRET, RetryableError, "read-only mode"),
        ("XX000", SECRET, RetryableError, "log says more"),
        ("42501", SECRET, UnauthorizedError, "lacks a right"),
        (None, f'FATAL: password authentication failed for user "{SECRET}"', UnauthorizedError, "present password"),
        (None, f'FATAL: database "{SECRET}" does not exist', UnauthorizedError, "no database of this name"),
        (None, f'FATAL: no pg_hba.conf entry for host "{SECRET}"', UnauthorizedError, "pg_hba.conf"),
        (None, f"{SECRET}: certificate verify failed", RetryableError, "certificate cannot be verified"),
        (None, f"{SECRET}: Connection refused", RetryableError, "Nothing answers"),
        (None, SECRET, RetryableError, "connection to PostgreSQL failed"),
    ],
)
def test_an_error_is_told_as_the_next_step_and_without_the_servers_words(code, words, kind, said):
    found = raised(ServerError(code, words))
    assert type(found) is kind
    assert said in str(found)
    assert not any(part in str(found) for part in SECRET.split())


@pytest.mark.parametrize("code", ["22P02", "22001", "23505", "23514", "42501", "42809", "54000", "55P03", "P0001"])
def test_what_is_wrong_with_one_table_leaves_out_that_table(code):
    found = refused(ServerError(code), TRACKS)
    assert isinstance(found, RefusedTableError)
    assert found.table == "site.tracks"
    assert code in str(found)
    assert not any(part in str(found) for part in SECRET.split())


@pytest.mark.parametrize("code", ["53100", "40P01", "57P01", "57014", None])
def test_what_is_wrong_with_the_server_stops_the_batch(code):
    assert type(refused(ServerError(code), TRACKS)) is RetryableError


@pytest.mark.parametrize("kind", ColumnType)
def test_our_own_types_are_known_again(kind):
    assert kind_of(TYPES[kind]) is kind


@pytest.mark.parametrize(
    ("declared", "kind"),
    [
        ("text", ColumnType.VARCHAR),
        ("character varying(20)", ColumnType.VARCHAR),
        ("jsonb", ColumnType.VARCHAR),
        ("smallint", ColumnType.INTEGER),
        ("numeric", ColumnType.FLOAT),
        ("timestamp without time zone", ColumnType.TIMESTAMP),
        *(
            (lossy, None)
            for lossy in ("date", "real", "numeric(10,2)", "timestamp(0) with time zone", "bytea", "text[]")
        ),
    ],
)
def test_a_type_that_would_lose_part_of_a_value_is_none_of_ours(declared, kind):
    assert kind_of(declared) is kind


def settings(**more) -> Settings:
    return Settings(**{"host": "db.example.com", "database": "events", "user": "headwater", **more})


@pytest.mark.parametrize(
    "host", ["db.example.com", "10.0.0.1", "[2001:db8::1]", "2001:db8::1", "fe80::1%eth0", "localhost"]
)
def test_one_host_is_taken(host):
    assert settings(host=host).host == host


@pytest.mark.parametrize(
    "wrong",
    [
        *({"host": host} for host in ("", "/var/run", "@x", "a,b", "a b", "host=a", "a\0", "a/b", "x" * 256)),
        *({"database": ""}, {"database": "\0"}, {"user": ""}, {"port": 0}, {"port": 65_536}),
    ],
)
def test_what_could_mean_a_socket_a_list_or_nothing_is_refused(wrong):
    with pytest.raises(ConfigError):
        settings(**wrong)


def test_secrets_do_not_show():
    assert "hunter2" not in repr(settings(password="hunter2", reader_password="hunter2"))


def test_the_certificate_stands_in_the_warehouses_own_directory(tmp_path):
    for text in ("PEM 1", "PEM 2", "PEM 2"):
        found = authority(settings(ca_certificate=text), tmp_path / "home")
        assert found == {"sslrootcert": str(tmp_path / "home" / "ca.pem")}
        assert (tmp_path / "home" / "ca.pem").read_text() == text
    assert [each.name for each in (tmp_path / "home").iterdir()] == ["ca.pem"]
    assert authority(settings(sslmode="require"), tmp_path) == {}


def test_without_the_driver_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "psycopg", None)
    with pytest.raises(ConfigError, match=r"headwater\[postgres\]"):
        postgres.Warehouse(settings(), tmp_path)
    with pytest.raises(QueryError, match=r"headwater\[postgres\]"):
        postgres.Reading(settings(), tmp_path).catalog()
    assert postgres.CARD.extra == "postgres"


def test_a_name_full_of_sql_is_only_a_name_in_what_is_computed():
    name = 'x"; drop table y; --'
    users = LATEST[0]
    for statement in (
        latest.merge("t", "f", [name]),
        *latest.recompute(users, "t", "o", [name], touched=True),
        latest.newest_of_batch(users, "r", [name]),
    ):
        assert statement.replace('"x""; drop table y; --"', "").count("drop") == 0


def test_what_is_of_one_call_only_is_not_of_the_user():
    assert latest.kept(LATEST[0], ["id", "received_at", "user_id", "plan", "_seq", "_overflow", "timestamp"]) == [
        "received_at",
        "plan",
    ]
