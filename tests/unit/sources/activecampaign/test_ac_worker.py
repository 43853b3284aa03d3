"""The worker: its parts together, against an account that answers from memory."""

import asyncio
import contextlib
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from webhook_service import KEY, Service, until

from headwater import shelf
from headwater.budget import Budgets
from headwater.errors import InvalidRequestError, NotFoundError
from headwater.sources.activecampaign import records, worker
from headwater.sources.activecampaign.records import Report, Row
from headwater.sources.contract import Account, Room, Webhook

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ACCOUNT = Account(
    "con",
    "src",
    "ws",
    "https://acme.api-us1.com",
    KEY,
    enabled=True,
    webhook_url="https://events.example.com/webhooks/activecampaign/s3cret",
)
OPEN = {
    "type": "open",
    "date_time": "2026-03-01T05:59:00-06:00",
    "contact[id]": "17",
    "contact[email]": "ada@example.org",
    "campaign[id]": "8",
    "campaign[name]": "Spring",
}


class Bench:
    """A worker with the files of a directory."""

    def __init__(self, home):
        self.home, self.service = home, Service()
        self.deposited: list[tuple[str, bytes]] = []
        self.open()

    def open(self):
        room = Room(self.home, self.service, Budgets(), self.deposit, lambda: NOW)
        self.worker = shelf.take("headwater.sources", "activecampaign").open(room)

    async def deposit(self, source_id, bodies):
        self.deposited += [(source_id, body) for body in bodies]

    async def arrive(self, seq=0, **members):
        """Take one webhook as the mapper does; return the names of the events."""
        body = urlencode({**OPEN, **members}).encode()
        webhook = Webhook(seq, "src", NOW, "application/x-www-form-urlencoded", body)
        taken = await self.worker.take("src", [webhook], {})
        await self.worker.keep("src", taken)
        return [event["event"] for mapped in taken.mapped for event in mapped.events]

    @contextlib.asynccontextmanager
    async def running(self):
        task = asyncio.create_task(self.worker.run())
        await asyncio.sleep(0)
        try:
            yield
        finally:
            async with asyncio.timeout(5):
                await self.worker.stop()
                await task


@pytest.fixture
async def bench(tmp_path):
    made = Bench(tmp_path)
    yield made
    await made.worker.stop()
    made.worker.close()
    await until(lambda: not asyncio.all_tasks() - {asyncio.current_task()})  # the bucket notices within a second


async def test_a_connection_goes_from_connecting_over_waiting_to_sending_to_off(bench):
    bench.worker.apply([ACCOUNT])
    assert (await bench.worker.status("con"))["state"] == "connecting"
    async with bench.running():
        assert (await bench.worker.settle("con"))["state"] == "waiting"
        assert bench.service.urls == [ACCOUNT.webhook_url]
        assert "Email Opened" in await bench.arrive()
        told = await bench.worker.status("con")
        assert (told["state"], told["lastEvent"]["event"]) == ("sending", "Email Opened")
        assert told["lastEvent"]["at"] == "2026-03-01T11:59:00.000Z"
        bench.worker.apply([replace(ACCOUNT, enabled=False)])
        assert (await bench.worker.settle("con"))["state"] == "off"
        assert bench.service.urls == []


async def test_the_status_has_every_member(bench):
    bench.worker.apply([ACCOUNT])
    told = await bench.worker.settle("con")
    assert set(told) == {
        "id",
        "account",
        "enabled",
        "state",
        "message",
        "webhook",
        "lastEvent",
        "budget",
        "identities",
        "backfill",
        "reconciliation",
        "warnings",
    }
    assert (told["id"], told["account"], told["enabled"]) == ("con", "acme", True)
    assert told["budget"]["perSecond"] == 5
    assert told["budget"]["total"] > 0
    assert told["identities"] == {"known": 0, "withUserId": 0, "fallbacks": 0}
    assert (told["backfill"], told["reconciliation"]) == (None, None)


async def test_settling_waits_for_the_news_of_a_connection(bench):
    settling = asyncio.create_task(bench.worker.settle("con"))
    await asyncio.sleep(0.05)
    assert not settling.done()
    bench.worker.apply([])
    await asyncio.sleep(0.05)
    bench.worker.apply([ACCOUNT])
    assert (await settling)["webhook"]["state"] == "ok"


async def test_a_connection_that_nobody_knows_is_not_waited_for_for_ever(bench, monkeypatch):
    monkeypatch.setattr(worker, "APPLY_S", 0.05)
    with pytest.raises(NotFoundError):
        await bench.worker.settle("other")
    with pytest.raises(NotFoundError):
        await bench.worker.status("other")


async def test_settling_an_account_that_is_slow_answers_all_the_same(bench, monkeypatch):
    monkeypatch.setattr(worker, "SETTLE_S", 0.05)
    go_on = asyncio.Event()
    answering = bench.service.request

    async def slowly(*arguments, **named):
        await go_on.wait()
        return await answering(*arguments, **named)

    bench.service.request = slowly
    bench.worker.apply([ACCOUNT])
    assert (await bench.worker.settle("con"))["state"] == "connecting"
    go_on.set()
    await until(lambda: bench.service.urls)
    bench.service.request = answering
    assert (await bench.worker.settle("con"))["state"] == "waiting"


