"""Every row I01 to I52: what comes in, what is answered, what is stored. One table, and its oddities below it."""

from __future__ import annotations

import base64
import concurrent.futures
import gzip
import http.client
import json
import pickle
import re
import zlib
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from door import (
    DISABLED_KEY,
    FOREIGN_KEY,
    KEY,
    OTHER_KEY,
    SUPPRESSED_USER,
    Door,
    milliseconds,
    open_door,
    read_all,
    track,
)

from headwater.errors import LogOverloadedError, LogUnavailableError
from headwater.ingest.protocol import Bounds

GOOD = json.dumps(track()).encode()
SURROGATE = r"\ud800"


@dataclass
class Row:
    """One input. `body` without a key gets it through the header, as `Authorization: Basic`."""

    row: str
    what: str
    body: Any
    status: int = 200
    code: str | None = None
    path: str = "/v1/track"
    method: str = "POST"
    headers: Any = field(default_factory=list)
    authorized: bool = True
    stored: int | None = None
    rejected: list[tuple[int, str]] = field(default_factory=list)
    event: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] | None = None

    def __str__(self) -> str:
        return f"{self.row} {self.what}"


def batch(*items: Any, **members: Any) -> dict[str, Any]:
    return {"batch": list(items), **members}


def bad(row: str, what: str, body: Any, code: str, status: int = 400, **members: Any) -> Row:
    return Row(row, what, body, status, code, stored=0, **members)


def item(row: str, what: str, wrong: Any, code: str) -> list[Row]:
    """Return the row for a single call and for the second of three items."""
    rows = [
        Row(
            row, f"{what}, in a batch", batch(track(), wrong, track()), path="/v1/batch", stored=2, rejected=[(1, code)]
        )
    ]
    if isinstance(wrong, dict) and "type" in wrong:
        rows.append(bad(row, what, wrong, code, path=f"/v1/{wrong['type']}"))
    return rows


def nested(depth: int) -> bytes:
    """Return a track call that has `depth` levels, itself and its properties among them."""
    return b'{"type":"track","userId":"u","event":"E","properties":{"a":%s1%s}}' % (
        b"[" * (depth - 2),
        b"]" * (depth - 2),
    )


def sized(size: int) -> bytes:
    """Return a track call of exactly `size` bytes."""
    empty = len(json.dumps(track(properties={"p": ""}), separators=(",", ":")))
    return json.dumps(track(properties={"p": "x" * (size - empty)}), separators=(",", ":")).encode()


def identify(**members: Any) -> dict[str, Any]:
    return {"type": "identify", "userId": "u-1", **members}


def zipped(body: bytes) -> dict[str, Any]:
    return {"body": body, "headers": [("Content-Encoding", "gzip")]}


GZIPPED = gzip.compress(GOOD)
BOMB = gzip.compress(b'{"batch":[' + b" " * (20 * 1024 * 1024) + b"]}")
JSON = [("Content-Type", "application/json")]

