"""PostgreSQL table: one row for each event, with the whole event as `jsonb`, in a table of the user's own database.

A warehouse makes a table for each event and a column for each property; this keeps everything in one table, seconds
after it happened, for programs that read events and for teams that shape their data themselves.

Source: PostgreSQL documentation (INSERT, ON CONFLICT; JSON types; Appendix A, error codes; libpq, parameters).
"""

from __future__ import annotations

import asyncio
import os
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Final, Literal

import msgspec

from headwater.batching import divided, requests
from headwater.destinations.contract import (
    Card,
    Delivered,
    Discarded,
    Outcome,
    Retry,
    Room,
    Rule,
    Unauthorized,
    setting,
)
from headwater.errors import ConfigError, DeliveryError, RetryableError, UnauthorizedError
from headwater.limits import CONNECT_DEADLINE_S, IDENTIFIER_BYTES_MAX, MIB
from headwater.privacy.person import Person
from headwater.spec.event import Event

_NO_FILE: Final = f"{os.devnull}/none"  # cannot be there; libpq warns on stderr of one that is no plain file
_COLUMNS: Final = (
    ("source_id", "text", "", "the source in Headwater"),
    ("message_id", "text", "messageId", "primary key together with `source_id`"),
    ("type", "text", "type", ""),
    ("event", "text", "event", "track calls only"),
    ("user_id", "text", "userId", ""),
    ("anonymous_id", "text", "anonymousId", ""),
    ("received_at", "timestamptz", "receivedAt", "when Headwater stored it"),
    ("timestamp", "timestamptz", "timestamp", "when it happened"),
    ("body", "jsonb", "the whole event", "NUL characters, which PostgreSQL cannot store, become U+FFFD"),
)
_KEY: Final = ("source_id", "message_id")
# An address in a text of JSON that is no part of a longer one; before it may stand an escaped line break or tab.
_ADDRESS: Final = r"((?<![a-z0-9._%+-])|(?<=\\[nrtbf])){}(?![a-z0-9-]|[.][a-z0-9])"

CARD = Card(
    name="PostgreSQL",
    description="Inserts each event as a row into one table of a PostgreSQL database, complete as JSON.",
    categories=("Databases",),
    concurrency=1,
    needs="postgres",
    api="https://www.postgresql.org/docs/current/datatype-json.html",
    mapping=tuple(
        Rule("all calls", source, f"column `{name}` ({kind})", note) for name, kind, source, note in _COLUMNS
    ),
    notes=(
        (
            "The table is made when it is missing, the schema too; for that the user needs CREATE. Otherwise INSERT "
            "and SELECT on the table are enough, and DELETE where people are deleted."
        ),
        "A table that exists must have these columns and a unique index on (source_id, message_id); it may have more.",
        "A repeat finds its row by source_id and message_id and changes nothing: each event is there once.",
        (
            "Rows go in by one statement for up to 500 events. One that PostgreSQL refuses for its content becomes a "
            "dead letter, the others are stored."
        ),
        (
            "`verify-full` checks the server's certificate and name; `require` encrypts and checks neither, so use it "
            "only where nobody else can answer at that address; `disable` does not encrypt."
        ),
        "To read quickly by a property, index it: `CREATE INDEX ON events ((body->'properties'->>'plan'))`.",
    ),
)

