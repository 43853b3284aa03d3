"""Who has which address: what identify calls said, and which contacts the account has. Kept on disk, bounded.

Losing it costs look-ups, and events that name a person only by id until the next identify call.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from pysqlite3 import dbapi2

from headwater import sqlite
from headwater.privacy.person import Person
from headwater.spec import conventions
from headwater.spec.event import Body, Call

ROWS_MAX: Final = 1_000_000
"""ours: addresses kept, about 100 MB; the longest unused are forgotten."""
_TRIM_ROWS: Final = 10_000  # ours: forgotten at once, so that counting is rare

_TABLES: Final = (
    "create table if not exists person (key text primary key, email text not null) strict",
    "create table if not exists contact (email text primary key, id text not null) strict",
)


def ids(body: Body) -> list[str]:
    """Return the keys that a call names its person by: user id first."""
    found = (("u", conventions.user_id(body)), ("a", conventions.anonymous_id(body)))
    return [f"{kind}:{each}" for kind, each in found if each]


def own_email(body: Body) -> str:
    """Return the address that the call itself holds, "" for none; of an identify call the traits come first."""
    places = ("properties.email", "context.traits.email", "traits.email")
    ordered = reversed(places) if body.get("type") == Call.IDENTIFY else places
    return next((found for place in ordered if "@" in (found := conventions.text(body, place))), "")


class People:
    """The two tables; methods wait for the disk, so call them in a thread."""

    def __init__(self, home: Path | None) -> None:
        """Take the connection's own directory; None keeps everything in memory, for a trial."""
        self._home = home
        self._opened: Any = None

    def meet(self, bodies: Iterable[Body]) -> tuple[dict[str, str], dict[str, str]]:
        """Learn from identify calls; return the addresses of everybody the calls name, and the contacts of these.

        Returns:
            by key (see `ids`) the address; by lower-case address the contact's id.
        """
        bodies = list(bodies)
        taught = {
            key: email
            for body in bodies
            if body.get("type") == Call.IDENTIFY and (email := own_email(body))
            for key in ids(body)
        }
        keys = {key for body in bodies for key in (*ids(body), *_previous(body))}
        known = dict(self._found("person", "key", "email", keys))
        self._keep("person", {key: email for key, email in taught.items() if known.get(key) != email})
        known |= taught
        emails = {own_email(body) for body in bodies} | set(known.values())
        lowered = {email.lower() for email in emails if email}
        return known, dict(self._found("contact", "email", "id", lowered))

    def keep(self, people: Mapping[str, str], contacts: Mapping[str, str]) -> None:
        """Remember addresses by key, and contacts by address; "" for a contact that is gone."""
        self._keep("person", people)
        self._keep("contact", contacts)

    def forget(self, person: Person) -> set[str]:
        """Forget a person's rows, so that the file has nothing of them; return the addresses that stood there.

        A retry after a kill finds no address of somebody who is known by id only: the account is asked as well.
        """
        keys = [*(f"u:{each}" for each in person.user_ids), *(f"a:{each}" for each in person.anonymous_ids)]
        found = {email for _, email in self._found("person", "key", "email", keys)}
        file, lowered = self._file, {each.lower() for each in found | person.emails}
        with sqlite.transaction(file):
            file.executemany("delete from person where key = ?", [(key,) for key in keys])
            file.executemany("delete from person where lower(email) = ?", [(each,) for each in sorted(lowered)])
            file.executemany("delete from contact where email = ?", [(each,) for each in sorted(lowered)])
        file.execute("vacuum")
        file.execute("pragma wal_checkpoint(truncate)")
        return found

    def close(self) -> None:
        """Close the file."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    @property
    def _file(self) -> Any:
        if self._opened is None:
            if self._home is None:
                self._opened = dbapi2.connect(":memory:", isolation_level=None, check_same_thread=False)
            else:
                self._home.mkdir(parents=True, exist_ok=True)
                self._opened = sqlite.connect(self._home / "people.sqlite")
            for table in _TABLES:
                self._opened.execute(table)
        return self._opened

    def _found(self, table: str, key: str, value: str, keys: Iterable[str]) -> Iterator[tuple[str, str]]:
        select = f"select {value} from {table} where {key} = ?"  # noqa: S608 - names of this file
        with closing(self._file.cursor()) as cursor:
            for each in keys:
                if (row := cursor.execute(select, (each,)).fetchone()) is not None:
                    yield each, str(row[0])

    def _keep(self, table: str, rows: Mapping[str, str]) -> None:
        if not rows:
            return
        file = self._file
        with sqlite.transaction(file):
            file.executemany(f"insert or replace into {table} values (?, ?)", rows.items())  # noqa: S608 - as above
            oldest, newest = file.execute(f"select min(rowid), max(rowid) from {table}").fetchone()  # noqa: S608
            if newest - oldest > ROWS_MAX + _TRIM_ROWS:
                file.execute(f"delete from {table} where rowid <= ?", (newest - ROWS_MAX,))  # noqa: S608


def _previous(body: Body) -> list[str]:
    """Return the keys that an alias call may name its former person by."""
    former = conventions.text(body, "previousId") if body.get("type") == Call.ALIAS else ""
    return [f"u:{former}", f"a:{former}"] if former else []