TABLE: list[Row] = [
    bad("I01", "no key", GOOD, "invalid_write_key", 401, authorized=False),
    *(
        bad("I01", f"key {key!r}", {**track(), "writeKey": key}, "invalid_write_key", 401, authorized=False)
        for key in ("x" * 32, KEY + "k", KEY.upper(), "", 7, [KEY], {"k": KEY}, None)
    ),
    bad("I02", "a disabled source", {**track(), "writeKey": DISABLED_KEY}, "source_disabled", 403, authorized=False),
    bad(
        "I02", "a source of another region", {**track(), "writeKey": FOREIGN_KEY}, "wrong_region", 403, authorized=False
    ),
    bad("I03", "header and body differ", {**track(), "writeKey": OTHER_KEY}, "ambiguous_credentials"),
    bad("I03", "two headers", GOOD, "ambiguous_credentials", headers=[("Authorization", "Basic " + "a" * 8)]),
    Row("I03", "header and body agree", {**track(), "writeKey": KEY}, stored=1),
    bad("I04", "key in the query", GOOD, "invalid_write_key", 401, authorized=False, path=f"/v1/track?writeKey={KEY}"),
    *(bad("I05", m, None, "method_not_allowed", 405, method=m) for m in ("GET", "PUT", "DELETE", "PATCH", "TRACE")),
    *(
        bad("I06", path, GOOD, "not_found", 404, path=path)
        for path in (
            "/v1/nothing",
            "/v1/",
            "/v1/../v1/track",
            "/v1/track%00",
            "/v1/track%0d%0aX:1",
            "/v1/%2e%2e/track",
            "/webhooks/",
            "/internal/append",
            "/v1/pixel/nothing",
        )
    ),
    Row("I07", "trailing slash", GOOD, path="/v1/track/", stored=1),
    *(bad("I07", path, GOOD, "not_found", 404, path=path) for path in ("/v1//track", "/v1/TRACK", "/v1/Track")),
    Row("I08", "pre-flight", None, 204, method="OPTIONS", authorized=False, path="/v1/t", stored=0),
    *(
        bad("I09", kind, GOOD, "unsupported_media_type", 415, headers=[("Content-Type", kind)])
        for kind in (
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/xml",
            "application/octet-stream",
            "image/png",
        )
    ),
    Row("I10", "no Content-Type", GOOD, stored=1),
    Row("I10", "text/plain", GOOD, headers=[("Content-Type", "text/plain;charset=UTF-8")], stored=1),
    *(bad("I11", repr(body), body, "invalid_json", headers=JSON) for body in (b"", b"   ", b"\n\t ")),
    *(
        bad("I12", repr(body[:20]), body, "invalid_json", headers=JSON)
        for body in (
            GOOD[:-5],
            GOOD[:-1] + b",}",
            b"{'a':1}",
            b"// x\n" + GOOD,
            GOOD + b"\n" + GOOD,
            b"cb(" + GOOD + b")",
            b"event: Tested\nuserId: u",
            b'{"a":01}',
            b"{a:1}",
            b'{"a":.5}',
            b'{"a":+1}',
            b'{"a":True}',
        )
    ),
    bad("I12", "pickle", pickle.dumps({"a": 1}), "invalid_utf8"),
    *(bad("I13", repr(body), body, "not_an_object") for body in (b"[]", b"[{}]", b'"x"', b"1", b"null", b"true")),
    *(
        bad("I14", what, b'{"userId":"u","event":"' + text + b'"}', code)
        for what, text, code in (
            ("a stray byte", b"\xff", "invalid_utf8"),
            ("overlong", b"\xc0\xaf", "invalid_utf8"),
            ("CESU-8", b"\xed\xa0\xbd\xed\xb8\x80", "invalid_utf8"),
            ("a raw NUL", b"a\0b", "invalid_json"),
            ("a raw line feed", b"a\nb", "invalid_json"),
        )
    ),
    *(
        bad("I15", charset, GOOD.decode().encode(charset), "unsupported_charset")
        for charset in ("utf-16", "utf-16-le", "utf-16-be", "utf-32")
    ),
    bad("I15", "declared", GOOD, "unsupported_charset", headers=[("Content-Type", "application/json; charset=utf-16")]),
    bad("I15", "latin-1", GOOD, "unsupported_charset", headers=[("Content-Type", "text/plain; charset=iso-8859-1")]),
    Row("I16", "BOM", b"\xef\xbb\xbf" + GOOD, stored=1),
    *(
        Row(
            "I17",
            number,
            b'{"userId":"u","event":"E","properties":{"a":%s,"b":1}}' % number.encode(),
            stored=1,
            event={"properties": {"a": None, "b": 1}},
        )
        for number in ("NaN", "Infinity", "-Infinity", "1e999", "-1e999")
    ),
    *(
        Row(
            "I18",
            what,
            b'{"userId":"u","event":"E","properties":{"a":%s}}' % number.encode(),
            stored=1,
            event={"properties": {"a": kept}},
        )
        for what, number, kept in (
            ("2^53+1", "9007199254740993", 9007199254740993),
            ("2^64", "18446744073709551616", 18446744073709551616),
            ("5,000 digits", "1" * 5000, "1" * 5000),
        )
    ),
    Row("I19", "duplicate keys", b'{"userId":"a","userId":"b","event":"E"}', stored=1, event={"userId": "b"}),
    Row(
        "I19",
        "duplicate writeKey",
        b'{"writeKey":"x","writeKey":"%s","userId":"b","event":"E"}' % KEY.encode(),
        stored=1,
        authorized=False,
    ),
    Row(
        "I20",
        "lone surrogates",
        b'{"userId":"u%s","event":"E%s","properties":{"k%s":"%s\\ud83d\\ude00"}}' % ((SURROGATE.encode(),) * 4),
        stored=1,
        event={"userId": "u\ufffd", "event": "E\ufffd", "properties": {"k\ufffd": "\ufffd😀"}},
    ),
    Row(
        "I21",
        "NUL as escape",
        rb'{"userId":"u","event":"E\u0000","messageId":"m\u0000","properties":{"k\u0000":"\u0000"}}',
        stored=1,
        event={"event": "E\0", "messageId": "m\0", "properties": {"k\0": "\0"}},
    ),
    Row("I22", "64 levels", nested(64), stored=1),
    *(bad("I22", f"{depth:,} levels", nested(depth), "too_deep") for depth in (65, 100, 900, 1_500, 10_000)),
    Row(
        "I22",
        "100,000 levels in a batch",
        b'{"batch":[%s,%s,%s]}' % (GOOD, nested(100_000), GOOD),
        path="/v1/batch",
        stored=2,
        rejected=[(1, "too_deep")],
    ),
    bad("I22", "brackets alone", b"[" * 200_000, "invalid_json"),
    Row("I23", "32,768 bytes", sized(32_768), stored=1),
    bad("I23", "32,769 bytes", sized(32_769), "event_too_large"),
    Row(
        "I23",
        "in a batch",
        b'{"batch":[%s,%s,%s]}' % (sized(32_768), sized(32_769), GOOD),
        path="/v1/batch",
        stored=2,
        rejected=[(1, "event_too_large")],
    ),
    Row(
        "I24",
        "a batch of 500 KB",
        b'{"batch":[%s]%s}' % (GOOD, b" " * (500 * 1024 - len(GOOD) - 12)),
        path="/v1/batch",
        stored=1,
    ),
    bad(
        "I24",
        "a batch of one byte more",
        b'{"batch":[%s]%s}' % (GOOD, b" " * (500 * 1024 - len(GOOD) - 11)),
        "payload_too_large",
        413,
        path="/v1/batch",
    ),
    bad("I24", "more than 1 MB", b" " * (1024 * 1024 + 1), "payload_too_large", 413, path="/v1/batch"),
    *(
        Row(
            "I25",
            f"{n:,} items",
            batch(*[{"type": "track", "userId": "u", "event": "E"}] * n),
            path="/v1/batch",
            stored=n,
        )
        for n in (2_500, 2_501)
    ),
    Row("I26", "gzip", stored=1, **zipped(GZIPPED)),
    Row("I26", "two members", stored=1, **zipped(gzip.compress(GOOD[:30]) + gzip.compress(GOOD[30:]))),
    bad("I26", "truncated", code="invalid_gzip", **zipped(GZIPPED[:-9])),
    bad("I26", "bad checksum", code="invalid_gzip", **zipped(GZIPPED[:-8] + b"\0\0\0\0" + GZIPPED[-4:])),
    bad("I26", "bomb", code="payload_too_large", status=413, path="/v1/batch", **zipped(BOMB)),
    bad("I26", "twice", code="unsupported_encoding", status=415, **zipped(gzip.compress(GZIPPED))),
    bad(
        "I26",
        "twice and said",
        gzip.compress(GZIPPED),
        "unsupported_encoding",
        415,
        headers=[("Content-Encoding", "gzip, gzip")],
    ),
    bad("I26", "rubbish behind it", code="invalid_gzip", **zipped(GZIPPED + b"rubbish")),
    bad("I26", "not said", GZIPPED, "invalid_utf8"),
    bad("I26", "said, but plain", code="invalid_gzip", **zipped(GOOD)),
    *(
        bad("I27", kind, zlib.compress(GOOD), "unsupported_encoding", 415, headers=[("Content-Encoding", kind)])
        for kind in ("br", "zstd", "deflate")
    ),
    bad("I28", "empty", batch(), "empty_batch", path="/v1/batch"),
    bad("I28", "missing", {}, "empty_batch", path="/v1/batch"),
    bad("I28", "null", {"batch": None}, "empty_batch", path="/v1/batch"),
    *(bad("I28", repr(value), {"batch": value}, "batch_not_array", path="/v1/batch") for value in ({}, "x", 1)),
    *item("I29", "a number", 1, "item_not_object"),
    *item("I29", "a list", [], "item_not_object"),
    *item("I29", "null", None, "item_not_object"),
    *item("I29", "no type", {"userId": "u", "event": "E"}, "type_required"),
    *(
        row
        for kind in ("delete", "Track", 5, ["track"], {})
        for row in item("I29", f"type {kind!r}", {"userId": "u", "type": kind}, "unknown_type")[:1]
    ),
    *item("I29", "a batch", {"type": "batch", "batch": [track()]}, "unknown_type")[:1],
    *item("I30", "no id", {"type": "track", "event": "E"}, "no_user_anon_id"),
    *item("I30", "ids null", {"type": "track", "event": "E", "userId": None, "anonymousId": None}, "no_user_anon_id"),
    *(
        row
        for value in ("", 5, True, {}, [])
        for row in item("I30", f"userId {value!r}", track(userId=value), "id_not_string")
    ),
    *item("I30", "anonymousId a number", track(anonymousId=5), "id_not_string"),
    Row("I30", "userId null beside an anonymousId", track(userId=None, anonymousId="a"), stored=1),
    Row("I31", "512 characters", track(userId="x" * 512), stored=1),
    *item("I31", "513 characters", track(userId="x" * 513), "id_too_long"),
    *item("I31", "a long anonymousId", track(anonymousId="x" * 513), "id_too_long"),
    *item("I32", "missing", {"type": "track", "userId": "u"}, "event_not_defined"),
    *(row for name in ("", "  \t", None) for row in item("I32", repr(name), track(event=name), "event_not_defined")),
    *(row for name in (7, {}, ["E"], False) for row in item("I32", repr(name), track(event=name), "event_not_string")),
    Row("I33", "2,000 characters", track(event="E" * 2_000), stored=1, event={"event": "E" * 2_000}),
    *(
        row
        for value in ("x", [], 1, False)
        for row in item("I34", f"properties {value!r}", track(properties=value), "properties_not_object")
    ),
    *item("I34", "traits a list", identify(traits=[]), "traits_not_object"),
    Row("I34", "properties null", track(properties=None), stored=1, event={"properties": {}}),
    Row("I34", "traits null", identify(traits=None), path="/v1/identify", stored=1, event={"traits": {}}),
    *item("I34", "page name empty", {"type": "page", "userId": "u", "name": ""}, "name_not_string"),
    *item("I34", "screen category", {"type": "screen", "userId": "u", "category": 1}, "category_not_string"),
    *item("I35", "group without groupId", {"type": "group", "userId": "u"}, "id_required"),
    *item("I35", "groupId a number", {"type": "group", "userId": "u", "groupId": 5}, "id_not_string"),
    *item("I35", "alias without previousId", {"type": "alias", "userId": "u"}, "id_required"),
    *item("I35", "alias without userId", {"type": "alias", "anonymousId": "a", "previousId": "p"}, "id_required"),
    Row("I35", "alias to self", {"userId": "u", "previousId": "u"}, path="/v1/alias", stored=1),
    Row(
        "I35",
        "alias circle",
        batch({"type": "alias", "userId": "a", "previousId": "b"}, {"type": "alias", "userId": "b", "previousId": "a"}),
        path="/v1/batch",
        stored=2,
    ),
    *item("I36", "a number", track(messageId=5), "message_id_not_string"),
    *item("I36", "101 characters", track(messageId="m" * 101), "message_id_too_long"),
    Row("I36", "100 characters", track(messageId="m" * 100), stored=1, event={"messageId": "m" * 100}),
    *(
        Row(
            "I38",
            repr(value),
            track(timestamp=value),
            stored=1,
            event={"timestamp": kept, "originalTimestamp": kept},
            warnings=warnings,
        )
        for value, kept, warnings in (
            (1_764_000_000, "2025-11-24T16:00:00.000Z", []),
            (1_764_000_000_123, "2025-11-24T16:00:00.123Z", []),
            ("1764000000123", "2025-11-24T16:00:00.123Z", []),
            ("2025-11-24 16:00:00", "2025-11-24T16:00:00.000Z", []),
        )
    ),
    *(
        Row(
            "I38",
            repr(value),
            track(timestamp=value),
            stored=1,
            warnings=["timestamp_unreadable"],
            event={"_metadata": {"warnings": ["timestamp_unreadable"], "sent": {"timestamp": value}}},
        )
        for value in ("yesterday", 5, -1, {"$date": 1}, [], True, "", 1e300)
    ),
    *(
        Row("I39", repr(value), track(timestamp=value), stored=1, event={"timestamp": kept})
        for value, kept in (
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
            ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
            ("2025-01-31T24:00:00Z", "2025-02-01T00:00:00.000Z"),
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"),
            ("2025-01-31T12:00:00.123456789012+07:00", "2025-01-31T05:00:00.123Z"),
        )
    ),
    *(
        Row("I39", repr(value), track(timestamp=value), stored=1, warnings=["timestamp_unreadable"])
        for value in (
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-14:00",
            "0000-01-01T00:00:00Z",
            "2025-02-30T00:00:00Z",
        )
    ),
    Row(
        "I40",
        "far future",
        track(timestamp="2200-01-01T00:00:00Z"),
        stored=1,
        warnings=["timestamp_in_future"],
        event={"timestamp": "2200-01-01T00:00:00.000Z"},
    ),
    Row(
        "I40",
        "far past",
        track(timestamp="1990-01-01T00:00:00Z"),
        stored=1,
        warnings=["timestamp_in_past"],
        event={"timestamp": "1990-01-01T00:00:00.000Z"},
    ),
    Row(
        "I42",
        "the server's own members",
        track(receivedAt="2001-01-01", projectId="p", source_id="s", type="identify"),
        stored=1,
        event={"type": "track", "projectId": None, "source_id": None, "writeKey": None},
    ),
    *(
        Row(
            "I43", repr(value), track(context=value), stored=1, warnings=["context_not_object"], event={"context": None}
        )
        for value in ("x", [1], 5)
    ),
    Row(
        "I43",
        "a hostname and a script",
        track(context={"ip": "localhost", "page": {"url": "javascript:alert(1)"}}),
        stored=1,
        event={"context": {"ip": "localhost", "page": {"url": "javascript:alert(1)"}}},
    ),
    Row(
        "I44",
        "a list",
        track(integrations=["All"]),
        stored=1,
        warnings=["integrations_not_object"],
        event={"integrations": None},
    ),
    Row(
        "I44",
        "unknown names and an address",
        track(integrations={"X": {"url": "http://169.254.169.254/"}}),
        stored=1,
        event={"integrations": {"X": {"url": "http://169.254.169.254/"}}},
    ),
    Row("I45", "2,200 properties", track(properties={f"p{n}": n for n in range(2_200)}), stored=1),
    Row(
        "I45",
        "odd names",
        track(properties={"": 1, " a ": 2, "x" * 20_000: 3}),
        stored=1,
        event={"properties": {"": 1, " a ": 2, "x" * 20_000: 3}},
    ),
    Row("I51", "a suppressed person", track(userId=SUPPRESSED_USER), stored=0),
    Row("I51", "among others", batch(track(), track(userId=SUPPRESSED_USER), track()), path="/v1/batch", stored=2),
]