_BATCH_BYTES_MAX: Final = 8 * MIB  # ours: one statement
_STATEMENT_S: Final = 15  # ours: the server gives up a statement then
_PORT_MAX: Final = 65_535
_REFUSED: Final = ("28", "3D", "42501", "3F")  # authorization, no such database, no privilege, no such schema
_MISSHAPEN: Final = ("42P01", "42703", "42P10", "42804")  # no such table, column, unique index; another type
# data exception, constraint of the table's owner, a limit such as that of an index of the owner's on a property
_SPOILS: Final = ("22", "23", "54")
_REFUSED_WORDS: Final = ("authentication failed", "pg_hba.conf", "does not exist", "no password", "not permitted")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user fills in."""

    host: str = field(metadata=setting("Host", "Name or address of the server."))
    database: str = field(metadata=setting("Database", "Its name."))
    user: str = field(metadata=setting("User", "Who may insert there."))
    password: str = field(
        default="", repr=False, metadata=setting("Password", "Of this user.", secret=True, required=False)
    )
    port: int = field(default=5432, metadata=setting("Port", "Usually 5432.", required=False))
    table_schema: str = field(default="public", metadata=setting("Schema", "Where the table is.", required=False))
    table: str = field(default="events", metadata=setting("Table", "Made when it is missing.", required=False))
    sslmode: Literal["verify-full", "require", "disable"] = field(
        default="verify-full",
        metadata=setting("TLS", "verify-full, require (checks no certificate) or disable.", required=False),
    )
    ca_certificate: str = field(
        default="",
        metadata=setting("CA certificate", "PEM; where the server's is not from a public authority.", required=False),
    )


class Destination:
    """Inserts batches over one connection, which is kept."""

    batch_max: ClassVar[int] = 500

    def __init__(self, settings: Settings, room: Room) -> None:
        _check(settings)
        self._settings, self._room = settings, room
        self._psycopg = _driver()
        self._one_at_a_time = asyncio.Lock()
        self._connection: Any = None
        self._has_table = False
        room.closing.push_async_callback(self._close)

    async def check(self) -> None:
        """Connect, and ask whether rows may be inserted; makes no table.

        Raises:
            UnauthorizedError, RetryableError, DeliveryError: why it does not work.
        """
        psycopg = self._psycopg
        async with self._one_at_a_time:
            try:
                connection = await self._connected()
                found = await connection.execute(
                    "select has_table_privilege(to_regclass(%s), 'insert')", [self._qualified]
                )
                row = await found.fetchone()
            except psycopg.Error as error:
                await self._close()
                raise _raised(error) from error
        if row is not None and row[0] is False:
            raise UnauthorizedError("The user may not insert into the table: GRANT INSERT, SELECT on it.")

    async def send(self, events: Sequence[Event]) -> list[Outcome]:
        """Insert the events that are not there yet."""
        outcomes: list[Outcome] = []
        sizes = [len(event.line) for event in events]
        for places in requests(sizes, count_max=self.batch_max, bytes_max=_BATCH_BYTES_MAX):
            outcomes += await divided([events[place] for place in places], self._insert, _is_spoilt)
        return outcomes

    async def erase(self, person: Person) -> None:
        """Delete the rows of this source by id, and by an address anywhere in the event."""
        psycopg = self._psycopg
        emails = [_ADDRESS.format(re.escape(each)) for each in sorted(person.emails)]
        users, anonymous = sorted(person.user_ids), sorted(person.anonymous_ids)
        whom = [users, anonymous, users + anonymous, emails]
        statement = psycopg.sql.SQL(
            "delete from {} where source_id = %s and (user_id = any(%s) or anonymous_id = any(%s)"
            " or body->>'previousId' = any(%s) or replace(lower(body::text), '%%40', '@') ~ any(%s))"
        ).format(self._table)
        async with self._one_at_a_time:
            try:
                connection = await self._connected()
                if not self._has_table:
                    await self._make_table(connection)
                await connection.execute(statement, [self._room.source_id, *whom])
            except psycopg.Error as error:
                await self._close()
                raise _raised(error) from error

    async def _insert(self, events: Sequence[Event]) -> list[Outcome]:
        psycopg = self._psycopg
        rows = [row(event) for event in events]
        columns: list[list[Any]] = [[one[name] for one in rows] for name, *_ in _COLUMNS]
        async with self._one_at_a_time:
            try:
                connection = await self._connected()
                if not self._has_table:
                    await self._make_table(connection)
                await connection.execute(self._statement(), columns)
            except psycopg.Error as error:
                if not _sqlstate(error).startswith(_SPOILS):
                    await self._close()
                return [meaning(error)] * len(events)
            except RetryableError as error:  # of `reach`; another part of the batch may be in already
                return [Retry(str(error), after_s=error.after_s)] * len(events)
            except UnauthorizedError as error:
                return [Unauthorized(str(error))] * len(events)
        return [Delivered()] * len(events)

    def _statement(self) -> Any:
        sql = self._psycopg.sql
        kinds = [kind for _, kind, *_ in _COLUMNS]
        return sql.SQL("insert into {} ({}) select {} from unnest({}) as t({}) on conflict ({}) do nothing").format(
            self._table,
            sql.SQL(", ").join(sql.Identifier(name) for name, *_ in _COLUMNS),
            sql.SQL(", ").join(sql.SQL(f"c{place}::{kind}") for place, kind in enumerate(kinds)),
            sql.SQL(", ").join(sql.SQL("%s::text[]") for _ in kinds),
            sql.SQL(", ").join(sql.SQL(f"c{place}") for place in range(len(kinds))),
            sql.SQL(", ").join(map(sql.Identifier, _KEY)),
        )

    async def _make_table(self, connection: Any) -> None:
        sql = self._psycopg.sql
        found = await (await connection.execute("select to_regclass(%s) is not null", [self._qualified])).fetchone()
        if not found[0]:
            named = [self._settings.table_schema]
            known = await connection.execute("select 1 from pg_namespace where nspname = %s", named)
            if await known.fetchone() is None:
                await connection.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(*named)))
            columns = sql.SQL(", ").join(
                sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind + " not null" * (name in _KEY)))
                for name, kind, *_ in _COLUMNS
            )
            key = sql.SQL(", ").join(map(sql.Identifier, _KEY))
            await connection.execute(
                sql.SQL("create table if not exists {} ({}, primary key ({}))").format(self._table, columns, key)
            )
        self._has_table = True

    @property
    def _table(self) -> Any:
        return self._psycopg.sql.Identifier(self._settings.table_schema, self._settings.table)

    @property
    def _qualified(self) -> str:
        return ".".join(
            '"' + name.replace('"', '""') + '"' for name in (self._settings.table_schema, self._settings.table)
        )

    async def _connected(self) -> Any:
        if self._connection is None or self._connection.closed:
            settings = self._settings
            addresses = await self._room.reach(settings.host, settings.port)
            host = settings.host.removeprefix("[").removesuffix("]")
            self._connection = await self._psycopg.AsyncConnection.connect(
                host=",".join([host] * len(addresses)),
                hostaddr=",".join(addresses),  # what was judged is dialled; the name is for the certificate
                port=settings.port,
                dbname=settings.database,
                user=settings.user,
                password=settings.password,
                passfile=_NO_FILE,  # the operator's own credentials are not this user's
                sslmode=settings.sslmode,
                gssencmode="disable",
                connect_timeout=int(CONNECT_DEADLINE_S),
                application_name="headwater",
                options=f"-c statement_timeout={_STATEMENT_S}s",
                autocommit=True,
                **self._authority(),
            )
        return self._connection

    def _authority(self) -> dict[str, str]:
        if self._settings.sslmode != "verify-full":
            return {}
        if not self._settings.ca_certificate:
            return {"sslrootcert": ssl.get_default_verify_paths().cafile or "system"}
        self._room.home.mkdir(parents=True, exist_ok=True)
        path = self._room.home / "ca.pem"
        path.write_text(self._settings.ca_certificate)
        return {"sslrootcert": str(path)}

    async def _close(self) -> None:
        connection, self._connection, self._has_table = self._connection, None, False
        if connection is not None:
            await connection.close()


def row(event: Event) -> dict[str, str | None]:
    """Return the columns of an event as PostgreSQL reads them from text."""
    body = without_nul(event.body) if "\\u0000" in (text := msgspec.json.encode(event.body).decode()) else event.body
    found = {name: _text(body, path) for name, kind, path, _ in _COLUMNS if kind == "text"}
    times = {name: _time(body, path) for name, kind, path, _ in _COLUMNS if kind == "timestamptz"}
    text = text if body is event.body else msgspec.json.encode(body).decode()
    return {**found, **times, "source_id": event.source_id, "message_id": found["message_id"] or "", "body": text}


def without_nul(value: Any) -> Any:
    """Return JSON in which U+FFFD stands for each NUL, which PostgreSQL's text cannot hold."""
    match value:
        case str():
            return value.replace("\0", "\ufffd")
        case list():
            return [without_nul(each) for each in value]
        case dict():
            return {without_nul(name): without_nul(each) for name, each in value.items()}
        case _:
            return value


