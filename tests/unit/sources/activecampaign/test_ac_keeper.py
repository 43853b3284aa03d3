"""The webhook at ActiveCampaign: registered, found again, put right, watched, moved and taken away."""

import asyncio
import contextlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from webhook_service import EVENTS, KEY, Service, until

from headwater.activecampaign.address import Address
from headwater.budget import Budget, Budgets
from headwater.sources.activecampaign.api.account import AccountApi
from headwater.sources.activecampaign.api.connected import Connected
from headwater.sources.activecampaign.connection.caretaker import EVERY_S, UNTRACKED_MAX
from headwater.sources.activecampaign.connection.keeper import Keeper
from headwater.sources.activecampaign.connection.registration import NAME
from headwater.sources.activecampaign.connection.silence import GRACE, RENEW_EVERY
from headwater.sources.activecampaign.connection.states import WebhookState
from headwater.sources.activecampaign.mapping.kinds import EMAIL_TYPES, EXTRA_NAMES
from headwater.sources.contract import Account, Room

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOOKS = "https://events.example.com/webhooks/activecampaign/"


@dataclass
class Known:
    """How many webhooks arrived, in place of the ledger."""

    count: int = 0

    def arrived(self, source_id: str) -> int:
        assert source_id == "src"
        return self.count


@dataclass
class Clock:
    at: datetime = START

    def __call__(self) -> datetime:
        return self.at


@dataclass
class Stand:
    """A keeper with one account; `look` is a whole look of the running keeper."""

    service: Service
    known: Known
    clock: Clock
    path: Any
    account: Account
    keeper: Keeper

    def use(self, *, key: str = KEY, base: str = "https://acme.api-us1.com", **changes: Any) -> None:
        self.account = replace(self.account, **changes)
        api = AccountApi(self.service, Budget(10_000), Address(base, "acme"), key)
        self.keeper.use({self.account.source_id: Connected(self.account, api)})

    @property
    def taker(self):
        taker = self.keeper.taker("con")
        assert taker is not None
        return taker

    @property
    def health(self):
        return self.taker.health

    async def verify(self) -> float:
        wait_s: float = await self.taker.verify()
        return wait_s

    async def watch(self, after: timedelta = timedelta(hours=1)) -> float:
        self.clock.at += after
        wait_s: float = await self.taker.watch()
        return wait_s

    def restarted(self) -> None:
        """The program ended somehow and begins again with the same files."""
        self.keeper = Keeper(self._room(), self.known, self.path)
        self.use()

    def _room(self) -> Room:
        return Room(self.path.parent, self.service, Budgets(), _never, self.clock)


async def _never(source_id: str, bodies: Any) -> None:
    raise AssertionError(f"a webhook's keeper puts nothing into the inbox, as here {len(bodies)} for {source_id}")


@pytest.fixture
def stand(tmp_path):
    service, known, clock, path = Service(), Known(), Clock(), tmp_path / "keeper.sqlite"
    account = Account("con", "src", "ws", "https://acme.api-us1.com", KEY, enabled=True, webhook_url=HOOKS + "s3cret")
    room = Room(tmp_path, service, Budgets(), _never, clock)
    made = Stand(service, known, clock, path, account, Keeper(room, known, path))
    made.use()
    return made


def campaign(id_="1", **members):
    return {"id": id_, "name": f"Campaign {id_}", "sdate": "2026-02-27T08:00:00-06:00", "status": "5", **members}


async def test_a_new_connection_registers_one_webhook_for_everything_and_everybody(stand):
    assert await stand.verify() == EVERY_S
    (row,) = stand.service.rows.values()
    assert row["url"] == stand.account.webhook_url
    assert row["name"] == NAME
    assert set(EVENTS) <= set(row["events"])
    assert set(row["sources"]) == {"public", "admin", "api", "system"}
    assert str(row["listid"]) == "0"
    assert stand.health.webhook is WebhookState.OK
    assert (stand.health.webhook_id, stand.health.repairs) == ("1", 0)


