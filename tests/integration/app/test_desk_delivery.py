"""What the pipeline role answers about deliveries: complete JSON, and a sentence for what is asked wrongly."""

import asyncio
import contextlib

import pytest

from headwater.app.desk import Desk
from headwater.delivery.engine import Delivery
from headwater.delivery.http import GuardedHttp
from headwater.delivery.samples import SAMPLES
from headwater.errors import ConfigError, InvalidRequestError, NotFoundError
from headwater.eventlog.cursors import Cursors
from headwater.eventlog.memory import MemoryLog
from headwater.ingest.inbox import InboxMapper
from headwater.loading.engine import Loading
from receiver import LOOPBACK, QUICK, append, body, receiving, settled, webhook
from rooms import outside

FIGURES = {"received", "filtered", "deliveredFirstTry", "deliveredOnRetry", "retried", "failed", "discarded"}
FIGURES |= {"p50S", "p95S", "p99S"}


@contextlib.asynccontextmanager
async def desk_of(tmp_path, *connections, newest=()):
    """Yield a desk; `newest` is configured, and in use only after somebody has asked for the newest."""
    log, http = MemoryLog(), GuardedHttp(LOOPBACK)
    delivery = Delivery(log, tmp_path, outside(http, tmp_path), rules=QUICK)
    delivery.apply(connections)
    task = asyncio.create_task(delivery.run())
    mapper = InboxMapper(log, log, Cursors(tmp_path / "cursors.db"), lambda _: None)

    async def refresh():
        delivery.apply([*connections, *newest])

    try:
        yield log, delivery, Desk(log, mapper, delivery, Loading(log, tmp_path), refresh=refresh)
    finally:
        await delivery.stop()
        await task
        await http.close()


@pytest.fixture
async def office(tmp_path):
    """Return a log, an engine and a desk; the destination refused `m0` and took `m1`."""
    async with receiving() as receiver:
        receiver.answering(422)
        async with desk_of(tmp_path, webhook(receiver)) as (log, delivery, desk):
            await append(log, body("m0"))
            await settled(delivery, dead=1)
            await append(log, body("m1"))
            await settled(delivery, delivered_first_try=1)
            yield receiver, delivery, desk


async def test_a_connection_tells_what_there_is_to_know(office):
    (status,) = (await office[2].connections())["connections"]
    assert {name: status[name] for name in ("backlog", "overtaken", "heldBack", "unaccounted", "expired", "read")} == {
        "backlog": 0,
        "overtaken": 0,
        "heldBack": 0,
        "unaccounted": 0,
        "expired": 0,
        "read": 2,
    }
    assert [each["code"] for each in status["warnings"]] == ["dead_letters"]


async def test_figures_over_time_have_a_point_for_each_span_and_totals(office):
    found = await office[2].metrics("d1", granularity="minute")
    assert (len(found["points"]), found["granularity"]) == (60, "minute")
    assert found["points"][-1].keys() == FIGURES | {"at"}
    assert found["totals"].keys() == FIGURES
    assert (found["totals"]["received"], found["totals"]["failed"]) == (2, 1)
    with pytest.raises(NotFoundError):
        await office[2].metrics("d9")
    with pytest.raises(InvalidRequestError, match="since is a time"):
        await office[2].metrics("d1", since="yesterday")


async def test_dead_letters_are_chosen_counted_and_given_up(office):
    _, delivery, desk = office
    chosen = {"messageId": "m0", "type": "track", "since": "2026-01-01T00:00:00Z", "event": None}
    (letter,) = (await desk.dead_letters(chosen=chosen))["deadLetters"]
    whole = await desk.dead_letter(letter["id"])
    assert (letter["status"], whole["body"]["messageId"], whole["request"][:4]) == (422, "m0", "POST")
    assert (await desk.dead_letters(chosen={"destinationIds": ["d2"]}))["deadLetters"] == []
    assert await desk.discard_dead_letters(chosen=chosen, dry_run=True) == {"count": 1}
    assert await desk.retry_dead_letters(["1", "2"], dry_run=True) == {"count": 1}
    assert await desk.discard_dead_letters(chosen=chosen) == {"count": 1}
    await settled(delivery, dead=0, dropped=1)


@pytest.mark.parametrize(
    "chosen", [{"message": "m0"}, {"since": "2026-01-01T00:00:00"}, {"until": "soon"}, {"since": 5}]
)
async def test_a_choice_that_cannot_be_read_touches_nothing(office, chosen):
    with pytest.raises(InvalidRequestError) as refused:
        await office[2].retry_dead_letters(chosen=chosen)
    assert refused.value.field in chosen
    await settled(office[1], dead=1)


@pytest.mark.parametrize("number", ["x", "-1", "9" * 40, "\u0661"])
async def test_what_is_no_number_is_no_dead_letter(office, number):
    with pytest.raises((InvalidRequestError, NotFoundError)):
        await office[2].dead_letter(number)


async def test_a_replay_is_counted_run_listed_and_cancelled(office):
    desk = office[2]
    counted = await desk.replay("d1", user_id="u1", dry_run=True)
    assert (counted["count"], counted["replay"]["state"], await desk.replays()) == (2, "counted", {"replays": []})
    started = await desk.replay("d1", user_id="u1", rate_per_s=0.1)
    (run,) = (await desk.replays("d1"))["replays"]
    assert (started["count"], run["id"], run["ratePerS"]) == (2, started["replay"]["id"], 0.1)
    assert run["selection"] == {"since": None, "until": None, "event": None, "userId": "u1"}
    assert await desk.cancel_replay(run["id"]) == {"cancelled": True}
    (run,) = (await desk.replays())["replays"]
    assert (run["state"], run["finishedAt"] is None, run["startedAt"][:2]) == ("cancelled", False, "20")


async def test_a_try_shows_the_exchange(office):
    receiver, _, desk = office
    tried = await desk.try_event("webhook", {"url": receiver.url}, SAMPLES["track"], destination_id="d1")
    (exchange,) = tried["exchanges"]
    assert tried.keys() == {"outcome", "reason", "status", "sent", "advice", "exchanges"}
    assert exchange.keys() == {"method", "url", "request", "status", "answer", "durationMs"}
    assert (tried["outcome"], tried["sent"]["event"]) == ("delivered", "Order Completed")


@pytest.mark.parametrize("ask", ["try_event", "metrics", "replay"])
async def test_what_was_made_a_moment_ago_can_be_tried_at_once(tmp_path, ask):
    async with receiving() as receiver, desk_of(tmp_path, newest=[webhook(receiver)]) as (_, _, desk):
        match ask:
            case "try_event":
                found = await desk.try_event("webhook", {"url": receiver.url}, SAMPLES["track"], destination_id="d1")
                assert found["outcome"] == "delivered"
            case "metrics":
                assert (await desk.metrics("d1"))["totals"]["received"] == 0
            case _:
                assert (await desk.replay("d1", dry_run=True))["count"] == 0


async def test_a_function_cannot_run_where_nothing_runs_functions(office):
    with pytest.raises(ConfigError):
        await office[2].run_function("destination", "async function onTrack() {}", {}, {"type": "track"})
