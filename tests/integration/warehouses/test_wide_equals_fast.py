"""The same mixed log through our own loaders and through dlt: the same tables, columns, types and rows."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import msgspec
import pytest

import headwater.warehouses
from headwater.eventlog.contract import Topic
from headwater.eventlog.memory import MemoryLog
from headwater.loading import stretch
from headwater.loading.journal import Journal
from headwater.loading.loader import Loader, Target, make
from headwater.spec.event import Record
from postgres_server import server

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
SOURCES = {"s1": "site", "s2": "shop"}
EVENTS, BATCH = 300, 120
SHELF = Path(__file__).parents[2] / "wide_shelf"
WAREHOUSES = ("postgres", "wide_duckdb", "wide_merging", "wide_inserting", "wide_postgres")
VALUES = (
    *(None, True, False, 0, -7, 2**62, 0.5, 1e300, "", " ", "text", "Ünï日本🙂", 'it\'s \\ "quoted"', "a\nb\tc"),
    *("2026-11-23T12:34:56.789Z", "2026-11-23T12:34:56+02:00", [1, "two", None], {"deep": {"er": 1}}, "nul\0char"),
)
"""What properties hold; most of them are of one kind a name, some change their kind on the way."""


def event(number: int, chance: random.Random) -> dict:
    """Return an event of any call."""
    at = f"2026-11-{chance.randrange(1, 24):02}T12:00:{number % 60:02}.{number % 1000:03}Z"
    call = chance.choice(("track", "track", "track", "identify", "identify", "page", "screen", "group", "alias"))
    body = {f"p{n}": VALUES[n] for n in chance.sample(range(len(VALUES)), 5)}
    body |= {"mixed": (number, number / 4, f"n{number}")[number * 3 // EVENTS], "order": number, "Name 2": "x"}
    made = {"type": call, "messageId": f"m{number}", "receivedAt": at, "timestamp": at, "originalTimestamp": at}
    made |= {"context": {"ip": f"10.0.0.{number % 9}", "library": {"name": "x", "version": number % 3}}}
    who = {"userId": f"u{chance.randrange(9)}"} if chance.random() < 0.7 else {"anonymousId": f"a{number % 5}"}
    more = {
        "track": {"event": chance.choice(("Email Opened", "3doctors", "Order Completed", "日本")), "properties": body},
        "identify": {"traits": body},
        "page": {"name": "Home", "properties": body},
        "screen": {"name": "Cart", "properties": body},
        "group": {"groupId": f"g{number % 4}", "traits": body},
        "alias": {"previousId": f"a{number % 5}"},
    }[call]
    return made | who | more


@pytest.fixture(scope="module")
def log():
    chance = random.Random(20261123)
    made = MemoryLog()

    async def fill() -> None:
        for first in range(0, EVENTS, 20):
            events = [event(number, chance) for number in range(first, first + 20)]
            records = [Record(each["messageId"], msgspec.json.encode(each)) for each in events]
            await made.append(Topic.EVENTS, chance.choice(list(SOURCES)), NOW, records)

    asyncio.run(fill())
    return made


def loaded(type_: str, settings: dict, log: MemoryLog, state: Path) -> dict:
    """Load all of the log and return the columns of each table with their types."""
    state.mkdir()
    target = Target("w", type_, settings, SOURCES)
    one = Loader(target, log, state, Journal(state / "loading.sqlite"), lambda: NOW)
    while one.step() is not None:
        one.tidy()
    one.close()
    again = make(target, state)
    again.open()
    columns = {table: dict(columns) for table, columns in again.columns().items()}
    again.close()
    return columns


def tables_in_duckdb(path: Path) -> dict:
    """Return each table's columns and rows as a reader sees them."""
    with duckdb.connect(str(path)) as connection:
        return tables(connection, "table_schema in ('site', 'shop')")


def tables_in_postgres() -> dict:
    with server().connect("warehouse", options="-c TimeZone=UTC") as connection:
        return tables(connection, "table_schema in ('site', 'shop')")


def tables(connection, where: str) -> dict:
    listed = connection.execute(f"select table_schema, table_name from information_schema.tables where {where}")
    found = {}
    for schema, name in listed.fetchall():
        cursor = connection.execute(f'select * from {schema}."{name}"')
        names = [each[0] for each in cursor.description]
        kept = [number for number, each in enumerate(names) if each != "_seq"]
        rows = sorted(repr(tuple(plain(row[number]) for number in kept)) for row in cursor.fetchall())
        found[f"{schema}.{name}"] = ([names[number] for number in kept], rows)
    return found


def plain(value):
    """Return an instant of PostgreSQL as those of DuckDB are: UTC without a zone."""
    return value.replace(tzinfo=None) if isinstance(value, datetime) else value


@pytest.fixture(scope="module")
def embedded(log, tmp_path_factory):
    place = tmp_path_factory.mktemp("embedded")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stretch, "EVENTS_MAX", BATCH)
        columns = loaded("embedded", {"directory": str(place / "files")}, log, place / "state")
    return columns, tables_in_duckdb(place / "files" / "views.duckdb")


@pytest.mark.parametrize("name", WAREHOUSES)
def test_both_lanes_give_the_same_tables(name, log, embedded, tmp_path, monkeypatch):
    monkeypatch.setattr(stretch, "EVENTS_MAX", BATCH)
    monkeypatch.setattr(headwater.warehouses, "__path__", [*headwater.warehouses.__path__, str(SHELF)])
    made = server().settings(server().database()) if "postgres" in name else None
    settings = {"path": str(tmp_path / "wide.duckdb")}
    if made is not None:
        settings = {"host": made.host, "port": made.port, "database": made.database, "user": made.user}
        settings |= {"password": made.password} | ({"sslmode": "disable"} if name == "postgres" else {})
    columns = loaded(name, settings, log, tmp_path / "state")
    seen = tables_in_postgres() if made is not None else tables_in_duckdb(tmp_path / "wide.duckdb")
    expected_columns, expected = embedded
    assert columns == expected_columns
    assert {each: list(found[0]) for each, found in seen.items()} == {
        each: found[0] for each, found in expected.items()
    }
    for each, (_, rows) in expected.items():
        assert seen[each][1] == [row.replace("\\x00", "\ufffd") for row in rows], each
    assert len(expected["site.tracks"][1]) + len(expected["shop.tracks"][1]) > EVENTS // 5
