from __future__ import annotations

from pathlib import Path

from harness import Case, Seen, survives

from postgres_server import LOADER, PASSWORD, server

STEPS = (
    "psycopg:Connection.execute",
    "psycopg:Copy.write",
    "psycopg.transaction:Transaction.__enter__",
    "psycopg.transaction:Transaction.__exit__",
)


def ids(_state: Path) -> Seen:
    """Return the ids of each table as a reader sees them now."""
    with server().connect("warehouse") as connection:
        tables = connection.execute(
            "select schemaname, tablename from pg_tables where schemaname in ('site', 'shop')"
        ).fetchall()
        return {
            f"{schema}.{name}": [
                id_ for (id_,) in connection.execute(f'select id from {schema}."{name}" order by id collate "C"')
            ]
            for schema, name in tables
        }


def people() -> list[tuple]:
    """Return the rows where `users` is not what `identifies` says, in either schema."""
    found = []
    with server().connect("warehouse") as connection:
        for schema in ("site", "shop"):
            found += connection.execute(
                f"""with wanted as (
                    select user_id, (array_agg(plan order by _seq desc) filter (where plan is not null))[1] as plan
                    from {schema}.identifies where user_id is not null group by 1
                )
                select * from wanted full join (select id, plan from {schema}.users) u on u.id = wanted.user_id
                where (wanted.user_id, wanted.plan) is distinct from (u.id, u.plan)"""
            ).fetchall()
    return found


def test_a_killed_loader_loses_and_doubles_nothing(tmp_path):
    settings = {"host": "127.0.0.1", "port": server().port, "database": "warehouse", "user": LOADER}
    settings |= {"password": PASSWORD, "sslmode": "disable"}
    seen = []

    def look(state: Path) -> Seen:
        found = ids(state)
        seen.append(found)
        return found

    def discard(_state: Path) -> None:
        assert people() == []

    survives(
        Case("postgres", settings, look, steps=STEPS, prepare=lambda _: server().database(), discard=discard), tmp_path
    )
    assert len(seen) > 80
