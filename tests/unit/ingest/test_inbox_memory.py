"""The inbox mapper with a memory, with what workers deposit, and with what has to be mapped again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headwater import sqlite
from headwater.errors import LogUnavailableError, NotFoundError
from headwater.eventlog.contract import Topic
from headwater.eventlog.cursors import Cursors
from headwater.eventlog.memory import MemoryLog
from headwater.ingest.inbox import BEHIND_MAX, NAME, InboxMapper
from headwater.sources.contract import Mapped, Origin, Taken, Webhook
from headwater.spec.event import Record

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


class Memory:
    """Remembers every body: the first of each becomes an event, those that begin with "later" wait."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.held: list[str] = []
        self.taken: list[list[Webhook]] = []
        self.failures: list[Exception] = []
        self.kept = asyncio.Event()
        self.defect = ""

    async def take(self, source_id: str, webhooks: Sequence[Webhook], settings: Mapping[str, Any]) -> Taken:  # noqa: ARG002 - the contract's
        self.taken.append(list(webhooks))
        if self.failures:
            raise self.failures.pop()
        found, new = [], list[str]()
        for webhook in webhooks:
            word = webhook.body.decode()
            if self.defect and word == self.defect:
                raise ZeroDivisionError
            if word.startswith("wrong"):
                found.append(Mapped(quarantined="it is wrong"))
                continue
            is_new = word not in self.seen and word not in new and not word.startswith("later")
            new.append(word)
            found.append(Mapped((_event(word),) if is_new else ()))
        return Taken(tuple(found), new)

    async def overdue(self, source_id: str, settings: Mapping[str, Any], until: datetime) -> Taken:  # noqa: ARG002 - the contract's
        return Taken((Mapped(tuple(_event(word) for word in self.held)),), [])

    async def keep(self, source_id: str, taken: Taken) -> None:  # noqa: ARG002 - the contract's
        self.held = [word for word in taken.note if word.startswith("later")]
        self.seen.update(taken.note)
        self.kept.set()


def _event(word: str) -> dict[str, Any]:
    return {"messageId": word, "type": "track"}


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


@pytest.fixture
def memory() -> Memory:
    return Memory()


@asynccontextmanager
async def mapping(log: MemoryLog, home: Path, events_of: Callable[[str], Any]) -> AsyncIterator[InboxMapper]:
    cursors = Cursors(home / "cursors.db")
    mapper = InboxMapper(log, log, cursors, events_of, pause_s=0.001)
    running = asyncio.create_task(mapper.run())
    try:
        yield mapper
    finally:
        await mapper.stop()
        await running
        cursors.close()


async def arrive(log: MemoryLog, *bodies: str, source_id: str = "s1") -> None:
    for body in bodies:
        line = {"receivedAt": NOON, "contentType": "", "body": body}
        await log.append(Topic.INBOX, source_id, NOON, [Record("", msgspec.json.encode(line))])


def ids(log: MemoryLog) -> list[str]:
    return [event.message_id for event in log.read(Topic.EVENTS, 0).events()]


def remembered(memory: Memory) -> Callable[[str], Any]:
    return lambda _: (memory, {})


async def test_a_memory_takes_appends_and_keeps_in_inbox_order(log: MemoryLog, memory: Memory, tmp_path: Path) -> None:
    await arrive(log, "a", "b", "a")
    async with mapping(log, tmp_path, remembered(memory)) as mapper:
        await mapper.drain(3)
        await arrive(log, "b", "c")
        await mapper.drain(5)
    assert ids(log) == ["a", "b", "c"]
    assert (mapper.counts.mapped, mapper.counts.events, mapper.counts.duplicates) == (5, 3, 0)
    assert [[webhook.seq for webhook in taken] for taken in memory.taken] == [[0, 1, 2], [3, 4]]


