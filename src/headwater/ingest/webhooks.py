"""Webhooks: stored raw, then answered; read later, where a mistake can be mended and tried again.

ActiveCampaign never sends a webhook twice, so this route does the least that can go wrong: secret, size, append. It
never answers 410, which ActiveCampaign takes as "delete this webhook".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
import structlog

from headwater.clock import Clock
from headwater.errors import LogOverloadedError, LogUnavailableError, RequestError
from headwater.eventlog.contract import Appender, Topic
from headwater.ingest.answers import SUCCESS, Answer, Receive, Scope, json_answer, refusal, wrong_method
from headwater.ingest.directory import Directory, SourceRef
from headwater.ingest.metrics import Counts
from headwater.ingest.rates import Rates
from headwater.ingest.rejections import Rejections
from headwater.ingest.request import Head, check_length, read_body
from headwater.spec.event import Record
from headwater.spec.times import format_time

PREFIX: Final = "/webhooks/"
_UNKEPT: Final = frozenset({"authorization", "cookie", "proxy-authorization", "content-type", "content-length"})
"""Headers that are kept for nobody: what they say is a secret, or stands in the record anyhow."""
RATE_PER_S_MAX: Final = 2_000  # ours: ten times what a large account's campaign sends in its first minutes

_READY: Final = json_answer(200, {"success": True, "message": "Ready for webhooks."})
_encode = msgspec.json.Encoder().encode
log = structlog.get_logger()


def is_address(path: str) -> bool:
    """Tell whether a path is a webhook's: a source type and a secret, right or wrong."""
    return path.startswith(PREFIX) and "/" in path[len(PREFIX) :]


class Webhooks:
    """The route `/webhooks/{source type}/{secret}`.

    A record of the topic `inbox`, appended under the source's id; `body` holds each byte as the code point of the same
    number, so that nothing is lost before it is read:

        {"receivedAt": "2026-01-31T09:05:07.120Z", "contentType": "…", "body": "type=open&…", "query": "…"}

    `query` is there only when the address had one, `headers` (names in lower case) where the source keeps them.
    """

    def __init__(
        self,
        appender: Appender,
        directory: Callable[[], Directory],
        rejections: Rejections,
        *,
        clock: Clock,
        counts: Counts,
        seconds: Callable[[], float],
        rate_per_s: float = RATE_PER_S_MAX,
    ) -> None:
        """Take the log, who is known, where refusals go, and the clocks."""
        self._appender = appender
        self._directory = directory
        self._rejections = rejections
        self._clock = clock
        self._counts = counts
        self._rates = Rates(rate_per_s, seconds)

    async def answer(self, scope: Scope, receive: Receive) -> Answer:
        """Store one webhook durably and return the answer to it."""
        type_, _, secret = scope["path"][len(PREFIX) :].partition("/")
        source = self._directory().by_webhook_secret(secret)
        if source is None or source.webhooks != type_:
            self._rejections.reject("wrong_webhook_secret", "", "A webhook came with an unknown secret.")
            return refusal(403, "forbidden", "The webhook's address is not known here.")
        if scope["method"] in {"GET", "HEAD"}:
            return _READY
        if scope["method"] != "POST":
            return wrong_method(b"GET, HEAD, POST")
        if wait_s := self._rates.wait_s(source.id):
            self._counts.overloaded += 1
            self._rejections.reject("rate_limited", source.id, f"More than {RATE_PER_S_MAX:,} webhooks a second came.")
            return refusal(429, "rate_limited", "Too many webhooks.", retry_after_s=wait_s)
        return await self._store(source, scope, receive)

    async def _store(self, source: SourceRef, scope: Scope, receive: Receive) -> Answer:
        head = Head(scope["headers"])
        try:
            check_length(head.length)
            # whatever its Content-Encoding says: the raw bytes are what is kept
            body = await read_body(receive, b"", source.webhook_bytes_max)
        except RequestError as error:
            # an event is lost here: the rejection is the alarm that the web app shows
            log.warning("webhook.too_large", source_id=source.id, content_length=head.length)
            message = f"A webhook of more than {source.webhook_bytes_max:,} bytes was refused: its event is lost."
            self._rejections.reject("webhook_too_large", source.id, message)
            return refusal(error.status, "webhook_too_large", str(error), close=True)
        received = self._clock()
        record = _encode(_record(format_time(received), head, body, scope) | _kept(source, scope))
        try:
            await self._appender.append(Topic.INBOX, source.id, received, [Record("", record)], reserved=True)
        except (LogUnavailableError, LogOverloadedError):
            self._counts.unavailable += 1
            message = "A webhook could not be stored: its event is lost unless the back-fill finds it."
            self._rejections.reject("webhook_not_stored", source.id, message)
            return refusal(503, "unavailable", "The webhook could not be stored. Try again.", retry_after_s=5)
        self._counts.webhooks += 1
        return SUCCESS


def _record(received_at: str, head: Head, body: bytes, scope: Mapping[str, Any]) -> dict[str, Any]:
    record = {
        "receivedAt": received_at,
        "contentType": head.content_type.decode("latin-1"),
        "body": body.decode("latin-1"),
    }
    if scope["query_string"]:
        record["query"] = scope["query_string"].decode("latin-1")
    return record


def _kept(source: SourceRef, scope: Mapping[str, Any]) -> dict[str, Any]:
    if not source.keeps_headers:
        return {}
    headers = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
    return {"headers": {name: value for name, value in headers if name not in _UNKEPT}}
