"""`headwater doctor`: look at everything a start needs and everything a promise rests on; say what to do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pysqlite3 import dbapi2
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from headwater import config, sqlite
from headwater.app.rpc import Caller, internal_token
from headwater.clock import now
from headwater.config import Settings
from headwater.control.database import destinations, open_engine, warehouses
from headwater.control.keyring import ring_of
from headwater.control.service import Control
from headwater.delivery.conservation import Comparison, accounts, compare
from headwater.delivery.ledger import FILE, Ledger
from headwater.errors import ConfigError, HeadwaterError
from headwater.eventlog.contract import Topic
from headwater.eventlog.reader import SegmentReader
from headwater.eventlog.verify import verify
from headwater.limits import MIB
from headwater.loading import conservation as loading

_BUILT: Final = datetime(2026, 11, 1, tzinfo=UTC)  # no honest clock is before this program
_AHEAD_MAX: Final = timedelta(minutes=5)
_ANSWER_S: Final = 5
_HARMLESS: Final = frozenset({"backlog", "overtaken"})
"""Concerns of a destination about which nothing is to be done."""
_ADVISED: Final = frozenset({"public_url", "account_unreachable", "campaigns_unreadable", "webhook_silent"})
"""Warnings of an account that somebody has to see to; the others tell what is so."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: `advice` is empty when it is well."""

    name: str
    found: str
    advice: str = ""

    @property
    def is_well(self) -> bool:
        """Whether nothing has to be done."""
        return not self.advice