async def test_a_memory_that_fails_is_asked_again_and_nothing_is_skipped(
    log: MemoryLog, memory: Memory, tmp_path: Path
) -> None:
    memory.failures = [sqlite.Error("disk full"), OSError(28, "full"), LogUnavailableError("away")]
    await arrive(log, "a", "b")
    async with mapping(log, tmp_path, remembered(memory)) as mapper:
        await mapper.drain(2)
    assert (ids(log), memory.failures) == (["a", "b"], [])


async def test_a_defect_of_a_memory_costs_its_own_record_and_no_other(
    log: MemoryLog, memory: Memory, tmp_path: Path
) -> None:
    memory.defect = "b"
    await arrive(log, "a", "b", "c")
    async with mapping(log, tmp_path, remembered(memory)) as mapper:
        await mapper.drain(3)
        assert [each.inbox_seq for each in await mapper.quarantined()] == [1]
        memory.defect = ""
        assert await mapper.retry_quarantined() == {"mapped": 1, "stillQuarantined": 0}
    assert ids(log) == ["a", "c", "b"]


async def test_what_a_memory_holds_back_comes_without_another_webhook_also_after_a_restart(
    log: MemoryLog, memory: Memory, tmp_path: Path
) -> None:
    await arrive(log, "later x")
    held = memory.overdue

    async def not_yet(source_id: str, settings: Mapping[str, Any], until: datetime) -> Taken:  # noqa: ARG001
        return Taken(())

    memory.overdue = not_yet  # type: ignore[method-assign]
    memory.keep = _only_note(memory)  # type: ignore[method-assign]
    async with mapping(log, tmp_path, remembered(memory)) as mapper:
        await mapper.drain(1)
    assert (ids(log), memory.held) == ([], ["later x"])
    memory.overdue = held  # type: ignore[method-assign]
    async with mapping(log, tmp_path, remembered(memory)), asyncio.timeout(30):
        while not ids(log):  # noqa: ASYNC110 - the log has no event for it
            await asyncio.sleep(0.01)
    assert ids(log) == ["later x"]


def _only_note(memory: Memory) -> Callable[..., Any]:
    async def keep(source_id: str, taken: Taken) -> None:  # noqa: ARG001
        memory.held += [word for word in taken.note or [] if word.startswith("later")]

    return keep


async def test_a_deposit_is_mapped_in_inbox_order_and_marked_as_no_webhook(
    log: MemoryLog, memory: Memory, tmp_path: Path
) -> None:
    await arrive(log, "a")
    async with mapping(log, tmp_path, remembered(memory)) as mapper:
        await mapper.deposit("s1", [b"b", b"\xc3\xa9"])
        await mapper.drain(3)
    told = [(webhook.body, webhook.origin) for taken in memory.taken for webhook in taken]
    assert told == [(b"a", Origin.WEBHOOK), (b"b", Origin.REPORT), (b"\xc3\xa9", Origin.REPORT)]


async def test_a_deposit_waits_for_a_mapper_that_is_far_behind(log: MemoryLog, memory: Memory, tmp_path: Path) -> None:
    await arrive(log, *(str(number) for number in range(BEHIND_MAX + 1)))
    cursors = Cursors(tmp_path / "cursors.db")
    mapper = InboxMapper(log, log, cursors, remembered(memory))
    depositing = asyncio.create_task(mapper.deposit("s1", [b"x"]))
    await asyncio.sleep(0.05)
    assert log.end(Topic.INBOX) == BEHIND_MAX + 1
    running = asyncio.create_task(mapper.run())
    await asyncio.wait_for(depositing, 30)
    await mapper.drain(BEHIND_MAX + 2)
    await mapper.stop()
    await running
    with pytest.raises(LogUnavailableError):
        await mapper.deposit("s1", [b"y"])
    assert ids(log)[-1] == "x"