async def test_a_webhook_that_is_right_is_left_alone(stand):
    await stand.verify()
    before = len(stand.service.changes())
    await stand.verify()
    assert len(stand.service.changes()) == before
    assert stand.health.repairs == 0


async def test_a_webhook_that_was_deleted_by_hand_is_made_again(stand):
    await stand.verify()
    stand.service.rows.clear()
    await stand.verify()
    assert stand.service.urls == [stand.account.webhook_url]
    assert stand.health.repairs == 1


@pytest.mark.parametrize(
    "harm",
    [{"events": ["open"]}, {"sources": ["public"]}, {"listid": "4"}, {"url": HOOKS + "S3CRET"}],
    ids=lambda harm: next(iter(harm)),
)
async def test_a_webhook_that_was_changed_is_put_right(stand, harm):
    await stand.verify()
    (row,) = stand.service.rows.values()
    right = dict(row)
    row.update(harm)
    await stand.verify()
    assert {**row, "events": sorted(row["events"])} == {**right, "events": sorted(right["events"])}
    assert stand.health.repairs == 1


async def test_doubled_webhooks_are_reduced_to_one_and_those_of_others_stay(stand):
    other = stand.service.register("https://other.example.com/hook", name="theirs")
    stand.service.register(stand.account.webhook_url)
    stand.service.register(stand.account.webhook_url)
    await stand.verify()
    assert stand.service.urls.count(stand.account.webhook_url) == 1
    assert other in stand.service.rows


async def test_a_create_whose_answer_was_lost_is_looked_up_and_not_repeated(stand):
    stand.service.lose_answer_of = "POST"
    await stand.verify()
    assert stand.service.urls == [stand.account.webhook_url]
    assert stand.service.changes() == ["POST"]
    assert stand.health.webhook is WebhookState.OK


async def test_the_webhook_is_found_by_its_address_after_the_state_was_lost(stand):
    await stand.verify()
    stand.path = stand.path.with_name("other.sqlite")
    stand.restarted()
    await stand.verify()
    assert stand.service.changes() == ["POST"]
    assert stand.health.webhook_id == "1"


async def test_a_changed_secret_moves_the_webhook(stand):
    await stand.verify()
    stand.use(webhook_url=HOOKS + "n3w", former_webhook_urls=(stand.account.webhook_url,))
    await stand.verify()
    assert stand.service.urls == [HOOKS + "n3w"]
    stand.use(former_webhook_urls=())
    await stand.verify()
    assert stand.service.urls == [HOOKS + "n3w"]
    assert stand.health.repairs == 0


async def test_a_write_key_of_another_source_moves_the_webhook_although_the_old_address_is_forgotten(stand):
    await stand.verify()
    stand.use(webhook_url=HOOKS + "of-another-source")
    await stand.verify()
    assert stand.service.urls == [HOOKS + "of-another-source"]


async def test_switched_off_every_webhook_of_ours_is_taken_away_also_at_former_addresses(stand):
    other = stand.service.register("https://other.example.com/hook")
    stand.service.register(HOOKS + "f0rmer")
    await stand.verify()
    stand.service.register(stand.account.webhook_url)
    stand.use(enabled=False, former_webhook_urls=(HOOKS + "f0rmer",))
    await stand.verify()
    assert list(stand.service.rows) == [other]
    assert stand.health.webhook is WebhookState.OFF


async def test_events_that_activecampaign_does_not_take_are_not_asked_for_again_and_again(stand):
    stand.use(settings={"extra_events": True})
    stand.service.refuse_events = frozenset({"sent", "deal_add"})
    for _ in range(3):
        await stand.verify()
    assert stand.service.changes() == ["POST"]
    assert stand.health.webhook is WebhookState.OK
    assert stand.health.refused_events == ("deal_add", "sent")


