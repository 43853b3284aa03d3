"""Single rules of the models, each in both dialects: who is who, what belongs to which click, what is no number."""

from dataclasses import replace
from datetime import timedelta
from itertools import count

import pytest
from analysed import fill, name_of, opened, publish
from email_worlds import DAY, EMAIL, START, TABLES

from headwater.models import Models
from headwater.warehouses.contract import ColumnType, Table

CLICKED, OPENED, BOUNCED = (Table("mail", f"email_{name}") for name in ("link_clicked", "opened", "bounced"))
DELIVERED, UNSUBSCRIBED = Table("mail", "email_delivered"), Table("mail", "email_unsubscribed")
TRACKS, IDENTIFIES, ALIASES = (Table("shop", name) for name in ("tracks", "identifies", "aliases"))
ORDERED = Table("shop", "order_completed")
MODELS = Models()
SECOND = timedelta(seconds=1)


@pytest.fixture(scope="module", params=["duckdb", "postgres"])
def database(request, postgres_uri):
    with opened(request.param, postgres_uri) as made:
        fill(made, TABLES, {})
        publish(made, TABLES, MODELS, EMAIL)
        yield made


@pytest.fixture
def world(database):
    small = Small(database)
    yield small
    for table in small.filled:
        database.run(f"delete from {name_of(table)}")
    if small.is_published:
        publish(database, TABLES, MODELS, EMAIL)


class Small:
    """Takes rows one by one; each arrives a second after the one before."""

    def __init__(self, made):
        self.made, self._numbers = made, count()
        self.filled, self.is_published = set(), False

    def add(self, table, at=START, **row):
        number = next(self._numbers)
        row = {"id": f"e{number}", "timestamp": at, "received_at": START + number * SECOND, **row}
        self.made.fill(table, TABLES[table], [row])
        self.filled.add(table)
        return row["id"]

    def publish(self, tables, models):
        publish(self.made, tables, models, EMAIL)
        self.is_published = True

    def click(self, address, campaign="c1", at=START, **row):
        return self.add(CLICKED, at, context_traits_email=address, campaign_id=campaign, email_id="m", **row)

    def order(self, at, revenue=10.0, **row):
        made = self.add(ORDERED, at, revenue=revenue, **row)
        self.add(TRACKS, at, event="order_completed", **row)
        return made

    def campaigns_of_orders(self):
        found = self.made.rows("select campaign_id from headwater.attributed_conversions order by received_at")
        return [campaign for (campaign,) in found]

    def same(self, *keys):
        """Say how many people these ids are."""
        listed = ", ".join(f"'{key}'" for key in keys)
        found = self.made.rows(
            f"select identity_key, person_id from headwater.identity_map where identity_key in ({listed})"
        )
        assert {key for key, _ in found} == set(keys)
        return len({person for _, person in found})


def test_a_click_counts_from_its_instant_to_the_end_of_the_window(world):
    world.click("a@x.org", at=START)
    for at in (START - SECOND, START, START + 7 * DAY, START + 7 * DAY + SECOND):
        world.order(at, context_traits_email="a@x.org", anonymous_id="a@x.org")
    assert world.campaigns_of_orders() == [None, "c1", "c1", None]


def test_the_last_of_several_campaigns_gets_the_order_and_the_others_nothing(world):
    for day, campaign in enumerate(("c1", "c2", "c3")):
        world.click("a@x.org", campaign, START + day * DAY)
    world.order(START + 1 * DAY + SECOND, anonymous_id="a@x.org")
    world.order(START + 5 * DAY, anonymous_id="a@x.org")
    assert world.campaigns_of_orders() == ["c2", "c3"]
    found = world.made.rows("select campaign_id, converted, conversions, revenue from headwater.campaigns order by 1")
    assert found == [("c1", 0, 0, 0.0), ("c2", 1, 1, 10.0), ("c3", 1, 1, 10.0)]
    assert world.made.rows("select converted, attributed_conversions from headwater.email_totals") == [(1, 2)]


def test_of_two_clicks_at_one_instant_the_one_that_arrived_last_counts(world):
    world.click("a@x.org", "c1")
    world.click("a@x.org", "c2")
    world.order(START, anonymous_id="a@x.org")
    assert world.campaigns_of_orders() == ["c2"]


def test_a_machines_click_leads_to_nothing_and_one_of_nobody_knows_whom_does(world):
    world.click("a@x.org", "c1", is_machine_open=None)
    world.click("a@x.org", "c2", START + DAY, is_machine_open=True)
    world.order(START + 2 * DAY, anonymous_id="a@x.org")
    assert world.campaigns_of_orders() == ["c1"]


def test_who_orders_before_logging_in_is_found_through_the_browser(world):
    world.click("ada@x.org")
    world.order(START + DAY, anonymous_id="browser")
    assert world.campaigns_of_orders() == [None]
    world.add(IDENTIFIES, START + 2 * DAY, user_id="u1", anonymous_id="browser", email="Ada@X.org")
    assert world.campaigns_of_orders() == ["c1"]
    assert world.same("user:u1", "email:ada@x.org", "anonymous:browser") == 1


