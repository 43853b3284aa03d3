"""What functions do, in real processes: handlers, errors, what they may use."""

import asyncio

import pytest

from headwater.errors import ConfigError, DeliveryError, RetryableError
from headwater.functions.contract import Ended, Function
from headwater.functions.runtime import Processes
from headwater.outgoing import Answer

TRACK = {"type": "track", "event": "Order Completed", "properties": {"revenue": 12.5}}
JSON = Answer(200, {"content-type": "application/json"}, b'{"id":7}')


class Web:
    """The outside: ends each request as it was told, and remembers what was asked."""

    def __init__(self, end=JSON):
        self.end, self.asked = end, []

    async def request(self, method, url, *, body=b"", headers=None):
        self.asked.append((method, url, body, dict(headers or {})))
        if isinstance(self.end, Exception):
            raise self.end
        return self.end


@pytest.fixture
async def runtime():
    processes = Processes(time_s=1)
    yield processes
    await processes.close()


async def ran(runtime, code, *arguments, handler="onEvent", web=None, **settings):
    function = Function("f", "Test", code, settings)
    return await runtime.run(function, handler, arguments or [TRACK], web or Web())


async def value_of(runtime, expression, web=None, **settings):
    """Return what an expression is worth inside a handler; it may await."""
    code = f"async function onTrack(event, settings) {{ return ({expression}) }}"
    [ended] = await ran(runtime, code, web=web, **settings)
    assert ended.kind == "sent", ended.message
    return ended.value


async def test_a_handler_gets_event_and_settings_and_what_it_returns_comes_back(runtime):
    code = "async function onTrack(event, settings) { console.log('for', event.event); return {...event, ...settings} }"
    assert await ran(runtime, code, userId="u1") == [
        Ended("sent", {**TRACK, "userId": "u1"}, "", ("for Order Completed",))
    ]


async def test_each_call_has_its_own_handler_and_one_without_is_unsupported(runtime):
    code = "const onIdentify = () => 'i'; function onPage() { return 'p' }"
    ends = await ran(runtime, code, *({"type": each} for each in ("identify", "page", "group")))
    assert [(ended.kind, ended.value) for ended in ends] == [("sent", "i"), ("sent", "p"), ("unsupported", None)]
    assert await runtime.handlers(Function("f", "Test", code)) == {"onIdentify", "onPage"}


@pytest.mark.parametrize(
    ("thrown", "kind", "message"),
    [
        ("new RetryError('down')", "retry", "RetryError: down (line 2)"),
        ("new EventNotSupported('no')", "unsupported", "EventNotSupported: no (line 2)"),
        ("new DropEvent('bot')", "dropped", "DropEvent: bot (line 2)"),
        ("new InvalidEventPayload('bad')", "failed", "InvalidEventPayload: bad (line 2)"),
        ("new ValidationError('bad')", "failed", "ValidationError: bad (line 2)"),
        ("new TypeError('odd')", "failed", "TypeError: odd (line 2)"),
        ("'text'", "failed", "Error: text"),
        ("null", "failed", "Error: null"),
        ("{get message() { throw 1 }}", "failed", "Error: {}"),
    ],
)
async def test_an_error_says_what_becomes_of_the_event_and_where_it_was(runtime, thrown, kind, message):
    [ended] = await ran(runtime, f"async function onTrack() {{\n throw {thrown} }}")
    assert ended.kind == kind
    assert ended.message == message or "[cannot be shown]" in ended.message


async def test_code_that_cannot_be_read_is_named_with_its_line_and_not_tried_at_once_again(runtime):
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"SyntaxError.*\(line 3\)"):
            await ran(runtime, "async function onTrack() {\n\n let = ;\n}")
    with pytest.raises(ConfigError, match=r"nothing is not defined \(line 1\)"):
        await ran(runtime, "nothing()")


async def test_fetch_goes_through_the_callers_client(runtime):
    web = Web(Answer(201, {"x-id": "9"}, b'{"id":7}'))
    request = "{method: 'post', headers: {'X-Key': settings.key, Host: 'elsewhere'}, body: JSON.stringify({a: 1})}"
    told = (
        f"await fetch('https://api.example.com/a', {request}).then(async (answer) => "
        "[answer.status, answer.ok, answer.headers.get('X-Id'), await answer.json()])"
    )
    assert await value_of(runtime, told, web, key="k") == [201, True, "9", {"id": 7}]
    headers = {"x-key": "k", "content-type": "text/plain;charset=UTF-8"}
    assert web.asked == [("POST", "https://api.example.com/a", b'{"a":1}', headers)]


@pytest.mark.parametrize(
    ("end", "kind"), [(RetryableError("No answer came."), "retry"), (DeliveryError("Forbidden."), "failed")]
)
async def test_a_request_without_an_answer_means_later_unless_it_is_caught(runtime, end, kind):
    [ended] = await ran(runtime, "async function onTrack() { await fetch('https://a.example') }", web=Web(end))
    assert (ended.kind, str(end) in ended.message) == (kind, True)
    code = "async function onTrack() { try { await fetch('https://a.example') } catch (error) { return 'caught' } }"
    assert await ran(runtime, code, web=Web(end)) == [Ended("sent", "caught")]


