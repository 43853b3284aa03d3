"""A loss must not hide behind what was once said not to come: gaps, moves from source to source, a clock set back."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path

from history_account import PRESENT, Bench, MadeUpAccount, bench, sent

from headwater.sources.activecampaign.api.connected import Connected


def moved_to(laid: Bench, source_id: str) -> None:
    """Let the account send to another source."""
    connected = laid.connected()
    account = dataclasses.replace(connected.account, source_id=source_id)
    laid.history.use({source_id: Connected(account, connected.api)})


async def test_old_rows_that_are_known_hide_no_later_loss(tmp_path: Path) -> None:
    """As where a webhook entered by hand told everything before the account was connected."""
    old = sent("1", 20, 130)
    async with bench(MadeUpAccount({"1": old}), tmp_path) as laid:
        laid.books.webhook("src", *(key for key in old.truth() if key[0] != "recipients"))
        await laid.start()
        await laid.looked()
        for lost in ("9998", "9999"):
            old.opens[lost] = (PRESENT + timedelta(minutes=1), 1)
            await laid.reconciled()
            assert ("opens", "1", lost, "") in laid.books.seen["src"]


async def test_a_loss_right_after_a_backfill_does_not_take_the_place_of_what_it_brought(tmp_path: Path) -> None:
    old = sent("1", 20, 130)
    async with bench(MadeUpAccount({"1": old}), tmp_path) as laid:
        await laid.start()
        await laid.looked()
        await laid.ended((await laid.history.backfill("conn"))["id"])
        old.opens["9999"] = (PRESENT + timedelta(minutes=1), 1)
        await laid.reconciled()
        await laid.reconciled()
        assert ("opens", "1", "9999", "") in laid.books.seen["src"]


async def test_what_a_backfill_did_not_find_in_the_reports_is_not_read_again_at_once(tmp_path: Path) -> None:
    old = sent("1", 20, 130)
    old.hidden = set(list(old.opens)[:3])
    async with bench(MadeUpAccount({"1": old}), tmp_path) as laid:
        await laid.start()
        await laid.looked()
        await laid.ended((await laid.history.backfill("conn"))["id"])
        laid.account.calls.clear()
        await laid.reconciled()
        assert not [name for name in laid.account.calls if name.endswith("_list")]
        old.opens["9999"] = (PRESENT + timedelta(minutes=1), 1)
        await laid.reconciled()
        assert ("opens", "1", "9999", "") in laid.books.seen["src"]


async def test_a_webhook_between_the_counters_and_the_ledger_makes_no_report_read(tmp_path: Path) -> None:
    """Of a campaign that goes on, with a history that nobody wants: it would be read at every other look."""
    old = sent("1", 20, 130)
    async with bench(MadeUpAccount({"1": old}), tmp_path) as laid:
        await laid.start()
        await laid.looked()
        laid.account.calls.clear()
        for number in range(4):
            who, counted = str(9000 + number), laid.account.calls["campaigns"]
            run = await laid.history.reconcile("conn")
            while laid.account.calls["campaigns"] == counted:
                await laid.history.latest("conn")
            old.opens[who] = (PRESENT + timedelta(minutes=1), 1)
            laid.books.webhook("src", ("opens", "1", who, ""))
            await laid.ended(run["id"])
        assert not [name for name in laid.account.calls if name.endswith("_list")]


async def test_a_loss_after_a_backfill_of_one_campaign_does_not_either(tmp_path: Path) -> None:
    old = sent("1", 20, 130)
    async with bench(MadeUpAccount({"1": old}), tmp_path) as laid:
        await laid.start()
        await laid.looked()
        await laid.ended((await laid.history.backfill("conn", campaigns=["1"]))["id"])
        for lost in ("9998", "9999"):
            old.opens[lost] = (PRESENT + timedelta(minutes=1), 1)
            await laid.reconciled()
            await laid.reconciled()
            assert ("opens", "1", lost, "") in laid.books.seen["src"]


async def test_what_another_source_got_meanwhile_is_not_filled_in_after_the_way_back(tmp_path: Path) -> None:
    async with bench(MadeUpAccount({}), tmp_path) as laid:
        await laid.start()
        await laid.looked()
        moved_to(laid, "other")
        await laid.looked(2)
        laid.now += timedelta(days=1)
        campaign = sent("6", -0.5, 60)  # after it was moved, before it comes back
        laid.account.campaigns["6"] = campaign
        laid.books.webhook("other", *(key for key in campaign.truth() if key[0] != "recipients"))
        laid.now += timedelta(days=1)
        moved_to(laid, "src")
        await laid.looked(3)
        await laid.reconciled()
        assert laid.books.seen["src"] == set()


async def test_a_clock_set_back_by_a_year_does_not_end_the_schedule(tmp_path: Path) -> None:
    async with bench(MadeUpAccount({}), tmp_path) as laid:
        laid.now = PRESENT + timedelta(days=365)
        await laid.start()
        await laid.looked()
        laid.now = PRESENT
        laid.history.use({"src": laid.connected()})  # no other account than before: it only looks what is due
        assert (await laid.looked(2))["state"] == "done"