@pytest.mark.parametrize("origin", ["", "forged", 3])
async def test_a_record_of_an_unknown_origin_is_quarantined(
    log: MemoryLog, memory: Memory, tmp_path: Path, origin: object
) -> None:
    line = {"receivedAt": NOON, "contentType": "", "body": "a", "origin": origin}
    await log.append(Topic.INBOX, "s1", NOON, [Record("", msgspec.json.encode(line))])
    async with mapping(log, tmp_path, remembered(memory)) as mapper:
        await mapper.drain(1)
    assert mapper.counts.quarantined == {"the inbox record is not readable": 1}


async def test_what_was_quarantined_is_mapped_after_a_fix_and_leaves_the_list(log: MemoryLog, tmp_path: Path) -> None:
    is_fixed = False

    def events(webhook: Webhook, _: Mapping[str, Any]) -> Mapped:
        word = webhook.body.decode()
        return Mapped((_event(word),)) if is_fixed or word == "good" else Mapped(quarantined=f"no {word}")

    await arrive(log, "x", "good", "y")
    await arrive(log, "z", source_id="s2")
    async with mapping(log, tmp_path, lambda _: (events, {})) as mapper:
        await mapper.drain(4)
        stuck = await mapper.quarantined(["s1"])
        assert [(each.inbox_seq, each.reason) for each in stuck] == [(2, "no y"), (0, "no x")]
        found, webhook = await mapper.quarantined_at(2)
        assert (found.reason, webhook.body) == ("no y", b"y")
        with pytest.raises(NotFoundError):
            await mapper.quarantined_at(1)  # it was mapped
        assert await mapper.retry_quarantined(["s1"]) == {"mapped": 0, "stillQuarantined": 2}
        is_fixed = True
        assert await mapper.retry_quarantined(["s1"]) == {"mapped": 2, "stillQuarantined": 0}
        assert [each.source_id for each in await mapper.quarantined()] == ["s2"]
        assert await mapper.quarantined(count=0) == []
    async with mapping(log, tmp_path, lambda _: (events, {})) as mapper:
        assert [(each.inbox_seq, each.received_at) for each in await mapper.quarantined()] == [(3, NOON)]
        assert await mapper.retry_quarantined() == {"mapped": 1, "stillQuarantined": 0}
        assert await mapper.retry_quarantined() == {"mapped": 0, "stillQuarantined": 0}
    assert ids(log) == ["good", "x", "y", "z"]
    assert log.end(Topic.REJECTED) == 3


async def test_a_webhook_is_listed_once_although_a_crash_came_between_its_rejection_and_the_cursor(
    log: MemoryLog, memory: Memory, tmp_path: Path
) -> None:
    await arrive(log, "wrong 1", "a", "wrong 2")
    async with mapping(log, tmp_path, remembered(memory)) as mapper:
        await mapper.drain(3)
    cursors = Cursors(tmp_path / "cursors.db")
    cursors.rewind(NAME, 0)
    cursors.close()
    (tmp_path / "inbox-state.db").unlink()  # the list is read again from the log
    async with mapping(log, tmp_path, remembered(memory)) as mapper:
        await mapper.drain(3)
        listed = [each.inbox_seq for each in await mapper.quarantined()]
    assert listed == [2, 0]
    assert log.end(Topic.REJECTED) == 2
    assert ids(log) == ["a"]


async def test_the_list_forgets_what_retention_took(log: MemoryLog, memory: Memory, tmp_path: Path) -> None:
    await arrive(log, "wrong 1", "wrong 2")
    async with mapping(log, tmp_path, remembered(memory)) as mapper:
        await mapper.drain(2)
        log._frames[Topic.INBOX] = [replace(frame) for frame in log._frames[Topic.INBOX][1:]]
        assert [each.inbox_seq for each in await mapper.quarantined()] == [1]


async def test_a_batch_of_webhooks_is_one_append_and_not_one_an_event(
    log: MemoryLog, memory: Memory, tmp_path: Path
) -> None:
    await arrive(log, *(f"w{number}" for number in range(200)))
    async with mapping(log, tmp_path, remembered(memory)) as mapper:
        await mapper.drain(200)
    assert len(log.read(Topic.EVENTS, 0).frames) == 1
