"""The models say what a count in plain Python says, in both dialects: over many small worlds full of ties and gaps."""

from collections import defaultdict

import pytest
from analysed import fill, opened, publish
from email_worlds import EMAIL, PRODUCT, TABLES, worlds
from recount import World

from headwater.models import Models

WORLDS = 150
CONVERSIONS = ("order_completed", "trial_started", "never_sent")
MODELS = Models(conversions=CONVERSIONS)


@pytest.fixture(scope="module", params=["duckdb", "postgres"])
def dialect(request):
    return request.param


@pytest.fixture(scope="module", params=[1, 2])
def both(request, dialect, postgres_uri):
    """Return the same worlds twice: as a database with views, and as rows to count."""
    rows = worlds(request.param, WORLDS)
    with opened(dialect, postgres_uri) as made:
        fill(made, TABLES, rows)
        publish(made, TABLES, MODELS, EMAIL)
        counted = World(
            {(table.schema, table.name): found for table, found in rows.items()}, EMAIL, PRODUCT, CONVERSIONS
        )
        yield made, counted


def keyed(rows, key_columns):
    assert len({row[:key_columns] for row in rows}) == len(rows)
    return {row[:key_columns]: row[key_columns:] for row in rows}


def test_the_ids_of_a_person_are_the_same(both):
    made, counted = both
    groups, wanted = defaultdict(set), defaultdict(set)
    for key, person in made.rows("select identity_key, person_id from headwater.identity_map"):
        groups[person].add(key)
    for key, person in counted.persons.items():
        wanted[person].add(key)
    assert {frozenset(ids) for ids in groups.values()} == {frozenset(ids) for ids in wanted.values()}


def test_a_person_is_named_by_the_oldest_id(both):
    made, counted = both
    named = made.rows("select identity_key, person_id, md5(identity_key) = person_id from headwater.identity_map")
    assert {key for key, _, is_oldest in named if is_oldest} == set(counted.persons.values())


def test_the_funnel_of_each_campaign_is_the_same(both):
    made, counted = both
    found = made.rows(
        "select source, campaign_id, recipients, delivered, opened, opened_by_machine_only, clicked, converted, "
        "conversions, revenue, unsubscribed, bounced, bounced_hard, spam, opens, machine_opens, clicks "
        "from headwater.campaigns"
    )
    assert keyed(found, 2) == counted.campaigns()


def test_the_totals_are_the_same_and_what_campaigns_add_up_to(both):
    made, counted = both
    (total,) = made.rows("select * from headwater.email_totals")
    assert total == counted.totals()
    (summed,) = made.rows("select sum(conversions), sum(revenue) from headwater.campaigns")
    assert (int(summed[0]), pytest.approx(summed[1])) == (total[5], total[6])


def test_each_conversion_belongs_to_the_last_click(both):
    made, counted = both
    wanted = {key: value for name in CONVERSIONS for key, value in counted.attributed(counted.products(name)).items()}
    found = made.rows(
        "select source, event_id, click_source, campaign_id, click_id from headwater.attributed_conversions"
    )
    assert keyed(found, 2) == wanted
    assert {None} < {value[1] for value in wanted.values()}


def test_any_product_event_follows_the_last_click(both):
    made, counted = both
    found = made.rows("select source, event_id, click_source, campaign_id, click_id from headwater.attributed_events")
    every = counted.attributed(counted.products("tracks"))
    assert keyed(found, 2) == {key: value for key, value in every.items() if value[1]}


def test_the_steps_of_the_long_funnel_are_the_same(both):
    made, counted = both
    found = made.rows("select source, campaign_id, step, people, events from headwater.email_funnel")
    assert keyed(found, 3) == counted.funnel()


def test_who_opened_is_the_same(both):
    made, counted = both
    found = made.rows("select source, campaign_id, opened_by, recipients, opens from headwater.campaign_opens")
    assert keyed(found, 3) == counted.opens()


def test_each_day_is_the_same(both):
    made, counted = both
    found = made.rows(
        "select source, day, delivered, opens, machine_opens, clicks, machine_clicks, hard_bounces, soft_bounces, "
        "spam, unsubscribes from headwater.email_days"
    )
    assert keyed(found, 2) == counted.days()


def test_the_lists_are_as_healthy(both):
    made, counted = both
    found = made.rows(
        "select source, list_id, contacts, active, unsubscribed, bounced, spam, never_read from headwater.list_health"
    )
    assert keyed(found, 2) == counted.lists()


def test_nobody_is_in_two_age_groups(both):
    made, _ = both
    (wrong,) = made.rows(
        "select count(*) from headwater.list_health where contacts <> read_within_30_days + read_within_90_days "
        "+ read_within_365_days + read_earlier + never_read"
    )
    assert wrong == (0,)
