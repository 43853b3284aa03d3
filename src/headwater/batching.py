"""Cut events into the requests that a service takes, and find the one that spoils a request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

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
    items: Sequence[T], send: Callable[[Sequence[T]], Awaitable[list[R]]], is_spoilt: Callable[[list[R]], bool]
) -> list[R]:
    """Send items together and return what each came to; a request that is refused whole is halved and sent again.

    For services that refuse a request for one bad item without saying which: it ends up alone.

    Args:
        items: at least one.
        send: returns one result an item.
        is_spoilt: whether results mean that the request was refused for what it held.
    """
    results = await send(items)
    if len(items) == 1 or not is_spoilt(results):
        return results
    middle = len(items) // 2
    return await divided(items[:middle], send, is_spoilt) + await divided(items[middle:], send, is_spoilt)