def test_a_person_keeps_the_name_when_ids_are_added(world):
    world.click("ada@x.org")
    (before,) = world.made.rows("select person_id from headwater.people")
    world.add(IDENTIFIES, user_id="u1", anonymous_id="browser", email="ada@x.org")
    ((*after, user_ids),) = world.made.rows(
        "select person_id, user_id, email, is_known, user_ids from headwater.people"
    )
    assert (after, user_ids) == ([*before, "u1", "ada@x.org", True], '["u1"]')


def test_a_contact_who_changes_the_address_is_one_person(world):
    world.click("old@x.org", contact_id="17")
    world.click("new@x.org", contact_id="17")
    world.add(Table("mail_two", "email_opened"), context_traits_email="else@x.org", contact_id="17")
    assert world.same("email:old@x.org", "email:new@x.org", "contact:mail:17") == 1
    assert world.same("email:old@x.org", "email:else@x.org") == 2  # another account counts its contacts by itself


def test_users_whose_calls_are_gone_are_still_known(world):
    world.add(Table("shop", "users"), id="u1", email="Ada@x.org")
    world.click("ada@x.org")
    assert world.same("user:u1", "email:ada@x.org") == 1


def test_an_alias_joins_what_was_seen_before(world):
    world.add(TRACKS, anonymous_id="browser")
    world.add(TRACKS, user_id="old")
    world.add(ALIASES, user_id="u1", previous_id="browser")
    world.add(ALIASES, user_id="u1", previous_id="old")
    world.add(ALIASES, user_id="u1", previous_id="never seen")
    assert world.same("user:u1", "user:old", "anonymous:browser") == 1
    assert world.made.rows("select ids from headwater.people") == [(3,)]


def test_a_shared_browser_joins_nobody_but_the_first(world):
    world.add(IDENTIFIES, user_id="u1", anonymous_id="browser", email="a@x.org")
    world.add(IDENTIFIES, user_id="u2", anonymous_id="browser", email="b@x.org")
    assert world.same("user:u1", "email:a@x.org", "anonymous:browser") == 1
    assert world.same("user:u2", "email:b@x.org") == 1
    assert world.same("user:u1", "user:u2") == 2


@pytest.mark.parametrize(("members", "people"), [(10, 1), (11, 12)])
def test_a_shared_mailbox_joins_nobody(world, members, people):
    users = [f"u{number}" for number in range(members)]
    for user in users:
        world.add(IDENTIFIES, user_id=user, email="office@x.org")
    assert world.same("email:office@x.org", *(f"user:{user}" for user in users)) == people


def test_a_script_that_identifies_everybody_as_itself_joins_nobody(world):
    for number in range(11):
        world.add(IDENTIFIES, user_id="importer", email=f"p{number}@x.org")
    assert world.same("user:importer", *(f"email:p{number}@x.org" for number in range(11))) == 12


def test_a_chain_of_accounts_is_followed_for_eight_bridges_and_then_ends(world):
    for number in range(14):
        world.add(IDENTIFIES, user_id=f"u{number}", email=f"p{number}@x.org")
        world.add(IDENTIFIES, user_id=f"u{number}", email=f"p{number + 1}@x.org")
    assert world.same(*(f"user:u{number}" for number in range(9))) == 1
    assert world.same("user:u0", "user:u13") == 2


@pytest.mark.parametrize("nobody", ["", " ", "null", "Undefined", "0", "00000000-0000-0000-0000-000000000000"])
def test_what_programs_write_for_nobody_joins_nobody(world, nobody):
    world.add(IDENTIFIES, user_id=nobody, anonymous_id="b1", email="a@x.org")
    world.add(IDENTIFIES, user_id=nobody, anonymous_id="b2", email="b@x.org")
    assert world.same("email:a@x.org", "email:b@x.org") == 2
    assert world.made.rows("select count(*) from headwater.identity_map where kind = 'user'") == [(0,)]


def test_who_clicked_has_opened_and_what_was_opened_has_arrived(world):
    world.click("a@x.org")
    found = world.made.rows("select delivered, opened, clicked, open_rate from headwater.campaigns")
    assert found == [(1, 1, 1, 1.0)]


def test_a_bounce_takes_a_derived_delivery_back_but_not_one_that_was_read(world):
    for number, tables in enumerate([(DELIVERED, BOUNCED), (DELIVERED, BOUNCED, OPENED), (DELIVERED,)]):
        for table in tables:
            world.add(
                table, context_traits_email=f"p{number}@x.org", campaign_id="c1", email_id="m", bounce_type="soft"
            )
    found = world.made.rows("select recipients, delivered, bounced, bounced_hard, bounce_rate from headwater.campaigns")
    assert found == [(3, 2, 2, 0, pytest.approx(2 / 3))]


