"""Back-fill of a simulated account whose history is over before Headwater sees it: only the API knows it."""

from __future__ import annotations

import json
import urllib.request
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from history_account import MadeUpAccount
from test_ac_backfill_memory import Told, drained, program

from account import SimulatedAccount

NAMES = {
    "open": "Email Opened",
    "click": "Email Link Clicked",
    "bounce": "Email Bounced",
    "unsubscribe": "Email Unsubscribed",
}
SMALL = (
    "--history",
    "past",
    "--contacts",
    "400",
    "--history-campaigns",
    "3",
    "--live-campaigns",
    "0",
    "--api-rate",
    "0",
)


def truth(url: str) -> set[Told]:
    """Return what the account's reports show, repeats once."""
    found = set()
    with urllib.request.urlopen(url + "/truth", timeout=60) as lines:
        for line in lines:
            each = json.loads(line)
            if each["kind"] in NAMES and each["reported"]:
                link = each["link_url"] if each["kind"] == "click" else ""
                found.add((NAMES[each["kind"]], str(each["campaign_id"] or ""), str(each["contact_id"]), link))
    return found


@pytest.mark.parametrize(
    "switches",
    [
        ("--report-page", "20", "--html-answers", "0.02", "--refusals", "0.02"),
        ("--report-page", "100", "--splits", "0.5", "--untracked", "0.3", "--scanners", "0.05"),
        ("--report-page", "0", "--admin-unsubscribes", "0.02", "--email-changes", "0.05", "--unsubscribes", "once"),
    ],
    ids=" ".join,
)
async def test_a_history_that_is_over_comes_in_whole(tmp_path: Path, switches: tuple[str, ...]) -> None:
    with SimulatedAccount(*SMALL, *switches) as simulated:
        async with program(MadeUpAccount({}), tmp_path) as (laid, running):
            laid.account.url, laid.key, laid.now = simulated.url, SimulatedAccount.KEY, datetime.now(UTC)
            running.identities.use({"src": laid.connected()})
            history = await laid.start()
            run = await laid.ended((await history.backfill("conn"))["id"])
            await drained(running)
            assert run["state"] == "done"
            assert running.events() == Counter(truth(simulated.url))
            await laid.reconciled()
            differing = {id_: each["why"] for id_, each in (await laid.compared()).items() if not each["equal"]}
            assert differing == {}


async def test_an_account_whose_webhooks_are_all_lost_is_known_through_its_counters(tmp_path: Path) -> None:
    plan = ("--contacts", "400", "--history-campaigns", "0", "--live-campaigns", "2", "--speed", "3000", "--paused")
    with SimulatedAccount(*plan, "--api-rate", "0") as simulated:
        async with program(MadeUpAccount({}), tmp_path) as (laid, running):
            laid.account.url, laid.key, laid.now = simulated.url, SimulatedAccount.KEY, datetime.now(UTC)
            running.identities.use({"src": laid.connected()})
            await laid.start()
            await laid.looked()
            simulated.send("POST", "/play", {"pause": False})
            is_over = False
            while not is_over:  # the last pass begins after the last occurrence
                is_over = simulated.get("/progress")["done"]
                laid.now = datetime.now(UTC)
                assert (await laid.reconciled())["state"] == "done"
            await drained(running)
            assert running.events() == Counter(truth(simulated.url))
