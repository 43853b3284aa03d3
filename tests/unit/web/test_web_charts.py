"""Charts end at round numbers and never draw outside their frame."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.web.charts import HEIGHT, WIDTH, bars, ceiling, compact, spark

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "top"), [(0, 2), (1, 2), (3, 4), (9, 10), (11, 20), (2376, 2500), (100_001, 200_000)]
)
def test_the_axis_ends_at_a_round_number(value, top):
    assert ceiling(value) == top


@given(st.lists(st.integers(min_value=0, max_value=10**9), min_size=1, max_size=48))
def test_every_bar_stays_inside_the_frame(counts):
    chart = bars([(NOON + timedelta(hours=at), count) for at, count in enumerate(counts)])
    for bar, count in zip(chart.bars, counts, strict=True):
        assert 0 <= bar.x <= bar.x + bar.width <= WIDTH
        assert 0 <= bar.y <= bar.y + bar.height <= HEIGHT
        assert (bar.height > 0) == (count > 0)


@pytest.mark.parametrize(("value", "label"), [(0, "0"), (1250, "1,250"), (12_500, "12.5K"), (3_000_000, "3M")])
def test_axis_labels_are_short(value, label):
    assert compact(value) == label


def test_a_sparkline_of_nothing_is_flat():
    assert spark([0, 0, 0]).line == "0.0,26.0 56.0,26.0 112.0,26.0"
