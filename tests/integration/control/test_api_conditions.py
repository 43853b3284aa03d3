"""Requests that are sent again, that are meant for one state, and that come too fast."""

import concurrent.futures
import json
import threading
import uuid
from datetime import timedelta

import pytest
from plane import starting

from headwater.control.requests import repeats
from headwater.control.requests.repeats import Given, Key, Repeats
from headwater.control.requests.tables import answers
from headwater.errors import ConflictError

SOURCE = {"slug": "shop", "enabled": True, "metadataId": "http-api"}


def keyed(key=None):
    return {"idempotency-key": key or str(uuid.uuid4())}


def stored(control):
    with control._engine.connect() as connection:
        return connection.execute(answers.select()).all()


def test_a_request_that_is_sent_again_is_carried_out_once_and_answered_alike(running):
    sent = keyed()
    status, first, headers = running.http("POST", "/sources", SOURCE, headers=sent)
    assert (status, headers["idempotent-replayed"]) == (200, None)
    status, again, headers = running.http("POST", "/sources", SOURCE, headers=sent)
    assert (status, again, headers["idempotent-replayed"]) == (200, first, "true")
    assert len(running.api("GET", "/sources")["sources"]) == 1
    key = first["data"]["source"]["writeKeys"][0]
    assert all(key.encode() not in row.answer for row in stored(running.control))  # answers may hold secrets


def test_a_key_belongs_to_one_request_of_one_token(running):
    sent = keyed()
    running.api("POST", "/sources", SOURCE, headers=sent)
    for method, path, body in (
        ("POST", "/sources", SOURCE | {"slug": "other"}),
        ("POST", "/sources?x=1", SOURCE),
        ("PATCH", "/sources/shop", {"name": "Shop"}),
        ("DELETE", "/sources/shop", None),
    ):
        assert running.refused(method, path, body, headers=sent)[:2] == (409, "conflict"), (method, path)
    assert running.refused("POST", "/sources", SOURCE, token="member", headers=sent)[:2] == (409, "conflict")
    other = SOURCE | {"slug": "other"}
    assert running.api("POST", "/sources", other, token="member", headers=sent)["source"]["slug"] == "other"
    assert [each["slug"] for each in running.api("GET", "/sources")["sources"]] == ["shop", "other"]


def test_what_was_refused_changed_nothing_and_its_key_is_free(running):
    sent = keyed()
    assert running.refused("POST", "/sources", SOURCE | {"slug": "Not a slug"}, headers=sent)[0] == 422
    assert running.api("POST", "/sources", SOURCE, headers=sent)["source"]["slug"] == "shop"


def test_keys_that_are_none_are_told(running):
    for wrong in ("", " ", "a b", "x" * 256):
        found = running.refused("POST", "/sources", SOURCE, headers=keyed() | {"idempotency-key": wrong})
        assert found == (422, "invalid_field", "Idempotency-Key"), wrong
    assert running.api("GET", "/sources", headers={"idempotency-key": "a b"})["sources"] == []  # a GET changes nothing


def test_ten_at_once_with_one_key_make_one_thing(running):
    sent = keyed()
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        found = list(pool.map(lambda _: running.http("POST", "/sources", SOURCE, headers=sent)[:2], range(10)))
    done = [answer for status, answer in found if status == 200]
    assert {status for status, _ in found} <= {200, 409}
    assert done
    assert all(answer == done[0] for answer in done)
    assert len(running.api("GET", "/sources")["sources"]) == 1


def test_a_cut_off_request_is_not_carried_out_twice(running, clock_now):
    control = running.control
    key = Key(running.workspace.id, "token", "k", "digest")
    first = Repeats(control._engine, lambda: b"k" * 32, lambda: clock_now)
    assert first.begin(key) is None
    with pytest.raises(ConflictError, match="under way"):
        first.begin(key)
    started_again = Repeats(control._engine, lambda: b"k" * 32, lambda: clock_now)
    with pytest.raises(ConflictError, match="cut off"):
        started_again.begin(key)
    a_day_later = Repeats(control._engine, lambda: b"k" * 32, lambda: clock_now + timedelta(hours=25))
    assert a_day_later.begin(key) is None
    a_day_later.end(key, Given(200, b"{}"))
    assert a_day_later.begin(key) == Given(200, b"{}")


def test_what_is_kept_is_bounded(running, clock_now, monkeypatch):
    monkeypatch.setattr(repeats, "KEYS_MAX", 3)
    moments = iter(clock_now + timedelta(seconds=each) for each in range(100))
    kept = Repeats(running.control._engine, lambda: b"k" * 32, lambda: next(moments))
    keys = [Key(running.workspace.id, "token", str(each), "digest") for each in range(5)]
    for key in keys:
        assert kept.begin(key) is None
        kept.end(key, Given(200, b"{}"))
    assert sorted(row.idempotency_key for row in stored(running.control)) == ["2", "3", "4"]
    long = Key(running.workspace.id, "token", "long", "digest")
    for _ in range(2):  # too long to be kept: it is carried out again
        assert kept.begin(long) is None
        kept.end(long, Given(200, b"x" * (repeats.ANSWER_BYTES_MAX + 1)))


