"""What a warehouse must hold, given what happened in a simulated account; and what is wrong with it where it does not.

Segment's tables are read as another program would read them: plain DuckDB on the views.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
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
    """What happened to one person, campaign and link: when, of what a webhook told, and who it may have been."""

    times: list[int] = field(default_factory=list)
    told: set[int] = field(default_factory=set)
    persons: set[tuple[str, str]] = field(default_factory=set)


def expected(truth: Iterable[dict[str, Any]], *, account: str) -> dict[str, dict[tuple, Expected]]:
    """Group what happened by kind and key; what neither a webhook nor a report tells cannot be expected.

    Args:
        truth: the account's occurrences.
        account: names the account in the id of contacts without an address.
    """
    persons: dict[int, set[tuple[str, str]]] = defaultdict(set)
    found: dict[str, dict[tuple, Expected]] = {kind: defaultdict(Expected) for kind in TABLES}
    for each in truth:
        if not (each["reported"] or each["webhooks"]) or each["kind"] not in TABLES:
            continue
        if each["deleted"] and not each["campaign_id"] and not each["webhooks"]:
            continue  # stood on the contact alone, and went with it
        link = each["link_id"] if each["kind"] == "click" else 0
        key = (str(each["campaign_id"]), str(each["contact_id"]), str(link))
        wanted = found[each["kind"]][key]
        instant = int(datetime.fromisoformat(each["at"]).timestamp())
        wanted.times.append(instant)
        if each["webhooks"]:
            wanted.told.add(instant)
        mail = each["email"] or f"activecampaign:{account}:{each['contact_id']}"
        # whose address changes is found under the one of that day or, read later, under the new one
        wanted.persons = persons[each["contact_id"]]
        wanted.persons.add(("user", each["user_id"]) if each["user_id"] else ("anonymous", mail))
        if each["email_now"] and not each["user_id"]:
            wanted.persons.add(("anonymous", each["email_now"]))
        if each["deleted"]:  # and then the account does not say any more who it was
            wanted.persons.add(("anonymous", mail))
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
    return (row.get("campaign_id") or "0", row["contact_id"], (row.get("link_id") or "0") if kind == "click" else "0")


def instant_of(row: dict[str, Any]) -> int:
    moment = row["timestamp"]
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def differences(
    wanted: dict[str, dict[tuple, Expected]], rows: dict[str, list[dict[str, Any]]], *, repeats: bool
) -> list[str]:
    """Return what is wrong, one line for each kind of mistake with a few examples; [] when the warehouse is right.

    Args:
        wanted: what happened.
        rows: what is stored.
        repeats: whether every open and click must be there, or the first and those of which a webhook told.
    """
    return [line for kind, by_key in wanted.items() for line in _differences(kind, by_key, rows[kind], repeats=repeats)]


def _differences(
    kind: str, by_key: dict[tuple, Expected], rows: list[dict[str, Any]], *, repeats: bool
) -> Iterator[str]:
    have: dict[tuple, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        have[key_of(kind, row)].append(row)
    both = [(key, by_key[key], have[key]) for key in by_key if key in have]
    findings = {
        "ids twice": [each for each, count in Counter(row["id"] for row in rows).items() if count > 1],
        "missing": [key for key in by_key if key not in have],
        "never happened": [key for key in have if key not in by_key],
        "wrong number or time": [
            (key, said) for key, each, found in both if (said := _number(kind, each, found, repeats=repeats))
        ],
        "wrong person": [
            (key, each.persons, who(row))
            for key, each, found in both
            for row in found
            if who(row) not in each.persons and not in_a_hurry(row)
        ],
    }
    for what, examples in findings.items():
        if examples:
            yield f"{kind} {what}: {len(examples)} of {len(by_key)}, such as {examples[:SHOWN]}"


def who(row: dict[str, Any]) -> tuple[str, str]:
    return ("user", row["user_id"]) if row.get("user_id") else ("anonymous", row["anonymous_id"])


def in_a_hurry(row: dict[str, Any]) -> bool:
    """Say whether the row itself tells that the account had not answered in time who it was."""
    return row.get("context_integration_identity") == "fallback"


def _number(kind: str, wanted: Expected, rows: list[dict[str, Any]], *, repeats: bool) -> str:
    if kind == "unsubscribe":
        together = {row["unsubscribe_id"] for row in rows}
        return "" if len(together) == 1 and len(rows) <= len(wanted.times) else f"{len(rows)} rows, ids {together}"
    if kind not in {"open", "click"}:
        return "" if len(rows) == 1 else f"{len(rows)} rows for {len(wanted.times)} occurrences"
    return _times(wanted, rows, repeats=repeats)


def _times(wanted: Expected, rows: list[dict[str, Any]], *, repeats: bool) -> str:
    exact = {instant_of(row) for row in rows if not row.get("approximate_timestamp")}
    total, least = len(wanted.times), len(set(wanted.times))  # of two in one second, one may be all that is told
    happened = sorted(wanted.times)
    if not exact <= set(happened):
        return f"a time at which nothing happened: {sorted(exact)}, it was {happened}"
    if happened[0] not in exact:
        return f"the first is not there: {sorted(exact)}, it was {happened}"
    if not wanted.told <= exact:
        return f"a webhook's time is not there: {sorted(exact)}, told were {sorted(wanted.told)}"
    if len(rows) > total or (repeats and len(rows) < least):
        return f"{len(rows)} rows, it happened {least} to {total} times"
    return ""