@pytest.fixture(scope="module")
def shared():
    with open_door() as running:
        yield running


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_each_bad_input_is_answered_as_the_table_says(row: Row, shared: Door) -> None:
    before, refused = shared.events(), shared.rejected()
    credentials = base64.b64encode(f"{KEY}:".encode()).decode()
    authorization = [("Authorization", f"Basic {credentials}")] if row.authorized else []

    answered = shared.ask(row.method, row.path, row.body, [*authorization, *row.headers])

    stored = shared.events()[len(before) :]
    assert (answered.status, row.stored if row.stored is None else len(stored)) == (row.status, row.stored)
    if answered.status >= 300:
        assert answered.json["code"] == row.code
        assert answered.json["success"] is False
        assert set(answered.json) == {"success", "code", "message"}
        assert answered.headers["content-type"] == "application/json; charset=utf-8"
    elif answered.status == 200:
        listed = [(entry["index"], entry["code"]) for entry in answered.json.get("rejected", [])]
        assert (answered.json["success"], listed) == (True, row.rejected)
    if row.code and answered.status not in {404, 405}:
        assert shared.rejected().get(row.code, 0) == refused.get(row.code, 0) + 1
    for _, code in row.rejected:
        assert shared.rejected()[code] == refused.get(code, 0) + 1
    for member, value in row.event.items():
        assert stored[0].get(member) == value
    if row.warnings is not None:
        assert stored[0].get("_metadata", {}).get("warnings", []) == row.warnings
    assert KEY not in json.dumps(stored)


