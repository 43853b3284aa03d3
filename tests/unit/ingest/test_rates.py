from __future__ import annotations

from headwater.ingest.rates import Rates


def test_a_source_may_catch_up_and_then_keeps_its_rate() -> None:
    seconds = [0.0]
    rates = Rates(10, lambda: seconds[0])
    assert [rates.wait_s("s") for _ in range(21)] == [0] * 20 + [1]
    seconds[0] = 0.1
    assert [rates.wait_s("s") for _ in range(2)] == [0, 1]
    assert rates.wait_s("other") == 0


def test_a_slow_rate_names_the_seconds_until_there_is_room() -> None:
    rates = Rates(0.1, lambda: 0.0)
    assert [rates.wait_s("s") for _ in range(2)] == [0, 10]


def test_without_a_rate_everything_may_come() -> None:
    rates = Rates(None, lambda: 0.0)
    assert {rates.wait_s("s") for _ in range(1_000)} == {0}
