"""Reconciliation over HTTP: what was missed comes in, nothing else is read, and the rest is accounted for."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from history_account import PRESENT, Bench, Key, MadeUpAccount, MadeUpCampaign, bench, sent

from headwater.sources.activecampaign.history.carrying import total


def reports_read(laid: Bench) -> dict[str, int]:
    """Return the calls for reports since they were counted last."""
    found = {name.removeprefix("campaign_report_"): count for name, count in laid.account.calls.items()}
    laid.account.calls.clear()
    return {name: count for name, count in found.items() if name.endswith("_list")}


def known_by_webhook(campaign: MadeUpCampaign, *, but: int = 0) -> list[Key]:
    """Return everything that webhooks tell of a campaign, without every `but`-th."""
    told = sorted(key for key in campaign.truth() if key[0] != "recipients")
    return [key for number, key in enumerate(told) if not but or number % but]


async def begun(laid: Bench) -> None:
    """Start and let the account be looked at for the first time; counts calls from there."""
    await laid.start()
    assert (await laid.looked())["state"] == "done"
    reports_read(laid)


async def test_the_first_look_reads_nothing_and_says_what_a_backfill_would_bring(tmp_path: Path) -> None:
    old = sent("1", 200, 130)
    async with bench(MadeUpAccount({"1": old}), tmp_path) as laid:
        await laid.start()
        await laid.looked()
        assert reports_read(laid) == {}
        shown = (await laid.compared())["1"]
        assert shown["counts"]["opens"] == {
            "activeCampaign": len(old.opens),
            "headwater": 0,
            "filled": 0,
            "why": f"{len(old.opens)} happened before the account was connected; a back-fill brings them.",
        }
        await laid.reconciled()
        assert reports_read(laid) == {}


async def test_what_was_missed_is_filled_in_and_nothing_else_is_read(tmp_path: Path) -> None:
    async with bench(MadeUpAccount({"1": sent("1", 200, 130)}), tmp_path) as laid:
        await begun(laid)
        whole, partly = sent("2", 0, 90), sent("3", 0, 180)
        laid.account.campaigns |= {"2": whole, "3": partly}
        laid.books.webhook("src", *known_by_webhook(whole), *known_by_webhook(partly, but=3))
        clicks = {key for key in partly.truth() if key[0] == "clicks"}
        laid.books.webhook("src", *clicks)
        before = total(laid.books.counts("src"))
        run = await laid.reconciled()
        assert run["filled"] == total(laid.books.counts("src")) - before > 0
        assert {key for key in laid.books.seen["src"] if key[1] == "3"} == {*known_by_webhook(partly)}
        read = reports_read(laid)
        assert "link_list" not in read
        assert "unopen_list" not in read
        assert {record.campaign.id for record in laid.books.records} == {"3"}
        shown = (await laid.compared())["3"]["counts"]["opens"]
        assert (shown["activeCampaign"], shown["headwater"]) == (len(partly.opens), len(partly.opens))
        assert shown["filled"] > 0
        await laid.reconciled()
        assert reports_read(laid) == {}


async def test_a_start_after_a_time_offline_reconciles_at_once(tmp_path: Path) -> None:
    async with bench(MadeUpAccount({}), tmp_path) as laid:
        await begun(laid)
        await laid.stop()
        missed = sent("7", 0, 120)
        laid.account.campaigns["7"] = missed
        laid.now += timedelta(minutes=10)
        await laid.start()
        await laid.looked(2)
        assert {*known_by_webhook(missed)} <= laid.books.seen["src"]


async def test_a_kill_while_the_difference_is_read_costs_nothing(tmp_path: Path) -> None:
    for crash in range(4):
        home = tmp_path / str(crash)
        home.mkdir()
        async with bench(MadeUpAccount({}), home) as laid:
            await begun(laid)
            missed = {each.id: each for each in (sent("7", 0, 120), sent("8", 0, 60))}
            laid.account.campaigns |= missed
            laid.books.fails_at = crash
            run = await laid.history.reconcile("conn")
            while laid.books.fails_at >= 0:
                await laid.history.latest("conn")
            await laid.stop()
            laid.books.fails_at = None
            await laid.start()
            assert (await laid.ended(run["id"]))["state"] == "done"
            wanted = {key for each in missed.values() for key in known_by_webhook(each)}
            assert laid.books.seen["src"] == wanted, crash


async def test_rows_of_deleted_contacts_are_missing_once_and_not_looked_for_again(tmp_path: Path) -> None:
    async with bench(MadeUpAccount({}), tmp_path) as laid:
        await begun(laid)
        campaign = sent("4", 0, 90)
        campaign.hidden = set(list(campaign.opens)[:3])
        laid.account.campaigns["4"] = campaign
        await laid.reconciled()
        assert reports_read(laid)["open_list"] > 0
        why = (await laid.compared())["4"]["counts"]["opens"]["why"]
        assert why == "3 are not in ActiveCampaign's report, which leaves out deleted contacts."
        await laid.reconciled()
        assert reports_read(laid) == {}
        late = str(10_000)
        campaign.opens[late] = (PRESENT, 1)
        await laid.reconciled()
        assert reports_read(laid)["open_list"] > 0
        assert ("opens", "4", late, "") in laid.books.seen["src"]


async def test_a_gap_that_a_backfill_filled_hides_no_later_loss(tmp_path: Path) -> None:
    old = sent("1", 200, 130)
    async with bench(MadeUpAccount({"1": old}), tmp_path) as laid:
        await begun(laid)
        await laid.ended((await laid.history.backfill("conn"))["id"])
        await laid.reconciled()
        old.opens["9999"] = (PRESENT, 1)  # its webhook was lost
        await laid.reconciled()
        assert ("opens", "1", "9999", "") in laid.books.seen["src"]


async def test_of_a_campaign_from_before_only_what_came_since_is_filled_in(tmp_path: Path) -> None:
    old = sent("1", 20, 130)
    async with bench(MadeUpAccount({"1": old}), tmp_path) as laid:
        await begun(laid)
        old.opens["9999"] = (PRESENT + timedelta(minutes=1), 1)
        laid.now += timedelta(hours=1)
        await laid.reconciled()
        assert laid.books.seen["src"] == {("opens", "1", "9999", "")}
        why = (await laid.compared())["1"]["counts"]["opens"]["why"]
        assert why == f"{len(old.opens) - 1} happened before the account was connected; a back-fill brings them."
        reports_read(laid)
        await laid.reconciled()
        assert reports_read(laid) == {}


async def test_a_named_campaign_is_read_whatever_was_taken_for_settled(tmp_path: Path) -> None:
    old = sent("1", 200, 130)
    async with bench(MadeUpAccount({"1": old, "2": sent("2", 200, 50)}), tmp_path) as laid:
        await begun(laid)
        await laid.reconciled(campaigns=["1"])
        assert laid.books.seen["src"] == old.truth()


async def test_recipients_are_read_once_the_hold_is_over(tmp_path: Path) -> None:
    async with bench(MadeUpAccount({}), tmp_path) as laid:
        await begun(laid)
        campaign = sent("5", 0, 60)
        laid.account.campaigns["5"] = campaign
        laid.books.webhook("src", *known_by_webhook(campaign))
        await laid.reconciled()
        assert "unopen_list" not in reports_read(laid)
        assert "24 h after the last email" in (await laid.compared())["5"]["counts"]["delivered"]["why"]
        laid.now += timedelta(hours=25)
        await laid.reconciled()
        assert reports_read(laid)["unopen_list"] > 0
        assert {key for key in campaign.truth() if key[0] == "recipients"} <= laid.books.seen["src"]
        await laid.reconciled()
        assert reports_read(laid) == {}


async def test_an_account_that_is_switched_off_begins_anew(tmp_path: Path) -> None:
    async with bench(MadeUpAccount({}), tmp_path) as laid:
        await begun(laid)
        laid.enabled = False
        laid.history.use({"src": laid.connected()})
        laid.account.campaigns["6"] = sent("6", 0.5, 60)
        laid.enabled = True
        laid.history.use({"src": laid.connected()})
        await laid.reconciled()
        await laid.reconciled()
        assert laid.books.seen["src"] == set()


async def test_an_account_that_does_not_answer_makes_its_run_wait(tmp_path: Path) -> None:
    async with bench(MadeUpAccount({}), tmp_path) as laid:
        await begun(laid)
        laid.account.campaigns["7"] = sent("7", 0, 30)
        laid.account.status = 500
        run = await laid.history.reconcile("conn")
        while (await laid.history.latest("conn"))["reconciliation"]["state"] != "waiting":
            await laid.history.latest("conn")
        laid.account.status = 200
        assert (await laid.ended(run["id"]))["state"] == "done"
        assert {*known_by_webhook(laid.account.campaigns["7"])} <= laid.books.seen["src"]


async def test_pitfall_37_repeats_are_only_counted_until_somebody_wants_them(tmp_path: Path) -> None:
    async with bench(MadeUpAccount({}), tmp_path) as laid:
        await begun(laid)
        campaign = sent("8", 0, 30)
        laid.account.campaigns["8"] = campaign
        laid.books.webhook("src", *known_by_webhook(campaign))
        await laid.reconciled()
        assert reports_read(laid) == {}
        why = (await laid.compared())["8"]["counts"]["opens"]["why"]
        assert why.startswith("5 repeats are only counted")
        laid.settings = {"backfill_repeats": True}
        laid.history.use({"src": laid.connected()})
        await laid.reconciled()
        assert reports_read(laid)["open_list"] > 0
        rows = [row for record in laid.books.records for row in record.rows]
        assert sum(row.times for row in rows) == sum(times for _, times in campaign.opens.values())


async def test_pitfall_38_a_webhook_that_fell_silent_costs_nothing(tmp_path: Path) -> None:
    async with bench(MadeUpAccount({}), tmp_path) as laid:
        await begun(laid)
        for id_ in ("10", "11"):  # no webhook tells of either; only the counters move
            laid.account.campaigns[id_] = sent(id_, 0, 100)
            await laid.reconciled()
        wanted = {key for each in laid.account.campaigns.values() for key in known_by_webhook(each)}
        assert laid.books.seen["src"] == wanted


async def test_pitfall_41_who_left_by_an_import_comes_in_without_a_webhook(tmp_path: Path) -> None:
    async with bench(MadeUpAccount({}), tmp_path) as laid:
        await begun(laid)
        row = {"contact": "5", "list": "1", "status": "2", "campaign": "0", "udate": "2025-07-01T07:00:30-05:00"}
        laid.account.left_lists.append(row)
        await laid.reconciled()
        assert laid.books.seen["src"] == {("unsubscribes", "", "5", "")}
