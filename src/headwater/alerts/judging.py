"""Whether something is wrong: pure, from plain figures of one moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from headwater.alerts.rules import Kind, Rule

FAILURES: Final = (5, 20)  # Segment, Warehouse health: which failures in a row are told
ENDED_MIN: Final = 20  # ours: a rate over fewer events says nothing
_PERCENT: Final = 100


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """A source; `last_at` is when its newest event was received, None where there never was one."""

    id: str
    name: str
    last_at: datetime | None
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class DestinationFacts:
    """A destination.

    Attributes:
        rates: (delivered, failed) by the minutes that were looked at.
        unaccounted: events that are in no count, or in two.
    """

    id: str
    name: str
    rates: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    unaccounted: int = 0
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class WarehouseFacts:
    """A warehouse; `failures` in a row, `unaccounted` as for destinations."""

    id: str
    name: str
    failures: int = 0
    last_error: str = ""
    unaccounted: int = 0
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """A connected ActiveCampaign account; `complaint` is "" while its webhook stands and its key works."""

    source_id: str
    name: str
    complaint: str
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Facts:
    """How one workspace does at a moment; None is "nobody could be asked": then nothing begins and nothing ends."""

    moment: datetime
    sources: Sequence[SourceFacts] = ()
    destinations: Sequence[DestinationFacts] | None = None
    warehouses: Sequence[WarehouseFacts] | None = None
    accounts: Sequence[AccountFacts] | None = None
    disk_free_mb: int | None = None
    pipeline_answers: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is found of one subject of a rule.

    Attributes:
        subject_id: of the source, destination or warehouse; "" for the installation.
        is_bad: None where it cannot be told now.
        text: one sentence on what is wrong, "" where nothing is.
        step: how grave; a message is sent again when it grows.
    """

    subject_id: str
    subject: str
    is_bad: bool | None
    text: str = ""
    step: int = 1


def judge(rule: Rule, facts: Facts, others: frozenset[str] = frozenset()) -> list[Verdict]:
    """Return what a rule finds, one verdict a subject; what it says nothing of has no verdict.

    Args:
        rule: is enabled.
        facts: of the rule's workspace.
        others: subjects that have a rule of their own of this kind.
    """
    found = _JUDGES[rule.kind](rule, facts)
    if rule.subject_id:
        return [each for each in found if each.subject_id == rule.subject_id]
    return [each for each in found if each.subject_id not in others]


def _silent(rule: Rule, facts: Facts) -> Iterator[Verdict]:
    for source in facts.sources:
        if source.enabled and source.last_at is not None:
            silent = facts.moment - source.last_at
            is_bad = silent > timedelta(minutes=rule.window_minutes)
            text = f"{source.name} has received no event for {_span(silent)}."
            yield Verdict(source.id, source.name, is_bad, text if is_bad else "")


def _rate(rule: Rule, facts: Facts) -> Iterator[Verdict]:
    for each in facts.destinations or ():
        if not each.enabled:
            continue
        rate = each.rates.get(rule.window_minutes)
        if rate is None:
            yield Verdict(each.id, each.name, None)
            continue
        delivered, failed = rate
        ended = delivered + failed
        percent = _PERCENT * delivered / ended if ended else _PERCENT
        is_bad = ended >= ENDED_MIN and percent < rule.threshold
        told = (
            f"{each.name} took {delivered:,} of {ended:,} events ({percent:.1f} %) "
            f"in the last {_span(timedelta(minutes=rule.window_minutes))}; the threshold is {rule.threshold} %."
        )
        yield Verdict(each.id, each.name, is_bad, told if is_bad else "")


def _failing(_: Rule, facts: Facts) -> Iterator[Verdict]:
    for each in facts.warehouses or ():
        if not each.enabled:
            continue
        step = sum(each.failures >= number for number in FAILURES)
        told = f"{each.name} could not be loaded {each.failures} times in a row: {each.last_error}"
        # one failure passes by itself most of the time: what has begun ends only with a load that worked
        is_bad = True if step else None if each.failures else False
        yield Verdict(each.id, each.name, is_bad, told if step else "", max(step, 1))


def _inactive(_: Rule, facts: Facts) -> Iterator[Verdict]:
    for each in facts.accounts or ():
        if each.enabled:
            told = f"ActiveCampaign, {each.name}: {each.complaint}" if each.complaint else ""
            yield Verdict(each.source_id, each.name, bool(each.complaint), told)


def _disk(rule: Rule, facts: Facts) -> Iterator[Verdict]:
    free = facts.disk_free_mb
    if free is None:
        yield Verdict("", "Disk", None)
        return
    told = f"Only {free:,} MB are free where Headwater keeps its data; free some space or lower the retention."
    is_bad = free < rule.threshold
    yield Verdict("", "Disk", is_bad, told if is_bad else "")


def _unaccounted(_: Rule, facts: Facts) -> Iterator[Verdict]:
    for of_kind in (facts.destinations, facts.warehouses):
        for each in of_kind or ():
            count = abs(each.unaccounted)
            told = f"{each.name}: {count:,} events are in no count, or in two. `headwater doctor` says more."
            yield Verdict(each.id, each.name, bool(each.unaccounted), told if each.unaccounted else "")


def _down(_: Rule, facts: Facts) -> Iterator[Verdict]:
    told = "The pipeline does not answer: nothing is delivered or loaded. What arrives is kept safe in the log."
    yield Verdict("", "Pipeline", not facts.pipeline_answers, "" if facts.pipeline_answers else told)


def _span(span: timedelta) -> str:
    minutes = int(span.total_seconds() // 60)
    for unit, size in (("day", 24 * 60), ("hour", 60)):
        if minutes >= 2 * size:
            return f"{minutes // size} {unit}s"
    return f"{minutes} minutes"


_JUDGES: Final[Mapping[Kind, Callable[[Rule, Facts], Iterator[Verdict]]]] = {
    Kind.SOURCE_SILENT: _silent,
    Kind.DELIVERY_RATE: _rate,
    Kind.WAREHOUSE_FAILING: _failing,
    Kind.WEBHOOK_INACTIVE: _inactive,
    Kind.DISK_LOW: _disk,
    Kind.CONSERVATION_BROKEN: _unaccounted,
    Kind.PIPELINE_DOWN: _down,
}