async def test_a_refused_key_is_told_and_a_new_one_helps(bench):
    bench.worker.apply([replace(ACCOUNT, key="wr0ng")])
    told = await bench.worker.settle("con")
    assert told["state"] == "attention"
    assert "API key" in told["message"]
    bench.worker.apply([ACCOUNT])
    assert (await bench.worker.settle("con"))["state"] == "waiting"


async def test_a_restart_goes_on_with_what_was_known(bench):
    bench.worker.apply([ACCOUNT])
    await bench.worker.settle("con")
    await bench.arrive()
    await bench.worker.stop()
    bench.worker.close()
    bench.open()
    bench.worker.apply([ACCOUNT])
    assert (await bench.worker.status("con"))["state"] == "sending"
    assert await bench.arrive(seq=1) == []  # told before the restart


async def test_a_stored_address_that_cannot_be_read_leaves_the_others_alone(bench):
    bad = replace(ACCOUNT, id="bad", source_id="other", url="http://acme.api-us1.com")
    bench.worker.apply([bad, ACCOUNT])
    assert (await bench.worker.settle("con"))["state"] == "waiting"
    with pytest.raises(NotFoundError):
        await bench.worker.status("bad")


async def test_identify_calls_say_who_a_contact_is(bench):
    bench.worker.apply([ACCOUNT])
    line = b'{"type":"identify","userId":"u1","traits":{"email":"ada@example.org"},"timestamp":"2026-03-01T00:00:00Z"}'
    await asyncio.to_thread(bench.worker.saw, "ws", [line])
    body = urlencode({**OPEN, "contact[id]": ""}).encode()
    taken = await bench.worker.take("src", [Webhook(0, "src", NOW, "application/x-www-form-urlencoded", body)], {})
    assert {event.get("userId") for mapped in taken.mapped for event in mapped.events} == {"u1"}


async def test_complaints_are_put_into_the_inbox(bench):
    bench.worker.apply([ACCOUNT])
    rows = [{"email": "ada@example.org", "campaignId": "8"}, {"contactId": "17"}]
    assert await bench.worker.complaints("con", rows) == {"count": 2}
    found = [records.decode(body) for source_id, body in bench.deposited if source_id == "src"]
    assert [(each.report, each.campaign.id, each.rows) for each in found] == [
        (Report.COMPLAINTS, "8", (Row(email="ada@example.org"),)),
        (Report.COMPLAINTS, "", (Row(contact_id="17"),)),
    ]


async def test_complaints_of_an_account_that_is_down_are_taken_all_the_same(bench):
    bench.service.down = True
    bench.worker.apply([replace(ACCOUNT, enabled=False)])
    assert await bench.worker.complaints("con", [{"contactId": "17"}]) == {"count": 1}
    assert len(bench.deposited) == 1


async def test_a_bad_complaint_is_refused_before_anything_is_stored(bench):
    bench.worker.apply([ACCOUNT])
    with pytest.raises(InvalidRequestError, match="Row 2"):
        await bench.worker.complaints("con", [{"contactId": "17"}, {"contactId": "x"}])
    assert bench.deposited == []


async def test_checking_an_account_changes_nothing(bench):
    bench.service.me = {"user": {"username": "ada"}}
    found = await bench.worker.check("ACME.api-us1.com/api/3", KEY)
    assert found == {"url": "https://acme.api-us1.com", "account": "acme", "user": "ada"}
    assert bench.service.changes() == []
    with pytest.raises(InvalidRequestError, match="refuses the API key"):
        await bench.worker.check(ACCOUNT.url, "wr0ng")


class Failing:
    """A part whose `run` fails, then works until it is stopped."""

    def __init__(self, failures):
        self.failures, self.begun, self.stopped = failures, 0, asyncio.Event()

    async def run(self):
        self.begun += 1
        if self.begun <= self.failures:
            raise OSError("the disk failed")
        await self.stopped.wait()

    async def stop(self):
        self.stopped.set()

    def use(self, accounts):
        self.accounts = accounts


async def test_a_part_that_fails_is_begun_again_and_ends_no_other(bench, monkeypatch):
    monkeypatch.setattr(worker, "_AGAIN_S", 0.01)
    failing = Failing(3)
    bench.worker._parts = replace(bench.worker._parts, history=failing)
    bench.worker.apply([ACCOUNT])
    async with bench.running():
        await until(lambda: bench.service.urls)
        await until(lambda: failing.begun == 4)
    assert failing.begun == 4


async def test_pitfall_35_neither_key_nor_secret_nor_person_is_in_a_log_line(bench, capsys):
    other = replace(ACCOUNT, id="bad", source_id="other", url="not a url")
    bench.worker.apply([ACCOUNT, other])
    async with bench.running():
        await bench.worker.settle("con")
        await bench.arrive()
        bench.service.rows.clear()
        await bench.worker.settle("con")
        bench.worker.apply([replace(ACCOUNT, key="an0ther")])
        await bench.worker.settle("con")
        bench.worker.apply([])
        await asyncio.sleep(0.05)
    printed = "".join(capsys.readouterr())
    assert "webhook.put_right" in printed
    for secret in (KEY, "an0ther", "s3cret", "ada@example.org"):
        assert secret not in printed
