"""Each user's order where it counts: what waits holds later events back, and they go on oldest first."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.delivery import dead_letters
from headwater.delivery.attempt import Sender
from headwater.delivery.fate import HELD_AT, HELD_BACK, Dead, Done, Held, HeldBack, Item, Waiting
from headwater.delivery.ledger import Ledger
from headwater.delivery.order import Breaks, Queue, user_of
from headwater.delivery.settlement import Move, Settlement
from headwater.delivery.turns import Turns
from headwater.destinations.contract import Delivered, Discarded, Retry
from headwater.spec.event import Event

DONE = Done(first_try=True, latency_s=None)


def item(seq: int, user: str, **past) -> Item:
    return Item(past.pop("lane", 1), Event(seq, "s1", b'{"userId":"%s"}' % user.encode(), {"userId": user}), **past)


class Told:
    """A destination that answers each event as told, by sequence."""

    batch_max = 1

    def __init__(self, outcomes: dict):
        self.outcomes, self.sent = outcomes, []

    async def check(self) -> None: ...

    async def send(self, events):
        self.sent += [event.seq for event in events]
        return [self.outcomes.get(event.seq, Delivered()) for event in events]


async def tried(destination, items, queue):
    attempts = await Sender(destination, Turns(4), print, queue=queue).attempt(items)
    return [attempt.outcome for attempt in attempts]


async def test_an_event_whose_user_waits_is_not_tried():
    destination = Told({})
    found = await tried(destination, [item(1, "a"), item(2, "b"), item(3, "a")], Queue(["a"]))
    assert (found, destination.sent) == ([HeldBack(), Delivered(), HeldBack()], [2])


async def test_a_failure_holds_back_the_users_later_events_of_the_same_round():
    destination = Told({1: Retry("down"), 2: Discarded("no")})
    items = [item(1, "a"), item(2, "b"), item(3, "a"), item(4, "b"), item(5, "")]
    found = await tried(destination, items, Queue([]))
    assert found == [Retry("down"), Discarded("no"), HeldBack(), Delivered(), Delivered()]


async def test_without_a_need_for_order_nothing_is_held_back():
    destination = Told({1: Retry("down")})
    assert await tried(destination, [item(1, "a"), item(3, "a")], None) == [Retry("down"), Delivered()]


async def test_what_waits_itself_is_tried():
    assert await tried(Told({}), [item(1, "a", row=7, attempts=1)], Queue(["a"])) == [Delivered()]


@pytest.mark.parametrize("body", [{"userId": "u", "anonymousId": "a"}, {"userId": "", "anonymousId": "u"}])
def test_a_user_is_the_user_id_else_the_anonymous_id(body):
    assert user_of(Event(0, "s1", b"", body)) == "u"
    assert user_of(Event(0, "s1", b"", {})) == ""


def test_a_break_is_counted_when_a_later_event_went_before():
    breaks = Breaks()
    waits = Waiting(1.0, 1, 0.0, "x")
    assert breaks.note([(item(1, "a"), waits), (item(2, "b"), waits), (item(3, "a"), DONE)]) == 0
    later = [(item(1, "a", row=1, attempts=1), DONE), (item(2, "b", row=2, attempts=1), DONE)]
    assert breaks.note(later) == 1
    assert breaks.note([(item(4, "a"), DONE)]) == 0


class Model:
    """Rounds of an ordered connection against the real ledger; the destination fails as the test says."""

    def __init__(self, ledger: Ledger):
        self.ledger, self.lane = ledger, ledger.live_lane("d1", "s1", 0, 0.0).id
        self.queue, self.next_seq, self.sent = Queue(ledger.waiting_users("d1")), 0, []

    def fate(self, one: Item, *, fails: bool):
        if fails:
            return Waiting(1.0, one.attempts + 1, 0.0, "down")
        self.sent.append((user_of(one.event), one.event.seq))
        return DONE

    def settle(self, fates, move=None):
        self.queue.follow(self.ledger.settle(Settlement("d1", fates, move, is_ordered=True), 5.0))

    def new(self, users: str, failing: set[str]) -> None:
        first, fates, waiting = self.next_seq, [], set()
        for user in users:
            one = item(self.next_seq, user, lane=self.lane)
            self.next_seq += 1
            if user in waiting or self.queue.holds(one):
                fates.append((one, Waiting(HELD_AT, 0, None, HELD_BACK)))
            else:
                fates.append((one, self.fate(one, fails=user in failing)))
                waiting |= {user} & failing
        self.settle(fates, Move(self.lane, first, self.next_seq, len(users)))

    def retry(self, failing: set[str], limit: int, *, at_once: int | None = None) -> int:
        due = self.ledger.due("d1", 9.0, limit)
        if at_once is not None:
            assert max(Counter(user_of(one.event) for one in due).values(), default=0) <= at_once
        self.settle([(one, self.fate(one, fails=user_of(one.event) in failing)) for one in due])
        return len(due)


users = st.text("abc", max_size=8)
failing = st.sets(st.sampled_from("abc"))


@given(
    steps=st.lists(st.one_of(st.tuples(users, failing), st.tuples(st.integers(1, 5), failing), st.none()), max_size=12)
)
@settings(max_examples=40, deadline=None)
def test_whatever_fails_each_user_gets_events_in_order_and_none_is_stuck(tmp_path_factory, steps):
    directory = tmp_path_factory.mktemp("order")
    ledger = Ledger(directory)
    model = Model(ledger)
    for step in steps:
        if step is None:  # a restart
            model.queue = Queue(ledger.waiting_users("d1"))
        elif isinstance(step[0], str):
            model.new(*step)
        else:
            model.retry(step[1], step[0], at_once=1)
    while model.retry(set(), 2, at_once=1):
        pass
    assert sorted(seq for _, seq in model.sent) == list(range(model.next_seq))
    for user in "abc":
        mine = [seq for who, seq in model.sent if who == user]
        assert mine == sorted(mine)
    assert (ledger.held_back("d1"), ledger.balance(model.lane).holds) == (0, True)
    ledger.close()


@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("new"), users, failing),
            st.tuples(st.just("retry"), st.integers(1, 5), failing),
            st.tuples(st.just("die"), st.integers(1, 5), failing),
            st.tuples(st.just("resume")),
            st.tuples(st.just("restart")),
            st.tuples(st.just("by hand")),
        ),
        max_size=16,
    )
)
@settings(max_examples=60, deadline=None)
def test_only_what_was_given_up_goes_out_of_order_and_nothing_starves(tmp_path_factory, steps):
    ledger = Ledger(tmp_path_factory.mktemp("given-up"))
    model, given_up = Model(ledger), set()
    for step in steps:
        match step:
            case ("new", several, bad):
                model.new(several, bad)
            case ("retry", limit, bad):
                model.retry(bad, limit)
            case ("die", limit, bad):
                due = ledger.due("d1", 9.0, limit)
                given_up |= {one.event.seq for one in due if user_of(one.event) in bad}
                dies = Dead(1, 0.0, "HTTP 400", 400, "", "")
                ends = [dies if user_of(one.event) in bad else model.fate(one, fails=False) for one in due]
                model.settle(list(zip(due, ends, strict=True)))
            case ("resume",):
                ledger.resume("d1", 6.0)
            case ("restart",):
                model.queue = Queue(ledger.waiting_users("d1"))
            case ("by hand",):
                dead_letters.retry(ledger, [row[0] for row in ledger.rows("select id from dead")], 5.0)
        waiting = {user for (user,) in ledger.rows("select who from waiting where who <> ''")}
        lined_up = ledger.rows("select who from waiting where who <> '' and due_at < ?", (HELD_AT,))
        assert sorted(who for (who,) in lined_up) == sorted(waiting)  # of each user one is let go, the others wait
        assert ledger.balance(model.lane).holds
    while model.retry(set(), 2):
        pass
    dead = {row[0] for row in ledger.rows("select seq from dead")}
    assert sorted(seq for _, seq in model.sent) == sorted(set(range(model.next_seq)) - dead)
    for user in "abc":
        mine = [seq for who, seq in model.sent if who == user and seq not in given_up]
        assert mine == sorted(mine)
    assert ledger.held_back("d1") == 0
    ledger.close()


def test_a_pause_that_ends_does_not_let_go_what_is_held_back(tmp_path):
    ledger = Ledger(tmp_path)
    model = Model(ledger)
    model.new("aaa", {"a"})
    assert ledger.held_back("d1") == 2
    ledger.resume("d1", 6.0)
    assert [one.event.seq for one in ledger.due("d1", 9.0, 9)] == [0]
    assert ledger.next_due_at("d1") == 6.0
    ledger.close()


async def test_a_halt_leaves_the_rest_untried():
    destination = Told({0: Retry("x")})
    sender = Sender(destination, Turns(1), print, queue=Queue([]))
    sender.halt()
    assert [attempt.outcome for attempt in await sender.attempt([item(0, "a")])] == [Held()]


def test_lining_up_a_user_reads_no_other_users_rows(tmp_path):
    ledger = Ledger(tmp_path)
    model = Model(ledger)
    crowd = [(item(seq, f"u{seq}", lane=model.lane), Waiting(1.0, 1, 0.0, "down")) for seq in range(5_000)]
    ledger.settle(Settlement("d1", crowd, Move(model.lane, 0, 5_000, 5_000), is_ordered=True), 5.0)
    steps = []
    ledger.db.set_progress_handler(lambda: steps.append(1), 100)  # of SQLite's machine
    ledger.settle(Settlement("d1", [(item(9_000, "u7", lane=model.lane), DONE)], is_ordered=True), 5.0)
    ledger.db.set_progress_handler(None, 0)
    assert len(steps) < 20
    ledger.close()