def test_a_stale_edit_is_refused_and_a_fresh_one_is_made(running):
    running.api("POST", "/sources", SOURCE)
    _, _, read = running.http("GET", "/sources/shop")
    status, _, changed = running.http("PATCH", "/sources/shop", {"name": "One"}, headers={"if-match": read["etag"]})
    assert status == 200
    assert changed["etag"] != read["etag"]
    for method, body in (("PATCH", {"name": "Two"}), ("DELETE", None)):
        stale = running.refused(method, "/sources/shop", body, headers={"if-match": read["etag"]})
        assert stale == (412, "precondition_failed", "If-Match"), method
    _, shown, headers = running.http("GET", "/sources/shop")
    assert (shown["data"]["source"]["name"], headers["etag"]) == ("One", changed["etag"])
    both = f'"another", {changed["etag"]}'
    assert running.api("PATCH", "/sources/shop", {"name": "Two"}, headers={"if-match": both})["source"]["name"] == "Two"
    assert running.api("PATCH", "/sources/shop", {"name": "3"}, headers={"if-match": "*"})["source"]["name"] == "3"
    assert running.refused("PATCH", "/sources/none", {"name": "3"}, headers={"if-match": "*"})[0] == 404
    weak = running.refused("PATCH", "/sources/shop", {"name": "4"}, headers={"if-match": f"W/{headers['etag']}"})
    assert weak[0] == 412
    for wrong in ("", "abc", '*, "a"'):
        found = running.refused("PATCH", "/sources/shop", {"name": "5"}, headers={"if-match": wrong})
        assert found == (422, "invalid_field", "If-Match"), wrong
    nothing = running.refused("POST", "/sources/shop/writekey", {}, headers={"if-match": "*"})
    assert nothing == (412, "precondition_failed", "If-Match")


def test_of_many_who_edit_at_once_one_wins(running):
    running.api("POST", "/sources", SOURCE)
    _, _, read = running.http("GET", "/sources/shop")
    together = threading.Barrier(8)

    def edit(number):
        together.wait(30)
        sent = {"if-match": read["etag"]}
        return running.http("PATCH", "/sources/shop", {"name": f"Edit {number}"}, headers=sent)[0]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(edit, range(8)))
    assert sorted(found) == [200] + [412] * 7
    assert len(stored_names(running)) == 1


def stored_names(running):
    return {each["name"] for each in running.api("GET", "/sources")["sources"]}


def test_a_change_elsewhere_is_no_reason_to_refuse(running):
    """Every change counts up one number; only what the ETag is of matters to a condition."""
    running.api("POST", "/sources", SOURCE)
    running.api("POST", "/sources", SOURCE | {"slug": "other"})
    stop = threading.Event()

    def keep_changing():
        while not stop.is_set():
            running.http("POST", "/sources/other/writekey", {}, token="member")
            stop.wait(0.01)

    thread = threading.Thread(target=keep_changing)
    thread.start()
    try:
        for number in range(10):
            _, _, read = running.http("GET", "/sources/shop")
            sent = {"if-match": read["etag"]}
            assert running.http("PATCH", "/sources/shop", {"name": f"Edit {number}"}, headers=sent)[0] == 200
    finally:
        stop.set()
        thread.join()


def test_what_changes_by_itself_is_no_part_of_an_etag(running):
    running.api("POST", "/sources", SOURCE)
    key = running.api("GET", "/sources/shop")["source"]["writeKeys"][0]
    wanted = {"accountUrl": "https://acme.api-us1.com", "apiKey": "0123456789abcdef" * 4, "writeKey": key}
    made = running.api("POST", "/activecampaign/connections", wanted)["connection"]
    path = f"/activecampaign/connections/{made['id']}"
    _, before, read = running.http("GET", path)
    running.api("POST", f"{path}/backfill", {})
    _, after, again = running.http("GET", path)
    assert before["data"] != after["data"]
    assert read["etag"] == again["etag"]
    running.api("PATCH", path, {"enabled": False}, headers={"if-match": read["etag"]})
    assert running.refused("PATCH", path, {"enabled": True}, headers={"if-match": read["etag"]})[0] == 412


def test_who_asks_too_fast_waits_and_is_told_how_long(tmp_path):
    with starting(tmp_path) as started:
        running = started(requests_per_s=1, guesses_per_s=0.1)
        found = [running.http("GET", "/sources") for _ in range(8)]
        statuses = [status for status, _, _ in found]
        assert statuses[:2] == [200] * 2
        assert 429 in statuses
        _, told, headers = next(each for each in found if each[0] == 429)
        assert told["errors"][0]["type"] == "too_many_requests"
        assert 1 <= int(headers["retry-after"]) <= 2
        assert (headers["ratelimit-limit"], headers["ratelimit-remaining"]) == ("2", "0")
        assert running.http("GET", "/sources", token="member")[0] == 200  # each token has its own
        guesses = [running.http("GET", "/sources", token="hwt_wrong")[0] for _ in range(12)]
        assert set(guesses) == {401, 429}
        assert running.http("GET", "/sources", token="read-only")[0] == 200  # a good token passes all the same


def test_a_trial_counts_for_ten(tmp_path):
    with starting(tmp_path) as started:
        running = started(requests_per_s=10)
        body = {"metadataId": "webhook", "settings": {"url": "https://example.com"}}
        answered = [running.http("POST", "/destinations/test", body)[0] for _ in range(8)]
        assert answered[:2] == [200, 200]
        assert 429 in answered
        assert len([name for name, _ in running.pipeline.asked if name == "test"]) == answered.count(200)


def test_an_answer_of_a_day_is_the_same_to_the_byte(running):
    sent = keyed()
    first = running.raw("POST", "/sources", SOURCE, headers=sent)[1]
    running.api("PATCH", "/sources/shop", {"name": "Changed since"})
    assert running.raw("POST", "/sources", SOURCE, headers=sent)[1] == first
    assert json.loads(first)["data"]["source"]["name"] != "Changed since"