def test_every_row_is_here() -> None:
    text = Path(__file__).read_text()
    assert [row for row in (f"I{n:02}" for n in range(1, 53)) if not re.search(rf'"{row}"|_{row.lower()}_', text)] == []


def test_i01_an_unknown_key_can_be_answered_as_segment_does() -> None:
    with open_door(unknown_write_key="accept") as door:
        answered = door.post("/v1/track", {**track(), "writeKey": "x" * 32})
        assert (answered.status, answered.body, door.events()) == (200, b'{"success": true}', [])
        assert door.rejected() == {"invalid_write_key": 1}


def test_i05_names_the_methods_that_work(door: Door) -> None:
    assert door.ask("GET", "/v1/track").headers["allow"] == "POST, OPTIONS"


def test_i06_an_unknown_path_is_not_repeated_in_the_answer(door: Door) -> None:
    assert b"no-such-thing" not in door.post("/v1/no-such-thing", {}).body


def test_i08_a_page_of_any_origin_may_send_but_never_with_credentials(door: Door) -> None:
    headers = door.ask("OPTIONS", "/v1/t", headers={"Origin": "https://a.example"}).headers
    assert headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in headers


def test_i12_names_the_byte_that_is_wrong(door: Door) -> None:
    assert "at byte 8" in door.post("/v1/track", b'{"\xc3\xa4":1,}').json["message"]


