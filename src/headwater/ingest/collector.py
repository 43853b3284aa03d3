"""The door: Segment's Tracking API and ActiveCampaign's webhooks, as one ASGI application.

A request is answered 200 only once the log has it on disk. Every other path goes to `fallback`.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

from headwater.clock import Clock
from headwater.errors import InvalidEventError, LogOverloadedError, LogUnavailableError, RequestError
from headwater.eventlog.contract import Appender, Topic
from headwater.ingest import credentials, pixel, webhooks
from headwater.ingest.accept import BATCH, Verdicts, items_of, judge
from headwater.ingest.answers import (
    NOT_FOUND,
    PREFLIGHT,
    SUCCESS,
    Answer,
    App,
    Receive,
    Scope,
    Send,
    json_answer,
    refusal,
    reply,
    wrong_method,
)
from headwater.ingest.directory import Directory, SourceRef
from headwater.ingest.internal import PATHS as INTERNAL_PATHS
from headwater.ingest.internal import Internal
from headwater.ingest.metrics import Counts
from headwater.ingest.rates import Rates
from headwater.ingest.rejections import Rejections
from headwater.ingest.request import Head, check_encoding, check_json_type, check_length, read_body
from headwater.limits import BATCH_BYTES_MAX, EVENT_BYTES_MAX
from headwater.privacy.suppression import Suppressed, nobody
from headwater.spec.event import Body, Call
from headwater.spec.parse import UNCLEAN, Decoded, decode, decode_clean
from headwater.spec.stamp import Arrival, stamp, too_large

_CALLS: Final = {
    **{call.value: call.value for call in Call},
    **{call.value[0]: call.value for call in Call if call is not Call.ALIAS},
    "a": Call.ALIAS.value,
    "batch": BATCH,
    "b": BATCH,
    "import": BATCH,
}
_BEACON: Final = "/v1/m"
_PROJECTS: Final = "/v1/projects/"
_OURS: Final = ("/v1/", "/webhooks/", "/internal/")
_RETRY_AFTER_S: Final = 5
_IN_A_THREAD_FROM: Final = 16 * 1024  # bytes: a body that the slow parser needs milliseconds for
_LISTED_MAX: Final = 2_500  # rejected items that one answer names


@dataclass(slots=True)
class _Visit:
    """What is known of a request so far; a refusal is counted with it."""

    call: str
    head: Head
    key: str | None = None
    source: SourceRef | None = None
    body: bytes = b""


class Collector:
    """The ASGI application of the ingest role.

    Attributes:
        counts: what was counted since the start.
    """

    def __init__(  # noqa: PLR0913 - everything the door needs is handed in here, by `app`
        self,
        log: Appender,
        directory: Callable[[], Directory],
        rejections: Rejections,
        *,
        clock: Clock,
        fallback: App,
        unknown_write_key: Literal["reject", "accept"] = "reject",
        internal: Internal | None = None,
        suppressed: Suppressed = nobody,
        rate_per_s: float | None = None,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the parts.

        Args:
            log: the write side of the log.
            directory: returns whom we know, now.
            rejections: where refusals are counted.
            clock: read once per request, for `receivedAt`.
            fallback: answers every path that is not the door's.
            unknown_write_key: "accept" answers 200 to an unknown key, as Segment does, and counts it all the same.
            internal: the address through which the pipeline appends.
            suppressed: whether an event may not be stored.
            rate_per_s: requests a second a source may make; None for any number.
            new_id: makes message ids.
            seconds: a clock for rates that never goes back.
        """
        self.counts = Counts()
        self._log = log
        self._directory = directory
        self._rejections = rejections
        self._clock = clock
        self._fallback = fallback
        self._accepts_unknown = unknown_write_key == "accept"
        self._internal = internal
        self._suppressed = suppressed
        self._rates = Rates(rate_per_s, seconds)
        self._new_id = new_id
        self._webhooks = webhooks.Webhooks(log, directory, rejections, clock=clock, counts=self.counts, seconds=seconds)
        self._routes: dict[str, Callable[[Scope, Receive], Any]] = {_BEACON: self._beacon}
        for name, call in _CALLS.items():
            self._routes[f"/v1/{name}"] = partial(self._tracking, call)
        for call in Call:
            self._routes[f"/v1/pixel/{call}"] = partial(self._pixel, call.value)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope["path"]
        route = self._routes.get(path)
        if route is None and not path.startswith(_OURS):
            await self._fallback(scope, receive, send)
            return
        self.counts.requests += 1
        try:
            ready = await (route(scope, receive) if route is not None else self._elsewhere(scope, receive))
        except ConnectionError:
            self.counts.disconnected += 1
            return
        await reply(send, ready, scope)

    async def _elsewhere(self, scope: Scope, receive: Receive) -> Answer:
        """Answer the paths that hold a name, and those that are not there: never with a redirect."""
        path = scope["path"]
        if webhooks.is_address(path):
            return await self._webhooks.answer(scope, receive)
        if path.startswith(_PROJECTS) and path.endswith("/settings"):
            return self._settings(scope["method"], path[len(_PROJECTS) : -len("/settings")])
        if path in INTERNAL_PATHS and self._internal is not None:
            return await self._internal.answer(scope, receive)
        # a slash too many loses events when it is answered by a redirect that SDKs do not follow
        route = self._routes.get(path.rstrip("/"))
        return NOT_FOUND if route is None else await route(scope, receive)

    def _settings(self, method: str, write_key: str) -> Answer:
        if method == "OPTIONS":
            return PREFLIGHT
        if method not in {"GET", "HEAD"}:
            return wrong_method(b"GET, HEAD, OPTIONS")
        document = self._directory().settings_document(write_key)
        if document is None:
            return NOT_FOUND
        return json_answer(200, document, (b"cache-control", b"public, max-age=60"))

    async def _beacon(self, scope: Scope, receive: Receive) -> Answer:
        """Answer the metrics that analytics.js sends about itself: read, counted, not kept."""
        if scope["method"] != "POST":
            return PREFLIGHT if scope["method"] == "OPTIONS" else wrong_method(b"POST, OPTIONS")
        head = Head(scope["headers"])
        try:
            check_length(head.length)
            await read_body(receive, b"", BATCH_BYTES_MAX)
        except RequestError as error:
            return refusal(error.status, error.code, str(error), close=True)
        self.counts.beacons += 1
        return SUCCESS

    async def _tracking(self, call: str, scope: Scope, receive: Receive) -> Answer:
        if scope["method"] != "POST":
            return PREFLIGHT if scope["method"] == "OPTIONS" else wrong_method(b"POST, OPTIONS")
        visit = _Visit(call, Head(scope["headers"]))
        try:
            return await self._answer(visit, receive)
        except InvalidEventError as error:
            return self._refuse(visit, RequestError(400, error.code, str(error)))
        except RequestError as error:
            return self._refuse(visit, error)
        except LogUnavailableError:
            self.counts.unavailable += 1
            message = "Nothing was stored: the log cannot be written now. Send it again."
            return refusal(503, "unavailable", message, retry_after_s=_RETRY_AFTER_S)
        except LogOverloadedError:
            self.counts.overloaded += 1
            message = "Nothing was stored: too much is waiting for the disk. Send it again."
            return refusal(429, "overloaded", message, retry_after_s=1)

    async def _answer(self, visit: _Visit, receive: Receive) -> Answer:
        """Check, read, judge, store: in this order, so that a stranger costs least."""
        head = visit.head
        check_length(head.length)
        visit.key = credentials.header_key(head)
        if visit.key is not None:
            self._admit(visit, visit.key)
        check_json_type(head.content_type)
        check_encoding(head.encoding)
        visit.body = body = await read_body(receive, head.encoding, BATCH_BYTES_MAX)
        value = await _decoded(body)
        if type(value) is not dict:
            raise InvalidEventError("not_an_object", "The body must be a JSON object.")
        visit.key = credentials.body_key(value.get("writeKey"), visit.key)
        source = visit.source or self._admit(visit, visit.key)
        self.counts.body_bytes += len(body)
        if visit.call == BATCH:
            return await self._store_batch(value, source)
        if len(body) > EVENT_BYTES_MAX:
            raise too_large(len(body))
        await self._store(visit.call, value, source)
        return SUCCESS

    def _admit(self, visit: _Visit, key: str) -> SourceRef:
        """Return the source of a key that may send now.

        Raises:
            RequestError: 401 unknown, 403 disabled or in another region, 429 too fast.
        """
        source = self._directory().by_write_key(key)
        if source is None:
            raise credentials.invalid()
        visit.source = source
        if not source.enabled:
            raise RequestError(403, "source_disabled", "The source is disabled. Enable it to receive events.")
        if not source.region_allowed:
            raise RequestError(403, "wrong_region", "The source may not receive events in this region.")
        if wait_s := self._rates.wait_s(source.id):
            raise RequestError(429, "rate_limited", "Too many requests. Send it again.", retry_after_s=wait_s)
        return source

    async def _store(self, call: str, value: Body, source: SourceRef) -> None:
        """Store a single call durably, unless it is a duplicate or may not be stored."""
        received = self._clock()
        arrival = Arrival(received, self._new_id, value.get("sentAt"))
        record = stamp(call, value, arrival)
        if self._suppressed(source.id, value):
            self._count_suppressed(source, 1)
            return
        appended = await self._log.append(Topic.EVENTS, source.id, received, (record,))
        counts = self.counts
        counts.received += 1
        counts.accepted += 1
        counts.duplicates += len(appended.duplicates)
        if arrival.warnings:
            counts.warnings.update(arrival.warnings)

    async def _store_batch(self, value: Body, source: SourceRef) -> Answer:
        """Store the good items of a batch durably, and name the others in the answer."""
        received = self._clock()
        arrival = Arrival(received, self._new_id, value.get("sentAt"))
        arrival.share(value)
        verdicts = await judge(items_of(value), arrival, source.id, self._suppressed)
        value.clear()  # thousands of objects: freed while the cache still has them, not after the disk
        duplicates = 0
        if verdicts.records:
            appended = await self._log.append(Topic.EVENTS, source.id, received, verdicts.records)
            duplicates = len(appended.duplicates)
        counts, kept = self.counts, len(verdicts.records)
        counts.received += kept + len(verdicts.rejected)
        counts.accepted += kept
        counts.duplicates += duplicates
        counts.rejected += len(verdicts.rejected)
        if arrival.warnings:
            counts.warnings.update(arrival.warnings)
        if verdicts.suppressed:
            self._count_suppressed(source, verdicts.suppressed)
        for _, item, error in verdicts.rejected:
            self._rejections.reject(error.code, source.id, str(error), sample=item)
        return _batch_answer(verdicts, duplicates)

    def _count_suppressed(self, source: SourceRef, count: int) -> None:
        self.counts.received += count
        self.counts.rejected += count
        message = "The person is suppressed: nothing is stored."
        self._rejections.reject("suppressed", source.id, message, count=count)

    def _refuse(self, visit: _Visit, error: RequestError) -> Answer:
        self.counts.received += 1
        self.counts.rejected += 1
        if error.status == 429:  # noqa: PLR2004 - the status of `rate_limited`
            self.counts.overloaded += 1
        source_id = visit.source.id if visit.source is not None else ""
        self._rejections.reject(error.code, source_id, str(error), sample=visit.body or None, write_key=visit.key or "")
        if error.code == "invalid_write_key" and self._accepts_unknown and visit.key:
            return SUCCESS
        close = error.status == 413  # noqa: PLR2004 - too large: the rest is not worth reading
        return refusal(error.status, error.code, str(error), retry_after_s=error.retry_after_s, close=close)

    async def _pixel(self, call: str, scope: Scope, _receive: Receive) -> Answer:
        """Store the call of a pixel if it is a good one; the answer is the image in every case."""
        if scope["method"] not in {"GET", "HEAD"}:
            return PREFLIGHT if scope["method"] == "OPTIONS" else wrong_method(b"GET, HEAD, OPTIONS")
        visit = _Visit(call, Head(scope["headers"]))
        try:
            value = pixel.call_of(scope["query_string"])
            visit.key = credentials.body_key(value.pop("writeKey", None), credentials.header_key(visit.head))
            await self._store(call, value, self._admit(visit, visit.key))
        except (InvalidEventError, RequestError) as error:
            self._refuse(visit, RequestError(400, error.code, str(error)))
        except (LogUnavailableError, LogOverloadedError):
            self._refuse(
                visit, RequestError(503, "pixel_not_stored", "A pixel's call could not be stored: it is lost.")
            )
        return pixel.GIF


async def _decoded(body: bytes) -> Any:
    try:
        return decode_clean(body)
    except UNCLEAN:
        decoded: Decoded
        if len(body) < _IN_A_THREAD_FROM:
            decoded = decode(body)
        else:
            decoded = await asyncio.to_thread(decode, body)
        return decoded.value


def _batch_answer(verdicts: Verdicts, duplicates: int) -> Answer:
    if not verdicts.rejected and not duplicates:
        return SUCCESS
    answer: Body = {"success": True}
    if verdicts.rejected:
        answer["rejected"] = [
            {"index": index, "code": error.code, "message": str(error)}
            for index, _, error in verdicts.rejected[:_LISTED_MAX]
        ]
        if len(verdicts.rejected) > _LISTED_MAX:
            answer["rejectedCount"] = len(verdicts.rejected)
    if duplicates:
        answer["duplicates"] = duplicates
    return json_answer(200, answer)
