"""A decoded body to records: each item judged for itself, so that a bad one never costs a good one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

from headwater.errors import InvalidEventError
from headwater.privacy.suppression import Suppressed, nobody
from headwater.spec.event import Body, Record
from headwater.spec.stamp import Arrival, stamp

BATCH: Final = "batch"
_STRETCH: Final = 1_000  # items judged before others get their turn: a few milliseconds


@dataclass(slots=True)
class Verdicts:
    """What became of the items of one request.

    Attributes:
        records: the good ones, in order.
        rejected: position, the item as sent, and what is wrong with it.
        suppressed: how many were left out because the person may not be stored.
    """

    records: list[Record] = field(default_factory=list)
    rejected: list[tuple[int, Any, InvalidEventError]] = field(default_factory=list)
    suppressed: int = 0


def items_of(value: Body) -> list[Any]:
    """Return the items of a batch.

    Raises:
        InvalidEventError: `batch_not_array` or `empty_batch`.
    """
    items = value.get(BATCH)
    if items is None or items == []:
        raise InvalidEventError("empty_batch", "The batch has no items.", field=BATCH)
    if type(items) is not list:
        raise InvalidEventError("batch_not_array", "batch must be an array of calls.", field=BATCH)
    return items


async def judge(items: list[Any], arrival: Arrival, source_id: str, suppressed: Suppressed) -> Verdicts:
    """Return the verdict on each item of a batch; long ones in stretches, so that other requests go on meanwhile."""
    verdicts = Verdicts()
    for start in range(0, len(items), _STRETCH):
        if start:
            await asyncio.sleep(0)
        _judge_stretch(items[start : start + _STRETCH], start, arrival, source_id, suppressed, verdicts)
    return verdicts


def _judge_stretch(
    items: list[Any], start: int, arrival: Arrival, source_id: str, suppressed: Suppressed, verdicts: Verdicts
) -> None:
    records, rejected = verdicts.records, verdicts.rejected
    everybody = suppressed is nobody
    for index, item in enumerate(items, start):
        try:
            if type(item) is not dict:
                raise InvalidEventError("item_not_object", "An item of a batch must be an object.")  # noqa: TRY301 - one handler for all verdicts
            record = stamp(item.get("type"), item, arrival)
        except InvalidEventError as error:
            rejected.append((index, item, error))
        else:
            if everybody or not suppressed(source_id, item):
                records.append(record)
            else:
                verdicts.suppressed += 1