def test_i20_ids_that_differ_only_in_a_lone_surrogate_stay_different(door: Door) -> None:
    for escape in (r"\ud800", r"\ud801", r"\ud800"):
        body = '{"writeKey":"%s","userId":"u","event":"E","messageId":"m%s"}' % (KEY, escape)  # noqa: UP031 - braces
        assert door.post("/v1/track", body.encode()).status == 200
    ids = [event["messageId"] for event in door.events()]
    assert len(ids) == len(set(ids)) == 2
    assert all(message_id.startswith("m\ufffd") for message_id in ids)


def test_i36_the_server_makes_an_id_where_there_is_none(door: Door) -> None:
    items = [track(writeKey=None), track(messageId=""), track(messageId=None)]
    assert door.post("/v1/batch", {"batch": items, "writeKey": KEY}).json == {"success": True}
    ids = {event["messageId"] for event in door.events()}
    assert len(ids) == 3
    assert all(0 < len(message_id) <= 100 for message_id in ids)


def test_i37_one_id_is_one_event_however_it_comes(door: Door) -> None:
    body = {"batch": [track(messageId="m"), track(messageId="m", event="Other"), track(messageId="n")], "writeKey": KEY}
    assert door.post("/v1/batch", body).json == {"success": True, "duplicates": 1}
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: door.post("/v1/track", {**track(messageId="p"), "writeKey": KEY}), range(32)))
    assert {answered.body for answered in answers} == {b'{"success": true}'}
    assert [event["messageId"] for event in door.events()] == ["m", "n", "p"]
    other = door.post("/v1/track", {**track(messageId="p"), "writeKey": OTHER_KEY})
    assert (other.status, len(door.events())) == (200, 4)
    assert door.collector.counts.duplicates == 32


