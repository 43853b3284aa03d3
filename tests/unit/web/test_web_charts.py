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


COUNTS = st.tuples(*(st.integers(min_value=0, max_value=10**9) for _ in range(3)))


@given(st.lists(COUNTS, min_size=1, max_size=72))
def test_every_bar_stays_inside_the_frame_and_its_parts_stand_on_each_other(counts):
    kinds = ("first", "retry", "failed")
    chart = bars([(NOON + timedelta(hours=at), dict(zip(kinds, each, strict=True))) for at, each in enumerate(counts)])
    for bar, each in zip(chart.bars, counts, strict=True):
        assert 0 <= bar.x <= bar.x + bar.width <= WIDTH
        assert [part.kind for part in bar.segments] == [kind for kind, n in zip(kinds, each, strict=True) if n]
        foot = None
        for part in bar.segments:
            assert 0 <= part.y < part.y + part.height <= HEIGHT
            assert foot is None or abs(part.y + part.height - foot) < 0.02
            foot = part.y


def test_a_label_stands_at_every_few_bars_and_at_the_last():
    chart = bars([(NOON + timedelta(hours=at), {"accepted": 1}) for at in range(24)])
    assert [at for at, bar in enumerate(chart.bars) if bar.labelled] == [0, 6, 12, 18, 23]


@pytest.mark.parametrize(("value", "label"), [(0, "0"), (1250, "1,250"), (12_500, "12.5K"), (3_000_000, "3M")])
def test_axis_labels_are_short(value, label):
    assert compact(value) == label


def test_a_sparkline_of_nothing_is_flat():
    assert spark([0, 0, 0]).line == "0.0,26.0 56.0,26.0 112.0,26.0"