def _text(body: Mapping[str, Any], name: str) -> str | None:
    found = body.get(name)
    return None if found is None or isinstance(found, dict | list | bool) else str(found)


def _time(body: Mapping[str, Any], name: str) -> str | None:
    try:
        return datetime.fromisoformat(str(body[name])).isoformat()
    except (KeyError, ValueError):
        return None


def _driver() -> Any:
    try:
        import psycopg  # noqa: PLC0415 - an optional driver
        import psycopg.sql  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError("This destination needs a driver: pip install 'headwater[postgres]'.") from error
    return psycopg


def _check(settings: Settings) -> None:
    named = {
        "host": settings.host,
        "database": settings.database,
        "user": settings.user,
        "schema": settings.table_schema,
        "table": settings.table,
    }
    for label, text in named.items():
        if not text or "\0" in text:
            raise ConfigError(f"The {label} must not be empty.")
    if any(len(text.encode()) > IDENTIFIER_BYTES_MAX for text in (settings.table_schema, settings.table)):
        raise ConfigError(f"The names of schema and table have at most {IDENTIFIER_BYTES_MAX} bytes.")
    if not 1 <= settings.port <= _PORT_MAX:
        raise ConfigError(f"The port is a number from 1 to {_PORT_MAX}, usually 5432.")


def _sqlstate(error: Exception) -> str:
    return str(getattr(error, "sqlstate", None) or "")


def _is_refused(error: Exception) -> bool:
    # A refusal to connect comes without a code in libpq, only with the server's words.
    code, words = _sqlstate(error), str(error)
    return code.startswith(_REFUSED) or (not code and any(each in words for each in _REFUSED_WORDS))


def meaning(error: Exception) -> Outcome:
    """Return what an error means; its own words may hold addresses and values, so they stay out."""
    code = _sqlstate(error)
    if _is_refused(error):
        return Unauthorized(f"PostgreSQL refuses the user, the database or a privilege{_coded(code)}.")
    if code.startswith(_SPOILS):
        return Discarded(f"PostgreSQL refuses what the event holds{_coded(code)}.")
    if code in _MISSHAPEN:
        return Retry(f"The table does not have the documented columns and unique index{_coded(code)}.")
    return Retry(f"PostgreSQL does not take rows now{_coded(code)}.")


def _coded(code: str) -> str:
    return f" (SQLSTATE {code})" if code else ""


def _raised(error: Exception) -> DeliveryError:
    match meaning(error):
        case Unauthorized(reason):
            return UnauthorizedError(f"{reason} Compare user, password and database.")
        case Retry(reason):
            return RetryableError(f"{reason} Compare host, port and TLS, or try again later.")
        case _:
            return DeliveryError("PostgreSQL refuses the question whether rows may be inserted.")


def _is_spoilt(outcomes: Sequence[Outcome]) -> bool:
    return all(isinstance(each, Discarded) for each in outcomes)
