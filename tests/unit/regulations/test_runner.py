"""A regulation ends, whatever fails or dies meanwhile, and its receipt says what was done."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from headwater import sqlite
from headwater.errors import RetryableError, UnsupportedError
from headwater.eventlog.memory import MemoryLog
from headwater.privacy.regulation import RegulationType, Status
from headwater.privacy.subjects import Kind, Subject
from headwater.regulations.runner import RETRY_FOR, Ground, Runner, Target, Work
from headwater.regulations.stores import Reach

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ANN = Subject(Kind.USER, "ann")


class Shelf:
    """A store that holds some records, and fails or dies as it is told."""

    def __init__(self, name, records=3, fails=0, *, dies=False):
        self.name, self.records, self.fails, self.dies = name, records, fails, dies

    async def count(self, person, reach):
        assert person.user_ids == {"ann"}
        assert reach.workspace_id == "w"
        return self.records

    async def erase(self, _person, _reach):
        if self.fails:
            self.fails -= 1
            raise RetryableError("The store is away.")
        found, self.records = self.records, 0
        if self.dies:
            self.dies = False
            raise KeyboardInterrupt
        return found


class Books:
    """Regulations in memory, with every state that was noted."""

    def __init__(self, kind=RegulationType.DELETE_ONLY):
        self.work = Work(
            "r", kind, frozenset({ANN}), Reach("w", {"s": "site"}), follows_links=True, begins_at=NOW, receipt={}
        )
        self.status, self.receipt, self.reason, self.linked = Status.INITIALIZED, {}, "", None

    def due(self):
        if self.status.is_over:
            return []
        told = self.work
        return [replace(told, receipt=self.receipt)]

    def resolved(self, _work, because, receipt):
        self.linked, self.receipt = because, receipt

    def note(self, _work, status, receipt, reason):
        self.status, self.receipt, self.reason = status, receipt, reason
        return True


class Clock:
    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now


def made(books, *stores, ask=None, targets=(), directory=Path("/nonexistent")):
    async def nothing():
        pass

    async def refuse(_target, _person):
        return False

    clock = Clock()
    ground = Ground(MemoryLog(), directory, lambda _: stores, lambda _: targets, ask or refuse, (), nothing)
    return Runner(books, ground, clock), clock


def counts(books):
    return [(each["name"], each["before"], each["erased"], each["after"]) for each in books.receipt["stores"]]


def test_every_store_is_emptied_and_counted_again():
    books = Books()
    runner, _ = made(books, Shelf("one", 3), Shelf("two", 0))
    asyncio.run(runner.step())
    assert books.status is Status.FINISHED
    assert counts(books) == [("one", 3, 3, 0), ("two", 0, 0, 0)]
    assert books.linked == {ANN: ANN}


def test_after_a_kill_it_goes_on_and_tells_what_there_was():
    books, store = Books(), Shelf("one", 3, dies=True)
    runner, _ = made(books, store, Shelf("two", 2))
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(runner.step())
    assert books.status is Status.RUNNING
    runner, _ = made(books, store, Shelf("two", 2))
    asyncio.run(runner.step())
    assert books.status is Status.FINISHED
    assert counts(books) == [("one", 3, 3, 0), ("two", 2, 2, 0)]


def test_what_fails_is_tried_again_and_the_others_are_done_at_once():
    books, away, there = Books(), Shelf("away", 3, fails=1), Shelf("there", 2)
    runner, clock = made(books, away, there)
    asyncio.run(runner.step())
    assert (books.status, books.reason, there.records) == (Status.RUNNING, "The store is away.", 0)
    asyncio.run(runner.step())  # too early: nothing is tried
    assert books.receipt["tries"] == 1
    clock.now += timedelta(seconds=11)
    asyncio.run(runner.step())
    assert (books.status, away.records) == (Status.FINISHED, 0)


def test_a_database_that_is_full_is_a_failure_like_any_other():
    class Full(Shelf):
        async def erase(self, person, reach):
            if self.fails:
                self.fails -= 1
                raise sqlite.OperationalError("database or disk is full")
            return await super().erase(person, reach)

    books, full, there = Books(), Full("full", 3, fails=1), Shelf("there", 2)
    runner, clock = made(books, full, there)
    asyncio.run(runner.step())
    told = "It failed with OperationalError; tried again."
    assert (books.status, books.reason, there.records) == (Status.RUNNING, told, 0)
    clock.now += timedelta(seconds=11)
    asyncio.run(runner.step())
    assert (books.status, full.records) == (Status.FINISHED, 0)


def test_after_72_hours_it_is_told_what_failed():
    books, away = Books(), Shelf("away", 3, fails=10**6)
    runner, clock = made(books, away, Shelf("there", 1))
    asyncio.run(runner.step())
    clock.now += RETRY_FOR
    asyncio.run(runner.step())
    assert (books.status, books.reason) == (Status.PARTIAL_SUCCESS, "The store is away.")
    assert [each["status"] for each in books.receipt["stores"]] == ["FAILED", "FINISHED"]


def test_destinations_are_told_and_those_that_cannot_are_listed():
    asked = []

    async def ask(target, person):
        asked.append((target.id, person.user_ids))
        return target.type == "webhook"

    targets = [Target("d1", "hook", "webhook", "s"), Target("d2", "other", "kafka", "s")]
    books = Books()
    runner, _ = made(books, Shelf("one"), ask=ask, targets=targets)
    asyncio.run(runner.step())
    assert asked == [("d1", {"ann"}), ("d2", {"ann"})]
    assert books.status is Status.FINISHED
    assert [each["status"] for each in books.receipt["destinations"]] == ["FINISHED", "NOT_SUPPORTED"]
    books = Books(RegulationType.DELETE_INTERNAL)
    runner, _ = made(books, Shelf("one"), ask=ask, targets=targets)
    asyncio.run(runner.step())
    assert books.receipt["destinations"] == []


def test_a_destination_that_lacks_a_setting_is_not_asked_again_and_says_which():
    async def ask(_target, _person):
        raise UnsupportedError("Fill in the secret key.")

    books = Books()
    runner, _ = made(books, Shelf("one"), ask=ask, targets=[Target("d1", "other", "amplitude", "s")])
    asyncio.run(runner.step())
    (told,) = books.receipt["destinations"]
    assert (books.status, told["status"], told["error"]) == (
        Status.FINISHED,
        "NOT_SUPPORTED",
        "Fill in the secret key.",
    )


def test_a_suppression_deletes_nothing():
    books, store = Books(RegulationType.SUPPRESS_ONLY), Shelf("one")
    runner, _ = made(books, store)
    asyncio.run(runner.step())
    assert (books.status, store.records, books.linked) == (Status.FINISHED, 3, {ANN: ANN})


def test_the_search_tells_which_files_still_name_them(tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "left.sqlite").write_bytes(b"x" * 262_140 + b"a-long-user-id-of-ann" + b"y")
    books = Books()
    long = Subject(Kind.USER, "a-long-user-id-of-ann")
    books.work = replace(books.work, subjects=frozenset({long}))
    runner, _ = made(books, directory=tmp_path)
    asyncio.run(runner.step())
    assert books.receipt["search"]["found"] == {"state": 1}


class Several(Books):
    """Two regulations: somebody is deleted, somebody else only suppressed."""

    def __init__(self):
        super().__init__()
        self.open = {
            "r": replace(self.work, id="r"),
            "q": replace(self.work, id="q", type=RegulationType.SUPPRESS_ONLY),
        }
        self.suppressed = asyncio.Event()
        self.loop = asyncio.get_running_loop()

    def due(self):
        return list(self.open.values())

    def resolved(self, work, _because, receipt):
        self.open[work.id] = replace(work, receipt=receipt)

    def note(self, work, status, receipt, _reason):
        self.open[work.id] = replace(work, receipt=receipt)
        if status.is_over:
            del self.open[work.id]
            self.loop.call_soon_threadsafe(self.suppressed.set)
        return True


async def test_nobodys_suppression_waits_while_somebody_else_is_deleted():
    class Slow(Shelf):
        async def count(self, _person, _reach):
            began.set()
            await asyncio.Event().wait()

    began = asyncio.Event()
    books = Several()
    del books.open["q"]
    runner, _ = made(books, Slow("slow"))
    running = asyncio.create_task(runner.run())
    async with asyncio.timeout(10):
        await began.wait()
        books.open["q"] = replace(books.work, id="q", type=RegulationType.SUPPRESS_ONLY)
        runner.woken.set()
        await books.suppressed.wait()
    assert set(books.open) == {"r"}
    running.cancel()


def test_what_came_to_rest_after_a_store_was_emptied_is_taken_out_as_well(tmp_path):
    left = tmp_path / "state.sqlite"

    class Late(Shelf):
        """Events that were under way are put down once the store was emptied for the first time."""

        async def erase(self, person, reach):
            found = await super().erase(person, reach)
            if found == 3:
                left.write_text("somebody-long-enough")
            else:
                left.unlink(missing_ok=True)
            return found

        async def count(self, _person, _reach):
            return self.records

    books = Books()
    books.work = replace(books.work, subjects=frozenset({Subject(Kind.USER, "somebody-long-enough")}))
    runner, _ = made(books, Late("delivery"), directory=tmp_path)

    asyncio.run(runner.step())
    assert books.status is Status.FINISHED
    assert counts(books) == [("delivery", 3, 3, 0)]
    assert (books.receipt["search"]["found"], left.exists()) == ({}, False)
