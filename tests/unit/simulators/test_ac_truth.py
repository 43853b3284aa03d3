"""The simulated account's truth: complete, the same from the same seed, and what each switch changes about it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.simulators.activecampaign.account import Account, Webhook
from headwater.simulators.activecampaign.api.gate import Bucket
from headwater.simulators.activecampaign.api.reports import totals
from headwater.simulators.activecampaign.campaigns import Campaign
from headwater.simulators.activecampaign.happenings import APPLE_AGENT, COMPLAINT
from headwater.simulators.activecampaign.people import Population
from headwater.simulators.activecampaign.results import Result, Tally
from headwater.simulators.activecampaign.settings import Settings, Switches
from headwater.simulators.activecampaign.truth import Truth

PRESENT = datetime(2025, 7, 1, 12, tzinfo=UTC)
SMALL = Settings(present=PRESENT, contacts=600, history_campaigns=4, live_campaigns=0)


def played(settings: Settings = SMALL, **switches: Any) -> tuple[Account, list[dict[str, Any]], list[Webhook]]:
    """Play the account to its end; return it, its truth and its webhooks."""
    account = Account(replace(settings, switches=replace(settings.switches, **switches)))
    webhooks = [step for _, step in account.steps() if isinstance(step, Webhook)]
    return account, [json.loads(line) for line in Truth(account).lines(set())], webhooks


def of_kind(truth: list[dict[str, Any]], *kinds: str) -> list[dict[str, Any]]:
    return [line for line in truth if line["kind"] in kinds]


def test_the_same_seed_gives_the_same_truth_and_another_another() -> None:
    assert played()[1] == played()[1]
    assert played()[1] != played(replace(SMALL, seed=2))[1]


def test_a_past_is_the_same_life_without_a_webhook() -> None:
    _, posted, webhooks = played()
    _, past, none = played(replace(SMALL, history="past"))
    assert past == posted
    assert webhooks
    assert none == []


def test_everybody_who_got_an_email_is_delivered_or_bounced() -> None:
    account, truth, _ = played()
    got = {(line["campaign_id"], line["contact_id"]) for line in of_kind(truth, "delivered", "bounce")}
    assert len(of_kind(truth, "delivered", "bounce")) == len(got)
    assert got == {(id_, contact) for id_, result in account.results.items() for contact in result.recipients}


def test_nothing_happens_after_an_account_that_ends_at_the_present() -> None:
    _, truth, _ = played(replace(SMALL, contacts=3_000))
    assert max(line["at"] for line in truth) <= "2025-07-01T12:00:00Z"


def test_the_first_of_a_person_and_link_is_the_earliest_and_alone_is_told() -> None:
    _, truth, webhooks = played()
    opens = of_kind(truth, "open")
    earliest: dict[tuple[int, int], str] = {}
    for line in opens:
        earliest.setdefault((line["campaign_id"], line["contact_id"]), line["at"])
    assert all(line["first"] is line["due"] for line in opens)
    firsts = {(line["campaign_id"], line["contact_id"]): line["at"] for line in opens if line["first"]}
    assert firsts == earliest
    assert len(firsts) < len(opens)
    assert sum(step.kind == "open" for step in webhooks) == len(firsts)


def test_the_counters_are_what_the_truth_counts() -> None:
    account, truth, _ = played(scanners=0.1)
    for id_, result in account.results.items():
        mine = [line for line in truth if line["campaign_id"] == id_]
        clicks = of_kind(mine, "click")
        assert {name: int(count) for name, count in totals(result).items() if count != "0"} == +Counter(
            send_amt=len(result.recipients),
            total_amt=len(result.recipients),
            opens=len(of_kind(mine, "open")),
            uniqueopens=len({line["contact_id"] for line in of_kind(mine, "open")}),
            linkclicks=len(clicks),
            uniquelinkclicks=len({(line["contact_id"], line["link_id"]) for line in clicks}),
            subscriberclicks=len({line["contact_id"] for line in clicks}),
            hardbounces=sum(line["bounce_type"] == "hard" for line in of_kind(mine, "bounce")),
            softbounces=sum(line["bounce_type"] == "soft" for line in of_kind(mine, "bounce")),
            unsubscribes=len({line["contact_id"] for line in of_kind(mine, "unsubscribe")}),
            unsubreasons=len({line["contact_id"] for line in of_kind(mine, "unsubscribe") if line["reason"]}),
        )


@pytest.mark.parametrize(("complaints", "shown"), [("unsubscribe", True), ("nothing", False)])
def test_a_complaint_is_true_whether_or_not_the_account_shows_it(complaints: str, shown: bool) -> None:  # noqa: FBT001 - a column of the table
    account, truth, _ = played(replace(SMALL, contacts=3_000), complaints=complaints)
    told = of_kind(truth, "complaint")
    assert told
    assert all((line["due"], line["reported"]) == (shown, shown) for line in told)
    assert {line["contact_id"] for line in told} == {
        line["contact_id"] for line in of_kind(truth, "unsubscribe") if line["reason"] == COMPLAINT
    }
    assert any(left.reason == COMPLAINT for left in account.left.values()) is shown


def test_user_ids_are_known_of_a_share_or_of_nobody_yet() -> None:
    account, truth, _ = played()
    known = {line["contact_id"]: bool(line["user_id"]) for line in truth}
    assert 0.6 < sum(known.values()) / len(known) < 0.8
    account.switches = replace(account.switches, user_ids="later")
    assert not any(json.loads(line)["user_id"] for line in Truth(account).lines({"open"}))


def test_scanners_open_and_follow_every_link_within_seconds_and_do_not_shop() -> None:
    account, truth, _ = played(scanners=1.0)
    campaign = account.results[1].campaign
    machine = [line for line in truth if line.get("machine") and line["campaign_id"] == 1 and line["kind"] == "click"]
    links = Counter(line["contact_id"] for line in machine)
    assert set(links.values()) == {len(campaign.links)}
    got = {line["contact_id"] for line in of_kind(truth, "delivered") if line["campaign_id"] == 1}
    assert links.keys() == got
    assert "MailGateway" in machine[0]["agent"]
    without = [(line["at"], line["contact_id"], line["link_id"]) for line in of_kind(played()[1], "click")]
    people = [line for line in of_kind(truth, "click") if not line["machine"]]
    assert [(line["at"], line["contact_id"], line["link_id"]) for line in people] == without
    assert account.ledger.counts()["calls"]["identify"] <= len(people)


def test_apples_proxy_is_a_machine_and_a_reader_is_none() -> None:
    opens = of_kind(played()[1], "open")
    assert {line["machine"] for line in opens if line["agent"] == APPLE_AGENT} == {True}
    assert {line["machine"] for line in opens if line["agent"] != APPLE_AGENT} == {False}


def test_an_untracked_campaign_sees_neither_opens_nor_clicks_but_who_leaves() -> None:
    _, truth, _ = played(replace(SMALL, contacts=3_000), untracked=1.0)
    assert {line["kind"] for line in truth} == {"delivered", "bounce", "unsubscribe", "complaint"}


def test_a_split_test_gives_each_person_one_of_two_messages() -> None:
    account, truth, webhooks = played(splits=1.0)
    messages = {line["contact_id"]: line["message_id"] for line in truth if line["campaign_id"] == 1}
    assert set(messages.values()) == {message.id for message in account.results[1].campaign.messages}
    assert len({line["message_id"] for line in truth if line["campaign_id"] == 1}) == 2
    opens = [step.body for step in webhooks if step.kind == "open"]
    assert all(b"campaign%5Btype%5D=split" in body for body in opens)
    assert any(b"%25FIRSTNAME%25" in body for body in opens)


def test_who_is_taken_off_by_a_user_left_for_no_campaign() -> None:
    account, truth, webhooks = played(admin_unsubscribes=0.05)
    mine = [line for line in of_kind(truth, "unsubscribe") if line["initiated_by"] == "admin"]
    assert mine
    assert {(line["campaign_id"], line["message_id"]) for line in mine} == {(0, 0)}
    bodies = [step.body for step in webhooks if step.source == "admin"]
    assert len(bodies) == len(mine)
    assert all(b"campaign" not in body.split(b"contact%5Bid")[1].split(b"form")[0] for body in bodies)
    assert {account.left[line["contact_id"]].campaign_id for line in mine} == {0}


def test_a_changed_address_is_that_of_its_time() -> None:
    account, truth, _ = played(email_changes=1.0)
    by_campaign = {line["campaign_id"]: line["email"].startswith("new.") for line in truth if line["contact_id"] == 2}
    assert sorted(by_campaign.values()) == list(by_campaign.values())
    changed = [contact for id_ in range(1, 500) if (contact := account.people.get(id_)) and contact.email]
    assert any(account.as_of(contact).email == f"new.{contact.email}" for contact in changed)
    assert all(account.as_of(contact, 0).email == contact.email for contact in changed)


def test_a_deleted_contact_gets_no_further_campaign() -> None:
    account, truth, _ = played(deletions=0.5)
    gone = [contact for id_ in range(1, 400) if (contact := account.people.get(id_)) and account.is_deleted(contact)]
    assert gone
    for contact in gone:
        campaigns = {line["campaign_id"] - 1 for line in truth if line["contact_id"] == contact.id}
        assert not any(account.is_deleted(contact, number) for number in campaigns)


def test_every_campaign_reaches_as_many_as_asked() -> None:
    account, _, _ = played(replace(SMALL, recipients=500))
    assert {len(result.recipients) for result in account.results.values()} == {500}


def test_what_a_click_and_a_campaign_tell_can_be_switched() -> None:
    _, _, webhooks = played(click_agents="present", message_ids="absent")
    clicks = [step.body for step in webhooks if step.kind == "click"]
    assert all(b"User-Agent=" in body and b"message%5D%5Bid" not in body for body in clicks)
    assert all(b"User-Agent=" not in step.body for step in played()[2] if step.kind == "click")


def test_time_passes_also_where_nobody_listens() -> None:
    account = Account(SMALL, lambda _: False)
    moments = list(account.moments())
    assert {step for _, step in moments if isinstance(step, Webhook)} == set()
    assert len([step for _, step in moments if step is None]) == sum(account.ledger.counts()["happenings"].values())


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 100))))
def test_a_tally_keeps_the_first_time_and_the_number(counted: list[tuple[int, int]]) -> None:
    tally = Tally()
    firsts = [tally.count(contact, at_s) for contact, at_s in counted]
    order = list(dict.fromkeys(contact for contact, _ in counted))
    assert list(tally.contacts) == order
    assert sum(firsts) == len(order) == len(tally)
    assert list(tally.times) == [sum(contact == each for contact, _ in counted) for each in order]
    assert list(tally.firsts) == [next(at for contact, at in counted if contact == each) for each in order]
    assert [tally.first(each) for each in order] == list(tally.firsts)
    assert tally.first(99) is None


@given(st.lists(st.floats(0, 3), min_size=1, max_size=60))
def test_no_more_than_the_rate_comes_through_and_an_even_caller_is_never_held(pauses: list[float]) -> None:
    now_s = 0.0
    bucket = Bucket(5.0, lambda: now_s)
    taken = []
    for pause_s in pauses:
        now_s += pause_s
        if bucket.take() == 0:
            taken.append(now_s)
    assert all(sum(at <= each <= at + 1 for each in taken) <= 11 for at in taken)
    assert len(taken) <= 6 + 5 * sum(pauses)
    even = Bucket(5.0, lambda: now_s)
    for _ in range(50):
        assert even.take() == 0
        now_s += 0.2


def test_webhooks_are_counted_on_the_occurrence_they_tell_of() -> None:
    campaign = Campaign(1, (), "n", 1, (), 0.0, 1.0, 1)
    account, truth, webhooks = played()
    assert {line["webhooks"] for line in truth} == {0}
    first = webhooks[0]
    assert first.result is not None
    first.result.went(first.place, arrived=True)
    first.result.went(first.place, arrived=False)
    told = [json.loads(line) for line in Truth(account).lines({first.kind})]
    assert [(line["webhooks"], line["arrived"]) for line in told if line["webhooks"]] == [(2, 1)]
    assert len(Result(campaign, PRESENT, [])) == 0


def test_a_contact_that_was_added_is_on_no_list_until_it_is_put_there() -> None:
    people = Population(1, 10)
    id_ = people.add("ada@example.com")
    assert (id_, people[id_].email, people[id_].list_ids) == (11, "ada@example.com", ())
    people.change(replace(people[2], email="new@example.com"))
    found = people.get(2)
    assert found is not None
    assert found.email == "new@example.com"
    assert people.get(12) is None
    assert Switches().user_ids == "set"
