"""Back-fill over HTTP: everything that the reports show comes in, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from history_account import PRESENT, MadeUpAccount, bench, sent

from headwater.errors import ConflictError, InvalidRequestError


def account(**given: object) -> MadeUpAccount:
    campaigns = [sent("1", 200, 130), sent("2", 20, 90, first=60), sent("3", 2, 45)]
    return MadeUpAccount({each.id: each for each in campaigns}, **given)


@pytest.mark.parametrize("page_rows", [20, 100, 100_000])
async def test_everything_that_the_reports_show_comes_in(tmp_path: Path, page_rows: int) -> None:
    async with bench(account(page_rows=page_rows), tmp_path) as laid:
        history = await laid.start()
        run = await laid.ended((await history.backfill("conn"))["id"])
        assert run["state"] == "done"
        assert laid.books.seen["src"] == laid.account.truth()
        assert run["campaigns"] == {"total": 3, "done": 3}
        assert run["rows"] == len(laid.account.truth())
        opens = next(each for each in laid.books.records if each.report == "opens")
        assert {who: person.user_id for who, person in opens.people.items()} == {
            row.contact_id: f"u{row.contact_id}" if int(row.contact_id) % 2 else "" for row in opens.rows
        }
        assert opens.campaign.message_id == f"7{opens.campaign.id}"
        assert opens.campaign.subject == "Hello %FIRSTNAME%"


async def test_calls_stay_at_the_least_that_the_pages_allow(tmp_path: Path) -> None:
    async with bench(account(), tmp_path) as laid:
        history = await laid.start()
        await laid.looked()
        laid.account.calls.clear()
        run = await laid.ended((await history.backfill("conn"))["id"])
        assert run["calls"] == sum(laid.account.calls.values())
        assert run["calls"] <= run["callsMinimum"] + 12  # a list of one page may need a second, empty one


async def test_a_crash_after_any_deposit_costs_nothing(tmp_path: Path) -> None:
    for crash in range(0, 14, 2):
        home = tmp_path / str(crash)
        home.mkdir()
        async with bench(account(), home) as laid:
            history = await laid.start()
            run_id = (await history.backfill("conn"))["id"]
            laid.books.fails_at = crash
            while laid.books.fails_at >= 0 and (await history.latest("conn"))["backfill"]["state"] != "done":  # noqa: ASYNC110 - a test polls
                await asyncio.sleep(0.01)
            await laid.stop()
            laid.books.fails_at = None
            await laid.start()
            run = await laid.ended(run_id)
            assert run["state"] == "done"
            assert laid.books.seen["src"] == laid.account.truth(), crash


async def test_a_reading_goes_on_at_the_page_it_had_come_to(tmp_path: Path) -> None:
    big = sent("1", 20, 12_000)
    stopped, goes_on = asyncio.Event(), asyncio.Event()

    async def stop_at(_campaign: object, action: str, page: int) -> None:
        if action == "campaign_report_open_list" and page > 30:
            stopped.set()
            await goes_on.wait()

    async with bench(MadeUpAccount({"1": big}, page_rows=100, before_page=stop_at), tmp_path) as laid:
        history = await laid.start()
        run_id = (await history.backfill("conn"))["id"]
        await stopped.wait()
        await laid.stop()
        goes_on.set()
        laid.account.calls.clear()
        await laid.start()
        run = await laid.ended(run_id)
        assert laid.books.seen["src"] == big.truth()
        assert laid.account.calls["campaign_report_open_list"] <= 40 - 20 + 2
        assert laid.account.calls["campaign_report_bounce_list"] == 0
        assert run["rows"] == len(big.truth())


async def test_since_leaves_out_rows_and_campaigns_that_ended_long_before(tmp_path: Path) -> None:
    async with bench(account(), tmp_path) as laid:
        history = await laid.start()
        since = PRESENT - timedelta(days=3)
        run = await laid.ended((await history.backfill("conn", since=since.isoformat()))["id"])
        assert run["campaigns"]["total"] == 2
        assert laid.books.seen["src"] == laid.account.campaigns["3"].truth()


async def test_only_the_named_campaigns_are_read_and_an_unknown_one_is_told(tmp_path: Path) -> None:
    async with bench(account(), tmp_path) as laid:
        history = await laid.start()
        run = await laid.ended((await history.backfill("conn", campaigns=["2", "77"]))["id"])
        assert laid.books.seen["src"] == laid.account.campaigns["2"].truth()
        assert "no campaign 77" in run["message"]
        assert laid.account.calls["contacts"] == 0
        nothing = await laid.ended((await history.backfill("conn", campaigns=["77"]))["id"])
        assert (nothing["state"], nothing["message"]) == ("failed", "There is no campaign 77.")


async def test_a_dry_run_only_counts(tmp_path: Path) -> None:
    async with bench(account(), tmp_path) as laid:
        history = await laid.start(run=False)
        would = await history.backfill("conn", dry_run=True)
        bounced = sum(len(each.bounces) for each in laid.account.campaigns.values())
        assert (would["dryRun"], would["campaigns"]["total"]) == (True, 3)
        assert would["rows"] == len(laid.account.truth()) - bounced  # those that bounced may be in the list of the rest
        assert would["etaS"] >= would["calls"] / 5 > 0
        assert sum(laid.account.calls.values()) == 1
        assert (await history.runs("conn"))["runs"] == []


async def test_one_backfill_at_a_time_and_a_cancelled_one_makes_room(tmp_path: Path) -> None:
    async with bench(account(), tmp_path) as laid:
        history = await laid.start(run=False)
        first = await history.backfill("conn")
        with pytest.raises(ConflictError, match="under way"):
            await history.backfill("conn")
        assert (await history.cancel("conn", first["id"]))["state"] == "cancelled"
        assert (await history.backfill("conn"))["state"] == "waiting"


async def test_a_backfill_waits_while_the_account_is_off_and_ends_with_another_address(tmp_path: Path) -> None:
    async with bench(account(), tmp_path) as laid:
        history = await laid.start(run=False)
        run_id = (await history.backfill("conn"))["id"]
        laid.enabled = False
        history.use({"src": laid.connected()})
        assert (await history.latest("conn"))["backfill"]["message"].startswith("The account was switched off.")
        with pytest.raises(ConflictError, match="switch it on"):
            await history.backfill("conn")
        laid.enabled = True
        history.use({"src": laid.connected()})
        laid.task = asyncio.create_task(history.run())
        assert (await laid.ended(run_id))["state"] == "done"
        laid.task.cancel()
        await history.backfill("conn")
        laid.account.url = "http://localhost:1"
        history.use({"src": laid.connected()})
        assert (await history.latest("conn"))["backfill"]["state"] == "cancelled"


async def test_what_is_no_date_is_refused(tmp_path: Path) -> None:
    async with bench(account(), tmp_path) as laid:
        history = await laid.start(run=False)
        with pytest.raises(InvalidRequestError, match="2025-01-31"):
            await history.backfill("conn", since="last week")


async def test_a_refused_key_makes_the_run_wait_with_the_next_step(tmp_path: Path) -> None:
    """What was read stays read: the service answers a wrong key and a bad moment alike."""
    async with bench(account(), tmp_path) as laid:
        history = await laid.start()
        laid.account.status = 403
        run_id = (await history.backfill("conn"))["id"]
        while "copy it again" not in (await history.latest("conn"))["backfill"]["message"]:  # noqa: ASYNC110 - as a client polls
            await asyncio.sleep(0.02)
        assert (await history.latest("conn"))["backfill"]["state"] == "waiting"
        laid.account.status = 200
        assert (await laid.ended(run_id))["state"] == "done"
        assert laid.account.truth() <= laid.books.seen["src"]


async def test_a_campaign_that_is_deleted_meanwhile_costs_itself_only(tmp_path: Path) -> None:
    async with bench(account(), tmp_path) as laid:
        wanted = laid.account.truth() - laid.account.campaigns["1"].truth()

        async def delete(*_: object) -> None:
            laid.account.campaigns.pop("1", None)

        laid.account.before_page = delete
        laid.account.campaigns = dict(reversed(laid.account.campaigns.items()))
        history = await laid.start(run=False)
        run_id = (await history.backfill("conn"))["id"]
        laid.task = asyncio.create_task(history.run())
        run = await laid.ended(run_id)
        assert run["state"] == "done"
        assert wanted <= laid.books.seen["src"]


async def test_who_left_without_a_campaign_comes_in_once(tmp_path: Path) -> None:
    left = [
        {"contact": "5", "list": "1", "status": "2", "campaign": "0", "udate": "2025-06-20T10:00:00-05:00"},
        {"contact": "6", "list": "1", "status": "2", "campaign": "3", "udate": "2025-06-29T10:00:00-05:00"},
    ]
    async with bench(account(left_lists=left), tmp_path) as laid:
        history = await laid.start()
        await laid.ended((await history.backfill("conn"))["id"])
        alone = [each for each in laid.books.records if not each.campaign.id]
        assert [row.contact_id for each in alone for row in each.rows] == ["5"]


async def test_pitfall_32_a_list_that_shifts_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    campaign = sent("1", 20, 3_000)
    gone = list(campaign.opens)[:25]
    deleted = asyncio.Event()

    async def shift(_campaign: object, action: str, page: int) -> None:
        if action == "campaign_report_open_list" and page == 8 and not deleted.is_set():
            deleted.set()
            for who in gone:  # contacts are deleted: every later row moves a page forward
                del campaign.opens[who]

    async with bench(MadeUpAccount({"1": campaign}, page_rows=20, before_page=shift), tmp_path) as laid:
        history = await laid.start()
        await laid.ended((await history.backfill("conn"))["id"])
        assert {key for key in campaign.truth() if key[0] == "opens"} <= laid.books.seen["src"]
