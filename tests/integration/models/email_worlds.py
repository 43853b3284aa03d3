"""Small worlds of emails and shops, as rows of a warehouse's tables: many at once, their ids keep them apart."""

from datetime import datetime, timedelta
from random import Random
from typing import Any

from headwater.warehouses.contract import Columns, ColumnType, Table

TEXT, TIME, FLAG = ColumnType.VARCHAR, ColumnType.TIMESTAMP, ColumnType.BOOLEAN
WHOLE, NUMBER = ColumnType.INTEGER, ColumnType.FLOAT
EMAIL = ("mail", "mail_two")
PRODUCT = ("app", "shop")
START = datetime(2026, 3, 1)  # noqa: DTZ001 - warehouses hold UTC without a zone
DAY = timedelta(days=1)

_CALL = {
    "id": TEXT,
    "received_at": TIME,
    "timestamp": TIME,
    "user_id": TEXT,
    "anonymous_id": TEXT,
    "context_traits_email": TEXT,
}
_MAIL = _CALL | {
    "campaign_id": TEXT,
    "campaign_name": TEXT,
    "email_id": TEXT,
    "contact_id": TEXT,
    "list_ids": TEXT,
    "approximate_timestamp": FLAG,
}
_ENGAGED = _MAIL | {"is_machine_open": FLAG, "machine_reason": TEXT, "occurrences": WHOLE}
_KINDS = {
    "email_delivered": _MAIL | {"derived": FLAG},
    "email_opened": _ENGAGED,
    "email_link_clicked": _ENGAGED | {"link_url": TEXT},
    "email_unsubscribed": _MAIL | {"unsubscribe_id": TEXT},
    "email_bounced": _MAIL | {"bounce_type": TEXT},
    "email_marked_as_spam": _MAIL,
}

TABLES: dict[Table, Columns] = {
    **{Table(schema, name): columns for schema in EMAIL for name, columns in _KINDS.items()},
    **{
        Table(schema, name): columns
        for schema in PRODUCT
        for name, columns in {
            "tracks": _CALL | {"event": TEXT},
            "identifies": _CALL | {"email": TEXT},
            "pages": _CALL,
            "aliases": _CALL | {"previous_id": TEXT},
        }.items()
    },
    Table("shop", "users"): {"id": TEXT, "received_at": TIME, "email": TEXT},
    Table("shop", "order_completed"): _CALL | {"revenue": NUMBER, "total": NUMBER},
    Table("app", "order_completed"): _CALL | {"total": TEXT},
    Table("app", "trial_started"): _CALL,
}
"""`app` sent its totals as text, and knows no revenue; `users` is what a server's warehouse has, and is empty here."""

Rows = dict[Table, list[dict[str, Any]]]


def worlds(seed: int, number: int) -> Rows:
    """Return the rows of many worlds together; all of them depend on the seed alone."""
    chance = Random(seed)
    rows: Rows = {table: [] for table in TABLES}
    for world in range(number):
        _World(chance, f"{world}.", rows).happen()
    return rows


class _World:
    """Three people at most, their addresses, browsers and campaigns, and what they do in any order."""

    def __init__(self, chance: Random, prefix: str, rows: Rows) -> None:
        self._chance, self._prefix, self._rows = chance, prefix, rows

    def happen(self) -> None:
        for _ in range(self._chance.randrange(1, 10)):
            self._email()
        for _ in range(self._chance.randrange(9)):
            self._product()

    def _email(self) -> None:
        chance, schema = self._chance, self._chance.choice(EMAIL)
        kind = chance.choice((*_KINDS, "email_opened", "email_link_clicked", "email_link_clicked"))
        contact = chance.randrange(3)
        address = self._address(contact if chance.random() < 0.8 else chance.randrange(3))
        user = chance.choice((None, None, f"{self._prefix}u{contact}", "null"))
        row = {
            "user_id": user,
            "anonymous_id": address if not user else None,
            "context_traits_email": address,
            "campaign_id": chance.choice((None, *2 * (f"{self._prefix}c0", f"{self._prefix}c1"))),
            "campaign_name": chance.choice((None, f"{self._prefix}Spring", f"{self._prefix}Summer")),
            "email_id": f"{self._prefix}m{chance.randrange(2)}",
            "contact_id": chance.choice((None, "0", *3 * (f"{self._prefix}{contact}",))),
            "list_ids": chance.choice((None, '["1"]', '["1","3"]', "[3, 4]", "[]")),
            "approximate_timestamp": chance.choice((None, True)),
            "derived": True,
            "is_machine_open": chance.choice((None, False, False, True)),
            "machine_reason": chance.choice((None, "security_scanner")),
            "occurrences": chance.choice((None, 1, 3)),
            "link_url": "https://example.org/",
            "unsubscribe_id": chance.choice((None, f"{self._prefix}x")),
            "bounce_type": chance.choice(("hard", "soft", None)),
        }
        self._add(Table(schema, kind), row)

    def _product(self) -> None:
        chance, schema = self._chance, self._chance.choice(PRODUCT)
        who = chance.randrange(3)
        row = {
            "user_id": chance.choice((None, f"{self._prefix}u{who}", f" {self._prefix}u{who}", "", "anonymous")),
            "anonymous_id": chance.choice((f"{self._prefix}b{who}", f"{self._prefix}b0", self._address(who), None)),
            "context_traits_email": chance.choice((None, None, None, self._address(who))),
            "email": chance.choice((None, self._address(who))),
            "previous_id": chance.choice((f"{self._prefix}b{who}", f"{self._prefix}u0", self._address(who), None)),
            "revenue": chance.choice((None, 12.5, 0.1, -3.0)),
            "total": chance.choice((99.75, None, 0.2)),
        }
        if schema == "app":
            row["total"] = chance.choice(("12.50", "n/a", "", " 7 ", "1e2", "1e99", "-0.25", "1,299.00", None))
        name = chance.choice(
            ("order_completed", "order_completed", "trial_started", "identifies", "pages", "aliases", "product_viewed")
        )
        if name in {"identifies", "pages", "aliases"}:
            self._add(Table(schema, name), row)
            return
        made = self._add(Table(schema, "tracks"), row | {"event": name})
        if Table(schema, name) in TABLES:
            self._rows[Table(schema, name)].append({column: made.get(column) for column in TABLES[Table(schema, name)]})

    def _address(self, who: int) -> str:
        return self._chance.choice((f"{self._prefix}p{who}@example.org", f"{self._prefix}P{who}@Example.org"))

    def _add(self, table: Table, row: dict[str, Any]) -> dict[str, Any]:
        """Add a row; times meet on few instants, and no two rows arrive at the same one."""
        number = sum(map(len, self._rows.values()))
        happened = START + self._chance.randrange(10) * DAY + self._chance.choice((0, 0, 1)) * timedelta(seconds=1)
        arrived = (
            START + 30 * DAY + self._chance.randrange(1000) * timedelta(seconds=1) + timedelta(microseconds=number)
        )
        made = row | {"id": f"e{number}", "timestamp": happened, "received_at": arrived}
        self._rows[table].append({column: made.get(column) for column in TABLES[table]})
        return made
