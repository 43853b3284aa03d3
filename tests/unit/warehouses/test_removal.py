from __future__ import annotations

from datetime import UTC, datetime

import duckdb
import pytest

from headwater.privacy.person import Person
from headwater.warehouses._lanes.removal import condition
from headwater.warehouses.contract import ColumnType, Expired

COLUMNS = {"text": ColumnType.VARCHAR, "n": ColumnType.INTEGER}


def goes(email: str, text: str | None) -> bool:
    found = condition(Person(emails=frozenset({email})), COLUMNS)
    with duckdb.connect() as connection:
        (row,) = connection.execute(
            f"select coalesce({found}, false) from (select ?::varchar as text)", [text]
        ).fetchall()
    return row[0]


@pytest.mark.parametrize(
    "text",
    [
        "ann@x.org",
        "ANN@X.org",
        "mailto:ann@x.org",
        "Ann <ann@x.org>",
        '{"email":"ann@x.org"}',
        "first\nann@x.org\r\nlast",
        "https://x.test/?to=ann%40x.org&n=1",
        "https://x.test/?q=to%3Dann%40x.org",
        r'{"text":"line\nann@x.org"}',
        r'{"text":"\u003cann@x.org\u003e"}',
        "write to ann@x.org.",
        "joann@x.org and ann@x.org",
    ],
)
def test_an_address_is_found_wherever_it_stands(text):
    assert goes("Ann@x.org", text)


@pytest.mark.parametrize(
    "text",
    [
        "joann@x.org",
        "j.ann@x.org",
        "j+ann@x.org",
        "ann@x.org.uk",
        "ann@x.orgs",
        "ann@x.org-x.uk",
        "ann@xxorg",
        "",
        None,
    ],
)
def test_an_address_that_contains_another_is_somebody_else(text):
    assert not goes("ann@x.org", text)


def test_a_plus_is_found_as_urls_write_it():
    assert goes("ann+news@x.org", "https://x.test/?to=ann%2Bnews%40x.org")
    assert goes("ann+news@x.org", "ann+news@x.org")
    assert not goes("ann+news@x.org", "ann.news@x.org")


@pytest.mark.parametrize("email", ["a_b%c@x.org", "o'neil@x.org", r"a\b@x.org", "a.*@x.org"])
def test_an_address_is_taken_as_it_is(email):
    assert goes(email, f"to {email}")
    assert not goes(email, "aabbbcc@x.org")


def test_a_table_without_the_columns_is_left_alone():
    columns = {"n": ColumnType.INTEGER}
    assert condition(Person(frozenset({"u"}), frozenset({"a"}), frozenset({"e@x.org"})), columns) is None
    assert condition(Expired(datetime(2026, 1, 1, tzinfo=UTC)), columns) is None
