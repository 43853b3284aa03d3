"""The inbox mapper: exactly once, in order, nothing skipped, nothing lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headwater.errors import CorruptLogError, LogOverloadedError, LogUnavailableError
from headwater.eventlog.contract import Appended, Topic
from headwater.eventlog.cursors import Cursors
from headwater.eventlog.memory import MemoryLog
from headwater.ingest.inbox import NAME, InboxMapper
from headwater.sources.contract import Mapped, Webhook
from headwater.spec.event import Batch, Damage, Event, Record

NOON = datetime(2025, 7, 1, 12, tzinfo=UTC)


class Log(MemoryLog):
    """The log in memory that can refuse appends, report damage and be filled like the webhook route does it."""

    def __init__(self) -> None:
        super().__init__()
        self.refusals: list[tuple[Topic, Exception]] = []
        self.refused = asyncio.Event()
        self.damage: tuple[Damage, ...] = ()

    async def append(
        self, topic: Topic, source_id: str, received_at: datetime, records: Sequence[Record], *, reserved: bool = False
    ) -> Appended:
        assert not reserved, "the last disk space is for raw webhooks; mapped events can wait"
        for index, (refused, error) in enumerate(self.refusals):
            if refused is topic:
                del self.refusals[index]
                self.refused.set()
                raise error
        return await super().append(topic, source_id, received_at, records)

    def read(self, topic: Topic, cursor: int, *, records_max: int = 10_000, bytes_max: int = 8_388_608) -> Batch:
        batch = super().read(topic, cursor, records_max=records_max, bytes_max=bytes_max)
        return replace(batch, damage=self.damage) if batch.frames else batch

    async def arrive(self, source_id: str, *bodies: bytes, at: datetime = NOON) -> None:
        for body in bodies:
            line = {"receivedAt": at, "contentType": "text/plain", "body": body.decode("latin-1")}
            await self.append(Topic.INBOX, source_id, at, [Record("", msgspec.json.encode(line))])

    def expire(self, topic: Topic, start: int) -> None:
        self._frames[topic] = [frame for frame in self._frames[topic] if frame.first_seq >= start]

    def kept(self, topic: Topic) -> list[Event]:
        return list(self.read(topic, 0).events())


class DyingCursors(Cursors):
    """Cursors of a process that is killed before it could store one."""

    def advance(self, name: str, cursor: int) -> None:
        raise SystemError(f"killed before {name} was set to {cursor}")


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cursors.sqlite"


@pytest.fixture
def cursors(path: Path) -> Iterator[Cursors]:
    opened = Cursors(path)
    yield opened
    opened.close()


def echo(webhook: Webhook, settings: Mapping[str, Any]) -> Mapped:
    """A source in small: the body says what becomes of it."""
    word, _, rest = webhook.body.decode("latin-1").partition(" ")
    match word:
        case "ignore":
            return Mapped(ignored=rest)
        case "quarantine":
            return Mapped(quarantined=rest)
        case "break":
            raise ZeroDivisionError(rest)
    ids = rest.split(",")
    return Mapped(events=tuple({"messageId": id_, "type": "track", **settings} for id_ in ids))


def everyone(_: str) -> tuple[Callable[..., Mapped], dict[str, Any]]:
    return echo, {}


@asynccontextmanager
async def mapping(log: Log, cursors: Cursors, events_of: Any = everyone) -> AsyncIterator[InboxMapper]:
    mapper = InboxMapper(log, log, cursors, events_of, pause_s=0.001)
    running = asyncio.create_task(mapper.run())
    try:
        yield mapper
    finally:
        await mapper.stop()
        await running


def ids(log: Log) -> list[str]:
    return [event.message_id for event in log.kept(Topic.EVENTS)]


async def test_every_webhook_becomes_its_events_in_the_order_of_arrival(log: Log, cursors: Cursors) -> None:
    await log.arrive("s1", b"map a,b", b"map c")
    async with mapping(log, cursors) as mapper:
        await mapper.drain(2)
        await log.arrive("s1", b"map d")
        await mapper.drain(3)
    assert ids(log) == ["a", "b", "c", "d"]
    assert cursors.all() == {NAME: 3}
    assert (mapper.counts.mapped, mapper.counts.events, mapper.counts.duplicates) == (3, 4, 0)


async def test_each_source_keeps_its_own_events_settings_and_order(log: Log, cursors: Cursors) -> None:
    await log.arrive("s1", b"map a")
    await log.arrive("s2", b"map a")
    await log.arrive("s1", b"map b")
    async with mapping(log, cursors, lambda source_id: (echo, {"of": source_id})) as mapper:
        await mapper.drain(3)
    kept = [(event.source_id, event.message_id, event.body["of"]) for event in log.kept(Topic.EVENTS)]
    assert sorted(kept) == [("s1", "a", "s1"), ("s1", "b", "s1"), ("s2", "a", "s2")]
    assert [id_ for source_id, id_, _ in kept if source_id == "s1"] == ["a", "b"]


async def test_what_cannot_be_mapped_is_kept_with_its_reason_and_its_place_in_the_inbox(
    log: Log, cursors: Cursors
) -> None:
    await log.arrive("s1", b"map a", b"quarantine no type", b"ignore type sent", b"ignore type sent", b"map b")
    async with mapping(log, cursors) as mapper:
        await mapper.drain(5)
    (rejected,) = log.kept(Topic.REJECTED)
    assert rejected.source_id == "s1"
    assert rejected.body == {
        "code": "quarantined",
        "message": "no type",
        "count": 1,
        "inboxSeq": 1,
        "receivedAt": "2025-07-01T12:00:00.000Z",
    }
    assert ids(log) == ["a", "b"]
    assert (mapper.counts.ignored, mapper.counts.quarantined) == ({"type sent": 2}, {"no type": 1})


async def test_the_webhook_reaches_the_source_byte_for_byte(log: Log, cursors: Cursors) -> None:
    seen: list[Webhook] = []
    body = bytes(range(256))

    def remember(webhook: Webhook, _: Mapping[str, Any]) -> Mapped:
        seen.append(webhook)
        return Mapped(ignored="seen")

    await log.arrive("s1", body, at=NOON + timedelta(microseconds=1))
    async with mapping(log, cursors, lambda _: (remember, {})) as mapper:
        await mapper.drain(1)
    assert seen == [Webhook(0, "s1", NOON + timedelta(microseconds=1), "text/plain", body)]


async def test_a_webhook_of_a_deleted_source_is_quarantined_and_not_lost(log: Log, cursors: Cursors) -> None:
    await log.arrive("gone", b"map a")
    async with mapping(log, cursors, lambda _: None) as mapper:
        await mapper.drain(1)
    (rejected,) = log.kept(Topic.REJECTED)
    assert (rejected.source_id, rejected.body["message"]) == ("gone", "the source does not exist any more")
    assert ids(log) == []


async def test_a_webhook_that_outruns_the_news_of_its_source_waits_for_it(log: Log, cursors: Cursors) -> None:
    asked: list[str] = []

    def known_at_the_third_question(source_id: str) -> tuple[Callable[..., Mapped], dict[str, Any]] | None:
        asked.append(source_id)
        return (echo, {}) if len(asked) > 2 else None

    await log.arrive("new", b"map a", at=datetime.now(UTC))
    async with mapping(log, cursors, known_at_the_third_question) as mapper:
        await mapper.drain(1)
    assert (ids(log), log.kept(Topic.REJECTED)) == (["a"], [])


async def test_an_event_too_large_to_carry_is_quarantined_and_large_ones_go_in_pieces(
    log: Log, cursors: Cursors
) -> None:
    def large(webhook: Webhook, _: Mapping[str, Any]) -> Mapped:
        count, size = (int(word) for word in webhook.body.split())
        return Mapped(
            events=tuple({"messageId": f"{size}-{n}", "type": "track", "x": "x" * size} for n in range(count))
        )

    await log.arrive("s1", b"2 300000", b"30 200000", b"1 5")
    async with mapping(log, cursors, lambda _: (large, {})) as mapper:
        await mapper.drain(3)
    assert ids(log) == [*(f"200000-{number}" for number in range(30)), "5-0"]
    assert len(log.read(Topic.EVENTS, 0, bytes_max=2**40).frames) == 2
    assert mapper.counts.quarantined == {"the event is too large": 1}
    assert (mapper.counts.mapped, mapper.counts.events) == (2, 31)


async def test_a_mapping_that_fails_costs_its_own_webhook_and_no_other(log: Log, cursors: Cursors) -> None:
    await log.arrive("s1", b"map a", b"break now", b"map b")
    async with mapping(log, cursors) as mapper:
        await mapper.drain(3)
    assert ids(log) == ["a", "b"]
    assert [event.body["inboxSeq"] for event in log.kept(Topic.REJECTED)] == [1]


@pytest.mark.parametrize(
    "line", [b"", b"{", b"[]", b'{"body":"x"}', '{"receivedAt":"x","contentType":"","body":"€"}'.encode()]
)
async def test_an_inbox_record_that_is_no_webhook_is_quarantined(log: Log, cursors: Cursors, line: bytes) -> None:
    await log.append(Topic.INBOX, "s1", NOON, [Record("", line)])
    await log.arrive("s1", b"map a")
    async with mapping(log, cursors) as mapper:
        await mapper.drain(2)
    assert ids(log) == ["a"]
    assert mapper.counts.quarantined == {"the inbox record is not readable": 1}


@pytest.mark.parametrize("topic", [Topic.EVENTS, Topic.REJECTED])
@pytest.mark.parametrize("error", [LogUnavailableError("disk full"), LogOverloadedError("queue full")])
async def test_a_log_that_refuses_is_tried_again_and_nothing_is_skipped(
    log: Log, cursors: Cursors, topic: Topic, error: Exception
) -> None:
    log.refusals = [(topic, error)] * 5
    await log.arrive("s1", b"map a", b"quarantine why", b"map b")
    async with mapping(log, cursors) as mapper:
        await mapper.drain(3)
    assert ids(log) == ["a", "b"]
    assert len(log.kept(Topic.REJECTED)) == 1
    assert log.refusals == []


async def test_a_stop_while_the_log_refuses_leaves_the_cursor_where_it_was(log: Log, cursors: Cursors) -> None:
    log.refusals = [(Topic.EVENTS, LogUnavailableError("disk full"))] * 100_000
    await log.arrive("s1", b"map a")
    async with mapping(log, cursors) as mapper:
        await asyncio.wait_for(log.refused.wait(), 5)
        waiting = asyncio.create_task(mapper.drain(1))
        await asyncio.sleep(0)
    with pytest.raises(LogUnavailableError):
        await waiting
    assert cursors.get(NAME) == 0
    log.refusals = []
    async with mapping(log, cursors) as mapper:
        await mapper.drain(1)
    assert ids(log) == ["a"]


async def test_a_crash_between_append_and_advance_stores_nothing_twice(log: Log, cursors: Cursors, path: Path) -> None:
    await log.arrive("s1", b"map a,b", b"map c")
    with pytest.raises(SystemError):
        await InboxMapper(log, log, DyingCursors(path), everyone).run()
    assert ids(log) == ["a", "b", "c"]
    async with mapping(log, cursors) as mapper:
        await mapper.drain(2)
    assert ids(log) == ["a", "b", "c"]
    assert (mapper.counts.events, mapper.counts.duplicates, cursors.get(NAME)) == (0, 3, 2)


async def test_damage_in_the_inbox_is_counted_and_what_follows_is_mapped(log: Log, cursors: Cursors) -> None:
    log.damage = (Damage(3, 5, "inbox/0.seg", 120, "checksum"),)
    await log.arrive("s1", b"map a")
    async with mapping(log, cursors) as mapper:
        await mapper.drain(1)
    assert (ids(log), mapper.counts.damaged) == (["a"], 3)


async def test_reasons_that_an_attacker_invents_do_not_fill_the_memory(log: Log, cursors: Cursors) -> None:
    await log.arrive("s1", *(b"ignore type t%d" % number for number in range(150)))
    async with mapping(log, cursors) as mapper:
        await mapper.drain(150)
    assert len(mapper.counts.ignored) == 101
    assert mapper.counts.ignored["other"] == 50
    assert mapper.counts.ignored.total() == 150


async def test_an_event_that_is_no_json_costs_its_own_webhook_and_no_other(log: Log, cursors: Cursors) -> None:
    def half_a_character(webhook: Webhook, settings: Mapping[str, Any]) -> Mapped:
        mapped = echo(webhook, settings)
        return Mapped(events=({"messageId": "\ud800"},)) if webhook.seq == 1 else mapped

    await log.arrive("s1", b"map a", b"map x", b"map b")
    async with mapping(log, cursors, lambda _: (half_a_character, {})) as mapper:
        await mapper.drain(3)
    assert ids(log) == ["a", "b"]
    assert [event.body["inboxSeq"] for event in log.kept(Topic.REJECTED)] == [1]


async def test_a_deleted_sources_webhook_holds_nobody_up_after_the_clock_was_set_back(
    log: Log, cursors: Cursors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headwater.ingest.inbox._NEWS_S", 0.01)
    await log.arrive("gone", b"map a", at=datetime.now(UTC) + timedelta(days=365))
    await log.arrive("s1", b"map b")
    async with mapping(log, cursors, lambda source_id: None if source_id == "gone" else (echo, {})) as mapper:
        await asyncio.wait_for(mapper.drain(2), 30)
    assert ids(log) == ["b"]


async def test_an_older_copy_of_the_log_is_mapped_again_and_gives_nothing_twice(log: Log, cursors: Cursors) -> None:
    await log.arrive("s1", b"map a", b"map b")
    async with mapping(log, cursors) as mapper:
        await mapper.drain(2)
    cursors.rewind(NAME, 9)  # where the newer log ended that this one was copied from
    await log.arrive("s1", b"map c")
    async with mapping(log, cursors):
        async with asyncio.timeout(30):
            while cursors.get(NAME) != 3:  # noqa: ASYNC110 - a condition in a file has no event
                await asyncio.sleep(0.01)
    assert ids(log) == ["a", "b", "c"]


async def test_an_inbox_that_cannot_be_read_is_tried_again_and_nothing_is_skipped(cursors: Cursors) -> None:
    refusals = [CorruptLogError("the disk failed"), OSError(5, "Input/output error")]

    class Failing(Log):
        def read(self, topic: Topic, cursor: int, *, records_max: int = 10_000, bytes_max: int = 8_388_608) -> Batch:
            if refusals and topic is Topic.INBOX:
                raise refusals.pop()
            return super().read(topic, cursor, records_max=records_max, bytes_max=bytes_max)

    failing = Failing()
    await failing.arrive("s1", b"map a")
    async with mapping(failing, cursors) as mapper:
        await mapper.drain(1)
    assert (ids(failing), refusals) == (["a"], [])


async def test_nobody_waits_for_ever_for_a_mapper_that_does_not_move(
    log: Log, cursors: Cursors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headwater.ingest.inbox._STUCK_S", 0.05)
    log.refusals = [(Topic.EVENTS, LogUnavailableError("disk full"))] * 100_000
    await log.arrive("s1", b"map a")
    async with mapping(log, cursors) as mapper:
        with pytest.raises(LogUnavailableError, match="No webhook could be mapped"):
            await asyncio.wait_for(mapper.drain(1), 30)


async def test_webhooks_that_retention_took_unread_are_counted(log: Log, cursors: Cursors) -> None:
    await log.arrive("s1", b"map a", b"map b", b"map c")
    log.expire(Topic.INBOX, 2)
    async with mapping(log, cursors) as mapper:
        await mapper.drain(3)
    assert (ids(log), mapper.counts.damaged) == (["c"], 2)