def test_i41_nothing_is_moved_behind_its_arrival(door: Door) -> None:
    late = track(timestamp="2026-01-01T12:00:00Z", sentAt="2026-01-01T11:00:00Z")
    rubbish = track(timestamp="2126-01-01T12:00:00Z", sentAt="rubbish")
    past = track(timestamp="2025-01-01T12:00:00Z", sentAt="rubbish")
    assert door.post("/v1/batch", {"batch": [late, rubbish, past], "writeKey": KEY}).json == {"success": True}
    events = door.events()
    assert [event["timestamp"] for event in events[:2]] == [event["receivedAt"] for event in events[:2]]
    assert events[2]["timestamp"] == "2025-01-01T12:00:00.000Z"
    assert [event.get("_metadata", {}).get("warnings", []) for event in events] == [
        [], ["sent_at_unreadable"], ["sent_at_unreadable"],
    ]  # fmt: skip


def test_i42_the_server_says_when_it_received(door: Door) -> None:
    door.post("/v1/track", {**track(receivedAt="2001-01-01T00:00:00Z"), "writeKey": KEY})
    (event,) = door.events()
    assert abs(milliseconds(event["receivedAt"]) - door.log.read("events", 0).frames[0].received_at) < timedelta(
        milliseconds=1
    )


HEADER = b"POST /v1/track HTTP/1.1\r\nHost: h\r\n"


