"""What the pipeline role answers about accounts: the worker's words, what waits, and by the newest configuration."""

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from headwater.app.desk import Desk
from headwater.app.watch import Watch
from headwater.control.accounts import Place
from headwater.control.service import open_control
from headwater.delivery.address import Policy
from headwater.delivery.engine import Delivery
from headwater.delivery.http import GuardedHttp
from headwater.errors import LogUnavailableError
from headwater.eventlog.contract import Topic
from headwater.eventlog.cursors import Cursors
from headwater.eventlog.memory import MemoryLog
from headwater.ingest.inbox import InboxMapper
from headwater.loading.engine import Loading
from headwater.sources.contract import Mapped
from headwater.spec.event import Record
from rooms import outside

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class Recorder:
    """A worker that says which accounts it was told of, and what it was asked."""

    def __init__(self):
        self.accounts = ()

    async def check(self, url, key):
        return {"url": url, "account": key}

    async def settle(self, connection_id):
        return {"id": connection_id, "enabled": [each.enabled for each in self.accounts]}

    async def status(self, connection_id):
        return {"id": connection_id, "lag": {"reports": 7}}

    async def backfill(self, connection_id, *, since=None, campaigns=None, dry_run=False):
        return {"asked": [connection_id, since, campaigns, dry_run]}

    async def reconcile(self, connection_id, *, campaigns=None):
        return {"asked": [connection_id, campaigns]}

    async def cancel(self, connection_id, run_id):
        return {"asked": [connection_id, run_id]}

    async def runs(self, connection_id, count=20):
        return {"asked": [connection_id, count]}

    async def reconciliation(self, connection_id):
        return {"asked": [connection_id]}

    async def complaints(self, connection_id, rows):
        return {"asked": [connection_id, rows]}


def ignoring(_webhook, _settings):
    return Mapped(ignored="a test")


@pytest.fixture
async def parts(tmp_path):
    log, http = MemoryLog(), GuardedHttp(Policy())
    mapper = InboxMapper(log, log, Cursors(tmp_path / "cursors.db"), lambda _: (ignoring, {}))
    delivery, loading = Delivery(log, tmp_path, outside(http, tmp_path)), Loading(log, tmp_path)
    yield log, mapper, delivery, loading
    await asyncio.gather(mapper.stop(), delivery.stop(), loading.stop())
    await http.close()


async def arrive(log, at):
    line = {"receivedAt": at, "contentType": "", "body": "type=open"}
    await log.append(Topic.INBOX, "s1", at, [Record("", msgspec.json.encode(line))])


async def test_a_status_tells_how_much_waits_and_since_when(parts):
    log, *_ = parts
    desk = Desk(*parts, {"activecampaign": Recorder()}, clock=lambda: NOW)
    assert (await desk.account_status("a1"))["lag"] == {"reports": 7, "inbox": 0, "oldestS": 0.0}
    await arrive(log, NOW - timedelta(seconds=90))
    await arrive(log, NOW - timedelta(seconds=30))
    assert (await desk.account_status("a1"))["lag"] == {"reports": 7, "inbox": 2, "oldestS": 90.0}
    await arrive(log, NOW + timedelta(hours=1))  # a clock that was set back makes no negative age
    mapping = asyncio.create_task(parts[1].run())
    await parts[1].drain(3)
    assert (await desk.account_settle("a1"))["lag"] == {"inbox": 0, "oldestS": 0.0}
    await parts[1].stop()
    await mapping


async def test_questions_and_answers_are_passed_on(parts):
    desk = Desk(*parts, {"activecampaign": Recorder()})
    assert await desk.account_check("https://a", "k") == {"url": "https://a", "account": "k"}
    answers = [
        (desk.account_backfill("a1", since="2026", campaigns=["7"], dry_run=True), ["a1", "2026", ["7"], True]),
        (desk.account_reconcile("a1", campaigns=["7"]), ["a1", ["7"]]),
        (desk.account_cancel("a1", "r1"), ["a1", "r1"]),
        (desk.account_runs("a1", 5), ["a1", 5]),
        (desk.account_reconciliation("a1"), ["a1"]),
        (desk.account_complaints("a1", [{"email": "x"}]), ["a1", [{"email": "x"}]]),
    ]
    for answer, asked in answers:
        assert await answer == {"asked": asked}


async def test_what_could_not_be_mapped_is_shown_with_its_reason_and_mapped_after_a_fix(tmp_path):
    log, http = MemoryLog(), GuardedHttp(Policy())
    answers = [Mapped(quarantined="no type")]
    mapper = InboxMapper(log, log, Cursors(tmp_path / "cursors.db"), lambda _: (lambda *_: answers[-1], {}))
    desk = Desk(log, mapper, Delivery(log, tmp_path, outside(http, tmp_path)), Loading(log, tmp_path))
    mapping = asyncio.create_task(mapper.run())
    await arrive(log, NOW)
    await mapper.drain(1)
    told = {"inboxSeq": 0, "sourceId": "s1", "receivedAt": "2026-11-23T12:00:00Z", "reason": "no type"}
    assert (await desk.unmapped())["unmapped"] == [told]
    assert (await desk.unmapped("other"))["unmapped"] == []
    assert await desk.retry_unmapped() == {"mapped": 0, "stillUnmapped": 1}
    answers.append(Mapped(events=({"type": "track", "event": "E", "messageId": "m1"},)))
    assert await desk.retry_unmapped("s1") == {"mapped": 1, "stillUnmapped": 0}
    assert (await desk.unmapped())["unmapped"] == []
    assert log.end(Topic.EVENTS) == 1
    await mapper.stop()
    await mapping
    await http.close()


async def test_without_a_worker_it_is_told_that_nobody_works_on_accounts(parts):
    with pytest.raises(LogUnavailableError, match="accounts"):
        await Desk(*parts).account_status("a1")


async def test_what_was_stored_a_moment_ago_is_in_use_before_a_webhook_is_settled(parts, tmp_path):
    control = open_control(f"sqlite:///{tmp_path}/control.db", b"k" * 32)
    workspace, worker = control.workspaces.get(), Recorder()

    async def use(snapshot):
        await asyncio.sleep(0.05)  # the configuration of a large installation takes a while
        worker.accounts = list(snapshot.accounts)

    watch = Watch(control, use)
    await watch.first()
    desk = Desk(*parts, {"activecampaign": worker}, refresh=watch.refresh)
    source = control.sources.create(workspace.id, "email", "activecampaign")
    place = Place("https://acme.api-us1.com", "acme")
    made = control.accounts.connect(workspace.id, place, api_key="a" * 64, source_id=source.id)
    assert (await desk.account_settle(made.id))["enabled"] == [True]
    control.accounts.update(workspace.id, made.id, enabled=False)
    # the second look must not overtake the first, which has seen the change and not handed it on yet
    first, second = await asyncio.gather(desk.account_settle(made.id), desk.account_settle(made.id))
    assert first["enabled"] == second["enabled"] == [False]
    control.close()