def examine(flags: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield one finding after the other, quick ones first; never raises for what it finds."""
    try:
        settings = config.read(flags)
        yield Finding("settings", f"read, data in {settings.data_dir}")
    except ConfigError as error:
        yield Finding("settings", "wrong", str(error))
        return
    for name, check in _CHECKS.items():
        try:
            yield from check(settings)
        except (OSError, HeadwaterError) as error:
            yield Finding(name, "could not be checked", f"{type(error).__name__}: {error}")


def _directory(settings: Settings) -> Iterator[Finding]:
    if not settings.data_dir.exists():
        yield Finding("data directory", "not there yet", "Start `headwater serve` once, or name another --data-dir.")
        return
    writable = os.access(settings.data_dir, os.W_OK)
    yield Finding(
        "data directory", "writable" if writable else "read-only", "" if writable else "Give it back to its owner."
    )
    key = config.key_path(settings)
    if key is not None and key.exists():
        is_private = not key.stat().st_mode & 0o077
        where = "beside the data that it protects" if key.is_relative_to(settings.data_dir) else "apart from the data"
        yield Finding(
            "secret key",
            f"private, {where}" if is_private else "readable by others",
            "" if is_private else f"chmod 600 {key}",
        )


def _control(settings: Settings) -> Iterator[Finding]:
    """Open each stored secret and walk the audit trail's chain; nothing is written, no key is made."""
    key = config.key_path(settings)
    engine = open_engine(settings.control_url)
    try:
        if not Path(engine.url.database or "").exists() or (key is not None and not key.exists()):
            yield Finding("stored secrets", "none yet")
            return
        control = Control(engine, ring_of(settings))
        found = control.rotation.survey()
        lost = len(found.unknown) + len(found.altered)
        advice = "Restore the key that belongs to this database; `headwater secrets status` names them." if lost else ""
        told = f"{found.counts.total():,} sealed, {lost} of them cannot be opened" if lost else "all open"
        yield Finding("stored secrets", told, advice)
        if len(found.key_ids) > 1:
            yield Finding("key rotation", "not finished", "Run `headwater secrets rotate`.")
        chain = control.audit.verify()
        whole = f"{chain.entries:,} entries, the chain holds"
        advice = "" if chain.broken_at is None else f"Entry {chain.broken_at}: {chain.reason}. Compare with a backup."
        yield Finding("audit trail", "broken" if advice else whole, advice)
    except SQLAlchemyError:
        advice = "Start `headwater serve` once: it brings the database up to date."
        yield Finding("stored secrets", "not readable yet", advice)
    finally:
        engine.dispose()


def _disk(settings: Settings) -> Iterator[Finding]:
    place = next(path for path in (settings.data_dir, *settings.data_dir.parents) if path.exists())
    free_mb = shutil.disk_usage(place).free // MIB
    short = free_mb < settings.disk_free_mb
    advice = f"Free some space or lower RETENTION_DAYS: below {settings.disk_free_mb} MB nothing is accepted."
    yield Finding("disk", f"{free_mb:,} MB free", advice if short else "")


def _sqlite(_: Settings) -> Iterator[Finding]:
    old = dbapi2.sqlite_version_info < sqlite.VERSION_MIN
    yield Finding(
        "SQLite", dbapi2.sqlite_version, "Install pysqlite3 >= 0.6.1; this version can corrupt data." if old else ""
    )


def _clock(settings: Settings) -> Iterator[Finding]:
    moment = now()
    newest = _newest(settings)
    wrong = moment < _BUILT or (newest is not None and newest > moment + _AHEAD_MAX)
    advice = "Set the clock: events were stored later than it says." if wrong else ""
    yield Finding("clock", moment.isoformat(timespec="seconds"), advice)


def _newest(settings: Settings) -> datetime | None:
    if not settings.log_dir.exists():
        return None
    reader = SegmentReader(settings.log_dir)
    try:
        end = reader.end(Topic.EVENTS)
        frames = reader.read(Topic.EVENTS, end - 1).frames if end > reader.start(Topic.EVENTS) else ()
        return frames[-1].received_at if frames else None
    finally:
        reader.close()


def _log(settings: Settings) -> Iterator[Finding]:
    if not settings.log_dir.exists():
        yield Finding("event log", "empty")
        return
    report = verify(settings.log_dir)
    for damage in report.damage:
        yield Finding(
            "event log",
            f"{damage.file} is damaged at byte {damage.offset}: {damage.reason}",
            f"Records {damage.first} to {damage.last} are unreadable; restore it from a backup, the rest is well.",
        )
    if not report.damage:
        erased = sum(report.erased.values())
        told = f"every block verified, {sum(report.records.values()):,} records"
        yield Finding("event log", f"{told}, {erased:,} of them erased" if erased else told)


def _server(settings: Settings) -> Iterator[Finding]:
    address = settings.data_dir / "run" / "server.json"
    told = json.loads(address.read_text()) if address.exists() else {}
    if not told or not Path(f"/proc/{told['pid']}").exists():
        yield Finding("server", "not running on this data directory")
        return
    try:
        with urllib.request.urlopen(f"{told['url']}/health/ready", timeout=_ANSWER_S) as answer:  # noqa: S310 - our own address
            states = json.loads(answer.read())
    except urllib.error.HTTPError as error:
        states = json.loads(error.read())
    for part, state in states.items():
        yield Finding(part, state, "" if state == "ok" else "Wait a moment, then look at the service's log.")
    yield from asyncio.run(_pipeline(settings, told["roles"]["pipeline"]))


async def _pipeline(settings: Settings, url: str) -> list[Finding]:
    caller = Caller(url, internal_token(settings.data_dir), who="pipeline role")
    try:
        accounts = (await caller.method("accounts"))["accounts"]
        connections = (await caller.method("connections"))["connections"]
        loaded = (await caller.method("warehouses"))["warehouses"]
    finally:
        await caller.close()
    called = _names(settings)
    delivered = [_connection(status, called) for status in connections]
    return [*map(_account, accounts), *delivered, *(_warehouse(status, called) for status in loaded)]


def _names(settings: Settings) -> dict[str, str]:
    """Return what people call each destination and warehouse, by id; nothing while the configuration cannot be read."""
    engine = open_engine(settings.control_url)
    try:
        if not Path(engine.url.database or "").exists():
            return {}
        with engine.connect() as connection:
            known = [
                *connection.execute(select(destinations.c.id, destinations.c.name)),
                *connection.execute(select(warehouses.c.id, warehouses.c.name)),
            ]
            return {each: f"{name} ({each})" for each, name in known}
    except SQLAlchemyError:
        return {}
    finally:
        engine.dispose()


def _account(status: dict[str, Any]) -> Finding:
    """Tell how a connection to an account does: key, webhook and public address, as its last look found them."""
    advice = status["message"] if status["state"] == "attention" else ""
    for warning in status["warnings"]:
        if not advice and warning["code"] in _ADVISED:
            advice = warning["message"]
    return Finding(
        f"ActiveCampaign {status['account']}", f"{status['state']}, webhook {status['webhook']['state']}", advice
    )


def _connection(status: dict[str, Any], called: Mapping[str, str]) -> Finding:
    """Tell the gravest of what is to know about a destination, as the engine words it."""
    name = f"destination {called.get(status['destinationId'], status['destinationId'])}"
    grave = next((each for each in status["warnings"] if each["code"] not in _HARMLESS), None)
    if grave is not None:
        return Finding(name, status["state"], grave["message"])
    ended = status["deliveredFirstTry"] + status["deliveredOnRetry"] + sum(status["filtered"].values())
    caught_up = f", {status['backlog']} of them to be caught up" if status["backlog"] else ""
    return Finding(name, f"{ended} of {status['read']} events ended, {status['pending']} pending{caught_up}")


def _conservation(settings: Settings) -> Iterator[Finding]:
    """Hold the law: what was read is in one place, and what was passed in the log was read."""
    if not (settings.state_dir / FILE).exists():
        yield Finding("conservation", "nothing was delivered yet")
        return
    try:
        ledger = Ledger(settings.state_dir, read_only=True)
        with contextlib.closing(ledger):
            found = accounts(ledger)
    except (ConfigError, sqlite.Error) as error:
        yield Finding("conservation", f"the ledger cannot be read ({error})", "Start the service: it says what to do.")
        return
    with contextlib.closing(SegmentReader(settings.log_dir)) as reader:
        called = _names(settings)
        yield from (_compared(each, called) for each in compare(reader, found))


def _compared(found: Comparison, called: Mapping[str, str]) -> Finding:
    account = found.account
    name = f"conservation {called.get(account.connection, account.connection)}"
    held = f"{account.read:,} events read, {found.logged:,} in the log up to there"
    if not found.is_well:
        return Finding(name, held, "Report this: events were passed without being read, or read twice. Then replay.")
    why = "" if found.is_whole else "; the log has given older ones back to the disk"
    return Finding(name, held + why)


def _warehouse(status: dict[str, Any], called: Mapping[str, str]) -> Finding:
    error = status.get("lastError") or ""
    told = "not reached yet" if status["cursor"] is None else f"loaded up to event {status['cursor']:,}"
    return Finding(f"warehouse {called.get(status['warehouseId'], status['warehouseId'])}", told, str(error))


def _loaded(settings: Settings) -> Iterator[Finding]:
    """Hold the same law for warehouses: what was passed in the log is loaded, filtered, suppressed or missed, once.

    Those that were deleted are left out: nobody can do anything about them.
    """
    try:
        found = loading.accounts(settings.data_dir)
    except (ConfigError, sqlite.Error) as error:
        yield Finding("loading", f"its journal cannot be read ({error})", "Start the service: it says what to do.")
        return
    called = _names(settings)
    present = [each for each in found if not called or each.warehouse_id in called]
    for each in present:
        advice = "" if each.is_well else "Report this: events were passed uncounted, or counted twice. Then reload."
        told = f"{each.passed:,} events passed, {each.counted:,} loaded, filtered, suppressed or missed"
        name = called.get(each.warehouse_id, each.warehouse_id)
        yield Finding(f"conservation warehouse {name}", told, advice)
    if not present:
        yield Finding("loading", "nothing was loaded yet")


_CHECKS: Final[Mapping[str, Callable[[Settings], Iterator[Finding]]]] = {
    "data directory": _directory,
    "stored secrets": _control,
    "disk": _disk,
    "SQLite": _sqlite,
    "clock": _clock,
    "server": _server,
    "event log": _log,
    "conservation": _conservation,
    "loading": _loaded,
}
