"""What a warehouse must hold, given what happened in a simulated account; and what is wrong with it where it does not.

Segment's tables are read as another program would read them: plain DuckDB on the views.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

SHOWN = 5
TABLES = {
    "delivered": "email_delivered",
    "open": "email_opened",
    "click": "email_link_clicked",
    "bounce": "email_bounced",
    "unsubscribe": "email_unsubscribed",
    "complaint": "email_marked_as_spam",
}


@dataclass
class Expected:
    """What happened to one person, campaign and link: the instants, and whether repeats have to be there one by one."""

    times: list[int] = field(default_factory=list)
    told: set[int] = field(default_factory=set)
    identity: tuple[str, str] = ("", "")


def expected(truth: Iterable[dict[str, Any]], *, repeats: bool, account: str) -> dict[str, dict[tuple, Expected]]:
    """Group what happened by kind and key.

    Args:
        truth: the account's occurrences.
        repeats: whether every single open and click must be there, or the first and those of which a webhook told.
        account: names the account in the id of contacts without an address.
    """
    found: dict[str, dict[tuple, Expected]] = {kind: defaultdict(Expected) for kind in TABLES}
    for each in truth:
        if not (each["reported"] or each["webhooks"]) or each["kind"] not in TABLES:
            continue
        link = each["link_id"] if each["kind"] == "click" else 0
        key = (str(each["campaign_id"]), str(each["contact_id"]), str(link))
        wanted = found[each["kind"]][key]
        instant = int(datetime.fromisoformat(each["at"].replace("Z", "+00:00")).timestamp())
        wanted.times.append(instant)
        if each["webhooks"]:
            wanted.told.add(instant)
        mail = each["email"] or f"activecampaign:{account}:{each['contact_id']}"
        wanted.identity = ("user", each["user_id"]) if each["user_id"] else ("anonymous", mail)
        wanted.repeats_matter = repeats  # type: ignore[attr-defined]
    return found


def stored(data_dir: Path, schema: str) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of every table of the source, by the kind of occurrence."""
    rows: dict[str, list[dict[str, Any]]] = {kind: [] for kind in TABLES}
    with duckdb.connect(data_dir / "warehouses" / "embedded" / "views.duckdb", read_only=True) as connection:
        there = {
            name
            for (name,) in connection.execute(
                "select table_name from information_schema.tables where table_schema = ?", [schema]
            ).fetchall()
        }
        for kind, table in TABLES.items():
            if table in there:
                cursor = connection.execute(f'select * from "{schema}"."{table}"')
                names = [column[0] for column in cursor.description]
                rows[kind] = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return rows


def key_of(kind: str, row: dict[str, Any]) -> tuple[str, str, str]:
    return (row["campaign_id"], row["contact_id"], (row.get("link_id") or "0") if kind == "click" else "0")


def instant_of(row: dict[str, Any]) -> int:
    moment = row["timestamp"]
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def differences(
    wanted: dict[str, dict[tuple, Expected]], rows: dict[str, list[dict[str, Any]]], *, repeats: bool
) -> list[str]:
    """Return what is wrong, one line for each kind of mistake with a few examples; [] when the warehouse is right."""
    wrong: list[str] = []
    for kind, by_key in wanted.items():
        have: dict[tuple, list[dict[str, Any]]] = defaultdict(list)
        for row in rows[kind]:
            have[key_of(kind, row)].append(row)
        ids = [row["id"] for row in rows[kind]]
        _note(wrong, f"{kind}: ids twice", [each for each in ids if ids.count(each) > 1] if len(ids) != len(set(ids)) else [])
        _note(wrong, f"{kind}: missing", [key for key in by_key if key not in have])
        _note(wrong, f"{kind}: never happened", [key for key in have if key not in by_key])
        judge = _times if kind in {"open", "click"} else _once
        both = [key for key in by_key if key in have]
        _note(wrong, f"{kind}: wrong number or time", [found for key in both if (found := judge(kind, key, by_key[key], have[key], repeats))])
        _note(wrong, f"{kind}: wrong person", [(key, by_key[key].identity, who(row)) for key in both for row in have[key] if who(row) != by_key[key].identity])
    return wrong


def who(row: dict[str, Any]) -> tuple[str, str]:
    return ("user", row["user_id"]) if row.get("user_id") else ("anonymous", row["anonymous_id"])


def _times(kind: str, key: tuple, wanted: Expected, rows: list[dict[str, Any]], repeats: bool) -> Any:
    exact = sorted(instant_of(row) for row in rows if not row.get("approximate_timestamp"))
    total = len(wanted.times)
    if any(instant not in wanted.times for instant in exact):
        return key, "a time at which nothing happened", exact, sorted(wanted.times)
    if min(wanted.times) not in exact:
        return key, "the first is not there", exact, sorted(wanted.times)
    if not wanted.told <= set(exact):
        return key, "a webhook's time is not there", exact, sorted(wanted.told)
    if len(rows) > total or (repeats and len(rows) != total):
        return key, "number", len(rows), total
    return None


def _once(kind: str, key: tuple, wanted: Expected, rows: list[dict[str, Any]], repeats: bool) -> Any:
    if kind == "unsubscribe":
        together = {row["unsubscribe_id"] for row in rows}
        return None if len(together) == 1 and len(rows) <= len(wanted.times) else (key, len(rows), sorted(together))
    return None if len(rows) == 1 else (key, len(rows), "rows for", len(wanted.times), "occurrences")


def _note(wrong: list[str], what: str, examples: list[Any]) -> None:
    if examples:
        wrong.append(f"{what}: {len(examples)}, such as {examples[:SHOWN]}")
