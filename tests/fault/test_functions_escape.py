"""Functions that try to get out, to take everything, to harm others: none does, and the next event is served."""

import asyncio
import os
import resource
import signal
import socket
from pathlib import Path

import pytest

from headwater.delivery.address import Policy
from headwater.delivery.http import GuardedHttp
from headwater.errors import ConfigError
from headwater.functions.child import FETCH_BYTES_MAX
from headwater.functions.contract import Ended, Function
from headwater.functions.runtime import Processes
from headwater.outgoing import Answer

GOOD = {"type": "track", "event": "good"}
BAD = {"type": "track", "event": "bad"}


class Web:
    """The outside, counting."""

    def __init__(self):
        self.count = 0

    async def request(self, *_args, **_named):
        self.count += 1
        return Answer(200, {}, b"{}")


@pytest.fixture
async def runtime():
    processes = Processes(time_s=1, memory_bytes=32 * 1024 * 1024)
    yield processes
    await processes.close()


def doing(what, before=""):
    code = f"{before}\nasync function onTrack(event) {{ if (event.event === 'good') return 'served'; {what} }}"
    return Function("f", "Hostile", code, {"secret": "s3cret"})


async def ends(runtime, what, *events, before="", http=None):
    return await runtime.run(doing(what, before), "onEvent", events or (BAD, GOOD), http or Web())


SERVED = Ended("sent", "served")

EXHAUSTING = {
    "an endless loop": ("for (;;);", "retry"),
    "an endless loop that catches": ("for (;;) { try { for (;;); } catch {} }", "retry"),
    "an endless chain of promises": ("for (;;) await 0", "retry"),
    "an endless chain that nobody waits for": ("(async () => { for (;;) await 0 })(); return 1", "sent"),
    "a promise that is never kept": ("await new Promise(() => {})", "retry"),
    "endless timers": ("for (;;) await new Promise((done) => setTimeout(done, 1))", "retry"),
    "endless recursion": ("(function deeper() { deeper() })()", "failed"),
    "an expression that backtracks": ("/(a+)+b/.test('a'.repeat(50))", "retry"),
    "arrays without end": ("const all = []; for (;;) all.push(new Array(1e5).fill(1))", "failed"),
    "strings without end": ("let text = 'x'; for (;;) text += text", "failed"),
    "a gigantic buffer": ("new ArrayBuffer(1e10)", "failed"),
    "memory that is kept from event to event": ("for (;;) kept.push('x'.repeat(1e6) + kept.length)", "failed"),
    "a value of a hundred megabytes": ("return 'x'.repeat(1e8)", "failed"),
    "a value of two megabytes": ("return 'x'.repeat(2e6)", "failed"),
    "a value that has no end": ("const value = {}; value.self = value; return value", "failed"),
    "a value that throws when it is read": ("return {get a() { throw new Error('no') }}", "failed"),
    "a value whose toJSON loops": ("return {toJSON() { for (;;); }}", "retry"),
    "an error that throws when it is read": (
        "throw Object.defineProperty(new Error(), 'message', {get() { throw 1 }})",
        "failed",
    ),
    "a number that takes for ever": ("let n = 3n ** 300000n; for (;;) n = n * n % (10n ** 4000000n)", None),
}


@pytest.mark.parametrize("name", EXHAUSTING)
async def test_what_takes_everything_is_stopped_and_the_next_event_is_served(runtime, name):
    what, kind = EXHAUSTING[name]
    bad, good = await ends(runtime, what, before="const kept = []")
    assert good == SERVED
    assert kind is None or bad.kind == kind, bad


@pytest.mark.parametrize(
    "what",
    ["for (;;);", "const a = []; for (;;) a.push(new Array(1e5).fill(1))", "(function f() { f() })()", "throw 1"],
)
async def test_code_that_does_so_while_it_is_loaded_is_refused(runtime, what):
    with pytest.raises(ConfigError):
        await runtime.run(Function("f", "Hostile", what), "onEvent", [GOOD], Web())


async def test_a_flood_of_output_is_cut(runtime):
    flood = "for (let n = 0; n < 200; n++) console.log('x'.repeat(5000), n); return 1"
    bad, good = await ends(runtime, flood)
    assert (bad.kind, len(bad.log), max(map(len, bad.log)), good) == ("sent", 50, 1001, SERVED)


async def test_what_was_written_before_the_time_was_up_is_kept(runtime):
    [bad] = await ends(runtime, "console.log('begun'); for (;;);", BAD)
    assert bad == Ended("retry", None, "Its time was up after 1 seconds.", ("begun",))


async def test_a_hundred_requests_are_sent_and_no_more(runtime):
    web = Web()
    bad, _ = await ends(
        runtime,
        "let n = 0; try { for (; n < 5000; n++) await fetch('https://a.example') } catch (e) { return [n, e.message] }",
        http=web,
    )
    assert bad.value == [100, "An event may fetch 100 times."]
    assert web.count == 100


async def test_large_requests_that_nobody_answers_are_not_heaped_up(runtime):
    class Hanging(Web):
        bytes = 0

        async def request(self, *_args, body, **_named):
            self.bytes += len(body)
            await asyncio.sleep(10)

    web = Hanging()
    send = "setTimeout(() => fetch('https://a.example', {method: 'POST', body: 'x'.repeat(3e6)}).catch(() => 0), n)"
    bad, _ = await ends(runtime, f"for (let n = 0; n < 50; n++) {send}; await new Promise(() => {{}})", http=web)
    assert bad.kind == "retry"
    assert 3e6 <= web.bytes <= FETCH_BYTES_MAX


