"""PostgreSQL's `users` equals what `identifies` says, whatever order calls come in and whatever is removed."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from contract.warehouse_under_test import load
from headwater.privacy.person import Person
from headwater.warehouses import postgres
from headwater.warehouses.contract import ColumnType, Expired, Table
from postgres_server import server

TEXT, TIME, INTEGER = ColumnType.VARCHAR, ColumnType.TIMESTAMP, ColumnType.INTEGER
IDENTIFIES = Table("site", "identifies")
COLUMNS = {"id": TEXT, "received_at": TIME, "user_id": TEXT, "plan": TEXT, "age": INTEGER}
START = datetime(2026, 11, 23)  # noqa: DTZ001 - a warehouse's timestamp has no zone and is UTC
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "user_id": st.sampled_from([None, "a", "b", "c"]),
            "plan": st.sampled_from([None, "gold", ""]),
            "age": st.none() | st.integers(0, 2),
        }
    ),
    min_size=1,
    max_size=5,
)


class Calls(RuleBasedStateMachine):
    """Loads, loads again and removes identify calls; remembers them in a dictionary by sequence."""

    @initialize()
    def start(self):
        self.staging = duckdb.connect()
        self.home = tempfile.TemporaryDirectory()
        server().database()
        self.warehouse = postgres.Warehouse(server().settings("warehouse"), Path(self.home.name))
        self.warehouse.open()
        self.next = 0
        self.rows: dict[int, dict] = {}
        self.ids: dict[int, str] = {}

    def teardown(self):
        self.warehouse.close()
        self.staging.close()
        self.home.cleanup()

    def store(self, first, rows, reload=""):
        given = {
            seq: {"received_at": START + timedelta(hours=seq), "id": self.ids.setdefault(seq, f"m{seq}")} | row
            for seq, row in enumerate(rows, first)
        }
        load(self.warehouse, self.staging, (first, first + len(rows)), (IDENTIFIES, COLUMNS, given), reload=reload)
        for seq, row in given.items():
            self.rows = {each: known for each, known in self.rows.items() if known["id"] != row["id"]} | {seq: row}

    @rule(rows=ROWS)
    def follow(self, rows):
        self.store(self.next, rows)
        self.next += len(rows)

    @rule(rows=ROWS, back=st.integers(0, 8))
    def load_again(self, rows, back):
        first = max(0, self.next - back)
        if rows := rows[: self.next - first]:
            self.store(first, rows, reload="r")

    @rule(rows=ROWS, back=st.integers(1, 8))
    def an_old_id_comes_again(self, rows, back):
        if self.next - back in self.rows:
            self.ids[self.next] = self.rows[self.next - back]["id"]
            self.store(self.next, rows[:1])
            self.next += 1

    @rule(back=st.integers(0, 8))
    def let_expire(self, back):
        before = START + timedelta(hours=self.next - back)
        self.warehouse.remove(Expired(before.replace(tzinfo=UTC)))
        self.rows = {seq: row for seq, row in self.rows.items() if row["received_at"] >= before}

    @rule(user=st.sampled_from("abc"))
    def forget_a_person(self, user):
        self.warehouse.remove(Person(user_ids=frozenset({user})))
        self.rows = {seq: row for seq, row in self.rows.items() if row["user_id"] != user}

    @invariant()
    def users_are_what_the_calls_say(self):
        if not self.next:
            return
        wanted: dict[str, dict] = {}
        for _, row in sorted(self.rows.items()):
            if row["user_id"] is not None:
                person = wanted.setdefault(row["user_id"], {"plan": None, "age": None, "received_at": None})
                person |= {name: row[name] for name in person if row[name] is not None}
        with server().connect("warehouse", options="-c TimeZone=UTC") as admin:
            found = admin.execute("select id, plan, age, received_at from site.users").fetchall()
            ids = admin.execute("select id from site.identifies").fetchall()
        assert {
            id_: {"plan": plan, "age": age, "received_at": at.replace(tzinfo=None)} for id_, plan, age, at in found
        } == wanted
        assert sorted(id_ for (id_,) in ids) == sorted(row["id"] for row in self.rows.values())


TestCalls = Calls.TestCase
TestCalls.settings = settings(
    max_examples=15,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.reuse, Phase.generate),  # making an example smaller takes minutes with a server
)
