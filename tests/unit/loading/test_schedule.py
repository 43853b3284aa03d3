from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.loading.schedule import Mode, Pace, Schedule, next_time

BERLIN = "Europe/Berlin"


class Clocks:
    """A wall clock that anybody may set, and one that runs."""

    def __init__(self, at: str) -> None:
        self.wall, self.s = datetime.fromisoformat(at).astimezone(UTC), 1_000.0

    def pass_(self, **time: float) -> None:
        self.wall += timedelta(**time)
        self.s += timedelta(**time).total_seconds()

    def pace(self, schedule: Schedule, last: datetime | None = None) -> Pace:
        return Pace(schedule, last, lambda: self.wall, lambda: self.s)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("times", "zone", "after", "found"),
    [
        (["06:30"], "UTC", "2026-11-23T06:00:00Z", "2026-11-23T06:30:00Z"),
        (["06:30"], "UTC", "2026-11-23T06:30:00Z", "2026-11-24T06:30:00Z"),
        (["06:30", "18:00"], "UTC", "2026-11-23T07:00:00Z", "2026-11-23T18:00:00Z"),
        (["06:30"], BERLIN, "2026-11-23T06:00:00Z", "2026-11-24T05:30:00Z"),
        (["06:30"], BERLIN, "2026-07-23T00:00:00Z", "2026-07-23T04:30:00Z"),
        (["00:15"], "Asia/Kathmandu", "2026-11-23T18:00:00Z", "2026-11-23T18:30:00Z"),
        (["23:59"], "Pacific/Kiritimati", "2026-11-23T00:00:00Z", "2026-11-23T09:59:00Z"),
        # the night in which the clocks jump from 2 to 3: a time that does not exist comes when it would have been
        (["02:30"], BERLIN, "2026-03-28T12:00:00Z", "2026-03-29T01:30:00Z"),
        (["02:30"], BERLIN, "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"),
        # the night in which 2 to 3 comes twice: the first one counts
        (["02:30"], BERLIN, "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"),
        (["02:30"], BERLIN, "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"),
    ],
)
def test_the_next_time_of_day(times, zone, after, found):
    assert next_time(times, zone, at(after)) == at(found)


def test_without_times_there_is_no_next_one():
    assert next_time([], "UTC", at("2026-11-23T06:00:00Z")) is None


def test_a_zone_that_this_machine_does_not_know_is_taken_for_utc():
    assert next_time(["06:30"], "Atlantis/City", at("2026-11-23T06:00:00Z")) == at("2026-11-23T06:30:00Z")


@given(
    st.lists(st.times().map("{:%H:%M}".format), min_size=1, max_size=4, unique=True),
    st.sampled_from([BERLIN, "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "UTC"]),
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),  # noqa: DTZ001 - hypothesis adds the zone below
)
def test_each_time_of_day_comes_once_a_local_day(times, zone, start):
    moment, found = start.replace(tzinfo=UTC), []
    for _ in range(len(times) * 3):
        moment = next_time(times, zone, moment)
        found.append(moment)
    assert found == sorted(set(found))
    assert found[-1] - found[0] <= timedelta(days=3, hours=2)
    days = [each.astimezone(ZoneInfo(zone)).date() for each in found]
    assert max(days.count(day) for day in days) <= len(times)


def test_a_continuous_warehouse_waits_for_nothing():
    pace = Clocks("2026-11-23T06:00:00Z").pace(Schedule())
    assert (pace.wait_s(), pace.next_at()) == (0.0, None)


@pytest.mark.parametrize("schedule", [Schedule(Mode.MANUAL), Schedule(Mode.TIMES)])
def test_by_hand_it_is_never_time(schedule):
    pace = Clocks("2026-11-23T06:00:00Z").pace(schedule)
    assert (pace.wait_s(), pace.next_at()) == (None, None)


@pytest.mark.parametrize("schedule", [Schedule(Mode.INTERVAL), Schedule(Mode.TIMES, times=("06:30",))])
def test_the_first_load_comes_at_once(schedule):
    assert Clocks("2026-11-23T06:00:00Z").pace(schedule).wait_s() == 0


def test_an_interval_begins_when_a_load_ends():
    clocks = Clocks("2026-11-23T06:00:00Z")
    pace = clocks.pace(Schedule(Mode.INTERVAL, minutes=30))
    pace.done()
    assert (pace.wait_s(), pace.next_at()) == (1_800, at("2026-11-23T06:30:00Z"))
    clocks.pass_(minutes=30)
    assert pace.wait_s() == 0


@pytest.mark.parametrize(
    "jump", [timedelta(hours=-1), timedelta(hours=1), timedelta(days=-20_000), timedelta(days=5_000)]
)
def test_an_interval_is_as_long_as_it_is_whatever_the_wall_clock_says(jump):
    clocks = Clocks("2026-11-23T06:00:00Z")
    pace = clocks.pace(Schedule(Mode.INTERVAL, minutes=30))
    pace.done()
    clocks.wall += jump
    clocks.pass_(minutes=10)
    assert pace.wait_s() == 1_200


@pytest.mark.parametrize(("ago", "wait_s"), [(10, 1_200), (40, 0), (-600, 1_800)])
def test_a_restart_neither_starves_an_interval_nor_hurries_it(ago, wait_s):
    clocks = Clocks("2026-11-23T06:00:00Z")
    pace = clocks.pace(Schedule(Mode.INTERVAL, minutes=30), clocks.wall - timedelta(minutes=ago))
    assert pace.wait_s() == wait_s


def test_a_time_of_day_that_passed_while_nothing_ran_is_made_up_for_once():
    clocks = Clocks("2026-11-23T09:00:00Z")
    pace = clocks.pace(Schedule(Mode.TIMES, times=("06:30", "08:00")), at("2026-11-22T12:00:00Z"))
    assert pace.wait_s() == 0
    pace.done()
    assert pace.next_at() == at("2026-11-24T06:30:00Z")


def test_a_clock_that_is_set_back_a_little_makes_no_time_of_day_come_twice():
    clocks = Clocks("2026-11-23T06:29:59Z")
    pace = clocks.pace(Schedule(Mode.TIMES, times=("06:30",)), at("2026-11-23T06:00:00Z"))
    clocks.pass_(seconds=1)
    assert pace.wait_s() == 0
    clocks.wall -= timedelta(seconds=2)
    pace.done()
    assert pace.next_at() == at("2026-11-24T06:30:00Z")


def test_a_clock_that_is_set_back_a_day_delays_nothing():
    clocks = Clocks("2026-11-23T06:00:00Z")
    pace = clocks.pace(Schedule(Mode.TIMES, times=("06:30",)), at("2026-11-23T05:00:00Z"))
    clocks.wall -= timedelta(days=1)
    clocks.pass_(minutes=30)
    assert pace.wait_s() == 0
    pace.done()
    assert pace.next_at() == at("2026-11-23T06:30:00Z")


def test_a_clock_that_is_set_forward_loads_at_the_time_that_it_says():
    clocks = Clocks("2026-11-23T06:00:00Z")
    pace = clocks.pace(Schedule(Mode.TIMES, times=("06:30",)), at("2026-11-23T05:00:00Z"))
    clocks.wall += timedelta(days=400)
    assert pace.wait_s() == 0
