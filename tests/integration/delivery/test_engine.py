"""The engine against a real receiver: everything arrives, whatever the receiver does in between."""

import asyncio
import dataclasses
import json
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from headwater.delivery.dead_letters import DeadLetterFilter
from headwater.delivery.selection import Selection
from headwater.delivery.worker import Worker
from headwater.errors import ConfigError, ConflictError, DeliveryError, NotFoundError
from headwater.eventlog.contract import Topic
from receiver import QUICK, append, body, settled, until, webhook


async def test_every_event_arrives_complete_and_in_order(log, receiver, delivering):
    sent = [body(f"m{n}", properties={"n": n}) for n in range(50)]
    await append(log, *sent)
    async with delivering(webhook(receiver)) as delivery:
        await settled(delivery, delivered_first_try=50, behind=0)
    assert receiver.bodies == sent


async def test_events_of_other_sources_are_not_touched(log, receiver, delivering):
    await append(log, body("other"), source_id="s2")
    await append(log, body("mine"))
    async with delivering(webhook(receiver)) as delivery:
        await settled(delivery, delivered_first_try=1, read=1, behind=0)
    assert receiver.ids() == ["mine"]


async def test_traffic_of_other_sources_does_not_look_like_a_backlog(log, receiver, delivering):
    await append(log, body("mine"))
    await append(log, *(body(f"other{n}") for n in range(100)), source_id="s2")
    async with delivering(webhook(receiver)) as delivery:
        await settled(delivery, delivered_first_try=1, behind=0, cursor=101)


async def test_a_new_event_wakes_an_idle_connection(log, receiver, delivering):
    async with delivering(webhook(receiver)) as delivery:
        await settled(delivery, behind=0)
        await append(log, body("m1"))
        await settled(delivery, delivered_first_try=1)
        status = (await delivery.status())[0]
    assert (status.state, status.p99_s is not None) == ("active", True)


async def test_a_failure_is_tried_again_with_the_same_id(log, receiver, delivering):
    receiver.answering(500, 500)
    await append(log, body("m1"))
    async with delivering(webhook(receiver)) as delivery:
        await settled(delivery, delivered_on_retry=1, delivered_first_try=0, retrying=0)
    assert receiver.ids() == ["m1"] * 3
    assert len({headers["webhook-id"] for headers in receiver.headers}) == 1


async def test_a_refused_event_becomes_a_dead_letter_that_can_be_retried(log, receiver, delivering):
    async def answer(_):
        return web.Response(status=422, text="no such field")

    receiver.answer = answer
    await append(log, body("m1"), body("m2"))
    async with delivering(webhook(receiver)) as delivery:
        await settled(delivery, dead=2)
        newest, oldest = await delivery.dead_letters()
        letter = await delivery.dead_letter(oldest.id)
        assert (letter.message_id, letter.status, letter.answer, letter.attempts) == ("m1", 422, "no such field", 1)
        assert letter.body["messageId"] == "m1"
        assert letter.request.startswith("POST http://127.0.0.1\n")
        assert "answer" in letter.advice
        receiver.answer = None
        assert await delivery.retry_dead_letters([oldest.id]) == 1
        await settled(delivery, dead=1, delivered_on_retry=1)
        assert await delivery.discard_dead_letters(DeadLetterFilter(destination_id="d1")) == 1
        await settled(delivery, dead=0, dropped=1)
        with pytest.raises(NotFoundError):
            await delivery.dead_letter(newest.id)


async def test_a_dead_letter_of_a_batch_shows_the_request_that_held_it_alone(log, receiver, delivering):
    async def answer(_):
        is_refused = {"m2", "m5"} & {each["messageId"] for each in receiver.bodies[-1]}
        return web.Response(status=400 if is_refused else 200)

    receiver.answer = answer
    await append(log, *(body(f"m{n}") for n in range(8)))
    connection = webhook(receiver, settings={"url": receiver.url, "batch_size": 100})
    async with delivering(connection) as delivery:
        await settled(delivery, dead=2, delivered_first_try=6)
        for letter in await delivery.dead_letters():
            shown = (await delivery.dead_letter(letter.id)).request.partition("\n")[2]
            assert [each["messageId"] for each in json.loads(shown)] == [letter.message_id]


