"""The client against the simulated account: the same calls, over HTTP, at its rate and with its bad days."""

import contextlib
from collections import Counter

import pytest

from account import SimulatedAccount
from headwater.activecampaign.address import normalised
from headwater.budget import Budget, Priority
from headwater.delivery.http import GuardedHttp
from headwater.errors import UnauthorizedError
from headwater.limits import ACCOUNT_ANSWER_BYTES_MAX
from headwater.sources.activecampaign.api.account import AccountApi, pages
from receiver import LOOPBACK

SMALL = ("--contacts", "300", "--history-campaigns", "2", "--live-campaigns", "0", "--seed", "7", "--history", "past")


@contextlib.asynccontextmanager
async def called(*options: str, key: str = SimulatedAccount.KEY, per_s: int = 1000):
    with SimulatedAccount(*SMALL, *options) as account:
        http = GuardedHttp(LOOPBACK, answer_bytes_max=ACCOUNT_ANSWER_BYTES_MAX)
        try:
            yield account, AccountApi(http, Budget(per_s), normalised(account.url + "/api/3/"), key)
        finally:
            await http.close()


async def every(fetch, expected: int) -> list:
    return [row async for _, page in pages(fetch, expected=expected) for row in page]


@pytest.mark.parametrize("size", ["20", "100", "0"])
async def test_the_reports_hold_what_happened(size):
    async with called("--api-rate", "0", "--report-page", size) as (account, api):
        truth = [happening for happening in account.truth() if happening["reported"]]
        for campaign in await api.campaigns():
            its = [one for one in truth if str(one["campaign_id"]) == campaign.id]
            opens = await every(lambda page, id_=campaign.id: api.opens(id_, page), campaign.unique_opens)
            clicks = await every(lambda page, id_=campaign.id: api.clicks(id_, page), campaign.unique_clicks)
            bounced = campaign.hard_bounces + campaign.soft_bounces
            bounces = await every(lambda page, id_=campaign.id: api.bounces(id_, page), bounced)
            unsubscribes = await every(lambda page, id_=campaign.id: api.unsubscribes(id_, page), campaign.unsubscribes)
            unopens = await every(lambda page, id_=campaign.id: api.unopens(id_, page), 0)

            def told(kind: str, its=its) -> Counter:
                return Counter(str(one["contact_id"]) for one in its if one["kind"] == kind)

            assert {row.contact_id: row.times for row in opens} == told("open")
            assert sum(row.times for row in clicks) == told("click").total() == campaign.clicks
            assert Counter(row.contact_id for row in bounces) == told("bounce")
            assert len(opens) > 20
            assert {row.contact_id for row in unsubscribes} == {*told("unsubscribe"), *told("complaint")}
            assert len(opens) + len(unopens) + len(bounces) >= campaign.recipients
            assert not [row for row in clicks if row.link.url == "open"]


async def test_who_left_a_list_is_told_with_the_campaign():
    async with called("--api-rate", "0", "--admin-unsubscribes", "0.02") as (account, api):
        found = [row async for rows in api.unsubscribed_contacts() for row in rows]
        left = [one for one in account.truth() if one["kind"] in {"unsubscribe", "complaint"}]
        by_campaign = {(str(one["contact_id"]), str(one["campaign_id"] or "")) for one in left}
        assert by_campaign
        assert {(row.contact_id, row.campaign_id) for row in found} == by_campaign
        assert all(row.at and row.list_id for row in found)


async def test_everybody_is_read_by_id_and_found_again_by_ids():
    async with called("--api-rate", "0") as (_, api):
        after, rows = "0", []
        while page := await api.contacts_after(after):
            rows += page
            after = page[-1].id
        ids = [row.id for row in rows]
        assert len(ids) == len(set(ids)) >= 250
        assert [row.id for row in rows] == sorted(ids, key=int)
        before = api.calls
        assert sorted(await api.contacts(ids), key=lambda row: int(row.id)) == rows
        assert api.calls - before == -(-len(ids) // 100)
        assert len({row.user_id for row in rows if row.user_id}) > 100


async def test_a_webhook_is_made_found_changed_and_removed():
    async with called("--api-rate", "0") as (_, api):
        url = "https://headwater.example/webhooks/activecampaign/secret"
        sources = ("public", "admin", "api", "system")
        made = await api.create_webhook("Headwater", url, ["open", "click"], sources)
        assert await api.webhooks(url) == [made]
        changed = await api.change_webhook(made.id, name="Headwater", url=url, events=["bounce"], sources=sources)
        assert (changed.id, changed.events) == (made.id, ("bounce",))
        await api.delete_webhook(made.id)
        await api.delete_webhook(made.id)
        assert await api.webhooks(url) == []


async def test_a_campaign_tells_its_email_and_what_is_gone_is_none():
    async with called("--api-rate", "0") as (_, api):
        first = (await api.campaigns())[0]
        full = await api.campaign(first.id)
        assert full.message_ids
        assert full.sent_at == first.sent_at is not None
        assert await api.campaign("999999") is None
        assert await api.contacts(["999999999"]) == []
        assert await api.opens("999999", 1) == []
        assert set(await api.lists()) != set()


async def test_bad_days_of_the_service_are_sat_out():
    async with called("--api-rate", "0", "--html-answers", "0.1", "--refusals", "0.1", "--server-errors", "0.1") as (
        _,
        api,
    ):
        for _ in range(20):
            assert len(await api.campaigns()) == 2


async def test_pitfall_30_the_accounts_rate_is_kept_and_a_throttled_call_comes_through():
    async with called(per_s=5) as (_, api):
        for _ in range(12):
            await api.me(priority=Priority.BACKGROUND)
        assert api.calls <= 14  # a machine that stumbles may send two in one moment
    async with called(per_s=1000) as (_, api):
        assert {await api.me() for _ in range(12)} == {"admin"}
        assert api.calls > 12


async def test_a_wrong_key_is_the_key():
    async with called("--api-rate", "0", key="another") as (_, api):
        with pytest.raises(UnauthorizedError):
            await api.me()
        with pytest.raises(UnauthorizedError):
            await api.opens("1", 1)