async def test_an_answer_that_was_cut_is_not_taken_for_the_whole(runtime):
    web = Web(Answer(200, {}, b'{"a":', cut=True))
    [ended] = await ran(
        runtime, "async function onTrack() { await (await fetch('https://a.example')).json() }", web=web
    )
    assert ended == Ended("failed", None, "Error: The answer is too long to be read whole. (line 1)")


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("new URL('../b?x=1&y=a b#h', 'https://me:pw@Example.com:443/c/d').href", "https://example.com/b?x=1&y=a%20b#h"),
        ("new URL('http://h:8080/p').host", "h:8080"),
        ("[...new URLSearchParams('a=1&a=2&b=%C3%A4+x')]", [["a", "1"], ["a", "2"], ["b", "ä x"]]),
        ("String(new URLSearchParams({q: 'a b&c', n: 1}))", "q=a+b%26c&n=1"),
        ("(() => { const u = new URL('https://h/'); u.searchParams.set('a', 'ü'); return u.href })()", "https://h/?a=%C3%BC"),
        ("btoa('user:')", "dXNlcjo="),
        ("atob('dXNlcjo=')", "user:"),
        ("[...new TextEncoder().encode('é')]", [195, 169]),
        ("new TextDecoder().decode(new TextEncoder().encode('é€'))", "é€"),
        ("await new Promise((done) => setTimeout(done, 20, 'late'))", "late"),
        ("await cache.load('k', 1000, async () => 5) + await cache.load('k', 1000, async () => 6)", 10),
        ("new Headers({A: '1'}).get('a')", "1"),
        ("'\\ud800'", "\ufffd"),
    ],
)  # fmt: skip
async def test_what_code_written_for_segment_uses_is_there(runtime, expression, value):
    assert await value_of(runtime, expression) == value


@pytest.mark.parametrize("size", [100, 8_000, 9_000, 100_000, 500_000])
async def test_texts_of_any_length_come_back(runtime, size):
    text = "ä" * size
    code = "function onTrack(event) { console.log(event.text); return {...event, more: event.text + '!'} }"
    [ended] = await ran(runtime, code, {"type": "track", "text": text})
    assert ended.value == {"type": "track", "text": text, "more": text + "!"}


async def test_variables_last_from_event_to_event_and_settings_are_as_given_each_time(runtime):
    code = """let count = 0
      function onTrack(event, settings) { const was = settings.a; settings.a = 9; return [++count, was] }"""
    assert [ended.value for ended in await ran(runtime, code, TRACK, TRACK, TRACK, a=1)] == [[1, 1], [2, 1], [3, 1]]


async def test_events_that_wait_do_not_wait_for_each_other(runtime):
    gate, waiting = asyncio.Event(), 0

    class Slow:
        async def request(self, *_args, **_named):
            nonlocal waiting
            waiting += 1
            if waiting == 8:
                gate.set()
            await gate.wait()
            return JSON

    code = "async function onTrack() { return (await fetch('https://a.example')).status }"
    ends = await asyncio.gather(*(ran(runtime, code, web=Slow()) for _ in range(8)))
    assert [ended.value for [ended] in ends] == [200] * 8


async def test_a_request_becomes_what_the_function_sends(runtime):
    code = """async function onRequest(request, settings) {
      const body = request.json()
      Segment.identify({userId: body.id, traits: {from: request.url.searchParams.get('from')}})
      Segment.track({event: request.headers.get('X-Topic'), userId: body.id, properties: {body: request.text()}})
    }"""
    argument = {"url": "https://h/x?from=shop", "headers": {"x-topic": "Paid"}, "body": '{"id":"u1"}'}
    [ended] = await ran(runtime, code, argument, handler="onRequest")
    assert ended.value == [
        {"type": "identify", "userId": "u1", "traits": {"from": "shop"}},
        {"type": "track", "event": "Paid", "userId": "u1", "properties": {"body": '{"id":"u1"}'}},
    ]


async def test_a_form_is_read_like_json(runtime):
    form = {"url": "https://h/", "headers": {"content-type": "application/x-www-form-urlencoded"}, "body": "a=1&b=x+y"}
    code = "function onRequest(request) { Segment.track({event: 'E', userId: 'u', properties: request.json()}) }"
    [ended] = await ran(runtime, code, form, handler="onRequest")
    assert ended.value[0]["properties"] == {"a": "1", "b": "x y"}


async def test_more_functions_than_processes_take_turns():
    processes = Processes(processes_max=2, time_s=1)
    try:
        functions = [Function(str(n), "T", f"function onTrack() {{ return {n} }}") for n in range(5)]
        ends = await asyncio.gather(*(processes.run(each, "onEvent", [TRACK], Web()) for each in functions))
        assert [ended.value for [ended] in ends] == [0, 1, 2, 3, 4]
    finally:
        await processes.close()