async def test_dead_letters_are_paged_and_filtered(log, receiver, delivering):
    receiver.answering(*[400] * 5)
    await append(log, *(body(f"m{n}", event="A" if n % 2 else "B") for n in range(5)))
    async with delivering(webhook(receiver)) as delivery:
        await settled(delivery, dead=5)
        first = await delivery.dead_letters(count=2)
        rest = await delivery.dead_letters(before=first[-1].id, count=10)
        assert sorted(letter.message_id for letter in first + rest) == ["m0", "m1", "m2", "m3", "m4"]
        chosen = DeadLetterFilter(event="A")
        assert await delivery.count_dead_letters(chosen) == 2
        assert await delivery.retry_dead_letters(chosen) == 2
        await settled(delivery, dead=3, delivered_on_retry=2)


async def test_a_poisoned_event_ends_as_a_dead_letter_and_blocks_nobody(log, receiver, delivering):
    async def answer(_):
        return web.Response(status=500 if receiver.ids()[-1] == "poison" else 200)

    receiver.answer = answer
    await append(log, body("poison"))
    rules = dataclasses.replace(QUICK, retry_for_s=0.3, in_flight=1)
    async with delivering(webhook(receiver), rules=rules) as delivery:
        await until(lambda: _true(receiver.ids()))
        await append(log, *(body(f"m{n}") for n in range(10)))
        await settled(delivery, delivered_first_try=10, dead=1, retrying=0)
        (letter,) = await delivery.dead_letters()
    assert (letter.message_id, letter.attempts > 1) == ("poison", True)


async def test_refused_credentials_pause_the_connection_and_keep_its_events(log, receiver, delivering):
    receiver.answering(*[401] * 20)
    await append(log, *(body(f"m{n}") for n in range(20)))
    async with delivering(webhook(receiver)) as delivery:
        await settled(delivery, state="paused", reason="HTTP 401", dead=0)
        await append(log, body("later"))
        tried = len(receiver.bodies)
        receiver.answer = None
        await delivery.resume("d1")
        await settled(delivery, state="active", read=21, retrying=0, dead=0)
    assert tried < 20
    assert set(receiver.ids()[tried:]) == {*(f"m{n}" for n in range(20)), "later"}


async def test_new_settings_end_a_pause_and_apply_to_what_waits(log, receiver, other_receiver, delivering):
    receiver.answering(*[401] * 5)
    await append(log, body("m1"))
    async with delivering(webhook(receiver, revision="1")) as delivery:
        await settled(delivery, state="paused")
        delivery.apply([webhook(other_receiver, revision="2")])
        await settled(delivery, state="active", retrying=0)
    assert other_receiver.ids() == ["m1"]


async def test_a_pause_survives_a_restart(log, receiver, delivering):
    receiver.answering(403)
    await append(log, body("m1"))
    async with delivering(webhook(receiver)) as delivery:
        await settled(delivery, state="paused")
    await append(log, body("m2"))
    async with delivering(webhook(receiver)) as delivery:
        await settled(delivery, state="paused", retrying=1)
    assert receiver.ids() == ["m1"]


async def test_a_restart_goes_on_where_it_stopped(log, receiver, delivering):
    receiver.answering(*[503] * 3)
    await append(log, *(body(f"m{n}", userId=f"u{n}") for n in range(3)))
    slow = dataclasses.replace(QUICK, retry_first_s=600.0, retry_max_s=600.0, chance=lambda: 1.0)
    async with delivering(webhook(receiver), rules=slow) as delivery:
        await settled(delivery, retrying=3)
    await append(log, body("m3"))
    async with delivering(webhook(receiver), clock=lambda: datetime.now(UTC) + timedelta(hours=1)) as delivery:
        await settled(delivery, read=4, retrying=0, dead=0)
        status = (await delivery.status())[0]
    assert (status.delivered_first_try, status.delivered_on_retry) == (1, 3)
    assert sorted(receiver.ids()) == sorted(["m0", "m1", "m2", "m3", "m0", "m1", "m2"])


async def test_stopping_settles_an_answer_under_way(log, receiver, delivering):
    release = asyncio.Event()

    async def answer(_):
        await release.wait()
        return web.Response()

    receiver.answer = answer
    await append(log, body("m1"))
    async with delivering(webhook(receiver)):
        await receiver.got.wait()
        asyncio.get_running_loop().call_later(0.1, release.set)
    receiver.answer = None
    async with delivering(webhook(receiver)) as delivery:
        await settled(delivery, delivered_first_try=1, retrying=0)
    assert receiver.ids() == ["m1"]