def test_a_person_whose_mail_only_machines_opened_did_not_open(world):
    world.add(OPENED, context_traits_email="a@x.org", campaign_id="c1", is_machine_open=True, occurrences=4)
    found = world.made.rows(
        "select delivered, opened, opened_by_machine_only, opens, machine_opens from headwater.campaigns"
    )
    assert found == [(1, 0, 1, 0, 4)]


def test_who_left_one_list_is_still_on_the_other(world):
    for table, lists in ((OPENED, '["1", "3"]'), (UNSUBSCRIBED, '["3"]')):
        world.add(table, context_traits_email="a@x.org", list_ids=lists)
    found = world.made.rows("select list_id, active, unsubscribed from headwater.list_health order by 1")
    assert found == [("*", 0, 1), ("1", 1, 0), ("3", 0, 1)]


def test_a_clock_that_runs_ahead_makes_nobody_look_old(world):
    world.click("a@x.org", at=START)
    world.click("b@x.org", at=START + 3650 * DAY)
    found = world.made.rows("select as_of, read_within_30_days, read_earlier from headwater.list_health")
    assert found == [(START + SECOND, 2, 0)]


def test_rates_are_null_where_nothing_was_delivered(world):
    world.add(BOUNCED, context_traits_email="a@x.org", campaign_id="c1", email_id="m", bounce_type="hard")
    rates = "open_rate, click_rate, click_to_open_rate, conversion_rate, revenue_per_delivered, spam_rate, bounce_rate"
    found = world.made.rows(f"select recipients, delivered, revenue, {rates} from headwater.campaigns")
    assert found == [(1, 0, 0.0, *[None] * 6, 1.0)]


def test_one_click_may_lead_to_several_orders_of_one_person(world):
    world.click("a@x.org")
    for _ in range(3):
        world.order(START + DAY, anonymous_id="a@x.org", revenue=0.1)
    assert world.made.rows("select converted, conversions, revenue from headwater.campaigns") == [(1, 3, 0.3)]


@pytest.mark.parametrize(
    ("text", "revenue"),
    [
        ("12.50", 12.5),
        (" +7 ", 7.0),
        ("-0.25", -0.25),
        ("1e2", 100.0),
        ("0.33335", 0.3334),
        ("99999999999999.9999", 99999999999999.9999),
        ("99999999999999.99999", None),
        ("1e99", None),
        ("9" * 400, None),
        ("NaN", None),
        ("infinity", None),
        ("0x1F", None),
        ("1,299.00", None),
        ("1_000", None),
        ("١٢", None),
        ("", None),
        ("'; drop table x; --", None),
    ],
)
def test_revenue_in_text_is_read_where_it_is_a_number(world, text, revenue):
    table = Table("app", "order_completed")
    world.add(table, total=text)
    assert world.made.rows("select revenue from headwater.conversions") == [(revenue,)]
    assert world.made.rows("select conversions from headwater.email_totals") == [(1,)]


@pytest.mark.parametrize("text", ["99999999999999.9999", "-99999999999999.9999", "99999999999999.99"])
def test_the_largest_amount_is_added_up_with_others(world, text):
    """A shop's browser can send any amount: none makes the funnel unreadable."""
    world.click("a@x.org")
    for total in (text, text, "1"):
        order = world.add(Table("app", "order_completed"), START + DAY, total=total, anonymous_id="a@x.org")
        world.add(Table("app", "tracks"), START + DAY, id=order, event="order_completed", anonymous_id="a@x.org")
    for asked in (
        "revenue from headwater.campaigns",
        "attributed_revenue from headwater.email_totals",
        "revenue from headwater.email_totals",
        "revenue from headwater.email_funnel where position = 4",
    ):
        assert world.made.rows(f"select {asked}") == [(pytest.approx(2 * float(text) + 1, rel=1e-12),)]


def test_a_chosen_window_conversion_and_revenue_are_used(world):
    world.click("a@x.org")
    world.add(Table("app", "trial_started"), START + DAY, anonymous_id="a@x.org")
    world.order(START + DAY, anonymous_id="a@x.org", revenue=5.0, total=7.0)
    chosen = replace(MODELS, conversions=("trial_started", "order_completed"), revenue=("total",), window_days=1)
    world.publish(TABLES, chosen)
    found = world.made.rows("select event, revenue, campaign_id from headwater.attributed_conversions order by 1")
    assert found == [("order_completed", 7.0, "c1"), ("trial_started", None, "c1")]
    world.publish(TABLES, replace(chosen, window_days=0))
    assert world.campaigns_of_orders() == [None, None]


def test_columns_that_became_text_are_read(world):
    """As widening leaves them."""
    table = Table("other", "order_completed")
    columns = dict.fromkeys(("id", "user_id", "revenue"), ColumnType.VARCHAR) | {"timestamp": ColumnType.TIMESTAMP}
    fill(world.made, {table: columns}, {table: [{"id": "x", "user_id": "u", "revenue": "3.5", "timestamp": START}]})
    world.publish({**TABLES, table: columns}, MODELS)
    found = world.made.rows("select revenue, occurred_at, received_at from headwater.conversions")
    assert found == [(3.5, START, None)]
