"""Frames arrive as they were sent, however the pipe cuts them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.functions.fetching import fetched
from headwater.functions.frames import FRAME_BYTES_MAX, Frames, TooLargeError, framed
from headwater.outgoing import Answer

LINES = st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b" ")), min_size=1, max_size=5)


@given(st.lists(LINES, max_size=6), st.lists(st.integers(1, 17), min_size=1))
def test_frames_arrive_whole_and_in_order(sent, cuts):
    stream, frames, found, turn = b"".join(map(framed, sent)), Frames(), [], 0
    while stream:
        size = cuts[turn % len(cuts)]
        found += frames.take(stream[:size])
        stream, turn = stream[size:], turn + 1
    assert found == sent


def test_a_frame_that_claims_to_be_gigantic_is_refused_before_it_arrives():
    with pytest.raises(TooLargeError):
        list(Frames().take((FRAME_BYTES_MAX + 1).to_bytes(4, "big")))


class Web:
    def __init__(self):
        self.asked = []

    async def request(self, *asked, **named):
        self.asked.append((*asked, named))
        return Answer(200, {"a": "b"}, b"\xff", cut=True)


@pytest.mark.parametrize(
    "request_",
    [
        {"url": "https://a.example", "method": "TRACE"},
        {"url": "https://a.example", "method": "GET /\r\n"},
        {"url": "https://a.example", "headers": {"a b": "c"}},
        {"url": "https://a.example", "headers": {"a": "b\r\nc: d"}},
        {"url": "https://a.example", "headers": {f"x{n}": "1" for n in range(65)}},
    ],
)
async def test_a_request_that_is_none_is_refused(request_):
    web = Web()
    assert (await fetched(web, request_))["retry"] is False
    assert web.asked == []


async def test_headers_that_are_the_clients_own_are_left_out():
    web = Web()
    headers = {"Host": "internal", "Content-Length": "5", "Transfer-Encoding": "chunked", "X-Mine": "1"}
    answer = await fetched(web, {"url": "https://a.example", "method": "POST", "headers": headers, "body": "ä"})
    assert web.asked == [("POST", "https://a.example", {"body": "ä".encode(), "headers": {"X-Mine": "1"}})]
    assert answer == {"status": 200, "headers": {"a": "b"}, "body": "\ufffd", "cut": True}