async def test_stopping_does_not_wait_for_ever(log, receiver, delivering):
    async def answer(_):
        await asyncio.sleep(60)
        return web.Response()

    receiver.answer = answer
    await append(log, body("m1"))
    async with delivering(webhook(receiver), rules=dataclasses.replace(QUICK, drain_s=0.1)):
        await receiver.got.wait()
    receiver.answer = None
    async with delivering(webhook(receiver)) as delivery:
        await settled(delivery, delivered_on_retry=1)


async def test_what_the_integrations_object_excludes_is_filtered_with_its_reason(log, receiver, delivering):
    await append(
        log,
        body("m1", integrations={"Webhooks": False}),
        body("m2", integrations={"webhooks": False}),
        body("m3", integrations={"All": False}),
        body("m4", integrations={"All": False, "Webhooks": {"a": 1}}),
    )
    async with delivering(webhook(receiver)) as delivery:
        await settled(delivery, filtered={"FILTERED_BY_INTEGRATIONS_OBJECT": 2}, delivered_first_try=2)
    assert receiver.ids() == ["m2", "m4"]


async def test_a_new_connection_starts_with_the_events_after_its_creation(log, receiver, delivering):
    now = datetime.now(UTC)
    for minutes in range(10):
        at = now - timedelta(minutes=10 - minutes)
        await append(log, body(f"m{minutes}"), received_at=at)
    created = now - timedelta(minutes=4, seconds=30)
    async with delivering(webhook(receiver, created_at=created)) as delivery:
        await settled(delivery, delivered_first_try=4, behind=0)
    assert receiver.ids() == ["m6", "m7", "m8", "m9"]


async def test_a_disabled_connection_lets_events_pass_and_counts_them(log, receiver, delivering):
    await append(log, body("m1"))
    async with delivering(webhook(receiver, enabled=False)) as delivery:
        await settled(delivery, state="disabled", filtered={"DESTINATION_DISABLED": 1}, behind=0)
        with pytest.raises(ConflictError):
            await delivery.replay("d1")
        delivery.apply([webhook(receiver)])
        await append(log, body("m2"))
        await settled(delivery, state="active", delivered_first_try=1)
    assert receiver.ids() == ["m2"]


async def test_wrong_settings_pause_a_connection_and_say_why(log, receiver, delivering):
    await append(log, body("m1"))
    wrong = webhook(receiver, settings={"url": receiver.url, "secret": "short"})
    async with delivering(wrong) as delivery:
        await until(lambda: _state(delivery, "paused"))
        assert "whsec_" in (await delivery.status())[0].reason
        delivery.apply([webhook(receiver)])
        await settled(delivery, state="active", delivered_first_try=1)


async def test_a_replay_sends_history_again_with_the_same_ids_and_times(log, receiver, delivering):
    sent = [body(f"m{n}", event="A" if n < 3 else "B", integrations={"Mixpanel": True}) for n in range(5)]
    await append(log, *sent)
    async with delivering(webhook(receiver)) as delivery:
        await settled(delivery, delivered_first_try=5)
        rehearsal = await delivery.replay("d1", Selection(event="A"), dry_run=True)
        assert (rehearsal.id, rehearsal.selected, rehearsal.filtered) == (0, 3, {"NOT_SELECTED": 2})
        run = await delivery.replay("d1", Selection(event="A", since=datetime.now(UTC) - timedelta(hours=1)))
        await until(lambda: _replayed(delivery, 3))
        (shown,) = await delivery.replays("d1")
        assert (shown.id, shown.passed, shown.total) == (run.id, 5, 5)
        await settled(delivery, read=5)
        assert (await delivery.status())[0].p99_s < 60
    assert receiver.bodies[5:] == [{**event, "integrations": {"All": False, "Webhooks": True}} for event in sent[:3]]
    assert receiver.headers[5]["webhook-id"] == receiver.headers[0]["webhook-id"]


async def test_a_replay_goes_on_after_a_restart(log, receiver, delivering):
    await append(log, *(body(f"m{n}") for n in range(40)))
    rules = dataclasses.replace(QUICK, chunk_max=4, replay_per_s=100)
    async with delivering(webhook(receiver), rules=rules) as delivery:
        await settled(delivery, delivered_first_try=40)
        await delivery.replay("d1")
        await until(lambda: _true(len(receiver.bodies) >= 48))
    async with delivering(webhook(receiver), rules=rules) as delivery:
        await until(lambda: _replayed(delivery, 40))
        (replay,) = await delivery.replays("d1")
    assert (replay.dead, replay.retrying, len(receiver.bodies)) == (0, 0, 80)


