"""Requests within their limits, the one bad item found, and every part with a result at its place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.batching import Part, carried, divided, requests, told
from headwater.errors import RetryableError


@given(st.lists(st.integers(1, 50)), st.integers(1, 10), st.integers(1, 100))
def test_requests_hold_everything_in_order_within_the_limits(sizes, count_max, bytes_max):
    found = list(requests(sizes, count_max=count_max, bytes_max=bytes_max))
    assert [place for places in found for place in places] == list(range(len(sizes)))
    for places in found:
        assert len(places) <= count_max
        assert len(places) == 1 or sum(sizes[place] for place in places) <= bytes_max


@given(st.integers(1, 40), st.sets(st.integers(0, 39)))
async def test_each_bad_item_ends_up_alone_and_the_others_go_through(count, bad):
    async def send(items):
        return [not any(item in bad for item in items)] * len(items)

    results = await divided(list(range(count)), send, lambda results: not any(results))
    assert results == [item not in bad for item in range(count)]


async def test_after_a_half_without_an_answer_the_other_is_not_sent_again():
    sent = []

    async def send(items):
        sent.append(list(items))
        if items == [2, 3]:
            raise RetryableError("no answer")
        return ["spoilt" if len(items) > 2 else "in"] * len(items)

    results = await divided(list(range(8)), send, lambda results: "spoilt" in results, str)
    assert results == ["in"] * 2 + ["no answer"] * 6
    assert sent == [list(range(8)), [0, 1, 2, 3], [0, 1], [2, 3]]


async def test_without_an_answer_at_all_nothing_is_in():
    async def send(_):
        raise RetryableError("no answer")

    with pytest.raises(RetryableError):
        await divided([1, 2], send, bool, str)


class Sending:
    """Answers with place and body; `fails` names the requests, from 0, that get no answer."""

    def __init__(self, *fails: int):
        self.fails, self.sent = fails, []

    async def __call__(self, to, bodies):
        self.sent.append((to, [body.decode() for body in bodies]))
        if len(self.sent) - 1 in self.fails:
            raise RetryableError("no answer")
        return [f"{to}:{body.decode()}" for body in bodies]


def is_spoilt(results):
    return any("bad" in result for result in results)


async def sent(parts, *fails):
    sending = Sending(*fails)
    results = await carried(
        parts, sending, count_max=2, bytes_max=10, too_large="large", unsent=str, is_spoilt=is_spoilt
    )
    return results, sending.sent


def part(to, body):
    return Part(to, body.encode())


async def test_parts_go_together_by_place_and_results_keep_their_order():
    parts = [part("a", "1"), "done", part("b", "2"), part("a", "3"), part("a", "4" * 10), part("a", "5")]
    results, requests_made = await sent(parts)
    assert results == ["a:1", "done", "b:2", "a:3", "large", "a:5"]
    assert requests_made == [("a", ["1", "3"]), ("a", ["5"]), ("b", ["2"])]


async def test_a_request_that_is_refused_whole_is_divided():
    results, requests_made = await sent([part("a", "bad"), part("a", "2")])
    assert results == ["a:bad", "a:2"]
    assert requests_made == [("a", ["bad", "2"]), ("a", ["bad"]), ("a", ["2"])]


async def test_after_a_request_without_an_answer_nothing_more_is_sent():
    parts = [part("a", "1"), part("a", "2"), part("a", "3"), part("b", "4"), "done"]
    results, requests_made = await sent(parts, 1)
    assert results == ["a:1", "a:2", "no answer", "no answer", "done"]
    assert len(requests_made) == 2


def test_what_is_told_is_an_object_or_nothing():
    assert told(b'{"a":1}') == {"a": 1}
    assert [told(body) for body in (b"", b"[]", b"<html>", b"\xff", b'"a"', b"null")] == [{}] * 6
