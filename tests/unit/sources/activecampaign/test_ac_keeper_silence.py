"""Webhooks that stopped although they are listed: noticed by counters that move, never by a quiet account."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from headwater.sources.activecampaign.api.rows import Campaign
from headwater.sources.activecampaign.connection.silence import (
    GRACE,
    OPENS_MIN,
    RENEW_EVERY,
    Advice,
    Look,
    Silence,
    Sums,
    judged,
    restarted,
    sums,
)

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def played(*looks, start=START, every=HOUR, silence=None):
    """Return what is known after these looks (clicks, arrived), with the advices given."""
    told, advices, at = silence or Silence(), [], start
    for clicks, arrived in looks:
        told, advice = judged(told, Look(Sums(clicks=clicks), arrived), at)
        advices.append(advice)
        at += GRACE if advice is Advice.LOOK_AGAIN else every
    return told, advices


def test_the_first_look_only_remembers():
    told, advices = played((500, 0))
    assert advices == [Advice.NOTHING]
    assert told == Silence(Look(Sums(clicks=500), 0))


def test_a_quiet_account_is_no_alert():
    told, advices = played((5, 3), (5, 3), (5, 3))
    assert set(advices) == {Advice.NOTHING}
    assert told.silent_at is None


def test_pitfall_38_silence_while_counters_move_renews_the_webhook():
    told, advices = played((5, 3), (9, 3), (9, 3))
    assert advices == [Advice.NOTHING, Advice.LOOK_AGAIN, Advice.RENEW]
    assert told.silent_at == START + HOUR + GRACE
    assert not told.lasting


def test_pitfall_38_silence_that_a_new_webhook_does_not_end_asks_for_people():
    told, advices = played((5, 3), (9, 3), (9, 3), (12, 3), (12, 3))
    assert advices[-1] is Advice.NOTHING
    assert told.lasting
    assert told.silent_at == START + HOUR + GRACE


def test_a_webhook_that_stays_silent_is_made_anew_once_a_day():
    told, _ = played((5, 3), (9, 3), (9, 3), (12, 3), (12, 3))
    assert told.renewed_at is not None
    told, advices = played((13, 3), (13, 3), start=told.renewed_at + RENEW_EVERY, silence=told)
    assert advices == [Advice.LOOK_AGAIN, Advice.RENEW]
    assert told.lasting


def test_a_clock_that_was_set_back_does_not_keep_a_silent_webhook_from_being_made_anew():
    told, _ = played((5, 3), (9, 3), (9, 3), start=START + timedelta(days=365))
    assert told.renewed_at > START + timedelta(days=365)
    _, advices = played((12, 3), (12, 3), silence=told)
    assert advices == [Advice.LOOK_AGAIN, Advice.RENEW]


def test_a_webhook_that_was_under_way_is_no_silence():
    told, advices = played((5, 3), (9, 3), (9, 4))
    assert advices == [Advice.NOTHING, Advice.LOOK_AGAIN, Advice.NOTHING]
    assert told == Silence(Look(Sums(clicks=9), 4))


def test_the_end_of_a_silence_is_told():
    silent, _ = played((5, 3), (9, 3), (9, 3), (12, 3), (12, 3))
    told, _ = played((13, 9), start=START + timedelta(days=2), silence=silent)
    assert told.silent_at is None
    assert not told.lasting
    assert (told.was_silent_at, told.heard_at) == (silent.silent_at, START + timedelta(days=2))


def test_a_few_opens_prove_nothing_and_add_up():
    told, _ = judged(Silence(), Look(Sums(), 0), START)
    for opens in range(1, OPENS_MIN):
        told, advice = judged(told, Look(Sums(opens=opens), 0), START + opens * HOUR)
        assert advice is Advice.NOTHING
    _, advice = judged(told, Look(Sums(opens=OPENS_MIN), 0), START + OPENS_MIN * HOUR)
    assert advice is Advice.LOOK_AGAIN


def test_counters_that_went_back_are_only_remembered():
    told, advices = played((50, 3), (9, 3), (9, 3))
    assert set(advices) == {Advice.NOTHING}
    assert told.since == Look(Sums(clicks=9), 3)


def test_what_moved_while_the_program_was_down_is_no_silence():
    told, _ = played((5, 3), (9, 3))
    told, advices = played((90, 3), (90, 3), silence=restarted(told))
    assert set(advices) == {Advice.NOTHING}


def test_the_sums_are_of_what_every_setting_of_activecampaign_would_send():
    campaigns = [
        Campaign("1", "a", opens=90, unique_opens=5, clicks=40, unique_clicks=4, clickers=3, hard_bounces=2),
        Campaign("2", "b", unique_opens=1, soft_bounces=3, unsubscribes=6),
    ]
    assert sums(campaigns) == Sums(opens=6, clicks=4, bounces=5, unsubscribes=6)


LOOKS = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5), st.integers(30, 4000)), max_size=40)


@given(LOOKS)
def test_an_account_whose_webhooks_arrive_is_never_called_silent(steps):
    told, clicks, arrived, at = Silence(), 0, 0, START
    for moved, webhooks, seconds in steps:
        clicks, arrived, at = clicks + moved, arrived + webhooks, at + timedelta(seconds=seconds)
        told, advice = judged(told, Look(Sums(clicks=clicks), arrived), at)
        assert advice is Advice.NOTHING
        assert told.silent_at is None
