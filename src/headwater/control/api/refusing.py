"""What the API says when it does not do what was asked: Segment's `errors`, each with status, type and sentence."""

from __future__ import annotations

from typing import Final

import msgspec
from starlette.responses import Response

from headwater import errors
from headwater.errors import HeadwaterError

# What an error of ours means to the caller: HTTP status and `type`.
_MEANING: Final[tuple[tuple[type[HeadwaterError], int, str], ...]] = (
    (errors.NotFoundError, 404, "not_found"),
    (errors.ConflictError, 409, "conflict"),
    (errors.ForbiddenError, 403, "forbidden"),
    (errors.ForbiddenUrlError, 422, "forbidden_url"),
    (errors.InvalidRequestError, 422, "invalid_field"),
    (errors.QueryError, 422, "query_failed"),
    (errors.LogOverloadedError, 429, "overloaded"),
    (errors.UnauthorizedError, 422, "credentials_refused"),
    (errors.HeadwaterError, 503, "unavailable"),
)


class RequestError(msgspec.Struct, rename="camel", omit_defaults=True):
    """What is wrong: a word for programs, a sentence for people, and the member that it is about."""

    type: str
    message: str
    status: int
    field: str = ""


class RequestErrors(msgspec.Struct, rename="camel"):
    """Why a request was refused."""

    errors: list[RequestError]


class Refusal(Exception):  # noqa: N818 - an answer, not a mistake of ours
    """Ends a request with this status and error."""

    def __init__(self, status: int, kind: str, message: str, field: str = "", after_s: int = 1) -> None:
        super().__init__(message)
        self.status, self.kind, self.message, self.field, self.after_s = status, kind, message, field, after_s


def refusal(error: HeadwaterError) -> Refusal:
    """Return what an error of ours means to the caller."""
    status, kind = next((status, kind) for family, status, kind in _MEANING if isinstance(error, family))
    return Refusal(status, kind, str(error), getattr(error, "field", ""))


def refused(told: Refusal, media_type: str) -> Response:
    """Return the answer that says so."""
    body = RequestErrors([RequestError(told.kind, told.message, told.status, told.field)])
    response = Response(msgspec.json.encode(body), told.status, media_type=media_type)
    if told.status == 401:  # noqa: PLR2004 - RFC 9110: a 401 names the scheme
        response.headers["www-authenticate"] = "Bearer"
    if told.status in {429, 503}:
        response.headers["retry-after"] = str(told.after_s)
    return response
