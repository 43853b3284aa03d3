"""The simulated account: the same seed gives the same life; every switch does what it says."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

import pytest
from click.testing import CliRunner

from headwater.cli.simulate import command
from headwater.simulators.activecampaign import bodies
from headwater.simulators.activecampaign.account import Account, Step, Visit, Webhook
from headwater.simulators.activecampaign.ledger import ENTRIES_MAX
from headwater.simulators.activecampaign.people import contact
from headwater.simulators.activecampaign.settings import Settings, Switches

PRESENT = datetime(2025, 7, 1, 12, tzinfo=UTC)
SMALL = Settings(present=PRESENT, contacts=400, history_campaigns=3, live_campaigns=1)


def play(settings: Settings = SMALL) -> tuple[Account, list[tuple[float, Step]]]:
    account = Account(settings)
    return account, list(account.steps())


def switched(**switches: object) -> list[list[tuple[str, str]]]:
    """Return the decoded webhooks of the small account under these switches."""
    _, steps = play(replace(SMALL, switches=replace(Switches(), **switches)))
    return [decoded(step.body) for _, step in steps if isinstance(step, Webhook)]


def decoded(body: bytes) -> list[tuple[str, str]]:
    return parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True)


def of_kind(webhooks: list[list[tuple[str, str]]], kind: str) -> list[list[tuple[str, str]]]:
    return [pairs for pairs in webhooks if pairs[0] == ("type", kind)]


def test_the_same_seed_gives_the_same_ledger_and_the_same_steps() -> None:
    first, second = play(), play()
    assert first[1] == second[1]
    assert first[0].ledger.entries() == second[0].ledger.entries()
    assert first[0].ledger.counts() == second[0].ledger.counts()


def test_another_seed_gives_another_account() -> None:
    assert play()[0].ledger.counts() != play(replace(SMALL, seed=2))[0].ledger.counts()


def test_speed_changes_when_live_things_happen_and_not_what_happens() -> None:
    slow, fast = play()[0].ledger, play(replace(SMALL, speed=1000.0))[0].ledger
    assert slow.counts() == fast.counts()
    assert max(entry["at"] for entry in fast.entries()) < max(entry["at"] for entry in slow.entries())


def test_an_account_started_again_goes_on_with_new_campaigns_and_new_calls() -> None:
    def seen(settings: Settings) -> tuple[set[int], set[str]]:
        account, steps = play(settings)
        calls = {call["messageId"] for _, step in steps if isinstance(step, Visit) for call in step.calls}
        return {entry["campaign_id"] for entry in account.ledger.entries()}, calls

    campaigns, calls = seen(SMALL)
    more_campaigns, more_calls = seen(replace(SMALL, first_campaign=5))
    assert (campaigns, more_campaigns) == ({1, 2, 3, 4}, {5, 6, 7, 8})
    assert calls
    assert calls.isdisjoint(more_calls)


def test_steps_come_in_the_order_of_time() -> None:
    times = [at for at, _ in play()[1]]
    assert times == sorted(times)


def test_every_kind_happens_within_the_first_seconds_of_the_demo() -> None:
    early = itertools.islice(Account(Settings()).steps(), 1_500)  # six seconds at the rate of the history
    kinds = {step.kind if isinstance(step, Webhook) else "visit" for _, step in early}
    assert kinds == {"open", "click", "bounce", "unsubscribe", "visit"}


def test_rates_look_like_those_of_a_real_list() -> None:
    ledger = play(Settings(present=PRESENT, live_campaigns=0))[0].ledger
    happenings, sent = ledger.counts()["happenings"], 5 * 0.6 * 3_000
    assert 0.2 < happenings["open"] / sent < 0.9
    assert 0.02 < happenings["click"] / sent < 0.12
    assert 0.002 < happenings["bounce"] / sent < 0.03
    assert 0.0005 < happenings["unsubscribe"] / sent < 0.02
    assert set(ledger.counts()["calls"]) == {"identify", "page", "Product Viewed", "Product Added", "Order Completed"}


def test_an_endless_account_keeps_its_size() -> None:
    settings = replace(SMALL, live_campaigns=None)
    account = Account(settings)
    last = max(at for at, _ in itertools.islice(account.steps(), 20_000))
    assert last > settings.history_s + 3_600
    assert len(account.ledger.entries()) == ENTRIES_MAX
    assert sum(account.ledger.counts()["happenings"].values()) > ENTRIES_MAX


def test_people_have_the_names_and_addresses_that_break_careless_programs() -> None:
    people = [contact(1, id_) for id_ in range(1, 3_001)]
    assert len({person.email for person in people if person.email}) == sum(bool(person.email) for person in people)
    assert any(not person.email for person in people)
    assert any("+" in person.email for person in people)
    assert any(", " in tag for person in people for tag in person.tags)
    assert {person.first_name for person in people} >= {"美咲", "ליאור", "فاطمة", "Daniel 🎸", ""}


def test_a_body_is_spelled_as_the_service_spells_it() -> None:
    body = next(step.body for _, step in play()[1] if isinstance(step, Webhook) and step.kind == "click")
    assert body.startswith(b"type=click&date_time=2025-06-24T")
    assert b"contact%5Bid%5D=" in body
    keys = [key for key, _ in decoded(body)]
    assert keys[:4] == ["type", "date_time", "initiated_from", "initiated_by"]
    assert keys[-2:] == ["link[id]", "link[url]"]
    assert {"list[0][id]", "contact[email]", "contact[fields][1]", "campaign[message][subject]"} <= set(keys)


@pytest.mark.parametrize(
    ("times", "month", "text"),
    [
        ("central", 7, "2025-07-01T07:00:00-05:00"),
        ("central", 1, "2025-01-01T06:00:00-06:00"),
        ("naive", 7, "2025-07-01 07:00:00"),
        ("fixed", 1, "2025-01-01T07:00:00-05:00"),
    ],
)
def test_times_are_us_central_with_without_or_with_a_fixed_offset(times: str, month: int, text: str) -> None:
    switches = replace(Switches(), times=times)
    assert bodies.date_time(datetime(2025, month, 1, 12, tzinfo=UTC), switches) == text


def test_repeats_are_sent_only_when_asked_for() -> None:
    first, every = switched(), switched(repeats="every")
    assert len(of_kind(every, "open")) > len(of_kind(first, "open"))
    people = [(dict(pairs)["contact[id]"], dict(pairs)["campaign[id]"]) for pairs in of_kind(first, "open")]
    assert len(people) == len(set(people))


def test_lists_come_in_the_shape_that_is_switched_on() -> None:
    assert ("list[0][id]", "1") in of_kind(switched(), "open")[0]
    assert ("list", "1") in of_kind(switched(lists="scalar"), "open")[0]
    keys = {"repeated": "list[][id]", "indexed": "list[0][name]", "scalar": "list"}
    for shape, key in keys.items():
        unsubscribes = of_kind(switched(unsubscribe_lists=shape), "unsubscribe")
        by_contact = next(dict(pairs) for pairs in unsubscribes if ("initiated_by", "public") in pairs)
        assert key in by_contact


def test_the_second_unsubscribe_brings_the_reason_and_can_be_switched_off() -> None:
    settings = Settings(present=PRESENT, live_campaigns=0)
    for choice, expected in (("twice", True), ("once", False)):
        _, steps = play(replace(settings, switches=Switches(unsubscribes=choice, complaints="nothing")))
        bodies_ = [decoded(step.body) for _, step in steps if isinstance(step, Webhook) and step.kind == "unsubscribe"]
        assert any("unsubscribe[reason]" in dict(pairs) for pairs in bodies_) is expected
        assert any("unsubscribe[reason]" not in dict(pairs) for pairs in bodies_)


@pytest.mark.parametrize(("complaints", "expected"), [("unsubscribe", True), ("nothing", False)])
def test_a_complaint_is_an_unsubscribe_by_the_system_or_nothing(complaints: str, expected: bool) -> None:  # noqa: FBT001 - a column of the table
    settings = Settings(present=PRESENT, live_campaigns=0, switches=Switches(complaints=complaints))
    _, steps = play(settings)
    reasons = [dict(decoded(step.body)).get("unsubscribe[reason]") for _, step in steps if isinstance(step, Webhook)]
    assert ("Abuse Reported." in reasons) is expected


@pytest.mark.parametrize(
    ("block", "keys"),
    [
        ("id", {"campaign[id]"}),
        ("name", {"campaign[id]", "campaign[name]"}),
        (
            "full",
            {
                "campaign[id]",
                "campaign[name]",
                "campaign[status]",
                "campaign[type]",
                "campaign[recipients]",
                "campaign[message][id]",
                "campaign[message][subject]",
            },
        ),
    ],
)
def test_a_bounce_says_as_much_about_its_campaign_as_is_switched_on(block: str, keys: set[str]) -> None:
    for pairs in of_kind(switched(campaign_block=block), "bounce"):
        assert {key for key, _ in pairs if key.startswith("campaign")} == keys


def test_custom_fields_are_keyed_by_number_or_by_tag() -> None:
    assert "contact[fields][1]" in dict(switched()[0])
    assert "contact[fields][shirt_size]" in dict(switched(field_keys="perstag")[0])


def test_opens_by_apples_proxy_can_be_silent() -> None:
    def agents(webhooks: list[list[tuple[str, str]]]) -> set[str]:
        return {dict(pairs)["User-Agent"] for pairs in of_kind(webhooks, "open")}

    assert "Mozilla/5.0" in agents(switched())
    assert "Mozilla/5.0" not in agents(switched(apple_privacy="silent"))


def test_losses_and_duplicates_are_as_frequent_as_asked_and_the_ledger_knows_them() -> None:
    for rate, at_most in ((1.0, 0), (0.0, 1)):
        account, steps = play(replace(SMALL, switches=Switches(losses=rate)))
        assert {entry["webhooks"] for entry in account.ledger.entries() if entry["due"]} == {at_most}
        assert any(isinstance(step, Webhook) for _, step in steps) is bool(at_most)
    account, steps = play(replace(SMALL, switches=Switches(duplicates=1.0, delays=0.5, reorders=0.5)))
    sent = [step.body for _, step in steps if isinstance(step, Webhook)]
    assert len(sent) == 2 * len(set(sent))
    assert sum(account.ledger.counts()["webhooks"].values()) == len(sent)


def test_a_long_link_is_as_long_as_asked() -> None:
    clicks = of_kind(switched(long_url_chars=50_000), "click")
    assert max(len(dict(pairs)["link[url]"]) for pairs in clicks) == 50_000


def test_a_visit_follows_its_click_and_carries_the_campaign() -> None:
    visits = [step.calls for _, step in play(Settings(present=PRESENT, live_campaigns=0))[1] if isinstance(step, Visit)]
    assert all([call["type"] for call in calls][:2] == ["identify", "page"] for calls in visits)
    calls = [call for visit in visits for call in visit]
    assert len({call["messageId"] for call in calls}) == len(calls)
    assert all(call["context"]["campaign"]["source"] == "activecampaign" for call in calls)
    orders = [call["properties"] for call in calls if call.get("event") == "Order Completed"]
    assert orders
    assert all(
        order["revenue"] == round(order["products"][0]["price"] * order["products"][0]["quantity"], 2)
        for order in orders
    )


def test_the_history_is_in_the_past_and_what_follows_starts_now() -> None:
    settings = Settings(present=PRESENT, speed=10.0)
    assert settings.instant(0) == PRESENT - timedelta(days=7)
    assert settings.instant(settings.history_s) == PRESENT
    assert settings.instant(settings.history_s + 100) == PRESENT + timedelta(seconds=10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--webhook-url", "localhost:80"], "is no address"),
        (["--tracking-url", "http://localhost:1"], "go together"),
        (["--write-key", "k"], "go together"),
        (["--duplicates", "2"], "not in the range"),
        (["--repeats", "often"], "is not one of"),
    ],
)
def test_wrong_use_is_told_in_a_sentence(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(command, ["activecampaign", *arguments])
    assert result.exit_code == 2
    assert message in result.output