@pytest.mark.parametrize(
    "block",
    [
        b"".join(b"X-%d: 1\r\n" % n for n in range(200)),
        b"X-Large: " + b"x" * 17_000 + b"\r\n",
        b"".join(b"X-%d: 1\r\n" % n for n in range(10_000)),
        b"X-Endless: " + b"x" * 1_000_000,
    ],
    ids=["200 headers", "17 kB in one", "10,000 headers", "a header without end"],
)
def test_i46_too_many_or_too_large_headers_are_refused(block: bytes, door: Door) -> None:
    answered = door.raw(HEADER, block, b"\r\n")
    assert answered.startswith(b"HTTP/1.1 431 ")
    assert b'"code":"headers_too_large"' in answered
    assert door.collector.counts.requests == 0


def test_i46_a_path_without_end_is_refused(door: Door) -> None:
    assert door.raw(b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n").startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "request_bytes",
    [
        HEADER + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEADER + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
        HEADER + b"Content-Length: 5, 5\r\n\r\nabcde",
        HEADER + b"Content-Length: -1\r\n\r\n",
        HEADER + b"Content-Length: 1e3\r\n\r\n",
        HEADER + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        HEADER + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
        HEADER + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n",
        HEADER + b"X-Folded: a\r\n b\r\n\r\n",
        HEADER + b"Host: other\r\n\r\n",
        HEADER + b"Bad Name: a\r\n\r\n",
        HEADER + b"X: a\0b\r\n\r\n",
        b"GET /v1/\0 HTTP/1.1\r\nHost: h\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"NONSENSE\r\n\r\n",
    ],
    ids=repr,
)
def test_i47_a_request_that_can_be_read_in_two_ways_ends_the_connection(request_bytes: bytes, door: Door) -> None:
    answered = door.raw(request_bytes)
    assert answered.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in answered
    assert answered.count(b"HTTP/1.1 ") == 1
    assert door.events() == []


QUICK = Bounds(idle_s=0.4, header_s=0.4, body_s=1.5, body_grace_s=0.4, sweep_s=0.05)


def test_i48_slow_headers_bodies_and_silence_are_ended() -> None:
    with open_door(bounds=QUICK) as door:
        assert door.raw(HEADER + b"X: ").startswith(b"HTTP/1.1 408 ")
        assert door.raw(HEADER + b"Content-Length: 9000\r\n\r\n{").startswith(b"HTTP/1.1 408 ")
        assert door.raw() == b""
        with door.socket() as raw:
            raw.sendall(b"GET /v1/projects/x/settings HTTP/1.1\r\nHost: h\r\n\r\n")
            assert read_all(raw).startswith(b"HTTP/1.1 404 ")  # and then the idle connection is closed


