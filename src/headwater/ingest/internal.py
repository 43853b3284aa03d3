"""The address through which our own processes append; to everybody else it is not there."""

from __future__ import annotations

from hmac import compare_digest
from typing import Final

import msgspec

from headwater.errors import LogOverloadedError, LogUnavailableError, RequestError
from headwater.eventlog.contract import Appender
from headwater.eventlog.remote import AppendAnswer, AppendRequest
from headwater.ingest.answers import NOT_FOUND, Answer, Receive, Scope, answer, refusal
from headwater.ingest.request import Head, read_body
from headwater.limits import APPEND_GROUP_BYTES_MAX
from headwater.spec.event import Record

PATH: Final = "/internal/append"

_decode = msgspec.msgpack.Decoder(AppendRequest).decode
_encode = msgspec.msgpack.Encoder().encode


class Internal:
    """The route `/internal/append`, the other end of `RemoteAppender`."""

    def __init__(self, appender: Appender, token: str) -> None:
        """Take the log and the token that our processes know."""
        self._appender = appender
        self._authorization = f"Bearer {token}".encode()

    async def answer(self, scope: Scope, receive: Receive) -> Answer:
        """Append and return the answer; 404 without the token."""
        head = Head(scope["headers"])
        if scope["method"] != "POST" or not compare_digest(head.authorization, self._authorization):
            return NOT_FOUND
        try:
            request = _decode(await read_body(receive, b"", APPEND_GROUP_BYTES_MAX, drained_max=APPEND_GROUP_BYTES_MAX))
        except RequestError as error:
            return refusal(error.status, error.code, str(error), close=True)
        except msgspec.MsgspecError:
            return refusal(400, "invalid_append", "The body is not an append.")
        return await self._append(request)

    async def _append(self, request: AppendRequest) -> Answer:
        records = [Record(message_id, line) for message_id, line in request.records]
        try:
            appended = await self._appender.append(
                request.topic, request.source_id, request.received_at, records, reserved=request.reserved
            )
        except LogUnavailableError as error:
            return refusal(503, "unavailable", str(error), retry_after_s=5)
        except LogOverloadedError as error:
            return refusal(429, "overloaded", str(error), retry_after_s=1)
        stored = AppendAnswer(appended.first_seq, appended.count, appended.duplicates)
        return answer(200, _encode(stored), (b"content-type", b"application/msgpack"))
