"""The table of bad input, rows I01 to I51: what comes in, what is answered, what is stored."""

from __future__ import annotations

import gzip
import json
import pickle
import zlib
from dataclasses import dataclass, field
from typing import Any

from door import DISABLED_KEY, FOREIGN_KEY, KEY, OTHER_KEY, SUPPRESSED_USER, track

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