async def test_extra_events_that_are_refused_do_not_cost_the_email_events(stand):
    stand.service.refuse_all_of = frozenset({"deal_add"})
    await stand.verify()
    stand.use(settings={"extra_events": True})
    for _ in range(3):
        await stand.verify()
    (row,) = stand.service.rows.values()
    assert set(row["events"]) == set(EMAIL_TYPES)
    assert set(stand.health.refused_events) == set(EXTRA_NAMES)
    assert stand.health.webhook is WebhookState.OK
    assert stand.service.changes() == ["POST", "PUT"]  # asked for once, not each time
    stand.service.refuse_all_of = frozenset()
    stand.use(settings={})
    await stand.verify()
    stand.use(settings={"extra_events": True})
    await stand.verify()
    assert set(row["events"]) == {*EMAIL_TYPES, *EXTRA_NAMES}
    assert stand.health.repairs == 0


async def test_a_refused_key_is_told_and_a_new_one_helps_at_once(stand):
    stand.use(key="wr0ng")
    assert await stand.verify() == EVERY_S
    assert stand.health.refused
    assert "wr0ng" not in stand.health.complaint
    stand.use()
    await stand.verify()
    assert not stand.health.refused
    assert stand.health.webhook is WebhookState.OK


async def test_an_account_that_does_not_answer_is_asked_again_sooner_and_then_more_rarely(stand):
    stand.service.down = True
    waits = [await stand.verify() for _ in range(3)]
    assert waits == sorted(waits)
    assert waits[0] < waits[2] < EVERY_S
    assert stand.health.webhook is WebhookState.UNKNOWN
    assert stand.health.complaint
    stand.service.down = False
    assert await stand.verify() == EVERY_S
    assert stand.health.complaint == ""


async def test_a_refusal_to_register_is_told(stand):
    stand.service.deny["webhooks"] = 422
    assert await stand.verify() == EVERY_S
    assert stand.health.webhook is WebhookState.MISSING
    assert stand.health.complaint


async def test_pitfall_38_counters_that_move_without_webhooks_make_it_anew_then_ask_for_people(stand):
    stand.service.campaigns = [campaign(uniquelinkclicks="3")]
    await stand.verify()
    await stand.watch()
    stand.service.campaigns = [campaign(uniquelinkclicks="8")]
    assert await stand.watch() == GRACE.total_seconds()
    await stand.watch(GRACE)
    assert stand.service.changes() == ["POST", "DELETE", "POST"]
    assert list(stand.service.rows) == ["2"]
    assert stand.health.silence.silent_at == stand.clock.at
    assert not stand.health.silence.lasting
    stand.service.campaigns = [campaign(uniquelinkclicks="9")]
    await stand.watch()
    await stand.watch(GRACE)
    assert stand.health.silence.lasting
    assert list(stand.service.rows) == ["2"]
    stand.service.campaigns = [campaign(uniquelinkclicks="20")]
    await stand.watch(RENEW_EVERY)
    await stand.watch(GRACE)
    assert list(stand.service.rows) == ["3"]
    stand.known.count += 1
    await stand.watch()
    assert stand.health.silence.silent_at is None


async def test_a_quiet_or_a_busy_account_is_not_called_silent(stand):
    await stand.verify()
    for clicks, arrived in [(3, 0), (3, 0), (9, 2), (30, 3), (30, 3)]:
        stand.service.campaigns = [campaign(uniquelinkclicks=str(clicks))]
        stand.known.count = arrived
        assert await stand.watch() == EVERY_S
    assert stand.service.changes() == ["POST"]


async def test_a_renewal_that_broke_off_halfway_is_finished_by_the_next_look(stand):
    await stand.verify()
    await stand.watch()
    stand.service.campaigns = [campaign(uniquelinkclicks="8")]
    await stand.watch()
    stand.service.deny["webhooks"] = 422

    await stand.watch(GRACE)
    stand.service.deny.clear()
    stand.restarted()
    await stand.verify()
    assert stand.service.urls == [stand.account.webhook_url]


