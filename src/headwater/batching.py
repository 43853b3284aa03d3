"""Cut events into the requests that a service takes, and find the one that spoils a request."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from headwater.errors import RetryableError

T = TypeVar("T")
R = TypeVar("R")


def requests(sizes: Sequence[int], *, count_max: int, bytes_max: int) -> Iterator[list[int]]:
    """Yield the places of what goes into one request, in order.

    Args:
        sizes: bytes of each item, with what stands between two.
        count_max: items a request may hold.
        bytes_max: bytes of items a request may hold; an item that is larger stands alone.
    """
    places: list[int] = []
    total = 0
    for place, size in enumerate(sizes):
        if places and (len(places) == count_max or total + size > bytes_max):
            yield places
            places, total = [], 0
        places.append(place)
        total += size
    if places:
        yield places


async def divided(
    items: Sequence[T],
    send: Callable[[Sequence[T]], Awaitable[list[R]]],
    is_spoilt: Callable[[list[R]], bool],
    unsent: Callable[[RetryableError], R] | None = None,
) -> list[R]:
    """Send items together and return what each came to; a request that is refused whole is halved and sent again.

    For services that refuse a request for one bad item without saying which: it ends up alone.

    Args:
        items: at least one.
        send: returns one result an item.
        is_spoilt: whether results mean that the request was refused for what it held.
        unsent: the result of what is left once a half got no answer: the other half may be in and must not go again.
            Without it the error is raised.

    Raises:
        RetryableError: of `send`, while nothing can be in.
    """
    ends: list[R] = []
    waiting: list[Sequence[T]] = [items]
    failed: R | None = None
    while waiting:
        some = waiting.pop()
        if failed is None:
            try:
                results = await send(some)
            except RetryableError as error:
                if unsent is None or some is items:
                    raise
                failed = unsent(error)
        if failed is not None:
            ends += [failed] * len(some)
        elif len(some) > 1 and is_spoilt(results):
            middle = len(some) // 2
            waiting += [some[middle:], some[:middle]]
        else:
            ends += results
    return ends


@dataclass(frozen=True, slots=True)
class Part:
    """One item as a service takes it.

    Attributes:
        to: where it goes; a request holds parts for one place only.
        body: JSON.
    """

    to: str
    body: bytes


async def carried(
    parts: Sequence[Part | R],
    send: Callable[[str, Sequence[bytes]], Awaitable[list[R]]],
    *,
    count_max: int,
    bytes_max: int,
    too_large: R,
    unsent: Callable[[RetryableError], R],
    is_spoilt: Callable[[list[R]], bool],
) -> list[R]:
    """Return what each part came to, in order; whatever is no part is a result already.

    The parts for one place go together, in order, in as many requests as its limits need; a request that is refused
    whole is divided. Once a request gets no answer the others are not sent: each might take its whole deadline.

    Args:
        parts: what is to be sent, or what became of it before.
        send: takes the place and the bodies of one request; returns one result a body.
        count_max: parts a request may hold.
        bytes_max: bytes of parts a request may hold, with a comma each.
        too_large: the result of a part that fits into no request.
        unsent: the result of parts whose request got no answer.
        is_spoilt: see `divided`.
    """
    results = [too_large if isinstance(part, Part) else part for part in parts]
    fitting = [(at, part) for at, part in enumerate(parts) if isinstance(part, Part) and len(part.body) < bytes_max]
    failed: list[R] = []
    for to in dict.fromkeys(part.to for _, part in fitting):
        group = [(at, part.body) for at, part in fitting if part.to == to]
        for places in requests([len(body) + 1 for _, body in group], count_max=count_max, bytes_max=bytes_max):
            if not failed:
                try:
                    ends = await divided(
                        [group[place][1] for place in places], functools.partial(send, to), is_spoilt, unsent
                    )
                except RetryableError as error:
                    failed.append(unsent(error))
            for place, end in zip(places, failed * len(places) if failed else ends, strict=True):
                results[group[place][0]] = end
    return results


def told(body: bytes) -> Mapping[str, Any]:
    """Return the JSON object that a service answered; an empty one for everything else."""
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return answer if isinstance(answer, dict) else {}