def test_i48_a_body_that_drips_is_ended_though_it_never_stops() -> None:
    with open_door(bounds=QUICK) as door, door.socket() as raw:
        raw.sendall(HEADER + b"Content-Length: 9000\r\n\r\n")
        raw.settimeout(0.02)
        answered = b""
        while not answered:
            try:
                raw.sendall(b" ")
                answered = raw.recv(65536)
            except TimeoutError:
                continue
        assert answered.startswith(b"HTTP/1.1 408 ")


def test_i49_a_source_that_is_too_fast_is_told_when_to_come_back() -> None:
    with open_door(rate_per_s=1, seconds=lambda: 0.0) as door:
        answers = [door.post("/v1/track", {**track(), "writeKey": KEY}) for _ in range(4)]
        assert [answered.status for answered in answers] == [200, 200, 429, 429]
        assert (answers[-1].headers["retry-after"], answers[-1].headers["x-ratelimit-reset"]) == ("1", "1")
        assert door.post("/v1/track", {**track(), "writeKey": OTHER_KEY}).status == 200
        assert (len(door.events()), door.rejected()) == (3, {"rate_limited": 2})


def test_i49_a_full_queue_is_429(door: Door) -> None:
    door.log.error = LogOverloadedError("full")
    for path, body in (("/v1/track", track()), ("/v1/batch", {"batch": [track()]})):
        answered = door.post(path, {**body, "writeKey": KEY})
        assert (answered.status, answered.json["code"]) == (429, "overloaded")
        assert int(answered.headers["retry-after"]) == int(answered.headers["x-ratelimit-reset"]) > 0


def test_i50_a_full_disk_is_503_and_nothing_is_lost_once_it_is_free_again(door: Door) -> None:
    door.log.error = LogUnavailableError("the disk is full")
    refused = door.post("/v1/track", {**track(messageId="m"), "writeKey": KEY})
    assert (refused.status, refused.json["code"], int(refused.headers["retry-after"]) > 0) == (503, "unavailable", True)
    door.post("/v1/track", {**track(userId=5), "writeKey": KEY})
    assert door.flush() == []
    door.log.error = None
    assert door.post("/v1/track", {**track(messageId="m"), "writeKey": KEY}).status == 200
    assert [event["messageId"] for event in door.events()] == ["m"]
    assert [line["count"] for line in door.flush()] == [1]


def test_i51_a_suppressed_person_is_counted_without_a_payload(door: Door) -> None:
    answered = door.post("/v1/track", {**track(userId=SUPPRESSED_USER), "writeKey": KEY})
    assert (answered.body, door.events(), door.rejected()) == (b'{"success": true}', [], {"suppressed": 1})
    assert SUPPRESSED_USER not in json.dumps(door.flush())


@pytest.mark.parametrize(
    "query",
    [
        "", "?", "?data=", "?data=%%%", "?data=e30", "?data=bm90IGpzb24=", "?writeKey=" + "x" * 32,
        "?a.b.c=1&a=2&a.b=3",
        "?data=" + "A" * 15_000, "?" + "a." * 4_000 + "=1", f"?writeKey={KEY}&userId=u", "?data=W10=", "?%00=%ff",
    ],
)  # fmt: skip
def test_i52_a_pixel_is_an_image_whatever_it_says(query: str, door: Door) -> None:
    answered = door.ask("GET", "/v1/pixel/track" + query)
    assert (answered.status, answered.headers["content-type"], answered.body[:6]) == (200, "image/gif", b"GIF89a")
    assert answered.headers["cache-control"] == "no-store"
    assert door.events() == []
    assert sum(door.rejected().values()) == 1


def test_i52_a_pixel_is_an_image_though_nothing_can_be_stored(door: Door) -> None:
    door.log.error = LogUnavailableError("the disk is full")
    answered = door.ask("GET", f"/v1/pixel/track?writeKey={KEY}&userId=u&event=E")
    assert (answered.status, door.rejected()) == (200, {"pixel_not_stored": 1})


def test_a_connection_survives_every_refusal_of_a_body(door: Door) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", door.port, timeout=20)
    for body in (b"{", b"[]", b'{"writeKey":"x"}', b"\xff"):
        assert door.post("/v1/track", body, connection=connection).status in {400, 401}
    assert door.post("/v1/track", {**track(), "writeKey": KEY}, connection=connection).status == 200
    connection.close()