async def test_what_moved_while_the_program_was_down_is_no_silence(stand):
    await stand.verify()
    await stand.watch()
    stand.service.campaigns = [campaign(uniquelinkclicks="80")]
    stand.restarted()
    for _ in range(3):
        await stand.watch()
    assert stand.service.changes() == ["POST"]
    assert stand.health.silence.silent_at is None


async def test_health_survives_a_restart(stand):
    await stand.verify()
    stand.service.rows.clear()
    await stand.verify()
    stand.restarted()
    assert (stand.health.webhook_id, stand.health.repairs, stand.health.checked_at) == ("2", 1, START)


async def test_recent_campaigns_without_tracking_are_named_newest_first(stand):
    stand.service.campaigns = [
        campaign("1", trackreads="0", tracklinks="all"),
        campaign("2", trackreads="1", tracklinks="0", sdate="2026-02-28T08:00:00-06:00"),
        campaign("3", trackreads="1", tracklinks="all"),
        campaign("4", trackreads="0", tracklinks="0", sdate="2024-02-28T08:00:00-06:00"),
        campaign("5", trackreads="0", sdate="0000-00-00 00:00:00", status="0"),
    ]
    await stand.watch()
    assert [(each.campaign_id, each.opens, each.links) for each in stand.health.untracked] == [
        ("2", False, True),
        ("1", True, False),
    ]


async def test_the_list_of_campaigns_without_tracking_is_bounded(stand):
    stand.service.campaigns = [campaign(str(number), trackreads="0") for number in range(3 * UNTRACKED_MAX)]
    await stand.watch()
    assert len(stand.health.untracked) == UNTRACKED_MAX


async def test_a_key_that_may_not_read_campaigns_is_told(stand):
    stand.service.deny["campaigns"] = 422
    assert await stand.watch() == EVERY_S
    assert stand.health.blind
    stand.service.deny.clear()
    await stand.watch()
    assert stand.health.blind == ""


async def test_looks_that_come_together_are_one(stand):
    await stand.verify()
    stand.service.calls.clear()
    await asyncio.gather(*(stand.verify() for _ in range(5)))
    assert len([path for _, path in stand.service.calls if path == "webhooks"]) <= 2  # the one under way, and one more


@contextlib.asynccontextmanager
async def running(keeper):
    task = asyncio.create_task(keeper.run())
    await asyncio.sleep(0)
    try:
        yield
    finally:
        await keeper.stop()
        await task


async def test_a_running_keeper_registers_on_start_and_follows_every_change(stand):
    async with running(stand.keeper):
        await until(lambda: stand.service.urls == [stand.account.webhook_url])
        stand.use(webhook_url=HOOKS + "n3w", former_webhook_urls=(stand.account.webhook_url,))
        await until(lambda: stand.service.urls == [HOOKS + "n3w"])
        stand.use(enabled=False)
        await until(lambda: stand.service.urls == [])
        stand.use(enabled=True)
        await until(lambda: stand.service.urls == [HOOKS + "n3w"])


async def test_an_account_that_is_gone_is_left_without_a_webhook_of_ours(stand):
    async with running(stand.keeper):
        await until(lambda: stand.service.urls)
        stand.keeper.use({})
        await until(lambda: not stand.service.urls)
        assert stand.keeper.taker("con") is None
    assert not asyncio.all_tasks() - {asyncio.current_task()}


async def test_another_account_address_takes_the_webhook_away_from_the_former(stand):
    former = stand.service
    async with running(stand.keeper):
        await until(lambda: former.urls)
        stand.service = Service()
        stand.use(base="https://other.api-us1.com", url="https://other.api-us1.com")
        await until(lambda: not former.urls and stand.service.urls)


async def test_a_surprise_in_one_account_ends_nothing(stand):
    class Broken:
        def arrived(self, source_id):
            raise OSError(f"the disk with {source_id} failed")

    stand.known = Broken()
    stand.restarted()
    async with running(stand.keeper):
        await until(lambda: stand.service.urls)
        await until(lambda: ("GET", "campaigns") in stand.service.calls)
        await stand.keeper.settle("con")
        assert stand.health.webhook is WebhookState.OK