OUTSIDE = (
    "process", "require", "module", "exports", "std", "os", "Deno", "Bun", "XMLHttpRequest", "WebSocket", "Worker",
    "WebAssembly", "scriptArgs", "print", "__loadScript", "bjson", "load", "operations", "handlers", "evaluate",
)  # fmt: skip


async def test_nothing_of_a_host_is_there(runtime):
    names = ", ".join(f"typeof {name}" for name in OUTSIDE)
    [bad] = await ends(runtime, f"return [{names}]", BAD)
    assert bad.value == ["undefined"] * len(OUTSIDE)


@pytest.mark.parametrize("module", ["std", "os", "fs", "./process.py", "/etc/passwd", "file:///etc/passwd"])
async def test_no_module_can_be_had(runtime, module):
    assert [ended.kind for ended in await ends(runtime, f"return await import('{module}')")] == ["failed", "sent"]


async def test_made_code_is_as_shut_in_as_written_code(runtime):
    for maker in ("new Function('return this')()", "(0, eval)('this')", "[].constructor.constructor('return this')()"):
        [bad] = await ends(runtime, f"return Object.keys({maker}).includes('process') || typeof {maker}.require", BAD)
        assert bad.value == "undefined"


FORBIDDEN = (
    "http://127.0.0.1:{port}/", "http://localhost:{port}/", "http://[::1]:{port}/", "http://0x7f.1:{port}/",
    "http://169.254.169.254/latest/meta-data/", "http://10.0.0.1/", "file:///etc/passwd", "gopher://127.0.0.1/", "",
    "data:text/plain,x", "http://user:pw@127.0.0.1:{port}/",
)  # fmt: skip


@pytest.mark.parametrize("address", FORBIDDEN)
async def test_no_forbidden_address_is_reached(runtime, address):
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.settimeout(0)
        http = GuardedHttp(Policy(()))
        try:
            url = address.format(port=door.getsockname()[1])
            bad, good = await ends(runtime, f"return (await fetch('{url}')).status", http=http)
        finally:
            await http.close()
        assert (bad.kind, good) == ("failed", SERVED), bad
        with pytest.raises(BlockingIOError):
            door.accept()


async def test_a_header_cannot_be_smuggled(runtime):
    web = Web()
    what = "await fetch('https://a.example', {headers: {'x-a': 'b\\r\\nhost: c'}})"
    assert [ended.kind for ended in await ends(runtime, what, http=web)] == ["failed", "sent"]
    assert web.count == 0


async def test_what_an_event_does_to_prototypes_does_not_change_what_others_are(runtime):
    pollute = 'Object.prototype.polluted = 1; JSON.parse(\'{"__proto__":{"polluted":1}}\').__proto__.polluted = 2;'
    tamper = "Promise.prototype.then = JSON.stringify = JSON.parse = Map.prototype.get = () => { throw 1 };"
    bad, good = await ends(runtime, pollute + tamper + "return ({}).polluted === undefined")
    assert (bad.value, good) == (True, SERVED)


async def test_functions_do_not_see_each_other_or_other_settings(runtime):
    leave = Function(
        "a", "A", "globalThis.left = 1; function onTrack(e, s) { globalThis.seen = s; return 1 }", {"k": 1}
    )
    look = "function onTrack(e, s) { return [typeof left, typeof seen, s] }"
    await runtime.run(leave, "onEvent", [GOOD], Web())
    for function in (Function("b", "B", look, {"k": 2}), Function("a", "A", look, {"k": 3})):
        [ended] = await runtime.run(function, "onEvent", [GOOD], Web())
        assert ended.value == ["undefined", "undefined", dict(function.settings)]


def child_of(runtime):
    [place] = runtime._places.values()
    return place.starting.result()


async def test_the_process_has_nothing_to_get_out_with(runtime):
    await ends(runtime, "return 1")
    proc = Path(f"/proc/{child_of(runtime).pid}")
    limits = {line[:26].strip(): line[26:].split()[:2] for line in (proc / "limits").read_text().splitlines()}
    assert limits["Max open files"] == ["3", "3"]
    assert limits["Max processes"] == ["0", "0"]
    assert limits["Max file size"] == ["0", "0"]
    assert limits["Max core file size"] == ["0", "0"]
    status = (proc / "status").read_text()
    assert "NoNewPrivs:\t1" in status
    if os.geteuid() == 0:
        assert "Uid:\t65534\t65534\t65534\t65534" in status
        assert "CapEff:\t0000000000000000" in status


async def test_a_killed_process_means_later_and_the_next_event_has_a_new_one(runtime):
    class Killing(Web):
        async def request(self, *_args, **_named):
            os.kill(child_of(runtime).pid, signal.SIGKILL)
            await asyncio.sleep(10)

    bad, good = await ends(runtime, "await fetch('https://a.example')", http=Killing())
    assert (bad.kind, good) == ("retry", SERVED)


async def test_a_process_that_hangs_is_killed_from_outside(runtime):
    await ends(runtime, "return 1")
    child = child_of(runtime)
    child._silent_s = 0.5
    os.kill(child.pid, signal.SIGSTOP)
    assert [ended.kind for ended in await ends(runtime, "return 1", GOOD)] == ["retry"]
    assert await ends(runtime, "return 1", GOOD) == [SERVED]


async def test_the_caller_stays_small_whatever_a_function_does(runtime):
    await ends(runtime, "return 1")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    greedy = "console.log('x'.repeat(1e7)); return new Array(1e5).fill('x'.repeat(100))"
    for _ in range(3):
        await ends(runtime, greedy, BAD, BAD)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024


async def test_processes_end_with_the_runtime():
    processes = Processes(time_s=0.5)
    await processes.run(doing("return 1"), "onEvent", [GOOD], Web())
    pid = child_of(processes).pid
    await processes.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
