"""What is set of a warehouse: rules, schedule, models and days; kept, shown and refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.app.pipeline_role import targets
from headwater.control import drivers, loads
from headwater.control.accounts import Place
from headwater.control.database import changing, warehouses
from headwater.errors import InvalidRequestError
from headwater.loading.rules import SEGMENT, Arrays, Conflicts, Reserved, Rules
from headwater.loading.schedule import Mode, Schedule
from headwater.models import Models


@pytest.fixture
def warehouse(control, workspace):
    (found,) = control.warehouses.all(workspace.id)
    return found


def test_a_warehouse_begins_with_the_rules_that_lose_nothing(control, workspace, warehouse):
    assert (warehouse.rules, warehouse.schedule, warehouse.models) == (Rules(), Schedule(), Models())
    assert (warehouse.keep_days, warehouse.excluded) == (None, frozenset())
    made = control.warehouses.create(workspace.id, "embedded", name="Second", loading={"rules": {"preset": "segment"}})
    assert made.rules == SEGMENT


def test_what_is_not_named_stays(control, workspace, warehouse):
    def changed(**loading):
        return control.warehouses.update(workspace.id, warehouse.id, loading=loading)

    assert changed(rules={"conflicts": "overflow", "stringCharsMax": 512}).rules == Rules(Conflicts.OVERFLOW, 512)
    assert changed(rules={"arrays": "segment"}).rules == Rules(Conflicts.OVERFLOW, 512, Arrays.SEGMENT)
    assert changed(rules={"stringCharsMax": None, "caps": False}).rules == Rules(
        Conflicts.OVERFLOW, None, Arrays.SEGMENT, caps=False
    )
    assert changed(schedule={"mode": "interval", "minutes": 15}).schedule == Schedule(Mode.INTERVAL, 15)
    times = changed(schedule={"mode": "times", "times": ["18:30", "06:00", "06:00"], "timezone": "Europe/Berlin"})
    assert times.schedule == Schedule(Mode.TIMES, 15, ("06:00", "18:30"), "Europe/Berlin")
    assert changed(keepDays=30).keep_days == 30
    assert changed(schedule={"mode": "continuous"}).keep_days == 30
    assert changed(keepDays=None).keep_days is None
    whole = changed(rules={"preset": "headwater", "reserved": "discard"}).rules
    assert whole == Rules(reserved=Reserved.DISCARD)


def test_events_and_properties_are_taken_as_they_are_sent(control, workspace, warehouse):
    given = {
        "conversions": ["Order Completed", "trial_started", "order_completed"],
        "revenue": ["cart.total", "_value"],
    }
    models = control.warehouses.update(workspace.id, warehouse.id, loading={"models": given}).models
    assert models == Models(conversions=("order_completed", "trial_started"), revenue=("cart_total", "_value"))


@pytest.mark.parametrize(
    ("loading", "field"),
    [
        ({"rules": {"conflict": "drop"}}, "rules.conflict"),
        ({"rules": {"conflicts": "lose"}}, "rules.conflicts"),
        ({"rules": {"conflicts": None}}, "rules.conflicts"),
        ({"rules": {"stringCharsMax": 0}}, "rules.stringCharsMax"),
        ({"rules": {"stringCharsMax": "512"}}, "rules.stringCharsMax"),
        ({"rules": {"stringCharsMax": True}}, "rules.stringCharsMax"),
        ({"rules": {"caps": "yes"}}, "rules.caps"),
        ({"rules": {"preset": "snowplow"}}, "rules.preset"),
        ({"schedule": {"mode": "hourly"}}, "schedule.mode"),
        ({"schedule": {"mode": "times", "times": []}}, "schedule.times"),
        ({"schedule": {"times": ["24:00"]}}, "schedule.times"),
        ({"schedule": {"times": ["6:30"]}}, "schedule.times"),
        ({"schedule": {"times": ["06:30:00"]}}, "schedule.times"),
        (
            {"schedule": {"times": [f"{hour:02}:{minute:02}" for hour in range(24) for minute in range(5)]}},
            "schedule.times",
        ),
        ({"schedule": {"minutes": 0}}, "schedule.minutes"),
        ({"schedule": {"minutes": 10_081}}, "schedule.minutes"),
        ({"schedule": {"minutes": 1.5}}, "schedule.minutes"),
        ({"schedule": {"timezone": "Mars/Olympus"}}, "schedule.timezone"),
        ({"schedule": {"timezone": "../../etc/passwd"}}, "schedule.timezone"),
        ({"models": {"windowDays": 0}}, "models.windowDays"),
        ({"models": {"windowDays": 366}}, "models.windowDays"),
        ({"models": {"conversions": ["x"] * 101}}, "models.conversions"),
        ({"models": {"conversions": [" "]}}, "models.conversions"),
        ({"models": {"revenue": "total"}}, "models.revenue"),
        ({"keepDays": 0}, "keepDays"),
        ({"keepDays": 36_501}, "keepDays"),
        ({"speed": 1}, "speed"),
    ],
)
def test_what_cannot_be_is_refused_by_name(loading, field):
    with pytest.raises(InvalidRequestError) as refused:
        loads.columns_of(loading, "embedded")
    assert refused.value.field == field


def test_nothing_changes_where_something_is_refused(control, workspace, warehouse):
    before = control.snapshot()
    with pytest.raises(InvalidRequestError):
        control.warehouses.update(
            workspace.id, warehouse.id, name="Other", loading={"keepDays": 7, "rules": {"conflicts": "lose"}}
        )
    assert control.snapshot() == before


@given(
    st.builds(
        Rules,
        st.sampled_from(Conflicts),
        st.none() | st.integers(*loads.STRING_CHARS),
        st.sampled_from(Arrays),
        st.sampled_from(Reserved),
        caps=st.booleans(),
    )
)
def test_rules_come_back_as_they_were_kept_and_as_they_were_shown(rules):
    assert loads.opened(Rules, loads.stored(rules)) == rules
    assert loads.checked_rules(loads.shape(rules), SEGMENT) == rules


def test_rows_of_the_former_release_are_read_as_before(control, workspace, warehouse):
    with changing(control._engine) as connection:
        connection.execute(warehouses.update().values(rules="{}", schedule="{}", models="{}", keep_days=None))
    assert control.warehouses.get(workspace.id, warehouse.id) == warehouse


def test_the_loader_gets_all_of_it(control, workspace, warehouse):
    shop = control.sources.create(workspace.id, "shop", "http-api")
    news = control.sources.create(workspace.id, "news", "activecampaign")
    site = control.sources.create(workspace.id, "site", "http-api")
    place = Place("https://acme.api-us1.com", "acme")
    control.accounts.connect(workspace.id, place, api_key="a" * 64, source_id=site.id)
    control.warehouses.disconnect(workspace.id, warehouse.id, shop.id)
    loading = {
        "rules": {"preset": "segment"},
        "keepDays": 7,
        "schedule": {"mode": "manual"},
        "models": {"windowDays": 3},
    }
    control.warehouses.update(workspace.id, warehouse.id, loading=loading)
    (target,) = targets(control.snapshot())
    assert target.sources == {shop.id: "", news.id: "news", site.id: "site"}
    assert (target.rules, target.keep_days, target.schedule) == (SEGMENT, 7, Schedule(Mode.MANUAL))
    assert (target.models, target.email) == (Models(window_days=3), frozenset({"news", "site"}))


def test_what_nobody_needs_is_installed_and_an_unknown_extra_misses_nothing():
    assert drivers.is_installed("")
    assert drivers.is_installed("no-such-extra")


def test_an_extra_is_whole_only_with_what_its_parts_need(monkeypatch):
    asked = {
        "headwater": ["core>=1", "lane[snow]>=1; extra == 'snowflake'", "arrow>=2; extra == 'snowflake'"],
        "lane": ["base", 'driver>=3; extra == "snow"', "other; extra == 'sand'"],
    }
    there = {"lane", "arrow"}

    def version(name):
        if name not in there:
            raise drivers.metadata.PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr(drivers.metadata, "requires", asked.get)
    monkeypatch.setattr(drivers.metadata, "version", version)
    is_whole = drivers.is_installed.__wrapped__
    assert not is_whole("snowflake")
    there.add("driver")
    assert is_whole("snowflake")
    there.remove("arrow")
    assert not is_whole("snowflake")
