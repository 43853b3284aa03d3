"""Pages of a list: `pagination.count` and an opaque, signed `pagination.cursor`."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any, Final, TypeVar

from headwater.control.api.door import Asked
from headwater.errors import InvalidRequestError

COUNT_DEFAULT: Final = 100
COUNT_MAX: Final = 1_000  # Segment Public API
_SIGNATURE_BYTES: Final = 16

T = TypeVar("T")


class Pager:
    """Cuts lists into pages; a cursor works only for the list it came from."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def page(
        self, asked: Asked, list_name: str, items: Sequence[T], position: Callable[[T], str]
    ) -> tuple[list[T], dict[str, Any]]:
        """Return the page that is asked for and Segment's `pagination` object.

        Args:
            asked: holds the count and the cursor, as `pagination.count` or `pagination[count]`.
            list_name: names the list, with the ids in its address.
            items: the whole list, sorted by `position`.
            position: sorts, is unique, and never changes: what is deleted meanwhile moves nothing.

        Raises:
            InvalidRequestError: the count is no number from 1 to 1,000, or the cursor is not ours.
        """
        count = self._count(asked)
        cursor = asked.text("pagination.cursor")
        after = self._open(list_name, cursor) if cursor else None
        rest = [item for item in items if after is None or position(item) >= after]
        page, following = rest[:count], rest[count : count + 1]
        pagination: dict[str, Any] = {
            "current": cursor or (self._seal(list_name, position(page[0])) if page else ""),
            "totalEntries": len(items),
        }
        if following:
            pagination["next"] = self._seal(list_name, position(following[0]))
        return page, pagination

    def read(
        self,
        asked: Asked,
        list_name: str,
        read: Callable[[str | None, int], Sequence[T]],
        position: Callable[[T], str],
    ) -> tuple[list[T], dict[str, Any]]:
        """Return the page that is asked for of a list that is too long to be read whole, as `page` does.

        Args:
            asked: as in `page`.
            list_name: as in `page`.
            read: (position of the first item, or None for the beginning; how many at most) -> the items.
            position: of an item.

        Raises:
            InvalidRequestError: as `page`.
        """
        count = self._count(asked)
        cursor = asked.text("pagination.cursor")
        items = read(self._open(list_name, cursor) if cursor else None, count + 1)
        pagination: dict[str, Any] = {
            "current": cursor or (self._seal(list_name, position(items[0])) if items else ""),
        }
        if len(items) > count:
            pagination["next"] = self._seal(list_name, position(items[count]))
        return list(items[:count]), pagination

    def _count(self, asked: Asked) -> int:
        text = asked.text("pagination.count")
        if text is None:
            return COUNT_DEFAULT
        if not (text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= COUNT_MAX):  # noqa: PLR2004
            raise InvalidRequestError(
                f"pagination.count is a whole number from 1 to {COUNT_MAX}", field="pagination.count"
            )
        return int(text)

    def _seal(self, list_name: str, position: str) -> str:
        raw = position.encode()
        return base64.urlsafe_b64encode(self._signature(list_name, raw) + raw).decode().rstrip("=")

    def _open(self, list_name: str, cursor: str) -> str:
        try:
            raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
            signature, position = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
            if hmac.compare_digest(signature, self._signature(list_name, position)):
                return position.decode()
        except ValueError:  # no base64, or characters that it does not have
            pass
        message = "pagination.cursor is not one that this list gave; start without a cursor"
        raise InvalidRequestError(message, field="pagination.cursor")

    def _signature(self, list_name: str, position: bytes) -> bytes:
        return hmac.digest(self._key, list_name.encode() + b"\0" + position, sha256)[:_SIGNATURE_BYTES]