async def test_batches_reach_a_segment_compatible_api_and_rejects_become_dead_letters(log, receiver, delivering):
    async def answer(_):
        bad = [at for at, item in enumerate(receiver.bodies[-1]["batch"]) if item["messageId"] == "m7"]
        return web.json_response({"success": True, "rejected": [{"index": at, "code": "too_long"} for at in bad]})

    receiver.answer = answer
    await append(log, *(body(f"m{n}", userId=f"u{n}") for n in range(250)))
    segment = webhook(receiver, type="segment", settings={"url": receiver.url, "write_key": "key"})
    async with delivering(segment) as delivery:
        await settled(delivery, delivered_first_try=249, dead=1)
        (letter,) = await delivery.dead_letters()
    assert (letter.message_id, "too_long" in letter.reason) == ("m7", True)
    assert sorted(item["messageId"] for one in receiver.bodies for item in one["batch"]) == sorted(
        f"m{n}" for n in range(250)
    )
    assert {headers["authorization"] for headers in receiver.headers} == {"Basic a2V5Og=="}
    assert len(receiver.bodies) == 3


async def test_a_check_tries_settings_through_the_guarded_client(receiver, delivering):
    async with delivering() as delivery:
        await delivery.test("webhook", {"url": receiver.url})
        assert receiver.bodies == [{"type": "check"}]
        with pytest.raises(DeliveryError, match="internal"):
            await delivery.test("webhook", {"url": "https://169.254.169.254/"})
        with pytest.raises(ConfigError):
            await delivery.test("webhook", {})


async def test_a_deleted_destination_is_forgotten_only_then(log, receiver, delivering):
    await append(log, body("m1"))
    async with delivering(webhook(receiver)) as delivery:
        await settled(delivery, delivered_first_try=1)
        with pytest.raises(ConflictError):
            await delivery.forget("d1")
        delivery.apply([])
        await delivery.forget("d1")
        delivery.apply([webhook(receiver, created_at=datetime.now(UTC))])
        await settled(delivery, read=0)


async def test_in_an_older_copy_of_the_log_only_new_events_are_delivered(log, receiver, delivering):
    yesterday = datetime.now(UTC) - timedelta(days=1)
    await append(log, *(body(f"m{n}") for n in range(3)), received_at=yesterday)
    older = list(log._frames[Topic.EVENTS])
    for n in range(3, 9):
        await append(log, body(f"m{n}"), received_at=yesterday)
    async with delivering(webhook(receiver)) as delivery:
        await settled(delivery, delivered_first_try=9, behind=0)
    log._frames[Topic.EVENTS] = older
    await append(log, body("new1"))
    async with delivering(webhook(receiver)) as delivery:
        await settled(delivery, delivered_first_try=1, behind=0)
        await append(log, body("new2"))
        await settled(delivery, delivered_first_try=2, behind=0)
        assert "older copy" in (await delivery.status())[0].last_error
    assert receiver.ids() == [*(f"m{n}" for n in range(9)), "new1", "new2"]


async def test_a_destination_that_was_deleted_while_the_engine_was_down_is_known(log, receiver, delivering):
    await append(log, body("m1"))
    async with delivering(webhook(receiver)) as delivery:
        await settled(delivery, delivered_first_try=1)
    async with delivering() as delivery:
        assert await delivery.known() == {"d1"}
        await delivery.forget("d1")
        assert await delivery.known() == set()


async def test_a_connection_that_fails_at_its_start_is_begun_again(log, receiver, delivering, monkeypatch):
    failures = [OSError(5, "Input/output error")]
    run = Worker.run

    async def failing_once(self):
        if failures:
            raise failures.pop()
        await run(self)

    monkeypatch.setattr(Worker, "run", failing_once)
    await append(log, body("m1"))
    async with delivering(webhook(receiver)) as delivery:
        await settled(delivery, delivered_first_try=1)
    assert failures == []


async def _true(value) -> bool:
    return bool(value)


async def _state(delivery, state) -> bool:
    return (await delivery.status())[0].state == state


async def _replayed(delivery, count) -> bool:
    replays = await delivery.replays("d1")
    return bool(replays) and replays[0].delivered == count and replays[0].finished_at is not None
