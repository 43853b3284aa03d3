"""The examples of docs/functions.md do what the page says, and its figures are those of the code."""

import re
from pathlib import Path

import pytest

from headwater import limits
from headwater.functions import runtime as bounds
from headwater.functions.contract import Function
from headwater.functions.runtime import Processes
from headwater.outgoing import Answer

PAGE = (Path(__file__).parents[3] / "docs" / "functions.md").read_text()
EXAMPLES = dict(re.findall(r'```js title="(\w+)"\n(.*?)```', PAGE, re.DOTALL))
ORDER = {
    "type": "track",
    "event": "Order Completed",
    "messageId": "m1",
    "userId": "u1",
    "properties": {"order_id": "A-1"},
    "context": {"ip": "203.0.113.7", "traits": {"email": " Ada@Example.com "}},
}


class Shop:
    def __init__(self, status):
        self.status, self.asked = status, []

    async def request(self, method, url, *, body=b"", headers=None):
        self.asked.append((method, url, body, headers["authorization"]))
        return Answer(self.status, {}, b"")


@pytest.fixture
async def runtime():
    processes = Processes()
    yield processes
    await processes.close()


async def ran(runtime, name, argument, handler="onEvent", shop=None):
    function = Function(name, name, EXAMPLES[name], {"url": "https://shop.example", "token": "t"})
    [ended] = await runtime.run(function, handler, [argument], shop or Shop(200))
    return ended


@pytest.mark.parametrize(("status", "kind"), [(200, "sent"), (429, "retry"), (503, "retry"), (404, "failed")])
async def test_the_destination(runtime, status, kind):
    shop = Shop(status)
    assert (await ran(runtime, "destination", ORDER, shop=shop)).kind == kind
    assert shop.asked == [("POST", "https://shop.example/orders", b'{"order":"A-1","key":"m1"}', "Bearer t")]


async def test_the_batch(runtime):
    ended = await ran(runtime, "batch", [ORDER, {"type": "track"}], "onBatch")
    assert ended.value == [{"status": 200}, {"status": 400, "errormessage": "no user"}]


async def test_the_insert(runtime):
    assert (await ran(runtime, "insert", ORDER)).value["context"] == {"traits": {"email": "ada@example.com"}}
    assert (await ran(runtime, "insert", {**ORDER, "properties": {"test": True}})).kind == "dropped"
    assert (await ran(runtime, "insert", {"type": "identify"})).value == {"type": "identify"}
    assert (await ran(runtime, "insert", {"type": "group"})).kind == "unsupported"


async def test_the_source(runtime):
    body = '{"id":"7","customer":"u1","email":"a@b.c","created_at":"2026-05-04T12:00:00Z","total":"9.5"}'
    request = {"url": "https://h/?test=1", "headers": {"x-topic": "orders"}, "body": body}
    identify, track = (await ran(runtime, "source", request, "onRequest")).value
    assert identify == {"type": "identify", "userId": "u1", "traits": {"email": "a@b.c"}}
    assert (track["messageId"], track["properties"]) == ("order-7", {"order_id": "7", "total": 9.5, "test": True})
    assert (await ran(runtime, "source", {**request, "headers": {}}, "onRequest")).kind == "dropped"


def test_every_example_is_run_and_the_figures_are_right():
    assert set(EXAMPLES) == {"destination", "batch", "insert", "source"}
    assert f"| {bounds.TIME_S:g} seconds |" in PAGE
    assert f"| {bounds.MEMORY_BYTES // limits.MIB} MB |" in PAGE
    assert f"| {bounds.PROCESSES_MAX}; others wait" in PAGE
    assert f"| {limits.ANSWER_BYTES_MAX // limits.KIB} KiB;" in PAGE
    sandbox = (Path(bounds.__file__).parent / "sandbox.js").read_text()
    for name, said in (("FETCHES_MAX", "| 100 |"), ("EMITTED_MAX", "| 1,000,"), ("LINES_MAX", "newest 50 lines")):
        most = re.search(rf"const {name} = (\d+);", sandbox)[1]
        assert f"{int(most):,}" in said
        assert said in PAGE
